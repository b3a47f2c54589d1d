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
      install("renewed");
      writeFileSync(file("api.keys"), "the-second-key-of-all\n");
      await reloaded(1, "keys reloaded");
      const renewed = await fingerprint(server.url);
      assertNotEquals(renewed, before);
      writeFileSync(file("tls.cert.pem"), "no certificate");
      writeFileSync(file("api.keys"), "short\n");
      await reloaded(1, "keys not reloaded");
      assertEquals(await fingerprint(server.url), renewed);
      client.send(Opcode.Text, JSON.stringify({ type: "ping", id: 1 }));
      assertEquals((await client.receiveTexts(2))[1], `{"type":"pong","id":1}`);
      await (await joinRaw(server.url)).close();
    });
  });
}
