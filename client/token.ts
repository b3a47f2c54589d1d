/** The token of a connection: asked of the application, and again before it runs out. It sends nothing by itself. */
import type { Backoff } from "./backoff.ts";
import type { Clock } from "./clock.ts";
import type { ClientOptions, TokenReason } from "./options.ts";

const MS_PER_SECOND = 1_000;
/** A token is renewed this long before it runs out, or a fifth of what is left of a short life. */
const MARGIN_MS = 30_000;
const MARGIN_SHARE = 0.2;

export interface TokenOptions {
  readonly source: NonNullable<ClientOptions["token"]>;
  readonly clock: Clock;
  readonly backoff: Backoff;
  /** There is one to send. */
  readonly got: (token: string) => void;
  /** The application could give none; it will be asked again. */
  readonly failed: (error: unknown) => void;
}

export interface Token {
  /** Asks for one, until there is one. */
  ask(reason: TokenReason): void;
  /**
   * The server has taken one. When by our clock it has run out already, our clock is wrong: the server will say.
   * @param expiresAt seconds since 1970; undefined for one that lasts
   */
  accepted(expiresAt: number | undefined): void;
  /** Its connection has ended. */
  stop(): void;
}

export function createToken({ source, clock, backoff, got, failed }: TokenOptions): Token {
  const stopping = new AbortController();
  const { signal } = stopping;
  let cancel = (): void => {};

  const ask = async (reason: TokenReason): Promise<void> => {
    try {
      const token = await source(reason, signal);
      if (signal.aborted) return;
      backoff.reset();
      got(token);
    } catch (error) {
      if (signal.aborted) return;
      failed(error);
      cancel = clock.after(backoff.next(), () => void ask(reason));
    }
  };
  const accepted = (expiresAt: number | undefined): void => {
    if (expiresAt === undefined) return;
    const leftMs = () => expiresAt * MS_PER_SECOND - clock.wallMs();
    const marginMs = Math.min(MARGIN_MS, leftMs() * MARGIN_SHARE);
    const wait = (): void => {
      // A timer may come early: none lasts as long as some tokens.
      cancel = clock.after(leftMs() - marginMs, () => {
        if (leftMs() > marginMs) wait();
        else void ask("refresh");
      });
    };
    if (marginMs > 0) wait();
  };
  return {
    ask: (reason) => void ask(reason),
    accepted,
    stop() {
      stopping.abort();
      cancel();
    },
  };
}
