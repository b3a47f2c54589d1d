/**
 * Promise 13 of the engine contract: TLS files are read again while connections are open. The cases run inside the suite
 * of each engine, on real handshakes.
 */
import { X509Certificate } from "node:crypto";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { after, it } from "node:test";
import { connect } from "node:tls";
import { fileURLToPath } from "node:url";
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { ListenError, type TlsFiles } from "../../server/engine.ts";
import { handshake, Opcode, RawClient } from "../helpers/raw_client.ts";
import type { Tools } from "./fixture.ts";

type Pair = "localhost" | "renewed";

const fixtureFile = (name: string) => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));

/** A pair of files that can be replaced, as whoever renews certificates does. */
class Files implements TlsFiles {
  private readonly folder = mkdtempSync(joinPath(tmpdir(), "millrace-tls-"));
  readonly certFile = joinPath(this.folder, "cert.pem");
  readonly keyFile = joinPath(this.folder, "key.pem");

  constructor() {
    this.put("localhost");
    after(() => rmSync(this.folder, { recursive: true }));
  }

  put(cert: Pair, key: Pair = cert): void {
    copyFileSync(fixtureFile(`${cert}.cert.pem`), this.certFile);
    copyFileSync(fixtureFile(`${key}.key.pem`), this.keyFile);
  }
}

function fingerprint(pair: Pair): string {
  return new X509Certificate(readFileSync(fixtureFile(`${pair}.cert.pem`))).fingerprint256;
}

/** The fingerprint of the certificate that a new handshake presents. */
function presented(url: string): Promise<string> {
  const { hostname: host, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: Number(port), rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().fingerprint256);
      socket.destroy();
    });
    socket.on("error", reject);
  });
}

export function tlsCases({ start, join }: Tools): void {
  it("13. after reloadTls new handshakes get the new certificate, and open connections go on", async () => {
    const tls = new Files();
    const fixture = await start({ tls }, { message: (socket, message) => void socket.send(message) });
    const { url, listener } = fixture;
    const old = await join(fixture, "old");
    old.socket.subscribe("t");
    listener.publish("t", "before");
    assertEquals(await presented(url), fingerprint("localhost"));
    tls.put("renewed");
    assertEquals(await presented(url), fingerprint("localhost"), "before the call nothing changes");
    listener.reloadTls();
    assertEquals(await presented(url), fingerprint("renewed"));
    assertNotEquals(fingerprint("renewed"), fingerprint("localhost"));
    assertEquals(listener.url, url);
    const young = await join(fixture, "young");
    young.socket.subscribe("t");
    assertEquals(listener.subscriberCount("t"), 2);
    listener.publish("t", "after");
    old.socket.send("to the old one");
    old.client.send(Opcode.Text, "from the old one");
    young.client.send(Opcode.Text, "from the young one");
    await old.client.receiveTexts(4);
    await young.client.receiveTexts(2);
    listener.publish("t", "end");
    assertEquals(await old.client.receiveTexts(5), [
      "before",
      "after",
      "to the old one",
      "from the old one",
      "end",
    ]);
    assertEquals(await young.client.receiveTexts(3), ["after", "from the young one", "end"]);
    old.socket.unsubscribe("t");
    assertEquals(listener.subscriberCount("t"), 1);
    await old.client.close();
    await fixture.events.until(() => fixture.closes("old").length === 1);
    listener.publish("t", "to one alone");
    assertEquals((await young.client.receiveTexts(4)).at(-1), "to one alone");
  });

  it("13. each publication comes once to connections from before and after each of several reloads", async () => {
    const tls = new Files();
    const fixture = await start({ tls });
    const joined = [];
    for (let round = 0; round < 5; round++) {
      const one = await join(fixture, `${round}`);
      one.socket.subscribe("t");
      joined.push(one);
      tls.put(round % 2 === 0 ? "renewed" : "localhost");
      fixture.listener.reloadTls();
      // One right behind the other must not lose the port.
      fixture.listener.reloadTls();
    }
    assertEquals(await presented(fixture.url), fingerprint("renewed"));
    for (let count = 0; count < 10; count++) fixture.listener.publish("t", `${count}`);
    const all = Array.from({ length: 10 }, (_, count) => `${count}`);
    for (const { client, socket } of joined) {
      socket.send("end");
      assertEquals(await client.receiveTexts(11), [...all, "end"]);
    }
  });

  it("13. listener.close waits for the connections of both certificates", async () => {
    const tls = new Files();
    const fixture = await start({ tls });
    const old = await join(fixture, "old");
    tls.put("renewed");
    fixture.listener.reloadTls();
    const young = await join(fixture, "young");
    let resolved = false;
    const closing = fixture.listener.close().then(() => resolved = true);
    const refused = await RawClient.request(fixture.url, handshake(fixture.url));
    assertEquals(refused.head, "");
    for (const { client, socket } of [young, old]) {
      socket.send("still here");
      assertEquals(await client.receiveTexts(1), ["still here"]);
      assert(!resolved);
      await client.close();
    }
    await closing;
    assertEquals([fixture.closes("old").length, fixture.closes("young").length], [1, 1]);
  });

  it("13. a handshake and a request that wait for their answer meanwhile are served", async () => {
    const tls = new Files();
    let release = () => {};
    const waiting = new Promise<void>((resolve) => release = resolve);
    let arrived = 0;
    let allArrived = () => {};
    const bothThere = new Promise<void>((resolve) => allArrived = resolve);
    const wait = async () => {
      if (++arrived === 2) allArrived();
      await waiting;
    };
    const fixture = await start({ tls }, {
      upgrade: (request) => wait().then(() => ({ accept: true, data: request.query })),
      http: () => wait().then(() => ({ status: 200, headers: {}, body: "served\n" })),
    });
    const client = RawClient.open(`${fixture.url}/?early`);
    const request = RawClient.request(fixture.url, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    await bothThere;
    tls.put("renewed");
    fixture.listener.reloadTls();
    release();
    const socket = await fixture.socket("early");
    socket.subscribe("t");
    fixture.listener.publish("t", "hello");
    assertEquals(await (await client).receiveTexts(1), ["hello"]);
    assert((await request).head.startsWith("HTTP/1.1 200 "));
  });

  it("13. files that cannot be used are one clear error, and the old certificate stays in use", async () => {
    const tls = new Files();
    const fixture = await start({ tls });
    const { client, socket } = await join(fixture, "a");
    const faults: [string, () => void, RegExp][] = [
      ["another pair's key", () => tls.put("renewed", "localhost"), /the key in .* does not belong to/],
      [
        "another pair's certificate",
        () => tls.put("localhost", "renewed"),
        /the key in .* does not belong to/,
      ],
      ["half a certificate", () => cut(tls.certFile), /cert\.pem holds no certificate that can be read/],
      ["half a key", () => cut(tls.keyFile), /key\.pem holds no private key that can be read/],
      ["an empty certificate", () => writeFileSync(tls.certFile, ""), /cert\.pem holds no certificate/],
      ["no key", () => rmSync(tls.keyFile), /key\.pem/],
    ];
    for (const [name, spoil, says] of faults) {
      tls.put("renewed");
      spoil();
      const error = thrownBy(() => fixture.listener.reloadTls());
      assert(error instanceof ListenError, `${name}: ${error}`);
      assert(says.test(error.message) && !error.message.includes("\n"), `${name}: ${error.message}`);
      assert(error.message.endsWith("; the old one stays in use"), error.message);
      assertEquals(await presented(fixture.url), fingerprint("localhost"), name);
    }
    socket.send("still here");
    assertEquals(await client.receiveTexts(1), ["still here"]);
    tls.put("renewed");
    fixture.listener.reloadTls();
    assertEquals(await presented(fixture.url), fingerprint("renewed"));
  });

  it("13. without TLS and on a closing listener reloadTls does nothing", async () => {
    const plain = await start();
    plain.listener.reloadTls();
    const { client } = await join(plain, "a");
    await client.close();
    const tls = new Files();
    const closing = await start({ tls });
    const open = await join(closing, "b");
    const closed = closing.listener.close();
    rmSync(tls.keyFile);
    closing.listener.reloadTls();
    const refused = await RawClient.request(closing.url, handshake(closing.url));
    assertEquals(refused.head, "");
    await open.client.close();
    await closed;
  });
}

function cut(file: string): void {
  const text = readFileSync(file, "utf8");
  writeFileSync(file, text.slice(0, text.length / 2));
}

function thrownBy(run: () => void): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
}
