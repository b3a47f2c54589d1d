/** The engine `ts` before a connection is a WebSocket: deadlines, limits, and requests that two parties could read differently. */
import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import type { HttpResponse } from "../../../server/engine.ts";
import type { Fixture } from "../../contract/fixture.ts";
import { ManualClock } from "../../helpers/manual_clock.ts";
import { handshake, RawClient } from "../../helpers/raw_client.ts";
import { beServed, endEverything, start, turn } from "./setup.ts";

const TIMEOUT_SECONDS = 10;
const REQUEST_TIMEOUT = /^HTTP\/1\.1 408 [^]*\r\nconnection: close\r\n[^]*\r\n\r\n/i;
const REQUEST = "GET /whole HTTP/1.1\r\nHost: x\r\n\r\n";

async function startWithClock(): Promise<{ fixture: Fixture; clock: ManualClock }> {
  const clock = new ManualClock();
  return { fixture: await start({ clock, handshakeTimeoutSeconds: TIMEOUT_SECONDS }), clock };
}

/** Sends `first`, then a byte a second, while others are served; expects 408 at the deadline and nothing before. */
async function dribble(first: string, rest: string): Promise<void> {
  const { fixture, clock } = await startWithClock();
  const slow = RawClient.connect(fixture.url);
  slow.write(first);
  await beServed(fixture);
  for (let second = 1; second < TIMEOUT_SECONDS; second++) {
    clock.advance(1000);
    slow.write(rest.slice(second - 1, second));
    await beServed(fixture);
  }
  clock.advance(999);
  await beServed(fixture);
  assertEquals([slow.head, slow.ended], ["", false]);
  clock.advance(1);
  await slow.said(REQUEST_TIMEOUT);
  await slow.gone();
  await beServed(fixture);
  assert(fixture.events.all.every((event) => event.kind !== "open"));
}

/** The answer to one request on a connection of its own. */
async function ask(fixture: Fixture, request: string): Promise<string> {
  const client = await RawClient.request(fixture.url, request);
  client.destroy();
  return client.head;
}

describe("a request that does not come to its end on the engine ts", () => {
  endEverything();

  it("is answered 408 at the deadline, a handshake that comes a byte a second", async () => {
    const { url } = await start();
    const request = handshake(url);
    await dribble(request.slice(0, 20), request.slice(20));
  });

  it("is answered 408 at the deadline, a body that comes a byte a second", async () => {
    await dribble("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n", "b".repeat(100));
  });

  it("is answered 408 at the deadline, one of which nothing ever comes", async () => {
    await dribble("", "");
  });

  it("costs its connection when the peer does not end it after the 408", async () => {
    const { fixture, clock } = await startWithClock();
    const deaf = RawClient.connect(fixture.url);
    deaf.pause();
    deaf.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n");
    await beServed(fixture);
    clock.advance(TIMEOUT_SECONDS * 1000);
    await beServed(fixture);
    let resolved = false;
    const closing = fixture.listener.close().then(() => resolved = true);
    await turn();
    assertEquals(resolved, false);
    clock.advance(TIMEOUT_SECONDS * 1000);
    await closing;
  });

  it("has a deadline of its own behind one that was answered on the same connection", async () => {
    const { fixture, clock } = await startWithClock();
    clock.advance(500);
    const client = await RawClient.request(fixture.url, REQUEST);
    clock.advance((TIMEOUT_SECONDS - 1) * 1000);
    client.write(REQUEST);
    await client.said(/GET \/whole[^]*GET \/whole/);
    clock.advance((TIMEOUT_SECONDS - 1) * 1000);
    await beServed(fixture);
    assertEquals(client.ended, false);
    clock.advance(2000);
    await client.said(/408/);
    await client.gone();
  });

  for (
    const [what, request] of [["request", () => REQUEST], [
      "handshake",
      (url: string) => handshake(url),
    ]] as const
  ) {
    it(`is not one that is whole: the handler of a ${what} may take longer than the deadline`, async () => {
      const clock = new ManualClock();
      let asked = () => {};
      const arrived = new Promise<void>((resolve) => asked = resolve);
      let release = () => {};
      const waiting = new Promise<void>((resolve) => release = resolve);
      const answer = async <T>(value: T): Promise<T> => {
        asked();
        await waiting;
        return value;
      };
      const fixture = await start({ clock, handshakeTimeoutSeconds: TIMEOUT_SECONDS }, {
        http: () => answer({ status: 201, headers: {}, body: "late" }),
        upgrade: () => answer({ accept: true, data: "late" } as const),
      });
      const client = RawClient.connect(fixture.url);
      client.write(request(fixture.url));
      await arrived;
      clock.advance(2 * TIMEOUT_SECONDS * 1000);
      release();
      await client.said(/^HTTP\/1\.1 (201|101) /);
    });
  }
});

describe("the limits of a request head on the engine ts", () => {
  endEverything();
  const MAX_HEAD_BYTES = 16 * 1024;
  const MAX_HEADERS = 100;

  /** A request of exactly so many bytes. */
  function padded(bytes: number): string {
    const start = "GET / HTTP/1.1\r\nHost: x\r\nX: ";
    return `${start}${"x".repeat(bytes - start.length - 4)}\r\n\r\n`;
  }

  it("are 16 KiB: a longer head is answered 431", async () => {
    const fixture = await start();
    assert((await ask(fixture, padded(MAX_HEAD_BYTES))).startsWith("HTTP/1.1 200 "));
    assert((await ask(fixture, padded(MAX_HEAD_BYTES + 1))).startsWith("HTTP/1.1 431 "));
    assert((await ask(fixture, padded(10 * MAX_HEAD_BYTES))).startsWith("HTTP/1.1 431 "));
  });

  it("are 100 headers: one more is answered 431", async () => {
    const fixture = await start();
    const withHeaders = (count: number) => {
      const headers = Array.from({ length: count - 1 }, (_, index) => `X-${index}: y\r\n`);
      return `GET / HTTP/1.1\r\nHost: x\r\n${headers.join("")}\r\n`;
    };
    assert((await ask(fixture, withHeaders(MAX_HEADERS))).startsWith("HTTP/1.1 200 "));
    assert((await ask(fixture, withHeaders(MAX_HEADERS + 1))).startsWith("HTTP/1.1 431 "));
  });

  it("hold for the target, which is answered 414 (RFC 9110 section 15.5.15)", async () => {
    const fixture = await start();
    assert((await ask(fixture, `GET /${"t".repeat(MAX_HEAD_BYTES)}`)).startsWith("HTTP/1.1 414 "));
  });
});

describe("a request that two parties could read differently, on the engine ts", () => {
  endEverything();
  const hidden = "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n";
  const post = "POST /outer HTTP/1.1\r\nHost: x\r\n";
  const length = `Content-Length: ${hidden.length}\r\n`;
  const cases: [string, string][] = [
    ["two lengths", `${post}Content-Length: 0\r\n${length}\r\n${hidden}`],
    ["the same length twice", `${post}${length}${length}\r\n${hidden}`],
    ["a list of lengths", `${post}Content-Length: 0, ${hidden.length}\r\n\r\n${hidden}`],
    ["a signed length", `${post}Content-Length: +${hidden.length}\r\n\r\n${hidden}`],
    [
      "a length and a transfer coding",
      `${post}${length}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n${hidden}`,
    ],
    ["a line that ends in a bare LF", `${post}X: y\nContent-Length: 0\r\n\r\n${hidden}`],
    ["a bare CR in a value", `${post}X: y\rContent-Length: 0\r\n\r\n${hidden}`],
    ["a head that ends in a bare LF", `${post}X: y\r\n\n${hidden}`],
    ["a NUL in a value", `${post}X: y\0z\r\n\r\n${hidden}`],
    ["a folded header", `${post}X: y\r\n Content-Length: ${hidden.length}\r\n\r\n${hidden}`],
    ["a blank before the colon", `${post}Content-Length : ${hidden.length}\r\n\r\n${hidden}`],
    ["a blank before the first header", `POST /outer HTTP/1.1\r\n Host: x\r\n\r\n${hidden}`],
    ["two hosts", `${post}Host: y\r\n\r\n${hidden}`],
  ];
  for (const [what, request] of cases) {
    it(`is answered 400 and reaches no handler: ${what} (RFC 9112)`, async () => {
      const paths: string[] = [];
      const fixture = await start({}, {
        http(request) {
          paths.push(request.path);
          return { status: 200, headers: {}, body: "" };
        },
      });
      const client = await RawClient.request(fixture.url, request);
      await client.gone();
      assert(client.head.startsWith("HTTP/1.1 400 "), client.head);
      assertEquals(client.head.split("HTTP/1.1 ").length, 2, "more than one answer");
      assertEquals(paths, []);
      await ask(fixture, `${post}${length}\r\n${hidden}`);
      assertEquals(paths, ["/outer"], "the control");
    });
  }

  it("has a chunked body, which is answered 411 and not looked at", async () => {
    const fixture = await start();
    const client = await RawClient.request(
      fixture.url,
      `${post}Transfer-Encoding: chunked\r\n\r\n${hidden.length.toString(16)}\r\n${hidden}\r\n0\r\n\r\n`,
    );
    await client.gone();
    assert(client.head.startsWith("HTTP/1.1 411 "), client.head);
    assertEquals(client.head.split("HTTP/1.1 ").length, 2, "more than one answer");
  });
});

describe("a connection that is kept alive on the engine ts (RFC 9112 section 9.3)", () => {
  endEverything();

  /** No time passes: nothing here may be left to a deadline. */
  function startAnswering(answer: (path: string) => HttpResponse | Promise<HttpResponse>): Promise<Fixture> {
    return start({ clock: new ManualClock() }, { http: (request) => answer(request.path) });
  }
  const plain = (path: string): HttpResponse => ({ status: 200, headers: {}, body: `[${path}]` });
  const get = (path: string, more = "") => `GET ${path} HTTP/1.1\r\nHost: x\r\n${more}\r\n`;
  const bodies = (client: RawClient) => client.head.match(/\[[^\]]*\]/g) ?? [];

  it("carries several requests, one after the other", async () => {
    const fixture = await startAnswering(plain);
    const client = await RawClient.request(fixture.url, get("/1"));
    for (const path of ["/2", "/3"]) {
      client.write(get(path));
      await client.said(new RegExp(`\\[${path}\\]`));
    }
    assertEquals(bodies(client), ["[/1]", "[/2]", "[/3]"]);
    assertEquals(client.head.match(/connection: keep-alive\r\n/gi)?.length, 3);
  });

  it("answers pipelined requests in their order, whatever each takes, with bodies and cut anywhere", async () => {
    const post = "POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nGET /";
    const requests = get("/1") + post + get("/3") + get("/4");
    for (const cut of [requests.length, get("/1").length + 10, get("/1").length + post.length - 2]) {
      let release = () => {};
      const waiting = new Promise<void>((resolve) => release = resolve);
      const paths: string[] = [];
      const fixture = await startAnswering(async (path) => {
        paths.push(path);
        if (path === "/1") await waiting;
        return plain(path);
      });
      const client = RawClient.connect(fixture.url);
      for (const part of [requests.slice(0, cut), requests.slice(cut)]) {
        client.write(part);
        await beServed(fixture);
      }
      release();
      await client.said(/\[\/4\]/);
      assertEquals(bodies(client), ["[/1]", "[/2]", "[/3]", "[/4]"]);
      assertEquals(paths.filter((path) => path !== "/other"), ["/1", "/2", "/3", "/4"]);
    }
  });

  it("becomes a WebSocket when a handshake follows a request", async () => {
    const fixture = await start();
    const client = await RawClient.request(fixture.url, REQUEST);
    client.write(handshake(`${fixture.url}/?late`));
    await client.said(/HTTP\/1\.1 101 /);
    (await fixture.socket("late")).terminate();
  });

  it("gets no body in answer to HEAD, but its length", async () => {
    const fixture = await startAnswering(plain);
    const client = await RawClient.request(fixture.url, "HEAD /1 HTTP/1.1\r\nHost: x\r\n\r\n" + get("/2"));
    await client.said(/\[\/2\]/);
    assertEquals(bodies(client), ["[/2]"]);
    assertEquals(client.head.match(/content-length: 4\r\n/gi)?.length, 2);
  });

  for (
    const [what, request] of [
      ["`Connection: close`", get("/1", "Connection: foo, Close\r\n")],
      ["HTTP/1.0", "GET /1 HTTP/1.0\r\n\r\n"],
    ] as const
  ) {
    it(`ends behind the answer to ${what}; what follows is not looked at`, async () => {
      const paths: string[] = [];
      const fixture = await startAnswering((path) => (paths.push(path), plain(path)));
      const client = await RawClient.request(fixture.url, request + get("/2"));
      await client.gone();
      assertEquals(bodies(client), ["[/1]"]);
      assert(/connection: close\r\n/i.test(client.head));
      assertEquals(paths, ["/1"]);
    });
  }

  it("ends behind the last answer when the client has half-closed it", async () => {
    const fixture = await startAnswering(async (path) => {
      await turn();
      return plain(path);
    });
    const client = RawClient.connect(fixture.url);
    client.write(get("/1") + get("/2"));
    client.halfClose();
    await client.said(/\[\/2\]/);
    await client.gone();
    assertEquals(bodies(client), ["[/1]", "[/2]"]);
  });

  it("does not hold up the end of the listener while it is idle", async () => {
    const fixture = await startAnswering(plain);
    const clients = await Promise.all(
      Array.from({ length: 5 }, (_, index) => RawClient.request(fixture.url, get(`/${index}`))),
    );
    clients.push(RawClient.connect(fixture.url));
    await beServed(fixture);
    await fixture.listener.close();
    for (const client of clients) await client.gone();
  });

  it("holds up the end of the listener until a request that is under way is answered, and ends with it", async () => {
    let release = () => {};
    const waiting = new Promise<void>((resolve) => release = resolve);
    let asked = () => {};
    const arrived = new Promise<void>((resolve) => asked = resolve);
    const fixture = await startAnswering(async (path) => {
      asked();
      await waiting;
      return plain(path);
    });
    const client = RawClient.connect(fixture.url);
    client.write(get("/1"));
    await arrived;
    const closing = fixture.listener.close();
    release();
    await closing;
    await client.gone();
    assertEquals(bodies(client), ["[/1]"]);
    assert(/connection: close\r\n/i.test(client.head));
  });
});
