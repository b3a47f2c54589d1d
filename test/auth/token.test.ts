/** Tokens: what is accepted, and what each forgery, date and claim is refused for. */
import { Buffer } from "node:buffer";
import { describe, it } from "node:test";
import { CompactEncrypt, exportSPKI, type JWTPayload } from "jose";
import { assert, assertEquals } from "@std/assert";
import { tokenAlgorithms } from "../../server/auth/keys.ts";
import { createTokenVerifier, TokenFault, type TokenSettings } from "../../server/auth/token.ts";
import { ManualClock } from "../helpers/manual_clock.ts";
import { seededRandom } from "../helpers/random.ts";
import { withFile } from "../helpers/temp_file.ts";
import {
  forAlgorithm,
  keyPair,
  outcome,
  SECRET,
  sign,
  unsigned,
  WALL_START_SECONDS,
} from "../helpers/tokens.ts";

const settings: TokenSettings = {
  key: { kind: "secret", secret: SECRET },
  algorithms: ["HS256"],
  audience: "",
  issuer: "",
  clockToleranceSeconds: 5,
};

async function outcomeOf(token: string, changes: Partial<TokenSettings> = {}, clock = new ManualClock()) {
  return outcome(await createTokenVerifier({ ...settings, ...changes }, clock).verify(token));
}

const now = WALL_START_SECONDS;

const rsaPairs = [await keyPair("RS256"), await keyPair("RS256")] as const;

describe("a token that is accepted", () => {
  it("says who its bearer is, and until when, tolerance included", async () => {
    const verifier = createTokenVerifier(settings, new ManualClock());
    const user = "ann@example.com";
    assertEquals(await verifier.verify(await sign({ sub: user, exp: now + 60 })), {
      ok: true,
      identity: { user, expiresAtMs: (now + 65) * 1_000, grants: undefined },
    });
    assertEquals(await verifier.verify(await sign({ sub: user })), {
      ok: true,
      identity: { user, expiresAtMs: undefined, grants: undefined },
    });
  });

  it("may hold grants", async () => {
    const verified = await createTokenVerifier(settings, new ManualClock())
      .verify(await sign({ sub: "ann", millrace: { subscribe: ["users.{user}.>"], broadcast: true } }));
    assert(verified.ok);
    assertEquals(verified.identity.grants, {
      subscribe: ["users.{user}.>"],
      publish: [],
      presence: [],
      history: [],
      broadcast: true,
    });
  });

  for (const algorithm of tokenAlgorithms) {
    it(`may be signed with ${algorithm}, and with nothing else then`, async () => {
      if (algorithm.startsWith("HS")) {
        const token = await sign({ sub: "ann" }, { alg: algorithm });
        assertEquals(await outcomeOf(token, { algorithms: [algorithm] }), "ok");
        const other = tokenAlgorithms.find((name) => name.startsWith("HS") && name !== algorithm) ?? "";
        assertEquals(await outcomeOf(token, { algorithms: [other] }), TokenFault.Algorithm);
        return;
      }
      const make = (i: 0 | 1) =>
        /^[RP]S/.test(algorithm) ? forAlgorithm(rsaPairs[i], algorithm) : keyPair(algorithm);
      const [own, foreign] = [await make(0), await make(1)];
      await withFile(JSON.stringify(own.jwk), async (file) => {
        const changes: Partial<TokenSettings> = {
          key: { kind: "public-key-file", file },
          algorithms: [algorithm],
        };
        const signedBy = (key: Pick<typeof own, "privateKey">) =>
          sign({ sub: "ann" }, { alg: algorithm }, key.privateKey);
        assertEquals(await outcomeOf(await signedBy(own), changes), "ok");
        assertEquals(await outcomeOf(await signedBy(foreign), changes), TokenFault.Signature);
      });
    });
  }
});

describe("a forged token", () => {
  it("is refused when its signature or its claims were changed (RFC 7515 section 5.2)", async () => {
    const token = await sign({ sub: "ann" });
    assertEquals(await outcomeOf(token), "ok");
    const [header = "", , signature = ""] = token.split(".");
    const claims = Buffer.from(`{"sub":"bob"}`).toString("base64url");
    assertEquals(await outcomeOf(`${header}.${claims}.${signature}`), TokenFault.Signature);
    const other = Buffer.from("x".repeat(64));
    assertEquals(await outcomeOf(await sign({ sub: "ann" }, {}, other)), TokenFault.Signature);
  });

  it("is refused with the algorithm none, however it is written (RFC 8725 section 3.1)", async () => {
    const signature = (await sign({ sub: "ann" })).split(".")[2];
    for (const alg of ["none", "None", "NONE", "nOnE"]) {
      assertEquals(await outcomeOf(unsigned({ alg }, { sub: "ann" })), TokenFault.Algorithm);
      assertEquals(await outcomeOf(unsigned({ alg }, { sub: "ann" }, signature)), TokenFault.Algorithm);
    }
    for (const alg of [undefined, "", 1, null, ["HS256"], {}]) {
      assertEquals(await outcomeOf(unsigned({ alg }, { sub: "ann" }, signature)), TokenFault.Malformed);
    }
  });

  it("is refused when the public key was used as an HMAC secret (RFC 8725 section 2.1)", async () => {
    const pair = rsaPairs[0];
    const pem = await exportSPKI(pair.publicKey);
    await withFile(pem, async (file) => {
      const changes: Partial<TokenSettings> = {
        key: { kind: "public-key-file", file },
        algorithms: ["RS256"],
      };
      assertEquals(
        await outcomeOf(await sign({ sub: "ann" }, { alg: "RS256" }, pair.privateKey), changes),
        "ok",
      );
      for (const secret of [pem, pem.trim(), `${pem}\n`]) {
        const forged = await sign({ sub: "ann" }, { alg: "HS256" }, Buffer.from(secret));
        assertEquals(await outcomeOf(forged, changes), TokenFault.Algorithm);
      }
    });
  });

  it("is refused when it brings its own key or says where one is (RFC 8725 section 3.5)", async () => {
    const [own, forger] = [await keyPair("ES256"), await keyPair("ES256")];
    await withFile(JSON.stringify(own.jwk), async (file) => {
      const changes: Partial<TokenSettings> = {
        key: { kind: "public-key-file", file },
        algorithms: ["ES256"],
      };
      for (
        const header of [{ jwk: forger.jwk }, { jku: "http://127.0.0.1:1/jwks" }, {
          x5u: "http://127.0.0.1:1/",
        }]
      ) {
        const by = (pair: typeof own) => sign({ sub: "ann" }, { alg: "ES256", ...header }, pair.privateKey);
        assertEquals(await outcomeOf(await by(own), changes), "ok");
        assertEquals(await outcomeOf(await by(forger), changes), TokenFault.Signature);
      }
    });
  });

  it("is refused with a critical header that we do not know (RFC 7515 section 4.1.11)", async () => {
    const { SignJWT } = await import("jose");
    const token = await new SignJWT({ sub: "ann" }).setProtectedHeader({ alg: "HS256", crit: ["x"], x: 1 })
      .sign(Buffer.from(SECRET), { crit: { x: true } });
    assertEquals(await outcomeOf(token), TokenFault.Malformed);
    assertEquals(await outcomeOf(unsigned({ alg: "HS256", crit: [] }, {})), TokenFault.Malformed);
    assertEquals(
      await outcomeOf(unsigned({ alg: "HS256", crit: ["b64"], b64: false }, {})),
      TokenFault.Signature,
    );
  });

  it("is refused when it is encrypted: a JWE has five parts (RFC 7516)", async () => {
    const key = Buffer.from(SECRET).subarray(0, 32);
    const token = await new CompactEncrypt(Buffer.from(`{"sub":"ann"}`))
      .setProtectedHeader({ alg: "dir", enc: "A256GCM" }).encrypt(key);
    assertEquals(token.split(".").length, 5);
    assertEquals(await outcomeOf(token), TokenFault.Malformed);
  });

  it("is refused when it is no token at all", async () => {
    const garbage = [
      "",
      ".",
      "..",
      "...",
      "a",
      "a.b.c",
      "Bearer x",
      "null",
      "\0",
      "\ud800..",
      "ä.ö.ü",
      "e30.e30.e30",
      "W10.e30.",
    ];
    for (const token of garbage) assertEquals(await outcomeOf(token), TokenFault.Malformed, token);
  });

  it("is refused whatever is done to one that is valid, and nothing is thrown", async () => {
    const random = seededRandom(41);
    const verifier = createTokenVerifier(settings, new ManualClock());
    const valid = await sign({ sub: "ann", exp: now + 60, millrace: { subscribe: ["a"] } });
    const characters = [...'ABCxyz019-_.=+/ {"\n\0é'];
    for (let i = 0; i < 500; i++) {
      const token = [...valid];
      for (let changes = 1 + random.below(3); changes > 0; changes--) {
        token.splice(random.below(token.length), random.below(2), random.pick(characters));
      }
      if (token.join("") === valid) continue;
      const verified = await verifier.verify(token.join(""));
      // The last character of a signature has bits that mean nothing.
      if (verified.ok) assertEquals(token.join("").slice(0, -1), valid.slice(0, -1));
      else assert(verified.reason !== TokenFault.KeysUnavailable, token.join(""));
    }
  });

  it("is refused above 8 KiB, before it is looked at", async () => {
    const withLength = async (length: number) => {
      const base = (await sign({ sub: "ann", pad: "" })).length;
      let pad = Math.floor((length - base) * 3 / 4);
      let token = await sign({ sub: "ann", pad: "x".repeat(pad) });
      while (token.length < length) token = await sign({ sub: "ann", pad: "x".repeat(++pad) });
      return token;
    };
    const longest = await withLength(8_190);
    assert(longest.length <= 8_192, `${longest.length}`);
    assertEquals(await outcomeOf(longest), "ok");
    const longer = await withLength(8_193);
    assert(longer.length <= 8_196, `${longer.length}`);
    assertEquals(await outcomeOf(longer), TokenFault.Malformed);
  });
});

describe("a token's claims", () => {
  const cases: [name: string, claims: JWTPayload & Record<string, unknown>, expected: TokenFault | "ok"][] = [
    ["exp just inside the tolerance", { exp: now - 4 }, "ok"],
    ["exp at the tolerance", { exp: now - 5 }, TokenFault.Expired],
    ["exp long ago", { exp: 0 }, TokenFault.Expired],
    ["exp below zero", { exp: -1e9 }, TokenFault.Expired],
    ["exp further than a date reaches", { exp: 1e300 }, TokenFault.Malformed],
    ["exp in milliseconds by mistake", { exp: now * 1_000 }, "ok"],
    ["exp as text", { exp: `${now + 60}` as unknown as number }, TokenFault.Malformed],
    ["nbf just inside the tolerance", { nbf: now + 5 }, "ok"],
    ["nbf just outside", { nbf: now + 6 }, TokenFault.NotYetValid],
    ["nbf as text", { nbf: "0" as unknown as number }, TokenFault.Malformed],
    ["sub with dots and wildcards", { sub: "a.*.>" }, "ok"],
    ["sub of 256 characters", { sub: "😀".repeat(256) }, "ok"],
    ["sub of 257 characters", { sub: "a".repeat(257) }, TokenFault.MissingSubject],
    ["an empty sub", { sub: "" }, TokenFault.MissingSubject],
    ["no sub", { sub: undefined as unknown as string }, TokenFault.MissingSubject],
    ["sub as a number", { sub: 7 as unknown as string }, TokenFault.MissingSubject],
    ["sub with a line end", { sub: "ann\nbob" }, TokenFault.MissingSubject],
    ["sub with a C1 control character", { sub: "ann\u0085" }, TokenFault.MissingSubject],
    ["sub with half a character", { sub: "ann\ud800" }, TokenFault.MissingSubject],
    ["grants that are none", { millrace: "all" }, TokenFault.Claims],
    ["grants that are null", { millrace: null }, TokenFault.Claims],
    ["grants with a pattern that is none", { millrace: { subscribe: ["a*"] } }, TokenFault.Claims],
    ["claims of others", { scope: "x", roles: ["y"] }, "ok"],
  ];
  for (const [name, claims, expected] of cases) {
    it(`with ${name}: ${expected}`, async () => {
      assertEquals(await outcomeOf(await sign({ sub: "ann", ...claims })), expected);
    });
  }

  it("are refused when they are no object", async () => {
    const { CompactSign } = await import("jose");
    for (const payload of ["[]", "null", "1", `"a"`, "", "{", `{"sub":"ann","exp":1e999}`]) {
      const token = await new CompactSign(Buffer.from(payload)).setProtectedHeader({ alg: "HS256" }).sign(
        Buffer.from(SECRET),
      );
      assertEquals(await outcomeOf(token), TokenFault.Malformed, payload);
    }
  });

  it("expire while the clock moves", async () => {
    const clock = new ManualClock();
    const token = await sign({ sub: "ann", exp: now + 60 });
    assertEquals(await outcomeOf(token, {}, clock), "ok");
    clock.advance(64_999);
    assertEquals(await outcomeOf(token, {}, clock), "ok");
    clock.advance(1);
    assertEquals(await outcomeOf(token, {}, clock), TokenFault.Expired);
  });

  it("name the audience that is configured, alone or in a list (RFC 7519 section 4.1.3)", async () => {
    const audience = "millrace";
    const expected: [unknown, string][] = [
      ["millrace", "ok"],
      [["other", "millrace"], "ok"],
      ["other", TokenFault.Audience],
      ["Millrace", TokenFault.Audience],
      [["other", "millrace2"], TokenFault.Audience],
      [[], TokenFault.Audience],
      [[["millrace"]], TokenFault.Audience],
      [{ millrace: true }, TokenFault.Audience],
      [undefined, TokenFault.Audience],
    ];
    for (const [aud, result] of expected) {
      const token = await sign({ sub: "ann", aud: aud as string });
      assertEquals(await outcomeOf(token, { audience }), result, JSON.stringify(aud));
      assertEquals(await outcomeOf(token), "ok");
    }
  });

  it("name the issuer that is configured (RFC 7519 section 4.1.1)", async () => {
    const issuer = "https://id.example.com/";
    for (
      const [iss, result] of [[issuer, "ok"], ["https://id.example.com", "issuer"], [[issuer], "issuer"], [
        undefined,
        "issuer",
      ]]
    ) {
      const token = await sign({ sub: "ann", iss: iss as string });
      assertEquals(await outcomeOf(token, { issuer }), result, JSON.stringify(iss));
      assertEquals(await outcomeOf(token), "ok");
    }
  });
});
