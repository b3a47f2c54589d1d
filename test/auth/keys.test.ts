/** Keys that are here: secrets and files, what is refused at the start, and files that change. */
import { Buffer } from "node:buffer";
import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { exportPKCS8, exportSPKI } from "jose";
import { assert, assertEquals, assertFalse, assertThrows } from "@std/assert";
import { KeyError } from "../../server/auth/key_file.ts";
import type { KeySettings } from "../../server/auth/keys.ts";
import { createTokenVerifier, TokenFault } from "../../server/auth/token.ts";
import { ManualClock } from "../helpers/manual_clock.ts";
import { withFile } from "../helpers/temp_file.ts";
import { keyPair, outcome, SECRET, sign } from "../helpers/tokens.ts";

function verifierOf(key: KeySettings, ...algorithms: string[]) {
  const settings = { key, algorithms, audience: "", issuer: "", clockToleranceSeconds: 0 };
  return createTokenVerifier(settings, new ManualClock());
}

function fixture(name: string): string {
  return fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));
}

const rsa = await keyPair("RS256");
const [first, second] = [await keyPair("ES256"), await keyPair("ES256")];
const es256 = (pair: typeof first, header: Record<string, unknown> = {}) =>
  sign({ sub: "ann" }, { alg: "ES256", ...header }, pair.privateKey);

describe("the algorithms of tokens", () => {
  const secret: KeySettings = { kind: "secret", secret: SECRET };
  const jwks: KeySettings = { kind: "jwks", url: "https://id.example.com/jwks" };
  const cases: [name: string, key: KeySettings, algorithms: string[], problem: string][] = [
    ["RS256 with a secret", secret, ["RS256"], "RS256 needs a public key"],
    ["HS256 and RS256 with a secret", secret, ["HS256", "RS256"], "RS256 needs a public key"],
    [
      "HS256 with a public key",
      { kind: "public-key-file", file: "/nowhere" },
      ["HS256"],
      "HS256 needs a secret",
    ],
    ["HS256 and RS256 with a JWKS", jwks, ["RS256", "HS256"], "HS256 needs a secret"],
    ["none with a secret", secret, ["none"], "none is not an algorithm"],
    ["none with a JWKS", jwks, ["ES256", "none"], "none is not an algorithm"],
    ["a name in lower case", secret, ["hs256"], "hs256 is not an algorithm"],
    ["a name every object has", secret, ["constructor"], "constructor is not an algorithm"],
    ["no algorithm", secret, [], "no algorithm"],
  ];
  for (const [name, key, algorithms, problem] of cases) {
    it(`cannot be ${name}`, () => {
      assertThrows(() => verifierOf(key, ...algorithms), KeyError, problem);
    });
  }

  it("can be several of one kind", () => {
    verifierOf(secret, "HS256", "HS384", "HS512");
    verifierOf(jwks, "RS256", "PS512", "ES256", "EdDSA");
  });
});

describe("a secret", () => {
  for (const [algorithm, minBytes] of [["HS256", 32], ["HS384", 48], ["HS512", 64]] as const) {
    it(`for ${algorithm} has at least ${minBytes} bytes (RFC 7518 section 3.2)`, () => {
      const short = "s3cr3t".repeat(20).slice(0, minBytes - 1);
      const error = assertThrows(
        () => verifierOf({ kind: "secret", secret: short }, algorithm),
        KeyError,
        `${minBytes}`,
      );
      assertFalse(error.message.includes("s3cr3t"));
      verifierOf({ kind: "secret", secret: `${short}x` }, algorithm);
    });
  }

  it("counts in bytes of UTF-8", () => {
    verifierOf({ kind: "secret", secret: "é".repeat(16) }, "HS256");
  });

  it("is a file's content without the line end after it", async () => {
    const token = await sign({ sub: "ann" });
    for (
      const [content, expected] of [[SECRET, "ok"], [`${SECRET}\n`, "ok"], [`${SECRET}\r\n`, "ok"], [
        `${SECRET}\n\n`,
        TokenFault.Signature,
      ]] as const
    ) {
      await withFile(content, async (file) => {
        assertEquals(
          outcome(await verifierOf({ kind: "secret-file", file }, "HS256").verify(token)),
          expected,
        );
      });
    }
  });

  it("may be any bytes", async () => {
    const bytes = Buffer.from(Array.from({ length: 32 }, (_, i) => 255 - i));
    await withFile(bytes, async (file) => {
      const verifier = verifierOf({ kind: "secret-file", file }, "HS256");
      assertEquals(outcome(await verifier.verify(await sign({ sub: "ann" }, {}, bytes))), "ok");
    });
  });

  it("is replaced by a reload, or stays when the new one cannot be used", async () => {
    const [old, next] = [
      await sign({ sub: "ann" }),
      await sign({ sub: "ann" }, {}, Buffer.from("x".repeat(40))),
    ];
    await withFile(SECRET, async (file, rewrite) => {
      const verifier = verifierOf({ kind: "secret-file", file }, "HS256");
      rewrite("short");
      const error = assertThrows(() => verifier.reload(), KeyError, file);
      assertFalse(error.message.includes("short\n") || error.stack?.includes(SECRET));
      assertEquals(outcome(await verifier.verify(old)), "ok");
      rewrite("x".repeat(40));
      verifier.reload();
      assertEquals(outcome(await verifier.verify(old)), TokenFault.Signature);
      assertEquals(outcome(await verifier.verify(next)), "ok");
    });
  });
});

describe("a file of public keys", () => {
  const read = (file: string, ...algorithms: string[]) =>
    verifierOf({ kind: "public-key-file", file }, ...algorithms);

  it("may be a PEM public key, with whatever kid a token has", async () => {
    await withFile(`# our key\n${await exportSPKI(first.publicKey)}`, async (file) => {
      assertEquals(
        outcome(await read(file, "ES256", "RS256").verify(await es256(first, { kid: "7" }))),
        "ok",
      );
      assertEquals(outcome(await read(file, "ES256").verify(await es256(second))), TokenFault.Signature);
    });
  });

  it("may be an X.509 certificate", async () => {
    const pem = createPrivateKey(readFileSync(fixture("localhost.key.pem"))).export({
      format: "pem",
      type: "pkcs8",
    });
    const { importPKCS8 } = await import("jose");
    const token = await sign({ sub: "ann" }, { alg: "ES256" }, await importPKCS8(`${pem}`, "ES256"));
    const verifier = read(fixture("localhost.cert.pem"), "ES256");
    assertEquals(outcome(await verifier.verify(token)), "ok");
    assertEquals(outcome(await verifier.verify(await es256(first))), TokenFault.Signature);
  });

  it("may be a JWK or a JWKS, whose kid chooses where there is one", async () => {
    const named = [{ ...first.jwk, kid: "1" }, { ...second.jwk, kid: "2" }];
    await withFile(JSON.stringify({ keys: named }), async (file) => {
      const verifier = read(file, "ES256");
      assertEquals(outcome(await verifier.verify(await es256(second, { kid: "2" }))), "ok");
      assertEquals(outcome(await verifier.verify(await es256(second, { kid: "1" }))), TokenFault.Signature);
      assertEquals(outcome(await verifier.verify(await es256(second, { kid: "3" }))), TokenFault.Signature);
      // Without a kid every key that fits is tried.
      assertEquals(outcome(await verifier.verify(await es256(second))), "ok");
      assertEquals(outcome(await verifier.verify(await es256(await keyPair("ES256")))), TokenFault.Signature);
    });
    await withFile(JSON.stringify(first.jwk), async (file) => {
      assertEquals(outcome(await read(file, "ES256").verify(await es256(first, { kid: "any" }))), "ok");
    });
  });

  it("is read again by a reload; a broken one leaves the old keys in place", async () => {
    const [old, next] = [await es256(first), await es256(second)];
    await withFile(await exportSPKI(first.publicKey), async (file, rewrite) => {
      const verifier = read(file, "ES256");
      for (
        const broken of ["", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "{", `{"keys":[]}`]
      ) {
        rewrite(broken);
        assertThrows(() => verifier.reload(), KeyError, file);
        assertEquals(outcome(await verifier.verify(old)), "ok");
      }
      rewrite(await exportSPKI(second.publicKey));
      verifier.reload();
      assertEquals(outcome(await verifier.verify(old)), TokenFault.Signature);
      assertEquals(outcome(await verifier.verify(next)), "ok");
    });
  });

  const weak = generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey;
  const cases: [name: string, content: () => string | Promise<string>, problem: string][] = [
    ["nothing", () => "", "neither a PEM"],
    ["a private key", () => exportPKCS8(first.privateKey), "private key"],
    ["a private JWK", () => JSON.stringify({ ...first.jwk, d: "AAAA" }), "private key"],
    ["a secret", () => JSON.stringify({ kty: "oct", k: "c2VjcmV0" }), "secret"],
    ["two PEM blocks", async () => (await exportSPKI(first.publicKey)).repeat(2), "2 PEM blocks"],
    ["a damaged PEM block", () => "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "damaged"],
    ["damaged JSON", () => `{"kty":"EC","x":"AAAA`, "not valid JSON"],
    ["other JSON", () => `{"a":1}`, "neither a JWK nor"],
    ["no key in a set", () => `{"keys":[]}`, "no key for ES256"],
    ["a damaged JWK", () => JSON.stringify({ ...first.jwk, x: "AAAA" }), "damaged"],
    ["a key of another type", () => JSON.stringify(rsa.jwk), "no key for ES256"],
    ["a key for encryption", () => JSON.stringify({ ...first.jwk, use: "enc" }), "no key for ES256"],
    [
      "an RSA key below 2048 bits (RFC 7518 section 3.3)",
      () => `${weak.export({ format: "pem", type: "spki" })}`,
      "2048",
    ],
  ];
  for (const [name, content, problem] of cases) {
    it(`is refused with ${name}, in words that quote nothing of it`, async () => {
      const text = await content();
      await withFile(text, (file) => {
        const error = assertThrows(() => read(file, "ES256"), KeyError, problem);
        assert(error.message.includes(file));
        assertFalse(
          /AAAA|c2VjcmV0/.test(`${error.message} ${error.cause ?? ""}`) || error.message.includes("\n"),
        );
      });
    });
  }

  it("is refused when it is not there", () => {
    assertThrows(() => read("/nowhere/key.pem", "ES256"), KeyError, "cannot read /nowhere/key.pem: ENOENT");
  });
});
