import { describe, it } from "node:test";
import { assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import {
  HeadReader,
  NEED_MORE,
  parseRequest,
  parseResponse,
  type Refusal,
  REFUSED,
  type RequestHead,
} from "../../server/codec/head.ts";
import {
  acceptHash,
  acceptResponse,
  chooseSubprotocol,
  readUpgrade,
  refusalResponse,
  requestUpgrade,
  type UpgradeAttempt,
  verifyUpgrade,
} from "../../server/codec/handshake.ts";
import { negotiateDeflate } from "../../server/codec/extensions.ts";
import { utf8 } from "./reference.ts";

const LIMITS = { maxHeadBytes: 1_000, maxHeaders: 12 };
const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
const ASK = ["Host: a", "Upgrade: websocket", "Connection: keep-alive, Upgrade", `Sec-WebSocket-Key: ${KEY}`];
const UPGRADE = [...ASK, "Sec-WebSocket-Version: 13"];

function read(text: string, chunkBytes = text.length): RequestHead | Refusal {
  const reader = new HeadReader(LIMITS);
  const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    const taken = reader.push(bytes.subarray(at, at + chunkBytes));
    if (reader.refusal !== null) {
      assertEquals(taken, REFUSED);
      return reader.refusal;
    }
    if (taken !== NEED_MORE) return parseRequest(reader.text);
  }
  throw new Error("the head is not complete");
}

function request(lines: readonly string[], first = "GET /ws?a=b HTTP/1.1"): string {
  return [first, ...lines, "", ""].join("\r\n");
}

/** The status of a refused request, 200 for one that is read, 101 for a handshake. */
function status(text: string): number {
  const head = read(text);
  assertEquals(read(text, 1), head, "byte by byte");
  if (head.refused) return head.status;
  if (!head.headers.has("upgrade")) return 200;
  const offer = readUpgrade(head);
  return offer.refused ? offer.status : 101;
}

describe("handshake: request heads", () => {
  it("are read with method, path, query and headers, wherever they are cut (RFC 9112)", () => {
    const text = request([
      "Host: a:1",
      "X-One:  two \t",
      "x-one: three",
      "Cookie: a=1",
      "Cookie: b=2",
      "Content-Length: 12",
    ]);
    const head = read(text);
    assertEquals(read(text, 1), head);
    if (head.refused) throw new Error(head.reason);
    const { method, target, path, query, minorVersion, bodyBytes, chunked } = head;
    assertEquals([method, target, path, query, minorVersion], ["GET", "/ws?a=b", "/ws", "a=b", 1]);
    assertEquals([bodyBytes, chunked], [12, false]);
    assertEquals(head.headers.get("x-one"), "two, three");
    assertEquals(head.headers.get("cookie"), "a=1; b=2");
  });

  it("end where the body or the first frame begins", () => {
    const reader = new HeadReader(LIMITS);
    assertEquals(reader.push(utf8("GET / HTTP/1.1\r\nHost: a\r\n\r\n\x81\x00")), 27);
    const cut = new HeadReader(LIMITS);
    assertEquals([cut.push(utf8("GET / HTTP/1.1\r\nHost: a\r\n\r")), cut.push(utf8("\nabc"))], [
      NEED_MORE,
      1,
    ]);
  });

  it("may name the whole address, and an asterisk for OPTIONS", () => {
    const read1 = read(request(["Host: a"], "GET http://a:80/b?c HTTP/1.1"));
    assertEquals(!read1.refused && [read1.path, read1.query], ["/b", "c"]);
    assertEquals(status(request(["Host: a"], "GET http://a HTTP/1.1")), 200);
    assertEquals(status(request(["Host: a"], "OPTIONS * HTTP/1.1")), 200);
    assertEquals(status(request(["Host: a"], "GET * HTTP/1.1")), 400);
    assertEquals(status(request(["Host: a"], "CONNECT a:1 HTTP/1.1")), 400);
  });

  it("are refused where two parties could read them differently", () => {
    const smuggled: [string, string[]][] = [
      ["both lengths", ["Content-Length: 1", "Transfer-Encoding: chunked"]],
      ["two lengths", ["Content-Length: 1", "Content-Length: 2"]],
      ["the same length twice", ["Content-Length: 1", "Content-Length: 1"]],
      ["a list of lengths", ["Content-Length: 1, 1"]],
      ["a signed length", ["Content-Length: +1"]],
      ["a hexadecimal length", ["Content-Length: 0x1"]],
      ["an empty length", ["Content-Length:"]],
      ["a length beyond 2^53", ["Content-Length: 9999999999999999"]],
      ["a folded header", ["X: a", " b"]],
      ["a folded header with a tab", ["X: a", "\tb"]],
      ["a blank before the colon", ["X : a"]],
      ["a name that is empty", [": a"]],
      ["a line without a colon", ["X"]],
      ["a name outside ASCII", ["\u00dc: a"]],
      ["a bare LF", ["X: a\nY: b"]],
      ["a bare CR", ["X: a\rY: b"]],
      ["a NUL", ["X: a\0"]],
      ["a DEL", ["X: a\x7f"]],
      ["two hosts", ["Host: b"]],
      ["chunked twice", ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"]],
    ];
    for (const [name, lines] of smuggled) assertEquals(status(request(["Host: a", ...lines])), 400, name);
    assertEquals(status(request(["Host: a", "Transfer-Encoding: gzip, chunked"])), 501);
    assertEquals(status(request(["Host: a", "Transfer-Encoding: \x0bchunked"])), 400);
    assertEquals(status(request(["Host: a", "Transfer-Encoding: chunked"], "GET / HTTP/1.0")), 400);
    assertEquals(status(request(["Host: a", "Transfer-Encoding: Chunked", "X: \u00fc a"])), 200);
    assertEquals(status(request([])), 400, "no Host");
    assertEquals(status(request([], "GET / HTTP/1.0")), 200);
    assertEquals(status(request(["Host: a b"])), 400);
  });

  it("need a request line of three parts", () => {
    const wrong = [
      "GET /",
      "GET  / HTTP/1.1",
      "GET / HTTP/1.1 ",
      "G(T / HTTP/1.1",
      "GET / http/1.1",
      "GET / HTTP/1.10",
    ];
    for (
      const first of [
        ...wrong,
        "GET /\u00fc HTTP/1.1",
        "GET /# HTTP/1.1",
        "GET a HTTP/1.1",
        " GET / HTTP/1.1",
      ]
    ) {
      assertEquals(status(request(["Host: a"], first)), 400, first);
    }
    assertEquals(read("\r\nGET / HTTP/1.1\r\n\r\n").refused, true);
    assertEquals(status(request(["Host: a"], "GET / HTTP/2.0")), 505);
  });

  it("are bounded in bytes and headers, before the end has come", () => {
    const reader = () => new HeadReader(LIMITS);
    const refused = (text: string) => {
      const one = reader();
      assertEquals(one.push(utf8(text)), REFUSED);
      return one.refusal?.status;
    };
    assertEquals(refused("GET /" + "a".repeat(2_000)), 414);
    assertEquals(refused("GET / HTTP/1.1\r\nX: " + "a".repeat(2_000)), 431);
    assertEquals(refused("GET / HTTP/1.1\r\n" + "X: a\r\n".repeat(13)), 431);
    assertEquals(status(request(["Host: a", ...Array.from({ length: 11 }, () => "X: a")])), 200);
    const slow = reader();
    let pushed = 0;
    while (slow.push(utf8("a")) === NEED_MORE) pushed++;
    assertEquals([pushed, slow.refusal?.status], [999, 414]);
    assertEquals(refused("\x16\x03\x01"), 400, "a TLS hello is seen at once");
  });
});

describe("handshake: upgrades", () => {
  it("answer with the hash of RFC 6455 section 1.3", () => {
    assertEquals(acceptHash(KEY), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    const offer = readUpgrade(read(request(UPGRADE)) as RequestHead);
    if (offer.refused) throw new Error(offer.reason);
    assertEquals(
      new TextDecoder().decode(acceptResponse(offer)),
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    );
  });

  it("are refused with the status that says why (4.2.1, 4.4)", () => {
    const without = (name: string) => UPGRADE.filter((line) => !line.startsWith(name));
    assertEquals(status(request(UPGRADE)), 101);
    assertEquals(
      status(request(UPGRADE.map((line) => line.replace(/websocket$/, "WebSocket")))),
      101,
      "case",
    );
    assertEquals(status(request(UPGRADE, "POST / HTTP/1.1")), 405);
    assertEquals(status(request(UPGRADE, "GET / HTTP/1.0")), 400);
    assertEquals(status(request([...without("Upgrade"), "Upgrade: h2c"])), 426);
    assertEquals(status(request(without("Connection"))), 426);
    assertEquals(status(request([...without("Sec-WebSocket-V"), "Sec-WebSocket-Version: 8"])), 400);
    assertEquals(status(request(without("Sec-WebSocket-V"))), 400);
    assertEquals(status(request(without("Sec-WebSocket-K"))), 400);
    assertEquals(status(request([...UPGRADE, `Sec-WebSocket-Key: ${KEY}`])), 400, "two keys");
    for (const key of ["", "a", `${KEY}=`, KEY.slice(1), KEY.replace("==", "=A"), `${KEY} x`]) {
      assertEquals(status(request([...without("Sec-WebSocket-K"), `Sec-WebSocket-Key: ${key}`])), 400, key);
    }
    assertEquals(status(request([...UPGRADE, "Content-Length: 1"])), 400);
    for (const protocols of ["", "a,a", "a;b", "a b"]) {
      assertEquals(status(request([...UPGRADE, `Sec-WebSocket-Protocol: ${protocols}`])), 400, protocols);
    }
    assertEquals(status(request([...UPGRADE, "Sec-WebSocket-Extensions: a;;"])), 400);
    assertEquals(
      status(request([...UPGRADE, "Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: b"])),
      101,
    );
  });

  it("say in the refusal what would have been right", () => {
    const text = (head: RequestHead | Refusal) => {
      const offer = head.refused ? head : readUpgrade(head);
      return offer.refused ? new TextDecoder().decode(refusalResponse(offer)) : "";
    };
    assertMatch(
      text(read(request(["Host: a"]))),
      /^HTTP\/1\.1 426 Upgrade Required\r\n[^]*Upgrade: websocket\r\n/,
    );
    assertStringIncludes(text(read(request(ASK))), "Sec-WebSocket-Version: 13\r\n");
    assertStringIncludes(text(read(request(UPGRADE, "PUT / HTTP/1.1"))), "Allow: GET\r\n");
    const refused = text(read(request([])));
    const [head, body] = refused.split("\r\n\r\n");
    assertStringIncludes(head ?? "", `Content-Length: ${body?.length}`);
  });

  it("choose a subprotocol in the client's order, and only one that was offered", () => {
    const offer = readUpgrade(read(request([...UPGRADE, "Sec-WebSocket-Protocol: c, b,a"])) as RequestHead);
    if (offer.refused) throw new Error(offer.reason);
    assertEquals(chooseSubprotocol(offer.subprotocols, new Set(["a", "b"])), "b");
    assertEquals(chooseSubprotocol(offer.subprotocols, new Set(["d"])), null);
    assertThrows(() => acceptResponse(offer, { subprotocol: "d" }), TypeError);
    assertThrows(() => acceptResponse(offer, { headers: { X: "a\r\nY: b" } }), TypeError);
    assertThrows(() => acceptResponse(offer, { headers: { "X:": "a" } }), TypeError);
  });
});

describe("handshake: a client", () => {
  const ask = {
    host: "a",
    target: "/ws?x",
    subprotocols: ["p", "q"],
    deflate: { clientMaxWindowBits: true },
    key: KEY,
  } as const;

  it("and a server of ours agree on everything they can agree on", () => {
    const attempt = requestUpgrade(ask);
    const offer = readUpgrade(read(new TextDecoder().decode(attempt.bytes)) as RequestHead);
    if (offer.refused) throw new Error(offer.reason);
    const options = {
      serverNoContextTakeover: true,
      clientNoContextTakeover: true,
      serverMaxWindowBits: 12,
      clientMaxWindowBits: 11,
    };
    const deflate = negotiateDeflate(offer.extensions, options);
    assertEquals(answered(attempt, acceptResponse(offer, { subprotocol: "q", deflate })), {
      subprotocol: "q",
      deflate,
    });
    assertEquals(answered(attempt, acceptResponse(offer)), { subprotocol: null, deflate: null });
    assertEquals(requestUpgrade({ host: "a", target: "/" }).key.length, 24);
  });

  function answered(attempt: UpgradeAttempt, bytes: Uint8Array) {
    const reader = new HeadReader();
    assertEquals(reader.push(bytes), bytes.length);
    const response = parseResponse(reader.text);
    if (response.refused) return response.reason;
    return verifyUpgrade(attempt, response);
  }

  it("takes no answer that it did not ask for (4.1)", () => {
    const attempt = requestUpgrade(ask);
    const good = [
      "HTTP/1.1 101 X",
      "Upgrade: websocket",
      "Connection: upgrade",
      `Sec-WebSocket-Accept: ${acceptHash(KEY)}`,
    ];
    const answer = (lines: string[]) => answered(attempt, utf8([...lines, "", ""].join("\r\n")));
    assertEquals(typeof answer(good), "object");
    for (let index = 0; index < good.length; index++) {
      const broken = good.map((line, at) =>
        at === index ? line.replace("101", "200").replace(/: .*/, ": x") : line
      );
      assertEquals(typeof answer(broken), "string", broken[index]);
    }
    const unasked = [
      "Sec-WebSocket-Protocol: r",
      "Sec-WebSocket-Extensions: other",
      "Sec-WebSocket-Extensions: ;",
    ];
    for (const line of unasked) assertEquals(typeof answer([...good, line]), "string", line);
    const plain = requestUpgrade({ host: "a", target: "/", key: KEY });
    const deflated = utf8([...good, "Sec-WebSocket-Extensions: permessage-deflate", "", ""].join("\r\n"));
    assertEquals(typeof answered(plain, deflated), "string");
    assertEquals(typeof answered(plain, utf8("HTTP/1.0 101 X\r\n\r\n")), "string");
  });

  it("asks for nothing that would break out of its line", () => {
    for (
      const wrong of [{ target: "a" }, { target: "/ b" }, { host: "a\r\nX: y" }, { key: "x" }, {
        subprotocols: ["a", "a"],
      }]
    ) {
      assertThrows(() => requestUpgrade({ ...ask, ...wrong }), TypeError);
    }
  });
});
