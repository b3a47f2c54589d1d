import { describe, it } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import {
  acceptDeflate,
  deflateOffer,
  deflateResponse,
  type DeflateServerOptions,
  negotiateDeflate,
  parseExtensions,
  parseTokens,
} from "../../server/codec/extensions.ts";

const DEDICATED: DeflateServerOptions = {
  serverNoContextTakeover: false,
  clientNoContextTakeover: false,
  serverMaxWindowBits: 15,
  clientMaxWindowBits: 15,
};
const SHARED = { ...DEDICATED, serverNoContextTakeover: true, clientNoContextTakeover: true };

/** The answer to an offer, or null for none. */
function answer(offer: string, options = DEDICATED): string | null {
  const agreed = negotiateDeflate(parseExtensions(offer) ?? [], options);
  return agreed === null ? null : deflateResponse(agreed);
}

describe("extensions", () => {
  it("reads names, parameters, tokens and quoted strings (RFC 6455 section 9.1)", () => {
    assertEquals(parseExtensions(' a ; b=c ;d = "e\\f", g'), [
      { name: "a", parameters: new Map<string, string | true>([["b", "c"], ["d", "ef"]]), repeated: false },
      { name: "g", parameters: new Map(), repeated: false },
    ]);
    assertEquals(parseExtensions("a; b; b=1")?.[0]?.repeated, true);
    assertEquals(parseExtensions("constructor; __proto__")?.[0]?.parameters.has("__proto__"), true);
  });

  it("refuses what the grammar does not know", () => {
    const wrong = [
      "",
      ",",
      "a,",
      ",a",
      "a;",
      "a;;b",
      "a; =b",
      "a; b=",
      'a; b=""',
      'a; b="c d"',
      'a; b="c',
      "a b",
      "ä",
      "a=b",
    ];
    for (const header of wrong) assertEquals(parseExtensions(header), null, header);
    for (const header of ["a", "a;b", "a;b=c", 'a;b="c"', "a,b"]) {
      assertEquals(parseExtensions(header) === null, false);
    }
  });

  it("reads lists of tokens", () => {
    assertEquals(parseTokens("chat, super.chat"), ["chat", "super.chat"]);
    for (const header of ["", "a,,b", "a b", "a;b", '"a"', "a,"]) {
      assertEquals(parseTokens(header), null, header);
    }
  });

  it("takes linear time for headers made to take more", () => {
    for (
      const header of [" ".repeat(100_000) + "?", "a" + ";".repeat(100_000), `a; b="${"\\".repeat(100_000)}`]
    ) {
      assertEquals(parseExtensions(header), null);
    }
    assertEquals(parseExtensions("a,".repeat(50_000) + "a")?.length, 50_001);
  });

  it("negotiates all four parameters (RFC 7692 section 7.1)", () => {
    assertEquals(answer("permessage-deflate"), "permessage-deflate");
    assertEquals(
      answer("permessage-deflate; server_no_context_takeover"),
      "permessage-deflate; server_no_context_takeover",
    );
    assertEquals(
      answer("permessage-deflate; client_no_context_takeover"),
      "permessage-deflate; client_no_context_takeover",
    );
    assertEquals(
      answer("permessage-deflate; server_max_window_bits=10"),
      "permessage-deflate; server_max_window_bits=10",
    );
    assertEquals(
      answer('permessage-deflate; server_max_window_bits="9"'),
      "permessage-deflate; server_max_window_bits=9",
    );
    assertEquals(answer("permessage-deflate; client_max_window_bits"), "permessage-deflate");
    assertEquals(
      answer("permessage-deflate; client_max_window_bits=9"),
      "permessage-deflate; client_max_window_bits=9",
    );
    const small = { ...SHARED, serverMaxWindowBits: 11, clientMaxWindowBits: 10 };
    const both =
      "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=11";
    assertEquals(
      answer("permessage-deflate", small),
      both,
      "a window the client did not offer is not asked for",
    );
    assertEquals(
      answer("permessage-deflate; client_max_window_bits", small),
      `${both}; client_max_window_bits=10`,
    );
  });

  it("passes over offers it does not understand or cannot meet, and takes the next", () => {
    const wrong = [
      "x=1",
      "server_no_context_takeover=1",
      "server_max_window_bits",
      "server_max_window_bits=8",
      "x",
    ];
    for (const parameter of wrong) {
      assertEquals(answer(`permessage-deflate; ${parameter}`), null, parameter);
      assertEquals(answer(`permessage-deflate; ${parameter}, permessage-deflate`), "permessage-deflate");
    }
    assertEquals(answer("permessage-bzip2"), null);
    assertEquals(answer("other, permessage-deflate"), "permessage-deflate");
  });

  it("offers what it is told to, and takes only answers to that", () => {
    assertEquals(deflateOffer({}), "permessage-deflate");
    const offer = {
      serverNoContextTakeover: true,
      serverMaxWindowBits: 12,
      clientMaxWindowBits: true,
    } as const;
    assertEquals(
      deflateOffer({ ...offer, clientNoContextTakeover: true }),
      "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12; client_max_window_bits",
    );
    assertThrows(() => deflateOffer({ serverMaxWindowBits: 16 }), RangeError);
    assertThrows(() => deflateOffer({ clientMaxWindowBits: 8 }), RangeError);
    const accept = (header: string) => acceptDeflate(parseExtensions(header) ?? [], offer);
    const good = "permessage-deflate; server_no_context_takeover; server_max_window_bits=12";
    assertEquals(accept(`${good}; client_max_window_bits=11`), {
      serverNoContextTakeover: true,
      clientNoContextTakeover: false,
      serverMaxWindowBits: 12,
      clientMaxWindowBits: 11,
    });
    const bad = [
      "other",
      `${good}, ${good}`,
      `${good}; x`,
      `${good}; client_max_window_bits`,
      "permessage-deflate",
    ];
    bad.push(
      "permessage-deflate; server_no_context_takeover",
      "permessage-deflate; server_max_window_bits=12",
    );
    bad.push("permessage-deflate; server_no_context_takeover; server_max_window_bits=13");
    for (const header of bad) assertEquals(typeof accept(header), "string", header);
    const unasked = parseExtensions("permessage-deflate; client_max_window_bits=10") ?? [];
    assertEquals(typeof acceptDeflate(unasked, {}), "string");
  });
});
