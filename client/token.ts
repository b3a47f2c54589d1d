/** The token of a connection: asked of the application, and again before it runs out. It sends nothing by itself. */
import type { Backoff } from "./backoff.ts";
import type { Clock } from "./clock.ts";
import type { ClientOptions, TokenReason } from "./options.ts";

const MS_PER_SECOND = 1_000;
/** A token is renewed this long before it runs out, or after four fifths of a short life. */
const MARGIN_MS = 30_000;
const USED_SHARE = 0.8;

export interface TokenOptions {
  readonly source: NonNullable<ClientOptions["token"]>;
  readonly clock: Clock;
  readonly backoff: Backoff;
  /** There is one to send. */
  readonly got: (token: string) => void;
  /** The application could give none; it will be asked again. */
  readonly failed: (error: unknown) => void;
}

export class Token {
  private readonly options: TokenOptions;
  private readonly stopping = new AbortController();
  private cancel: () => void = () => {};

  constructor(options: TokenOptions) {
    this.options = options;
  }

  /** Asks for one, until there is one. */
  async ask(reason: TokenReason): Promise<void> {
    const { source, got, failed, clock, backoff } = this.options;
    const { signal } = this.stopping;
    try {
      const token = await source(reason, signal);
      if (signal.aborted) return;
      backoff.reset();
      got(token);
    } catch (error) {
      if (signal.aborted) return;
      failed(error);
      this.cancel = clock.after(backoff.next(), () => void this.ask(reason));
    }
  }

  /**
   * The server has taken one. When by our clock it has run out already, our clock is wrong: the server will say.
   * @param expiresAt seconds since 1970; undefined for one that lasts
   */
  accepted(expiresAt: number | undefined): void {
    if (expiresAt === undefined) return;
    const { clock } = this.options;
    const leftMs = expiresAt * MS_PER_SECOND - clock.wallMs();
    if (leftMs <= 0) return;
    this.cancel = clock.after(Math.max(leftMs * USED_SHARE, leftMs - MARGIN_MS), () => {
      // Longer than a timer lasts, or asleep meanwhile: look again.
      const restMs = expiresAt * MS_PER_SECOND - clock.wallMs();
      if (restMs > MARGIN_MS && restMs > leftMs * USED_SHARE) this.accepted(expiresAt);
      else void this.ask("refresh");
    });
  }

  /** Its connection has ended. */
  stop(): void {
    this.stopping.abort();
    this.cancel();
  }
}
