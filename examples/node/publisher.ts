/**
 * Publishes to Millrace over HTTP: batches, and errors by what can be done about them. It knows nothing of what is
 * published.
 */

export interface Publication {
  readonly topic: string;
  readonly data: unknown;
}

export interface PublisherOptions {
  /** Where Millrace answers HTTP, such as http://127.0.0.1:9001 */
  readonly url: string;
  readonly apiKey: string;
  /** How often a batch is tried while the server or its broker is away. */
  readonly maxAttempts?: number;
}

/** What is not going to be published, however often it is tried. */
export class PublishError extends Error {
  /** Of the HTTP answer; undefined when there was none. */
  readonly status: number | undefined;

  constructor(message: string, status?: number, cause?: unknown) {
    super(message, { cause });
    this.status = status;
  }
}

/** What a batch came to: everything is stored, or the rest is worth another attempt. */
interface Outcome {
  readonly rest: readonly Publication[];
  readonly why?: PublishError;
  readonly waitMs: number;
}

/** The most that one request takes. */
const MAX_BATCH = 1_000;
const DEFAULT_MAX_ATTEMPTS = 5;
const REQUEST_TIMEOUT_MS = 10_000;
const FIRST_WAIT_MS = 200;
const MS_PER_SECOND = 1_000;
const OK = 200;
const UNAVAILABLE = 503;

export class Publisher {
  private readonly options: PublisherOptions;

  constructor(options: PublisherOptions) {
    this.options = options;
  }

  /**
   * Resolves once all of them are stored. What may or may not have been stored when a server went away is published
   * again: a loss would be worse here than a duplicate, which readers know by an id in the data.
   * @throws {PublishError} (as a rejection)
   */
  async publish(publications: readonly Publication[]): Promise<void> {
    for (let at = 0; at < publications.length; at += MAX_BATCH) {
      await this.publishBatch(publications.slice(at, at + MAX_BATCH));
    }
  }

  private async publishBatch(batch: readonly Publication[]): Promise<void> {
    const { maxAttempts = DEFAULT_MAX_ATTEMPTS } = this.options;
    for (let attempt = 1, rest = batch; rest.length > 0; attempt++) {
      const outcome = await this.attempt(rest);
      rest = outcome.rest;
      if (rest.length === 0) return;
      if (attempt >= maxAttempts) throw outcome.why;
      const waitMs = Math.max(outcome.waitMs, FIRST_WAIT_MS * 2 ** attempt * Math.random());
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  }

  private async attempt(batch: readonly Publication[]): Promise<Outcome> {
    const { url, apiKey } = this.options;
    let response: Response;
    try {
      response = await fetch(new URL("/api/publish", url), {
        method: "POST",
        headers: { "Authorization": `Bearer ${apiKey}`, "Content-Type": "application/json" },
        body: JSON.stringify(batch),
        signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      });
    } catch (cause) {
      return {
        rest: batch,
        why: new PublishError("Millrace cannot be reached.", undefined, cause),
        waitMs: 0,
      };
    }
    if (response.status === OK) return { rest: [], waitMs: 0 };
    // RFC 9457; what stands between us and the server may have other words.
    const problem = await response.json().catch(() => ({})) as {
      detail?: string;
      stored?: { index: number }[];
    };
    const why = new PublishError(problem.detail ?? response.statusText, response.status);
    // A key that is wrong, a topic that is none: another attempt would change nothing.
    if (response.status !== UNAVAILABLE) throw why;
    const stored = new Set(problem.stored?.map(({ index }) => index));
    const waitMs = Number(response.headers.get("Retry-After") ?? 0) * MS_PER_SECOND;
    return { rest: batch.filter((_, index) => !stored.has(index)), why, waitMs };
  }
}
