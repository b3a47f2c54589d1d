/**
 * Commands and their replies: a bounded queue of those that wait for a line, and a window of those that wait for a reply.
 * What the line's end does to each is decided here; what a command means is not known.
 */
import type { Clock } from "./clock.ts";
import { ClientErrorCode, MillraceError } from "./errors.ts";
import type { Format } from "./format.ts";
import { WhenFull } from "./options.ts";
import type { Refusal, Reply } from "./wire.ts";

/** Sent and not yet answered; more would come upon the server's rate limits all at once. */
const WINDOW = 64;
/** A UTF-16 unit takes up to three bytes of UTF-8. */
const MAX_BYTES_PER_UNIT = 3;

export interface RequestsOptions {
  readonly format: Format;
  readonly clock: Clock;
  readonly limit: number;
  readonly whenFull: WhenFull;
}

export interface RequestOptions {
  /** Whether it is sent again when its reply was lost with the line. */
  readonly repeat: boolean;
  readonly signal?: AbortSignal | undefined;
}

interface Request {
  readonly id: number;
  readonly frame: string | Uint8Array<ArrayBuffer>;
  readonly repeat: boolean;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: unknown) => void;
  /** Belongs to this line alone: neither counted by the queue's limit nor kept when the line ends. */
  readonly isControl: boolean;
  /** Nobody waits for the outcome any more. */
  isAbandoned: boolean;
}

type Send = (frame: string | Uint8Array<ArrayBuffer>) => void;

export class Requests {
  private readonly options: RequestsOptions;
  private lastId = 0;
  private controls: Request[] = [];
  private queue: Request[] = [];
  private readonly inFlight = new Map<number, Request>();
  private send: Send | undefined = undefined;
  private maxBytes = Infinity;
  private cancelPause: (() => void) | undefined = undefined;
  private idleWaiters: (() => void)[] = [];

  constructor(options: RequestsOptions) {
    this.options = options;
  }

  /**
   * Sends a command as soon as there is a line and room.
   * @throws {MillraceError} (as a rejection) refused, or not sent, or the outcome is unknown; or the signal's reason
   */
  ask(command: object, { repeat, signal }: RequestOptions): Promise<Reply> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const { limit, whenFull } = this.options;
      // As it is now: the application may go on to change what it has handed over.
      const request = this.create(command, { repeat, isControl: false, resolve, reject });
      if (signal !== undefined) this.watch(signal, request);
      this.queue.push(request);
      this.pump();
      if (this.queue.length <= limit) return;
      const dropped = whenFull === WhenFull.Reject ? this.queue.pop() : this.queue.shift();
      dropped?.reject(new MillraceError(ClientErrorCode.QueueFull, `${limit} commands wait already.`));
    });
  }

  /**
   * Sends a command that belongs to this line, ahead of the queue. Without a line it is lost.
   * @returns what forgets it: whether it had been sent
   */
  control(command: object, resolve: Request["resolve"], reject: Request["reject"]): () => boolean {
    const request = this.create(command, { repeat: false, isControl: true, resolve, reject });
    this.controls.push(request);
    this.pump();
    return () => {
      const at = this.controls.indexOf(request);
      if (at >= 0) this.controls.splice(at, 1);
      this.inFlight.delete(request.id);
      this.pump();
      return at < 0;
    };
  }

  /** A line may be used, for messages of so many bytes. */
  opened(send: Send, maxBytes: number): void {
    this.send = send;
    this.maxBytes = maxBytes;
    this.pump();
  }

  /** The line has ended. What may be repeated waits for the next one, in its old place. */
  closed(): void {
    const { inFlight } = this;
    this.send = undefined;
    this.resume();
    this.controls = [];
    const cut = [...inFlight.values()];
    inFlight.clear();
    for (const request of cut) {
      if (request.isControl || request.isAbandoned) continue;
      if (request.repeat) this.requeue(request);
      else request.reject(unknownOutcome());
    }
    this.wakeIdle();
  }

  /** Nothing will be sent any more: what waits is rejected. Call it after {@link closed}. */
  fail(error: MillraceError): void {
    for (const { reject } of this.queue.splice(0)) reject(error);
    this.wakeIdle();
  }

  answered(reply: Reply | Refusal): void {
    const request = this.inFlight.get(reply.id ?? 0);
    if (request === undefined) return;
    this.inFlight.delete(request.id);
    if (reply.type !== "error") request.resolve(reply);
    else this.refused(request, reply);
    this.pump();
    this.wakeIdle();
  }

  /** Resolves once nothing waits, for a line or for a reply. */
  async idle(): Promise<void> {
    while (this.queue.length > 0 || this.inFlight.size > 0) {
      await new Promise<void>((resolve) => this.idleWaiters.push(resolve));
    }
  }

  private create(
    command: object,
    more: Pick<Request, "repeat" | "isControl" | "resolve" | "reject">,
  ): Request {
    const id = ++this.lastId;
    return { id, frame: this.options.format.encode({ ...command, id }), ...more, isAbandoned: false };
  }

  private watch(signal: AbortSignal, request: Request): void {
    const abort = () => {
      request.isAbandoned = true;
      const at = this.queue.indexOf(request);
      if (at >= 0) this.queue.splice(at, 1);
      request.reject(signal.reason);
      this.wakeIdle();
    };
    signal.addEventListener("abort", abort, { once: true });
    const { resolve, reject } = request;
    const done = () => signal.removeEventListener("abort", abort);
    Object.assign(request, {
      resolve: (reply: Reply) => (done(), resolve(reply)),
      reject: (error: unknown) => (done(), reject(error)),
    });
  }

  private refused(request: Request, { code, message, retryAfterMs }: Refusal): void {
    // A size above every limit has no wait after which it would pass.
    if (code === "rate_limited" && typeof retryAfterMs === "number" && !request.isAbandoned) {
      this.cancelPause ??= this.options.clock.after(retryAfterMs, () => this.resume());
      return this.requeue(request);
    }
    request.reject(new MillraceError(code, message, { retryAfterMs: retryAfterMs ?? undefined }));
  }

  private resume(): void {
    this.cancelPause?.();
    this.cancelPause = undefined;
    this.pump();
  }

  /** Ids grow in the order in which commands were given. */
  private requeue(request: Request): void {
    const lane = request.isControl ? this.controls : this.queue;
    const at = lane.findIndex(({ id }) => id > request.id);
    lane.splice(at < 0 ? lane.length : at, 0, request);
  }

  private pump(): void {
    while (this.send !== undefined && this.cancelPause === undefined && this.inFlight.size < WINDOW) {
      const request = this.controls.shift() ?? this.queue.shift();
      if (request === undefined) return;
      if (this.isTooLarge(request.frame)) {
        const text = `The server takes messages of up to ${this.maxBytes} bytes.`;
        request.reject(new MillraceError(ClientErrorCode.TooLarge, text));
        continue;
      }
      this.inFlight.set(request.id, request);
      this.send(request.frame);
    }
  }

  private isTooLarge(frame: string | Uint8Array): boolean {
    const { maxBytes } = this;
    if (typeof frame !== "string") return frame.length > maxBytes;
    return frame.length * MAX_BYTES_PER_UNIT > maxBytes && new TextEncoder().encode(frame).length > maxBytes;
  }

  private wakeIdle(): void {
    for (const wake of this.idleWaiters.splice(0)) wake();
  }
}

function unknownOutcome(): MillraceError {
  return new MillraceError(
    ClientErrorCode.UnknownOutcome,
    "The line was cut before the reply: this may have happened or not.",
  );
}
