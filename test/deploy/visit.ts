/** One request to a proxy, from an address of one's own and with what TLS one likes, by Node's own client. */
import { request } from "node:https";
import type { IncomingHttpHeaders } from "node:http";
import type { Socket } from "node:net";
import type { SecureVersion } from "node:tls";

const HANDSHAKE = {
  "Connection": "Upgrade",
  "Upgrade": "websocket",
  "Sec-WebSocket-Version": "13",
  "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
};

export interface Visit {
  /** Where it comes from. */
  readonly from?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly version?: SecureVersion;
}

export interface Visited {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** Of a handshake that was accepted; it is the caller's to end. */
  readonly socket: Socket | undefined;
}

/** Asks for a wss: URL with a handshake, for an https: one without. Rejects when TLS or TCP fails. */
export function visit(url: string, { from, headers = {}, version }: Visit = {}): Promise<Visited> {
  const isHandshake = url.startsWith("wss:");
  return new Promise((resolve, reject) => {
    const asked = request(new URL(url.replace(/^wss/, "https")), {
      agent: false,
      rejectUnauthorized: false,
      headers: { ...(isHandshake ? HANDSHAKE : {}), ...headers },
      ...(from !== undefined && { localAddress: from }),
      // At security level 1 OpenSSL itself speaks no TLS below 1.2.
      ...(version !== undefined &&
        { minVersion: version, maxVersion: version, ciphers: "DEFAULT@SECLEVEL=0" }),
    });
    asked.on("upgrade", ({ statusCode = 0, headers }, socket) => {
      socket.on("error", () => socket.destroy());
      resolve({ status: statusCode, headers, body: "", socket });
    });
    asked.on("response", (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => body += text);
      const { statusCode = 0, headers } = response;
      response.on("end", () => resolve({ status: statusCode, headers, body, socket: undefined }));
    });
    asked.on("error", reject);
    asked.end();
  });
}
