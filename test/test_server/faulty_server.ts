/**
 * A server with one planted fault, for the tool to find: those of messages and handshakes are the faulty echo server's own,
 * those of whole connections and of certificates are made by a relay before it. Shares no code with the tool.
 */
import { readFileSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TlsOptions } from "node:tls";
import { fileURLToPath } from "node:url";
import { type Fault, startFaultyEcho } from "../helpers/faulty_echo.ts";

/** What is wrong with whole connections; "TLS" is lawful. */
export type RelayFault =
  | "TLS"
  | "certificate expired"
  | "certificate of another"
  | "TLS 1.1 accepted"
  | "every fifth connection reset"
  | "ten connections at most";

/** A running server. */
export interface FaultyServer {
  readonly url: string;
  close(): Promise<void>;
}

const HOST = "127.0.0.1";
const MOST_OPEN = 10;
const RESET_EVERY = 5;

/** A file of `test/fixtures`. */
export function fixture(name: string): string {
  return fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));
}

const CERTIFICATES: Readonly<Partial<Record<RelayFault, string>>> = {
  "TLS": "localhost.cert.pem",
  "TLS 1.1 accepted": "localhost.cert.pem",
  "certificate expired": "expired.cert.pem",
  "certificate of another": "elsewhere.cert.pem",
};

function tlsFor(fault: RelayFault): TlsOptions | undefined {
  const name = CERTIFICATES[fault];
  if (name === undefined) return undefined;
  const pair = { cert: readFileSync(fixture(name)), key: readFileSync(fixture("localhost.key.pem")) };
  return fault === "TLS 1.1 accepted" ? { ...pair, minVersion: "TLSv1.1", ciphers: "ALL:@SECLEVEL=0" } : pair;
}

/** Starts the server with this fault and no other. */
export async function startFaultyServer(fault: Fault | RelayFault): Promise<FaultyServer> {
  return isRelayFault(fault) ? await startRelay(fault) : await startFaultyEcho(fault);
}

function isRelayFault(fault: Fault | RelayFault): fault is RelayFault {
  const own: Readonly<Record<RelayFault, true>> = {
    "TLS": true,
    "certificate expired": true,
    "certificate of another": true,
    "TLS 1.1 accepted": true,
    "every fifth connection reset": true,
    "ten connections at most": true,
  };
  return fault in own;
}

async function startRelay(fault: RelayFault): Promise<FaultyServer> {
  const echo = await startFaultyEcho();
  const echoPort = Number(new URL(echo.url).port);
  const sockets = new Set<Socket>();
  let connections = 0;
  const relay = (client: Socket): void => {
    connections++;
    sockets.add(client);
    client.on("close", () => sockets.delete(client));
    client.on("error", () => client.destroy());
    if (fault === "every fifth connection reset" && connections % RESET_EVERY === 0) {
      client.destroy();
      return;
    }
    // It is taken, and nobody ever looks after it.
    if (fault === "ten connections at most" && sockets.size > MOST_OPEN) return;
    const behind = connect({ host: HOST, port: echoPort });
    behind.on("error", () => client.destroy());
    behind.on("close", () => client.end());
    client.on("close", () => behind.destroy());
    client.pipe(behind).pipe(client);
  };
  const tls = tlsFor(fault);
  const server: Server = tls === undefined ? createServer(relay) : createTlsServer(tls, relay);
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
  return {
    url: `${tls === undefined ? "ws" : "wss"}://${HOST}:${(server.address() as AddressInfo).port}/`,
    async close() {
      for (const socket of sockets) socket.destroy();
      await Promise.all([echo.close(), new Promise((resolve) => server.close(resolve))]);
    },
  };
}
