/** SIGHUP to a server process: certificates and keys are read again, connections stay, and what is broken changes nothing. */
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, describe, it } from "node:test";
import { connect } from "node:tls";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { assertEquals, assertNotEquals } from "@std/assert";
import { askRaw } from "./helpers/http.ts";
import { Opcode, RawClient } from "./helpers/raw_client.ts";
import { joinRaw, processEngines, spawnServer, stopProcesses, whyNotAsProcess } from "./helpers/server.ts";

const fixture = (name: string) => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));

/** The certificate that a new connection is shown. */
async function fingerprint(url: string): Promise<string> {
  const { hostname: host, port } = new URL(url);
  const socket = connect({ host, port: Number(port), rejectUnauthorized: false });
  await once(socket, "secureConnect");
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.destroy();
  return fingerprint256;
}

/** What the metrics say about when the certificate expires, in seconds since 1970. */
async function expirySeconds(url: string): Promise<number> {
  const { text } = await askRaw(url, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  return Number(/^millrace_tls_certificate_expiry_timestamp_seconds (\d+)$/m.exec(text)?.[1]);
}

const expiries = {
  localhost: Date.UTC(2126, 9, 29, 15, 50, 15) / 1000,
  renewed: Date.UTC(2126, 9, 29, 17, 25, 32) / 1000,
} as const;

for (const engine of processEngines) {
  describe(`SIGHUP on ${engine}`, { skip: whyNotAsProcess(engine) }, () => {
    const directory = mkdtempSync(join(tmpdir(), "millrace-reload-"));
    const file = (name: string) => join(directory, name);
    after(async () => {
      RawClient.destroyAll();
      await stopProcesses();
      rmSync(directory, { recursive: true });
    });
    const install = (name: string) => {
      for (const end of ["cert", "key"]) copyFileSync(fixture(`${name}.${end}.pem`), file(`tls.${end}.pem`));
    };

    it("brings a new certificate and new keys into use without dropping anybody", async () => {
      install("localhost");
      writeFileSync(file("api.keys"), "the-first-key-of-all\n");
      const server = await spawnServer(engine, [
        ...["--tls-cert", file("tls.cert.pem"), "--tls-key", file("tls.key.pem")],
        ...["--api-key-file", file("api.keys")],
      ]);
      const reloaded = async (times: number, text: string) => {
        if (server.child.pid !== undefined) process.kill(server.child.pid, "SIGHUP");
        await server.output.until((all) => all.join("").split(text).length > times, text);
      };
      const client = await joinRaw(server.url);
      const before = await fingerprint(server.url);
      assertEquals(await expirySeconds(server.url), expiries.localhost);
      install("renewed");
      writeFileSync(file("api.keys"), "the-second-key-of-all\n");
      await reloaded(1, "keys reloaded");
      const renewed = await fingerprint(server.url);
      assertNotEquals(renewed, before);
      assertEquals(await expirySeconds(server.url), expiries.renewed);
      writeFileSync(file("tls.cert.pem"), "no certificate");
      writeFileSync(file("api.keys"), "short\n");
      await reloaded(1, "keys not reloaded");
      assertEquals(await fingerprint(server.url), renewed);
      assertEquals(await expirySeconds(server.url), expiries.renewed);
      client.send(Opcode.Text, JSON.stringify({ type: "ping", id: 1 }));
      assertEquals((await client.receiveTexts(2))[1], `{"type":"pong","id":1}`);
      await (await joinRaw(server.url)).close();
    });
  });
}
