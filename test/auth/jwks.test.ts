/** Keys from a URL: caching, rotation, a server that is down, and how often forged tokens can make us ask it. */
import { Buffer } from "node:buffer";
import type { RequestListener } from "node:http";
import { describe, it } from "node:test";
import { exportJWK } from "jose";
import { assertEquals, assertThrows } from "@std/assert";
import { KeyError } from "../../server/auth/key_file.ts";
import { createTokenVerifier, TokenFault, type TokenVerifier } from "../../server/auth/token.ts";
import { failing, type Issuer, setOf, startIssuer } from "../helpers/issuer.ts";
import { ManualClock } from "../helpers/manual_clock.ts";
import { keyPair, outcome, sign } from "../helpers/tokens.ts";

const [first, second] = [
  await keyPair("ES256", { kid: "first", alg: "ES256", use: "sig" }),
  await keyPair("ES256", { kid: "second", alg: "ES256", use: "sig" }),
];
const token = (pair: typeof first, kid = pair.jwk.kid) =>
  sign({ sub: "ann" }, { alg: "ES256", kid }, pair.privateKey);

async function withIssuer(use: (issuer: Issuer) => Promise<void>): Promise<void> {
  const issuer = await startIssuer(setOf(first.jwk));
  try {
    await use(issuer);
  } finally {
    await issuer.stop();
  }
}

function verifierOf(url: string, clock: ManualClock, jwksCacheSeconds = 600): TokenVerifier {
  const timing = { jwksCacheSeconds, jwksCooldownSeconds: 30, jwksTimeoutSeconds: 5 };
  const common = { algorithms: ["ES256"], audience: "", issuer: "", clockToleranceSeconds: 0 };
  return createTokenVerifier({ key: { kind: "jwks", url }, ...common, ...timing }, clock);
}

describe("a published set of keys", () => {
  it("is fetched for the first token and kept for the cache time", async () => {
    await withIssuer(async (issuer) => {
      const clock = new ManualClock();
      const verifier = verifierOf(issuer.url, clock);
      assertEquals(issuer.fetches, 0);
      for (let i = 0; i < 5; i++) assertEquals(outcome(await verifier.verify(await token(first))), "ok");
      assertEquals(issuer.fetches, 1);
      clock.advance(599_999);
      assertEquals(outcome(await verifier.verify(await token(first))), "ok");
      assertEquals(issuer.fetches, 1);
      clock.advance(1);
      assertEquals(outcome(await verifier.verify(await token(first))), "ok");
      assertEquals(issuer.fetches, 2);
    });
  });

  it("is fetched when the cache time is over, even if the cooldown is longer", async () => {
    await withIssuer(async (issuer) => {
      const clock = new ManualClock();
      const verifier = verifierOf(issuer.url, clock, 10);
      for (let fetches = 1; fetches <= 3; fetches++) {
        assertEquals(outcome(await verifier.verify(await token(first))), "ok");
        assertEquals(issuer.fetches, fetches);
        clock.advance(10_000);
      }
    });
  });

  it("is fetched once for all tokens that wait for it", async () => {
    await withIssuer(async (issuer) => {
      const verifier = verifierOf(issuer.url, new ManualClock());
      const valid = await token(first);
      const all = await Promise.all(Array.from({ length: 50 }, () => verifier.verify(valid)));
      assertEquals(all.filter(({ ok }) => ok).length, 50);
      assertEquals(issuer.fetches, 1);
    });
  });

  it("is fetched again for a key that is not in it, and no longer accepts the key that has gone", async () => {
    await withIssuer(async (issuer) => {
      const clock = new ManualClock();
      const verifier = verifierOf(issuer.url, clock);
      assertEquals(outcome(await verifier.verify(await token(first))), "ok");
      issuer.answer = setOf(first.jwk, second.jwk);
      clock.advance(30_000);
      assertEquals(outcome(await verifier.verify(await token(second))), "ok");
      assertEquals(outcome(await verifier.verify(await token(first))), "ok");
      assertEquals(issuer.fetches, 2);
      issuer.answer = setOf(second.jwk);
      clock.advance(600_000);
      assertEquals(outcome(await verifier.verify(await token(second))), "ok");
      assertEquals(outcome(await verifier.verify(await token(first))), TokenFault.Signature);
    });
  });

  it("is fetched once per cooldown at most, however many forged keys are named", async () => {
    await withIssuer(async (issuer) => {
      const clock = new ManualClock();
      const verifier = verifierOf(issuer.url, clock);
      const forge = async (count: number) => {
        const tokens = await Promise.all(
          Array.from({ length: count }, (_, i) => token(second, `forged-${i}`)),
        );
        for (const verified of await Promise.all(tokens.map((forged) => verifier.verify(forged)))) {
          assertEquals(outcome(verified), TokenFault.Signature);
        }
      };
      await forge(100);
      assertEquals(issuer.fetches, 1);
      clock.advance(29_999);
      await forge(100);
      assertEquals(issuer.fetches, 1);
      clock.advance(1);
      await forge(100);
      assertEquals(issuer.fetches, 2);
      assertEquals(outcome(await verifier.verify(await token(first))), "ok");
    });
  });

  it("is not fetched for an algorithm that is not configured, nor for what is no token", async () => {
    await withIssuer(async (issuer) => {
      const verifier = verifierOf(issuer.url, new ManualClock());
      assertEquals(outcome(await verifier.verify(await sign({ sub: "ann" }))), TokenFault.Algorithm);
      assertEquals(outcome(await verifier.verify("a.b.c")), TokenFault.Malformed);
      assertEquals(issuer.fetches, 0);
      assertEquals(outcome(await verifier.verify(await token(first))), "ok");
    });
  });

  it("is fetched anew after a reload", async () => {
    await withIssuer(async (issuer) => {
      const verifier = verifierOf(issuer.url, new ManualClock());
      assertEquals(outcome(await verifier.verify(await token(first))), "ok");
      issuer.answer = setOf(second.jwk);
      verifier.reload();
      assertEquals(outcome(await verifier.verify(await token(first))), TokenFault.Signature);
      assertEquals(outcome(await verifier.verify(await token(second))), "ok");
      assertEquals(issuer.fetches, 2);
    });
  });

  it("leaves out members that no token may be checked with", async () => {
    await withIssuer(async (issuer) => {
      const secret = { kty: "oct", kid: "first", k: Buffer.from("x".repeat(32)).toString("base64url") };
      const broken = { ...second.jwk, x: "AAAA" };
      issuer.answer = setOf(
        secret,
        broken,
        { kty: "new", kid: "first" },
        { ...await exportJWK(second.privateKey), kid: "second" },
        first.jwk,
      );
      const verifier = verifierOf(issuer.url, new ManualClock());
      assertEquals(outcome(await verifier.verify(await token(first))), "ok");
      assertEquals(outcome(await verifier.verify(await token(second))), TokenFault.Signature);
    });
  });
});

describe("an issuer that is down", () => {
  it("leaves the cached keys in use, for an hour past their time", async () => {
    await withIssuer(async (issuer) => {
      const clock = new ManualClock();
      const verifier = verifierOf(issuer.url, clock);
      assertEquals(outcome(await verifier.verify(await token(first))), "ok");
      await issuer.stop();
      clock.advance(600_000);
      assertEquals(outcome(await verifier.verify(await token(first))), "ok");
      // Whether the issuer has a new key cannot be known.
      assertEquals(outcome(await verifier.verify(await token(second))), TokenFault.KeysUnavailable);
      clock.advance(3_599_999);
      assertEquals(outcome(await verifier.verify(await token(first))), "ok");
      clock.advance(1);
      assertEquals(outcome(await verifier.verify(await token(first))), TokenFault.KeysUnavailable);
    });
  });

  it("makes the keys unavailable when there are none yet, and is asked again after 5 s at the earliest", async () => {
    await withIssuer(async (issuer) => {
      const clock = new ManualClock();
      const verifier = verifierOf(issuer.url, clock);
      issuer.answer = failing;
      for (let i = 0; i < 20; i++) {
        assertEquals(outcome(await verifier.verify(await token(first))), TokenFault.KeysUnavailable);
      }
      assertEquals(issuer.fetches, 1);
      issuer.answer = setOf(first.jwk);
      clock.advance(4_999);
      assertEquals(outcome(await verifier.verify(await token(first))), TokenFault.KeysUnavailable);
      clock.advance(1);
      assertEquals(outcome(await verifier.verify(await token(first))), "ok");
      assertEquals(issuer.fetches, 2);
    });
  });

  it("is no different when nothing listens", async () => {
    await withIssuer(async (issuer) => {
      await issuer.stop();
      const verifier = verifierOf(issuer.url, new ManualClock());
      assertEquals(outcome(await verifier.verify(await token(first))), TokenFault.KeysUnavailable);
    });
  });

  const faults: [name: string, answer: string | RequestListener][] = [
    ["503", failing],
    ["404, whatever comes with it", (_, response) => response.writeHead(404).end(setOf(first.jwk))],
    ["text", "<html>"],
    ["JSON that is no set", `{"keys":{}}`],
    ["a set of other things", `{"keys":[1]}`],
    ["null", "null"],
    ["nothing", ""],
    ["more than 256 KiB", setOf(first.jwk) + " ".repeat(256 * 1024)],
    [
      "a redirect to where the keys are",
      (_, response) => response.writeHead(302, { location: "/jwks" }).end(),
    ],
    ["half an answer", (_, response) => {
      response.writeHead(200, { "content-length": "1000" });
      response.write(`{"keys":[`, () => response.destroy());
    }],
  ];
  for (const [name, answer] of faults) {
    it(`is one that answers with ${name}; what it said before still holds`, async () => {
      await withIssuer(async (issuer) => {
        const clock = new ManualClock();
        const verifier = verifierOf(issuer.url, clock);
        issuer.answer = answer;
        assertEquals(outcome(await verifier.verify(await token(first))), TokenFault.KeysUnavailable);
        assertEquals(issuer.fetches, 1);
        issuer.answer = setOf(first.jwk);
        clock.advance(5_000);
        assertEquals(outcome(await verifier.verify(await token(first))), "ok");
        issuer.answer = answer;
        clock.advance(600_000);
        assertEquals(outcome(await verifier.verify(await token(first))), "ok");
        assertEquals(issuer.fetches, 3);
      });
    });
  }

  for (const [name, begin] of [["says nothing", false], ["stops in the middle", true]] as const) {
    it(`is one that ${name} for 5 s`, async () => {
      await withIssuer(async (issuer) => {
        const clock = new ManualClock();
        const verifier = verifierOf(issuer.url, clock);
        const asked = new Promise<void>((resolve) => {
          issuer.answer = (_, response) => {
            if (begin) response.write(`{"keys":[`);
            resolve();
          };
        });
        const verified = verifier.verify(await token(first));
        await asked;
        clock.advance(5_000);
        assertEquals(outcome(await verified), TokenFault.KeysUnavailable);
      });
    });
  }
});

describe("the URL of a set of keys", () => {
  const verifier = (url: string) => verifierOf(url, new ManualClock());

  it("is https, or http to this machine", () => {
    for (const host of ["localhost", "127.0.0.1:8080", "127.9.9.9", "[::1]:1"]) {
      verifier(`http://${host}/jwks`);
    }
    verifier("https://id.example.com/jwks");
  });

  const refused = [
    "",
    "jwks",
    "http://id.example.com/jwks",
    "http://localhost.example.com/",
    "http://127.0.0.1.example.com/",
    "http://10.0.0.1/",
    "file:///etc/keys",
    "data:,{}",
    "https://u:p4ss@id.example.com/",
  ];
  for (const url of refused) {
    it(`cannot be ${JSON.stringify(url)}`, () => {
      const error = assertThrows(() => verifier(url), KeyError, "the JWKS URL");
      assertEquals(error.message.includes("p4ss"), false);
    });
  }
});
