/**
 * Public keys from a URL (a JWKS, RFC 7517): fetched when first needed, kept for a while, fetched again when a token
 * names a key that is not there. At most one fetch is under way, and there is a pause between two, so that forged
 * tokens cannot make this server hammer another. Never sees a token.
 *
 * jose's remote set is not used: it keeps time by itself, has no pause after a fetch that failed, and forgets keys that
 * it still has when the cache is old and the server is down.
 */
import { Buffer } from "node:buffer";
import { type CryptoKey, errors, type JWTHeaderParameters } from "jose";
import type { Clock } from "../clock.ts";
import { KeyError } from "./key_file.ts";
import { jwksOf, type Keys, publicKeys } from "./keys.ts";

/** How a JWKS is fetched. */
export interface JwksTiming {
  /** Keys older than this are fetched again before they are used. */
  readonly cacheSeconds: number;
  /** The pause after a fetch before an unknown key may cause another. */
  readonly cooldownSeconds: number;
  /** A fetch that takes longer has failed. */
  readonly timeoutSeconds: number;
}

/** The keys for a token cannot be known now; they may be later. */
export class KeysUnavailable extends Error {
  override readonly name = "KeysUnavailable";
}

/** The pause after a fetch that failed, unless the cooldown is shorter. */
const RETRY_SECONDS = 5;
/**
 * How long keys past their cache time are used while they cannot be fetched. Not for ever: who can keep the server
 * from answering must not thereby keep a withdrawn key alive.
 */
const MAX_STALE_SECONDS = 3_600;
const MAX_JWKS_BYTES = 256 * 1024;
const SECOND_MS = 1_000;

/** The hosts for which a URL without TLS is safe: nobody is in between. */
const LOOPBACK_HOST = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

function checkUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined) throw new KeyError("the JWKS URL is not a URL");
  const safe = url.protocol === "https:" || (url.protocol === "http:" && LOOPBACK_HOST.test(url.hostname));
  if (!safe) throw new KeyError("the JWKS URL must be https, or http to a loopback host");
  if (url.username !== "" || url.password !== "") {
    throw new KeyError("the JWKS URL must not hold credentials");
  }
  return url.href;
}

/** A published set of keys. */
export class RemoteKeys implements Keys {
  private readonly url: string;
  private readonly clock: Clock;
  private readonly cacheMs: number;
  private readonly cooldownMs: number;
  private readonly timeoutMs: number;
  private keys: Keys | undefined;
  private fetchedAt = 0;
  private mayFetchAt = 0;
  private lastFailed = false;
  private expired = false;
  private pending: Promise<void> | undefined;

  /** Fetches nothing yet. @throws {KeyError} when the URL is not https, or http to a loopback host */
  constructor(url: string, timing: JwksTiming, clock: Clock) {
    this.url = checkUrl(url);
    this.clock = clock;
    this.cacheMs = timing.cacheSeconds * SECOND_MS;
    this.cooldownMs = Math.min(timing.cooldownSeconds * SECOND_MS, this.cacheMs);
    this.timeoutMs = timing.timeoutSeconds * SECOND_MS;
    this.mayFetchAt = clock.now();
  }

  /**
   * @throws {KeysUnavailable} when there are no keys, or none that fits and the last fetch failed
   * @throws what jose throws for a set without a key that fits, or with several that do
   */
  async find(header: JWTHeaderParameters): Promise<CryptoKey> {
    if (this.keys === undefined || this.expired || this.ageMs() >= this.cacheMs) await this.refresh();
    const keys = this.current();
    try {
      return await keys.find(header);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      await this.refresh();
      if (this.lastFailed) throw new KeysUnavailable();
      if (this.current() === keys) throw error;
      return await this.current().find(header);
    }
  }

  /** Has the keys fetched again before they are next used, whatever their age. */
  expire(): void {
    this.expired = true;
    this.mayFetchAt = this.clock.now();
  }

  private ageMs(): number {
    return this.clock.now() - this.fetchedAt;
  }

  private current(): Keys {
    if (this.keys === undefined || this.ageMs() >= this.cacheMs + MAX_STALE_SECONDS * SECOND_MS) {
      throw new KeysUnavailable();
    }
    return this.keys;
  }

  /** Fetches the keys, unless it is too early; joins a fetch that is under way. Never rejects. */
  private refresh(): Promise<void> {
    if (this.pending === undefined && this.clock.now() >= this.mayFetchAt) {
      this.pending = this.fetchKeys().finally(() => this.pending = undefined);
    }
    return this.pending ?? Promise.resolve();
  }

  private async fetchKeys(): Promise<void> {
    const abort = new AbortController();
    const cancel = this.clock.after(this.timeoutMs, () => abort.abort());
    try {
      this.keys = await fetchJwks(this.url, abort.signal);
      this.fetchedAt = this.clock.now();
      this.mayFetchAt = this.fetchedAt + this.cooldownMs;
      this.lastFailed = false;
      this.expired = false;
    } catch {
      // Why does not matter to a token: its sender is told to come again, and the keys that are here remain.
      this.mayFetchAt = this.clock.now() + Math.min(this.cooldownMs, RETRY_SECONDS * SECOND_MS);
      this.lastFailed = true;
    } finally {
      cancel();
    }
  }
}

async function fetchJwks(url: string, signal: AbortSignal): Promise<Keys> {
  // A redirect could lead to where there is no TLS.
  const response = await fetch(url, {
    signal,
    redirect: "manual",
    headers: { accept: "application/jwk-set+json, application/json" },
  });
  if (response.status !== 200 || response.body === null) {
    await response.body?.cancel();
    throw new KeysUnavailable();
  }
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body) {
    bytes += chunk.length;
    if (bytes > MAX_JWKS_BYTES) throw new KeysUnavailable();
    chunks.push(chunk);
  }
  const jwks = jwksOf(JSON.parse(Buffer.concat(chunks).toString("utf8")));
  if (jwks === undefined) throw new KeysUnavailable();
  return publicKeys(jwks);
}
