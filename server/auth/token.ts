/**
 * Tokens (JWT, RFC 7519): who the bearer is, until when, and what the issuer grants. A token that is not accepted
 * yields a reason and nothing else: no part of a token is ever returned, thrown or logged from here.
 * Never learns how a token arrived or what becomes of its bearer.
 */
import { errors, type JWTPayload, jwtVerify, type JWTVerifyOptions } from "jose";
import type { Clock } from "../clock.ts";
import { KeysUnavailable, RemoteKeys } from "./jwks.ts";
import { checkAlgorithms, type Keys, type KeySettings, readKeys } from "./keys.ts";
import { type Grants, parseGrants } from "./permissions.ts";

/** How tokens are checked. */
export interface TokenSettings {
  readonly key: KeySettings;
  /** The only ones accepted, whatever a token says. */
  readonly algorithms: readonly string[];
  /** What `aud` must name; "" accepts any. */
  readonly audience: string;
  /** What `iss` must be; "" accepts any. */
  readonly issuer: string;
  /** By how much the issuer's clock may differ from ours. */
  readonly clockToleranceSeconds: number;
  /** Keys from a URL are fetched again after this; 600 when left out. */
  readonly jwksCacheSeconds?: number;
  /** The pause between two fetches that unknown keys cause; 30 when left out. */
  readonly jwksCooldownSeconds?: number;
  /** How long a fetch may take; 5 when left out. */
  readonly jwksTimeoutSeconds?: number;
}

/** Why a token is not accepted. */
export const TokenFault = {
  /** Not a signed JWT, too long, or with headers or dates that RFC 7515 and RFC 7519 do not allow. */
  Malformed: "malformed",
  /** No key of ours has made the signature. */
  Signature: "signature",
  Expired: "expired",
  NotYetValid: "not_yet_valid",
  /** For somebody else. */
  Audience: "audience",
  /** From somebody else. */
  Issuer: "issuer",
  /** Signed with an algorithm that is not configured. */
  Algorithm: "algorithm",
  /** `sub` is missing or cannot be a user's name. */
  MissingSubject: "missing_subject",
  /** The `millrace` claim does not hold grants. */
  Claims: "claims",
  /** The keys cannot be had or used now: not the token's fault, the same token may pass later. */
  KeysUnavailable: "keys_unavailable",
} as const;
export type TokenFault = typeof TokenFault[keyof typeof TokenFault];

/** Who an accepted token speaks for. */
export interface Identity {
  readonly user: string;
  /**
   * From when on the token is no longer accepted: its `exp` plus the clock tolerance, in milliseconds since 1970. It
   * may be centuries away, further than a timer reaches.
   */
  readonly expiresAtMs: number | undefined;
  readonly grants: Grants | undefined;
}

/** What became of a token. */
export type Verified =
  | { readonly ok: true; readonly identity: Identity }
  | { readonly ok: false; readonly reason: TokenFault };

/** Checks tokens. */
export interface TokenVerifier {
  /** Never rejects, whatever `token` is. */
  verify(token: string): Promise<Verified>;
  /**
   * Reads key files again; keys from a URL are fetched again for the next token.
   * @throws {KeyError} when the new keys cannot be used; the old ones stay
   */
  reload(): void;
}

/** Longer ones are malformed without a look at them. */
const MAX_TOKEN_LENGTH = 8 * 1024;
/** The compact serialization (RFC 7515 section 7.1). jose's decoder would let whitespace and padding pass. */
const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*$/;
/** The claim with the grants. */
const GRANTS_CLAIM = "millrace";
/** 1 to 256 characters without control characters and halves of characters. */
const SUBJECT = /^[^\p{Cc}\p{Cs}]{1,256}$/u;
/** The last moment that a Date can be (ECMA-262, time values). */
const MAX_DATE_MS = 8.64e15;
const SECOND_MS = 1_000;

const DEFAULT_JWKS_CACHE_SECONDS = 600;
const DEFAULT_JWKS_COOLDOWN_SECONDS = 30;
const DEFAULT_JWKS_TIMEOUT_SECONDS = 5;

/**
 * Makes a verifier; reads key files at once, fetches nothing yet.
 * @throws {KeyError} when the keys cannot be read, or do not go with the algorithms
 */
export function createTokenVerifier(settings: TokenSettings, clock: Clock): TokenVerifier {
  const { key, algorithms } = settings;
  checkAlgorithms(key.kind, algorithms);
  if (key.kind === "jwks") {
    const timing = {
      cacheSeconds: settings.jwksCacheSeconds ?? DEFAULT_JWKS_CACHE_SECONDS,
      cooldownSeconds: settings.jwksCooldownSeconds ?? DEFAULT_JWKS_COOLDOWN_SECONDS,
      timeoutSeconds: settings.jwksTimeoutSeconds ?? DEFAULT_JWKS_TIMEOUT_SECONDS,
    };
    const keys = new RemoteKeys(key.url, timing, clock);
    return { verify: (token) => verify(token, keys, settings, clock), reload: () => keys.expire() };
  }
  let keys = readKeys(key, algorithms);
  return {
    verify: (token) => verify(token, keys, settings, clock),
    reload: () => keys = readKeys(key, algorithms),
  };
}

async function verify(token: string, keys: Keys, settings: TokenSettings, clock: Clock): Promise<Verified> {
  if (token.length > MAX_TOKEN_LENGTH || !COMPACT.test(token)) {
    return { ok: false, reason: TokenFault.Malformed };
  }
  try {
    return identify(await readClaims(token, keys, verifyOptions(settings, clock)), settings);
  } catch (error) {
    return { ok: false, reason: faultOf(error) };
  }
}

function verifyOptions(settings: TokenSettings, clock: Clock): JWTVerifyOptions {
  const { audience, issuer } = settings;
  return {
    algorithms: [...settings.algorithms],
    clockTolerance: settings.clockToleranceSeconds,
    currentDate: new Date(clock.wallMs()),
    ...(audience === "" ? {} : { audience }),
    ...(issuer === "" ? {} : { issuer }),
  };
}

/** The claims of a token with a valid signature; several keys may have to be tried when the token names none. */
async function readClaims(token: string, keys: Keys, options: JWTVerifyOptions): Promise<JWTPayload> {
  try {
    return (await jwtVerify(token, (header) => keys.find(header), options)).payload;
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
    for await (const key of error) {
      try {
        return (await jwtVerify(token, key, options)).payload;
      } catch (fault) {
        if (!(fault instanceof errors.JWSSignatureVerificationFailed)) throw fault;
      }
    }
    throw new errors.JWSSignatureVerificationFailed();
  }
}

function identify(claims: JWTPayload, settings: TokenSettings): Verified {
  const { sub, exp } = claims;
  if (typeof sub !== "string" || !SUBJECT.test(sub)) return { ok: false, reason: TokenFault.MissingSubject };
  const expiresAtMs = exp === undefined ? undefined : (exp + settings.clockToleranceSeconds) * SECOND_MS;
  if (expiresAtMs !== undefined && expiresAtMs > MAX_DATE_MS) {
    return { ok: false, reason: TokenFault.Malformed };
  }
  const claimed = claims[GRANTS_CLAIM];
  const grants = claimed === undefined ? undefined : parseGrants(claimed);
  if (grants !== undefined && "problem" in grants) return { ok: false, reason: TokenFault.Claims };
  return { ok: true, identity: { user: sub, expiresAtMs, grants } };
}

function faultOf(error: unknown): TokenFault {
  if (error instanceof KeysUnavailable) return TokenFault.KeysUnavailable;
  if (error instanceof errors.JWTExpired) return TokenFault.Expired;
  if (error instanceof errors.JWTClaimValidationFailed) return claimFault(error);
  if (error instanceof errors.JOSEAlgNotAllowed) return TokenFault.Algorithm;
  if (
    error instanceof errors.JWSSignatureVerificationFailed || error instanceof errors.JWKSNoMatchingKey
  ) return TokenFault.Signature;
  if (
    error instanceof errors.JWSInvalid || error instanceof errors.JWTInvalid ||
    error instanceof errors.JOSENotSupported
  ) return TokenFault.Malformed;
  // What is left are keys that a runtime cannot import or use. The error is dropped: it may quote the token.
  return TokenFault.KeysUnavailable;
}

function claimFault({ claim, reason }: errors.JWTClaimValidationFailed): TokenFault {
  if (claim === "aud") return TokenFault.Audience;
  if (claim === "iss") return TokenFault.Issuer;
  return claim === "nbf" && reason === "check_failed" ? TokenFault.NotYetValid : TokenFault.Malformed;
}
