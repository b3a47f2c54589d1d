/** Tokens as an issuer makes them, and as a forger does. */
import { Buffer } from "node:buffer";
import {
  type CryptoKey,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JWK,
  type JWTPayload,
  SignJWT,
} from "jose";
import type { TokenFault, Verified } from "../../server/auth/token.ts";
import { WALL_START_MS } from "./manual_clock.ts";

/** {@link WALL_START_MS} as a claim has it. */
export const WALL_START_SECONDS = WALL_START_MS / 1_000;
/** Long enough for every algorithm. */
export const SECRET = "0123456789abcdef".repeat(4);

/** Signs claims. `alg` is HS256 with {@link SECRET} unless told otherwise. */
export async function sign(
  claims: JWTPayload,
  header: Record<string, unknown> = {},
  key: CryptoKey | Uint8Array = Buffer.from(SECRET),
): Promise<string> {
  return await new SignJWT(claims).setProtectedHeader({ alg: "HS256", ...header }).sign(key);
}

/** Parts of a token as they are, signed by nobody. */
export function unsigned(header: unknown, claims: unknown, signature = ""): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part(header)}.${part(claims)}.${signature}`;
}

/** A pair of keys, the public one as a JWK too. */
export async function keyPair(algorithm: string, members: Partial<JWK> = {}) {
  const { publicKey, privateKey } = await generateKeyPair(algorithm, { extractable: true });
  return { publicKey, privateKey, jwk: { ...await exportJWK(publicKey), ...members } as JWK };
}

/** The same pair for another algorithm of its type: RSA keys take long to make. */
export async function forAlgorithm(pair: Awaited<ReturnType<typeof keyPair>>, algorithm: string) {
  const privateJwk = { ...await exportJWK(pair.privateKey), alg: algorithm };
  // A JWK that is no secret is imported as a CryptoKey.
  return { jwk: pair.jwk, privateKey: await importJWK(privateJwk, algorithm) as CryptoKey };
}

/** "ok", or why not. */
export function outcome(verified: Verified): TokenFault | "ok" {
  return verified.ok ? "ok" : verified.reason;
}
