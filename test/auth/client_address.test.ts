/** The client's address behind proxies that are trusted, and behind strangers that are not. */
import { describe, it } from "node:test";
import { assert, assertEquals, assertFalse, assertStrictEquals, assertThrows } from "@std/assert";
import { ClientAddress, limitKey, parseCidr, type ProxySettings } from "../../server/auth/client_address.ts";

const trustedProxies = ["10.0.0.0/8", "192.168.1.1", "2001:db8:ffff::/48"];

function addressOf(header: ProxySettings["header"], remote: string, value?: string, other?: string): string {
  const headers = new Map<string, string>();
  if (value !== undefined) headers.set(header, value);
  if (other !== undefined) headers.set(header === "forwarded" ? "x-forwarded-for" : "forwarded", other);
  return new ClientAddress({ trustedProxies, header }).of(remote, headers);
}

describe("the client's address", () => {
  it("is the peer's own when no proxy is trusted", () => {
    const direct = new ClientAddress({ trustedProxies: [], header: "x-forwarded-for" });
    const headers = new Map([["x-forwarded-for", "1.2.3.4"], ["forwarded", "for=1.2.3.4"]]);
    for (const peer of ["203.0.113.9", "::1", "", "unix"]) assertStrictEquals(direct.of(peer, headers), peer);
  });

  it("is the peer's own when it is a stranger, whatever its headers say", () => {
    for (const peer of ["203.0.113.9", "11.0.0.1", "192.168.1.2", "2001:db8::1", "", "unix"]) {
      assertEquals(addressOf("x-forwarded-for", peer, "1.2.3.4"), peer);
      assertEquals(addressOf("forwarded", peer, "for=1.2.3.4"), peer);
    }
  });

  const lists: [name: string, list: string | undefined, expected: string][] = [
    ["is the proxy's when there is no header", undefined, "10.0.0.1"],
    ["is the proxy's when the header is empty", "", "10.0.0.1"],
    ["is what the proxy added", "1.2.3.4", "1.2.3.4"],
    ["is the last that no trusted proxy has", "6.6.6.6, 1.2.3.4, 10.0.0.2, 192.168.1.1", "1.2.3.4"],
    ["is not what a stranger claims to its left", "127.0.0.1, 10.0.0.9, 1.2.3.4", "1.2.3.4"],
    ["is the leftmost when all are trusted", "10.0.0.4,10.0.0.3 ,\t10.0.0.2", "10.0.0.4"],
    ["is the last believed when an element is malformed", "1.2.3.4, x, 10.0.0.2", "10.0.0.2"],
    ["is the last believed when an element is empty", "1.2.3.4, , 10.0.0.2", "10.0.0.2"],
    ["is the proxy's when the last element is malformed", "1.2.3.4, unknown", "10.0.0.1"],
    ["is not affected by garbage that a stranger wrote", "\"',;=[[, 1.2.3.4", "1.2.3.4"],
    ["may have a port", "1.2.3.4:5678", "1.2.3.4"],
    ["may be IPv6", "2001:DB8:0::7", "2001:db8::7"],
    ["may be IPv6 in brackets", "[2001:db8::7]", "2001:db8::7"],
    ["may be IPv6 in brackets with a port", "[2001:db8::7]:4711", "2001:db8::7"],
    ["may be behind IPv6 proxies", "1.2.3.4, 2001:db8:ffff::9", "1.2.3.4"],
    ["is IPv4 when it is IPv4-mapped", "::ffff:1.2.3.4", "1.2.3.4"],
    ["is looked for behind IPv4-mapped proxies", "1.2.3.4, ::ffff:10.0.0.2, [::ffff:a00:3]:1", "1.2.3.4"],
    ["is not an octal one", "1.2.3.4, 012.0.0.1", "10.0.0.1"],
    ["is not a short or hexadecimal one", "1.2.3.4, 10.1", "10.0.0.1"],
    ["is not a number", "1.2.3.4, 167772161", "10.0.0.1"],
    ["is not IPv4 in brackets", "[1.2.3.4]", "10.0.0.1"],
    ["has no zone", "fe80::1%eth0", "10.0.0.1"],
    ["has no range", "1.2.3.0/24", "10.0.0.1"],
    ["has no port of six digits", "1.2.3.4:123456", "10.0.0.1"],
    ["is looked for behind 15 further proxies", `1.2.3.4${", 10.0.0.2".repeat(15)}`, "1.2.3.4"],
    ["is not looked for behind 16", `1.2.3.4${", 10.0.0.2".repeat(16)}`, "10.0.0.2"],
    ["is not an element above 256 characters", `1.2.3.4, ${" ".repeat(256)}1.2.3.4`, "10.0.0.1"],
    ["does not depend on how much a stranger wrote", `${"x".repeat(100_000)}, 1.2.3.4`, "1.2.3.4"],
  ];
  for (const [name, list, expected] of lists) {
    it(`${name} (X-Forwarded-For)`, () => {
      assertEquals(addressOf("x-forwarded-for", "10.0.0.1", list), expected);
      assertEquals(addressOf("x-forwarded-for", "::ffff:10.0.0.1", list), expected);
    });
  }

  const forwarded: [name: string, list: string | undefined, expected: string][] = [
    ["is the proxy's when there is no header", undefined, "10.0.0.1"],
    ["is what the proxy added", "for=1.2.3.4", "1.2.3.4"],
    ["stands among other parameters", 'proto=https; FOR=1.2.3.4 ;by=10.0.0.1;host="a;b,c"', "1.2.3.4"],
    ["may be quoted, with a port", `for="1.2.3.4:4711"`, "1.2.3.4"],
    ["is IPv6 in quotes and brackets", `for="[2001:db8:cafe::17]:4711"`, "2001:db8:cafe::17"],
    ["may have a hidden port", `for="[2001:db8:cafe::17]:_x"`, "2001:db8:cafe::17"],
    ["may be escaped", `for="1\\.2.3.4"`, "1.2.3.4"],
    ["is IPv4 when it is IPv4-mapped", `for="[::ffff:1.2.3.4]"`, "1.2.3.4"],
    ["is the last that no trusted proxy has", "for=6.6.6.6, for=1.2.3.4, for=10.0.0.2;by=_a", "1.2.3.4"],
    ["is the leftmost when all are trusted", `for=10.0.0.3,for="[2001:db8:ffff::1]"`, "10.0.0.3"],
    ["is the last believed when the next is unknown", "for=1.2.3.4, for=unknown, for=10.0.0.2", "10.0.0.2"],
    [
      "is the last believed when the next is obfuscated",
      "for=1.2.3.4, for=_hidden, for=10.0.0.2",
      "10.0.0.2",
    ],
    ["is the last believed when the next has no for", "for=1.2.3.4, proto=https, for=10.0.0.2", "10.0.0.2"],
    ["is the last believed when the next has two", "for=1.2.3.4;for=10.0.0.3, for=10.0.0.2", "10.0.0.2"],
    [
      "is the last believed when the next is malformed",
      "for=1.2.3.4, for 10.0.0.3, for=10.0.0.2",
      "10.0.0.2",
    ],
    ["is not what a stranger's unpaired quote hides", `for="6.6.6.6, for=1.2.3.4`, "1.2.3.4"],
    ["is not in a stranger's quoted host", `for=1.2.3.4;host="x, for=6.6.6.6"`, "1.2.3.4"],
    ["is not behind a stranger's escaped quote", `for=1.2.3.4;host="x\\", for=6.6.6.6"`, "1.2.3.4"],
    ["may stand beside a quoted comma and an escaped quote", `for=1.2.3.4;host="a,b\\"c"`, "1.2.3.4"],
    ["may stand before an escaped backslash", `for=1.2.3.4, for=10.0.0.3;host="a\\\\"`, "1.2.3.4"],
    ["is not a bare address", "1.2.3.4", "10.0.0.1"],
  ];
  for (const [name, list, expected] of forwarded) {
    it(`${name} (RFC 7239)`, () => {
      assertEquals(addressOf("forwarded", "10.0.0.1", list), expected);
    });
  }

  it("is never read from the header that is not configured", () => {
    assertEquals(addressOf("x-forwarded-for", "10.0.0.1", undefined, "for=6.6.6.6"), "10.0.0.1");
    assertEquals(addressOf("x-forwarded-for", "10.0.0.1", "1.2.3.4", "for=6.6.6.6"), "1.2.3.4");
    assertEquals(addressOf("forwarded", "10.0.0.1", undefined, "6.6.6.6"), "10.0.0.1");
  });
});

describe("a trusted proxy", () => {
  it("is one of an address or a range, in IPv4, IPv6 or mapped form", () => {
    const proxies = new ClientAddress({
      trustedProxies: [...trustedProxies, "::ffff:172.16.0.0/108"],
      header: "forwarded",
    });
    for (
      const address of [
        "10.0.0.0",
        "10.255.255.255",
        "::ffff:10.1.1.1",
        "192.168.1.1",
        "2001:db8:ffff:1::1",
        "172.31.0.1",
      ]
    ) {
      assert(proxies.isTrusted(address), address);
    }
    for (
      const address of [
        "9.255.255.255",
        "11.0.0.0",
        "192.168.1.2",
        "2001:db8:fffe::1",
        "::10",
        "172.32.0.1",
        "",
        "10.0",
        "a",
      ]
    ) {
      assertFalse(proxies.isTrusted(address), address);
    }
  });

  it("is checked before it is used", () => {
    for (
      const text of [
        "10.0.0.1",
        "0.0.0.0/0",
        "10.0.0.0/8",
        "10.0.0.1/32",
        "::/0",
        "2001:db8::/128",
        "::1",
        "::ffff:10.0.0.0/96",
      ]
    ) {
      assertEquals(parseCidr(text), undefined, text);
    }
    for (
      const text of [
        "",
        "10",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/",
        "10.0.0.0/8/8",
        "/8",
        "010.0.0.0/8",
        "10.0.0/8",
        "::/129",
        "::ffff:10.0.0.0/95",
        "fe80::%eth0/64",
        "[::1]",
        "localhost",
        "10.0.0.0/255.0.0.0",
      ]
    ) {
      assert(parseCidr(text)?.endsWith(`not ${JSON.stringify(text)}`), text);
      assertThrows(() => new ClientAddress({ trustedProxies: [text], header: "forwarded" }), TypeError);
    }
  });
});

describe("what limits count by", () => {
  it("is an IPv4 address as it is, and the /64 of an IPv6 address", () => {
    assertEquals(limitKey("203.0.113.9"), "203.0.113.9");
    assertEquals(limitKey("::ffff:203.0.113.9"), "203.0.113.9");
    assertEquals(limitKey("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
    assertEquals(limitKey("2001:DB8:1:2::"), "2001:db8:1:2::/64");
    assertEquals(limitKey("2001:db8:1:3::1"), "2001:db8:1:3::/64");
    assertEquals(limitKey("fe80::1%eth0"), "fe80::/64");
    assertEquals(limitKey("::1"), "::/64");
    for (const other of ["", "unix", "/run/app:1"]) assertEquals(limitKey(other), other);
  });
});
