/**
 * The keys that signatures of tokens are checked with: a shared secret, public keys from a file, or a published set.
 * Which algorithms go with which kind of key is decided here, once, at the start; a token can only choose among the
 * keys that are left (RFC 8725 section 3.1). Never sees a token's claims.
 */
import { Buffer } from "node:buffer";
import { createPublicKey, type JsonWebKey } from "node:crypto";
import { createLocalJWKSet, type CryptoKey, type JWK, type JWTHeaderParameters } from "jose";
import { KeyError, readKeyFile } from "./key_file.ts";

/** Where the keys come from. */
export type KeySettings =
  | { readonly kind: "secret"; readonly secret: string }
  | { readonly kind: "secret-file"; readonly file: string }
  | { readonly kind: "public-key-file"; readonly file: string }
  | { readonly kind: "jwks"; readonly url: string };

/** Finds the key for the header of a token whose algorithm is one of those configured. */
export interface Keys {
  /** @throws what jose throws for a set without a key that fits, or with several that do */
  find(header: JWTHeaderParameters): Promise<CryptoKey>;
}

interface AlgorithmSpec {
  readonly kty: "oct" | "RSA" | "EC" | "OKP";
  readonly crv?: string;
  /** For HMAC: as long as the hash at least (RFC 7518 section 3.2). */
  readonly minSecretBytes?: number;
}

const rsa: AlgorithmSpec = { kty: "RSA" };
const ed25519: AlgorithmSpec = { kty: "OKP", crv: "Ed25519" };

/** Every algorithm that can be configured; `none` is not one. */
const algorithmSpecs: ReadonlyMap<string, AlgorithmSpec> = new Map<string, AlgorithmSpec>([
  ["HS256", { kty: "oct", minSecretBytes: 32 }],
  ["HS384", { kty: "oct", minSecretBytes: 48 }],
  ["HS512", { kty: "oct", minSecretBytes: 64 }],
  ["RS256", rsa],
  ["RS384", rsa],
  ["RS512", rsa],
  ["PS256", rsa],
  ["PS384", rsa],
  ["PS512", rsa],
  ["ES256", { kty: "EC", crv: "P-256" }],
  ["ES384", { kty: "EC", crv: "P-384" }],
  ["ES512", { kty: "EC", crv: "P-521" }],
  ["EdDSA", ed25519],
  ["Ed25519", ed25519],
]);

/** The names of the algorithms that can be configured. */
export const tokenAlgorithms: readonly string[] = [...algorithmSpecs.keys()];

/** RFC 7518 sections 3.3 and 3.5. */
const MIN_RSA_BITS = 2048;

/**
 * Checks that the algorithms are known ones and go with the kind of key: a public key that serves as an HMAC secret
 * is known to everybody.
 * @throws {KeyError}
 */
export function checkAlgorithms(kind: KeySettings["kind"], algorithms: readonly string[]): void {
  if (algorithms.length === 0) throw new KeyError("no algorithm is configured for tokens");
  const secret = kind === "secret" || kind === "secret-file";
  for (const algorithm of algorithms) {
    const spec = algorithmSpecs.get(algorithm);
    if (spec === undefined) {
      throw new KeyError(
        `${algorithm} is not an algorithm for tokens; there are ${tokenAlgorithms.join(", ")}`,
      );
    }
    if ((spec.kty === "oct") !== secret) {
      throw new KeyError(
        secret
          ? `${algorithm} needs a public key, not a secret`
          : `${algorithm} needs a secret, not a public key`,
      );
    }
  }
}

/**
 * Keys from a shared secret.
 * @param from what to call it in an error
 * @throws {KeyError} when the secret is shorter than an algorithm's hash
 */
export function secretKeys(secret: Uint8Array, algorithms: readonly string[], from: string): Keys {
  for (const algorithm of algorithms) {
    const minBytes = algorithmSpecs.get(algorithm)?.minSecretBytes ?? 0;
    if (secret.length < minBytes) {
      throw new KeyError(
        `${from} is too short: ${algorithm} needs ${minBytes} bytes or more, these are ${secret.length}`,
      );
    }
  }
  const imported = new Map<string, Promise<CryptoKey>>();
  return {
    find({ alg }) {
      let key = imported.get(alg);
      if (key === undefined) {
        const hash = alg.replace("HS", "SHA-");
        const bytes = Uint8Array.from(secret);
        key = crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash }, false, ["verify"]);
        imported.set(alg, key);
      }
      return key;
    },
  };
}

/** The secret of a file: its bytes without the line end that editors add. */
function readSecret(file: string): Uint8Array {
  const bytes = readKeyFile(file);
  const end = bytes.at(-1) !== 0x0a ? 0 : bytes.at(-2) === 0x0d ? 2 : 1;
  return bytes.subarray(0, bytes.length - end);
}

/**
 * Keys that are a set of public ones. A token's `kid` chooses among them, unless none of them has one. Keys that no
 * token can be checked with (of other types, too short, damaged, not public) are left out (RFC 7517 section 5).
 */
export function publicKeys(jwks: readonly JWK[]): Keys {
  const usable = jwks.filter(isUsable);
  const find = createLocalJWKSet({ keys: usable });
  const named = usable.some((jwk) => jwk.kid !== undefined);
  return { find: (header) => find(named ? header : { alg: header.alg }) };
}

function isUsable(jwk: JWK): boolean {
  if (jwk.d !== undefined) return false;
  try {
    // jose leaves what it does not know about a key in place; the key itself is read from its own members.
    const key = createPublicKey({ key: jwk as JsonWebKey, format: "jwk" });
    return jwk.kty !== "RSA" || (key.asymmetricKeyDetails?.modulusLength ?? 0) >= MIN_RSA_BITS;
  } catch {
    return false; // whatever a runtime says about a damaged key, there is no checking a signature with it
  }
}

function fits(jwk: JWK, algorithm: string): boolean {
  const spec = algorithmSpecs.get(algorithm);
  return spec !== undefined && jwk.kty === spec.kty && (spec.crv === undefined || jwk.crv === spec.crv) &&
    (jwk.alg === undefined || jwk.alg === algorithm) && (jwk.use === undefined || jwk.use === "sig");
}

/** The keys of a file: a PEM block, a JWK, or a set of them. */
function readPublicKeys(file: string, algorithms: readonly string[]): Keys {
  const text = readKeyFile(file).toString("utf8").trim();
  const jwks = text.startsWith("{") ? jwksOfJson(text, file) : [jwkOfPem(text, file)];
  if (jwks.some((jwk) => jwk.kty === "oct")) {
    throw new KeyError(`${file} holds a secret, not public keys only`);
  }
  if (jwks.some((jwk) => jwk.d !== undefined)) throw new KeyError(`${file} holds a private key`);
  const usable = jwks.filter(isUsable);
  if (usable.length < jwks.length) {
    throw new KeyError(
      `${file} holds a key that is damaged, of an unknown type, or an RSA key below ${MIN_RSA_BITS} bits`,
    );
  }
  if (!usable.some((jwk) => algorithms.some((algorithm) => fits(jwk, algorithm)))) {
    throw new KeyError(`${file} holds no key for ${algorithms.join(", ")}`);
  }
  return publicKeys(usable);
}

function jwkOfPem(text: string, file: string): JWK {
  const labels = [...text.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----/g)].map(([, label = ""]) => label);
  if (labels.some((label) => label.endsWith("PRIVATE KEY"))) {
    throw new KeyError(`${file} holds a private key`);
  }
  if (labels.length > 1) {
    throw new KeyError(`${file} holds ${labels.length} PEM blocks; several keys go in a JWKS`);
  }
  if (labels[0] !== "PUBLIC KEY" && labels[0] !== "CERTIFICATE") {
    throw new KeyError(`${file} holds neither a PEM public key or certificate nor a JWK or JWKS`);
  }
  try {
    // Types of jose and of Node describe the same JSON.
    return createPublicKey(text.slice(text.indexOf("-----BEGIN"))).export({ format: "jwk" }) as JWK;
  } catch {
    throw new KeyError(`${file} holds a damaged ${labels[0].toLowerCase()}, or one of an unknown type`);
  }
}

function jwksOfJson(text: string, file: string): readonly JWK[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new KeyError(`${file} is not valid JSON`); // the parser's message would quote it
  }
  const jwks = jwksOf(value) ?? (isJwk(value) ? [value] : undefined);
  if (jwks === undefined) throw new KeyError(`${file} is neither a JWK nor a JWKS`);
  return jwks;
}

function isJwk(value: unknown): value is JWK {
  return typeof value === "object" && value !== null && typeof (value as JWK).kty === "string";
}

/** The keys of a JSON Web Key Set (RFC 7517 section 5); undefined when `value` is none. */
export function jwksOf(value: unknown): readonly JWK[] | undefined {
  const keys = (value as { keys?: unknown } | null)?.keys;
  return Array.isArray(keys) && keys.every(isJwk) ? keys : undefined;
}

/**
 * Reads the keys that are here: a secret or a file.
 * @throws {KeyError} when they cannot be read or used
 */
export function readKeys(
  settings: Exclude<KeySettings, { kind: "jwks" }>,
  algorithms: readonly string[],
): Keys {
  switch (settings.kind) {
    case "secret":
      return secretKeys(Buffer.from(settings.secret, "utf8"), algorithms, "the token secret");
    case "secret-file":
      return secretKeys(readSecret(settings.file), algorithms, `the token secret in ${settings.file}`);
    case "public-key-file":
      return readPublicKeys(settings.file, algorithms);
  }
}
