/** One listener in front of several native servers, on servers that exist on paper only: what becomes of the port. */
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { assertEquals, assertThrows } from "@std/assert";
import { type Engine, ListenError } from "../../../server/engine.ts";
import type { NativeServer } from "../../../server/engines/native/generation.ts";
import { NativeListener } from "../../../server/engines/native/listener.ts";
import { type Fixture, listen } from "../../contract/fixture.ts";

const PORT = 4711;

/** What native servers were told, in order, and whether they may listen. */
class Port {
  readonly log: string[] = [];
  taken = false;
  private servers = 0;

  readonly build = (): (port: number) => NativeServer => {
    const name = `server ${this.servers++}`;
    return (port) => {
      if (this.taken) throw new Error("the address is in use");
      const note = (what: string) => void this.log.push(`${name} ${what}`);
      note(`listens on ${port}`);
      return {
        port: PORT,
        publish() {},
        stopAccepting: () => note("stops"),
        dispose: () => note("is disposed of"),
      };
    };
  };
}

function start(port: Port): Promise<Fixture> {
  const file = (name: string) => fileURLToPath(new URL(`../../fixtures/${name}`, import.meta.url));
  const tls = { certFile: file("localhost.cert.pem"), keyFile: file("localhost.key.pem") };
  const engine: Engine = {
    name: "native, on paper",
    listen: (options, handlers) => Promise.resolve(new NativeListener(options, handlers, port.build)),
  };
  return listen(engine, { tls }, {});
}

describe("a native listener that reloads its TLS files", () => {
  it("lets the next server take the port that the last one has left, and disposes of all in the end", async () => {
    const port = new Port();
    const { listener } = await start(port);
    listener.reloadTls();
    assertEquals(listener.url, `wss://127.0.0.1:${PORT}`);
    await listener.close();
    assertEquals(port.log, [
      "server 0 listens on 0",
      "server 0 stops",
      `server 1 listens on ${PORT}`,
      "server 1 stops",
      "server 0 is disposed of",
      "server 1 is disposed of",
    ]);
  });

  it("says so when the port was lost, stops nothing twice, and takes the port at the next call", async () => {
    const port = new Port();
    const { listener } = await start(port);
    port.taken = true;
    const says = "the address is in use; nobody is accepted until it is reloaded";
    assertThrows(() => listener.reloadTls(), ListenError, says);
    assertThrows(() => listener.reloadTls(), ListenError, says);
    port.taken = false;
    listener.reloadTls();
    await listener.close();
    assertEquals(port.log, [
      "server 0 listens on 0",
      "server 0 stops",
      `server 3 listens on ${PORT}`,
      "server 3 stops",
      "server 0 is disposed of",
      "server 3 is disposed of",
    ]);
  });
});
