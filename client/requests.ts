/**
 * Commands and their replies: a bounded queue of those that wait for a line, and a window of those that wait for a reply.
 * What the line's end does to each is decided here; what a command means is not known.
 */
import { onAbort } from "./abort.ts";
import type { Clock } from "./clock.ts";
import { MillraceError } from "./errors.ts";
import type { Format } from "./format.ts";
import type { WhenFull } from "./options.ts";
import type { Refusal, Reply } from "./wire.ts";

/** The most that are sent and not yet answered: a server is patient with as many refusals as it allows in a burst. */
const MAX_WINDOW = 32;
/** For each answer, once we have been too fast: refusals must stay rare beside what is accepted. */
const GROWTH = 0.1;
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
  /** Undefined for a control. */
  readonly repeat: boolean | undefined;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: unknown) => void;
}

type Send = (frame: string | Uint8Array<ArrayBuffer>) => void;

export interface Requests {
  /**
   * Sends a command as soon as there is a line and room.
   * @throws {MillraceError} (as a rejection) refused, or not sent, or the outcome is unknown; or the signal's reason
   */
  ask(command: object, options: RequestOptions): Promise<Reply>;
  /**
   * Sends a command that belongs to this line, ahead of the queue. Without a line it is lost.
   * @returns what forgets it: whether it had been sent
   */
  control(
    command: object,
    resolve: Request["resolve"],
    reject: (error: MillraceError) => void,
  ): () => boolean;
  /** A line may be used, for messages of so many bytes. */
  opened(send: Send, maxMessageBytes: number): void;
  /** The line has ended. What may be repeated waits for the next one, in its old place. */
  closed(): void;
  /** Nothing will be sent any more: what waits is rejected. Call it after {@link closed}. */
  fail(error: MillraceError): void;
  answered(reply: Reply | Refusal): void;
  /** Resolves once nothing waits, for a line or for a reply. */
  idle(): Promise<void>;
}

export function createRequests({ format, clock, limit, whenFull }: RequestsOptions): Requests {
  let lastId = 0;
  /** Grows with each answer; one again once the server has found us too fast. */
  let window = MAX_WINDOW;
  /** Commands of this line alone: not counted by the limit, and gone with it. */
  let controls: Request[] = [];
  const queue: Request[] = [];
  const inFlight = new Map<number, Request>();
  let send: Send | undefined;
  let maxBytes: number;
  let cancelPause: (() => void) | undefined;
  const idleWaiters: (() => void)[] = [];

  const create = (
    command: object,
    resolve: Request["resolve"],
    reject: Request["reject"],
    repeat?: boolean,
  ): Request => {
    const id = ++lastId;
    // As it is now: the application may go on to change what it has handed over.
    return { id, frame: format.encode({ ...command, id }), repeat, resolve, reject };
  };

  const isTooLarge = (frame: string | Uint8Array): boolean =>
    frame.length * MAX_BYTES_PER_UNIT > maxBytes &&
    (typeof frame === "string" ? new TextEncoder().encode(frame) : frame).length > maxBytes;

  const pump = (): void => {
    while (send && cancelPause === undefined && inFlight.size + 1 <= window) {
      const request = controls.shift() ?? queue.shift();
      if (!request) break;
      const { id, frame, reject } = request;
      if (isTooLarge(frame)) {
        reject(new MillraceError("message_too_large", `More than ${maxBytes} bytes.`));
      } else {
        inFlight.set(id, request);
        send(frame);
      }
    }
    if (queue.length > 0 || inFlight.size > 0) return;
    for (const wake of idleWaiters.splice(0)) wake();
  };

  const resume = (): void => {
    cancelPause?.();
    cancelPause = undefined;
    pump();
  };

  const remove = (lane: Request[], request: Request): boolean => {
    const at = lane.indexOf(request);
    if (at >= 0) lane.splice(at, 1);
    return at >= 0;
  };

  /** Ids grow in the order in which commands were given. */
  const requeue = (request: Request): void => {
    const lane = request.repeat === undefined ? controls : queue;
    const at = lane.findIndex(({ id }) => id > request.id);
    lane.splice(at < 0 ? lane.length : at, 0, request);
  };

  return {
    async ask(command, { repeat, signal }) {
      signal?.throwIfAborted();
      let forget: (() => void) | undefined;
      return await new Promise<Reply>((resolve, reject) => {
        const request = create(command, resolve, reject, repeat);
        forget = onAbort(signal, () => {
          remove(queue, request);
          inFlight.delete(request.id);
          reject(signal?.reason);
          pump();
        });
        queue.push(request);
        pump();
        if (queue.length <= limit) return;
        const dropped = whenFull === "reject" ? queue.pop() : queue.shift();
        dropped?.reject(new MillraceError("queue_full", `More than ${limit} wait.`));
      }).finally(forget);
    },
    control(command, resolve, reject) {
      const request = create(command, resolve, reject as Request["reject"]);
      controls.push(request);
      pump();
      return () => {
        const wasSent = !remove(controls, request);
        inFlight.delete(request.id);
        return wasSent;
      };
    },
    opened(sendFrame, maxMessageBytes) {
      send = sendFrame;
      maxBytes = maxMessageBytes;
      pump();
    },
    closed() {
      send = undefined;
      controls = [];
      const cut = [...inFlight.values()];
      inFlight.clear();
      for (const request of cut) {
        if (request.repeat) requeue(request);
        else if (request.repeat === false) {
          request.reject(new MillraceError("unknown_outcome", "Cut before the reply."));
        }
      }
      resume();
    },
    fail(error) {
      for (const { reject } of queue.splice(0)) reject(error);
      pump();
    },
    answered(reply) {
      const request = inFlight.get(reply.id as number);
      if (!request) return;
      inFlight.delete(request.id);
      if (reply.type !== "error") {
        window = Math.min(MAX_WINDOW, window + GROWTH);
        request.resolve(reply);
      } else {
        const { code, message, retryAfterMs } = reply;
        // Without a number no wait will do: it is larger than the server's limit for all.
        if (code === "rate_limited" && typeof retryAfterMs === "number") {
          window = 1;
          cancelPause ??= clock.after(retryAfterMs, resume);
          requeue(request);
        } else request.reject(new MillraceError(code, message));
      }
      pump();
    },
    async idle() {
      while (queue.length > 0 || inFlight.size > 0) {
        await new Promise<void>((resolve) => idleWaiters.push(resolve));
      }
    },
  };
}
