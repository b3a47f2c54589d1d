/** Where a handshake's token is found. */
import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { bearerToken, findToken } from "../../server/auth/credentials.ts";

function find(query: string, headers: Record<string, string> = {}, cookieName = "session") {
  return findToken(query, new Map(Object.entries(headers)), cookieName);
}

describe("the token of a handshake", () => {
  it("is nowhere in most of them", () => {
    for (const query of ["", "a=1", "tokens=x", "Token=x", "&&", "=token"]) {
      assertEquals(find(query), undefined);
    }
    assertEquals(find("", { authorization: "Basic YTpi", cookie: "other=x; xsession=y" }), undefined);
  });

  it("is found in the URL, decoded", () => {
    assertEquals(find("token=abc"), { token: "abc" });
    assertEquals(find("a=1&token=a%2Eb%2Dc&b=2"), { token: "a.b-c" });
    assertEquals(find("%74oken=abc"), { token: "abc" });
    assertEquals(find("token=%ff%zz"), { token: "\ufffd%zz" });
  });

  it("is found in an Authorization header with the scheme Bearer, in any case (RFC 9110 section 11.1)", () => {
    for (const scheme of ["Bearer", "bearer", "BEARER"]) {
      assertEquals(find("", { authorization: `${scheme} a.b.c` }), { token: "a.b.c" });
    }
    assertEquals(bearerToken("Bearer   a.b.c "), "a.b.c");
    assertEquals(bearerToken("Bearera.b.c"), undefined);
    assertEquals(bearerToken(undefined), undefined);
  });

  it("is found in the cookie that is configured", () => {
    assertEquals(find("", { cookie: "a=1; session=a.b.c; b=2" }), { token: "a.b.c" });
    assertEquals(find("", { cookie: "session=a%2Eb" }), { token: "a.b" });
    assertEquals(find("", { cookie: "session=%zz;session=second" }), { token: "%zz" });
    assertEquals(find("", { cookie: "session=a" }, ""), undefined);
    assertEquals(find("", { cookie: "=a" }, ""), undefined);
    for (const name of ["__proto__", "constructor", "toString"]) {
      assertEquals(find("", { cookie: "session=a" }, name), undefined);
    }
  });

  it("is that of the header before that of the URL before that of the cookie", () => {
    const [authorization, cookie] = ["Bearer header", "session=cookie"];
    assertEquals(find("token=query", { authorization, cookie }), { token: "header" });
    assertEquals(find("token=query", { cookie }), { token: "query" });
    assertEquals(find("", { authorization, cookie }), { token: "header" });
    assertEquals(find("token=query", { authorization: "Basic YTpi" }), { token: "query" });
  });

  it("may be empty, which is not the same as none", () => {
    assertEquals(find("token="), { token: "" });
    assertEquals(find("token"), { token: "" });
    assertEquals(find("", { authorization: "Bearer" }), { token: "" });
    assertEquals(find("", { authorization: "Bearer " }), { token: "" });
    assertEquals(find("", { cookie: "session=" }), { token: "" });
  });

  it("cannot be one of two in the URL, and the problem quotes neither", () => {
    const found = find("token=first&a=1&token=second");
    assert(found !== undefined && "problem" in found);
    assertEquals(/first|second/.test(found.problem), false);
    assert("problem" in (find("token=same&token=same") ?? {}));
  });
});
