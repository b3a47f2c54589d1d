/**
 * One connection to Redis that lives until its first fault, and is then thrown away: whoever owns it makes another.
 * What is asked over it is answered, or the connection ends, within a bounded time. It knows no topics.
 */
import { Buffer } from "node:buffer";
import { createClient, ErrorReply, RESP_TYPES } from "@redis/client";
import type { Clock } from "../clock.ts";
import { BrokerUnavailable } from "./broker.ts";

/** Deadlines are looked after this many times within one: an answer may take that much longer than allowed. */
const TICKS_PER_TIMEOUT = 4;

/** After this many ticks without traffic the other side is asked whether it is still there. */
const QUIET_TICKS = 8;

const BYTES = { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } };

export type Message = (message: Buffer, channel: Buffer) => void;

/** What lives until its first fault. Everything that is asked rejects with {@link BrokerUnavailable} after it. */
export interface Lane {
  readonly hasEnded: boolean;
  /** How many requests have no answer yet. */
  readonly pending: number;
  /**
   * Blob strings are answered as Buffers if `asBytes`. `key` is one of the keys in `args`.
   * @throws {ErrorReply} (rejects) when Redis says no
   */
  request(args: readonly (string | Buffer)[], asBytes?: boolean, key?: string): Promise<unknown>;
  /** Asks every server there is. */
  requestAll(args: readonly string[]): Promise<unknown>;
  subscribe(channels: readonly string[], listener: Message): Promise<unknown>;
  unsubscribe(channels: readonly string[], listener: Message): Promise<unknown>;
  subscribePatterns(globs: readonly string[], listener: Message): Promise<unknown>;
  unsubscribePatterns(globs: readonly string[], listener: Message): Promise<unknown>;
  /** Ends the connection; what is pending rejects. */
  end(): void;
}

export interface LaneSettings {
  /** For connecting, and for every answer. */
  readonly timeoutMs: number;
  readonly clock: Clock;
}

type Client = ReturnType<typeof create>;

function create(url: string, timeoutMs: number) {
  return createClient({
    url,
    name: "millrace",
    RESP: 3,
    // What waits here instead of failing would be published by surprise, much later.
    disableOfflineQueue: true,
    disableClientInfo: true,
    maintNotifications: "disabled",
    // A deadline per command costs a timer each; the lane has one for all.
    commandOptions: { timeout: 0 },
    socket: { reconnectStrategy: false, connectTimeout: timeoutMs },
  });
}

export class RedisLane implements Lane {
  private readonly client: Client;
  private readonly onEnd: (error: Error) => void;
  private readonly stopTicking: () => void;
  /** How many requests had been sent at each of the last ticks. */
  private readonly marks = new Float64Array(TICKS_PER_TIMEOUT);
  private tick = 0;
  private sent = 0;
  private answered = 0;
  private quietTicks = 0;
  hasEnded = false;

  /** `onEnd` is called once, when the connection has failed; not after {@link end}. */
  private constructor(settings: LaneSettings, client: Client, onEnd: (error: Error) => void) {
    this.client = client;
    this.onEnd = onEnd;
    client.on("error", (error: Error) => this.fail(error));
    client.on("end", () => this.fail(new Error("the connection ended")));
    this.stopTicking = settings.clock.every(settings.timeoutMs / TICKS_PER_TIMEOUT, () => this.look());
  }

  /** @throws {Error} (rejects) when there is no Redis there that answers in time */
  static async connect(
    url: string,
    settings: LaneSettings,
    onEnd: (error: Error) => void,
  ): Promise<RedisLane> {
    const client = create(url, settings.timeoutMs);
    let isLate = false;
    // Connecting has a timeout of its own for TCP; greeting a server that has stopped has none.
    const cancel = settings.clock.after(settings.timeoutMs, () => {
      isLate = true;
      client.destroy();
    });
    client.on("error", () => undefined); // connect() rejects with it
    try {
      await client.connect();
      if (isLate) throw new Error("Redis did not answer in time");
    } catch (error) {
      client.destroy();
      throw error;
    } finally {
      cancel();
    }
    return new RedisLane(settings, client, onEnd);
  }

  get pending(): number {
    return this.sent - this.answered;
  }

  request(args: readonly (string | Buffer)[], asBytes = false): Promise<unknown> {
    this.sent++;
    return this.client.sendCommand(args, asBytes ? BYTES : undefined).then(this.succeeded, this.failed);
  }

  requestAll(args: readonly string[]): Promise<unknown> {
    return this.request(args);
  }

  subscribe(channels: readonly string[], listener: Message): Promise<unknown> {
    return this.counted(this.client.subscribe([...channels], listener, true));
  }

  unsubscribe(channels: readonly string[], listener: Message): Promise<unknown> {
    return this.counted(this.client.unsubscribe([...channels], listener, true));
  }

  subscribePatterns(globs: readonly string[], listener: Message): Promise<unknown> {
    return this.counted(this.client.pSubscribe([...globs], listener, true));
  }

  unsubscribePatterns(globs: readonly string[], listener: Message): Promise<unknown> {
    return this.counted(this.client.pUnsubscribe([...globs], listener, true));
  }

  end(): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    this.stopTicking();
    this.client.destroy();
  }

  private counted(answer: Promise<unknown>): Promise<unknown> {
    this.sent++;
    return answer.then(this.succeeded, this.failed);
  }

  private readonly succeeded = (reply: unknown): unknown => {
    this.answered++;
    return reply;
  };

  private readonly failed = (error: unknown): never => {
    this.answered++;
    if (error instanceof ErrorReply) throw error;
    throw new BrokerUnavailable("Redis did not answer", { cause: error });
  };

  private look(): void {
    const at = this.tick++ % TICKS_PER_TIMEOUT;
    const sentBefore = this.marks[at] as number; // at < length
    // Redis answers in the order of the requests.
    if (this.answered < sentBefore) return this.fail(new Error("Redis did not answer in time"));
    this.quietTicks = this.sent === this.marks[(at + TICKS_PER_TIMEOUT - 1) % TICKS_PER_TIMEOUT]
      ? this.quietTicks + 1
      : 0;
    if (this.quietTicks >= QUIET_TICKS) this.request(["PING"]).catch((error: Error) => this.fail(error));
    this.marks[at] = this.sent;
  }

  private fail(error: Error): void {
    if (this.hasEnded) return;
    this.end();
    this.onEnd(error);
  }
}
