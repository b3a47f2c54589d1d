/**
 * Messages over a crowd of connections: so many under way, at a given rate, or all at once. Unlike the workloads of
 * bench/load it goes on when the server refuses messages or closes connections, and counts that.
 * It must never know how long it runs.
 */
import type { Buffer } from "node:buffer";
import type { Connection, Owner } from "../../bench/load/connection.ts";
import { dialects } from "../../bench/load/dialects/pick.ts";
import type { Job } from "../../bench/load/job.ts";
import type { MessageRing } from "../../bench/load/ring.ts";
import type { Sorting } from "../../bench/load/scanner.ts";
import { arrivingBytes, checkArrival, INSPECT_EVERY, ringFor } from "../../bench/load/throughput.ts";
import { recordMs, timesHistogram, Timetable } from "../../bench/load/timetable.ts";
import type { Troubles } from "./troubles.ts";

/** Different messages of a topic, of which there may be many. */
const MESSAGES_PER_TOPIC = 8;
/** How long to wait after a refusal that does not say. */
const DEFAULT_RETRY_MS = 100;

/** When messages leave. */
export type Pace =
  /** As soon as another has arrived everywhere: `inFlight` of each sender are under way. */
  | { readonly kind: "closed"; readonly inFlight: number }
  /** At fixed times, `perSecond` of all senders in turn; those due in the warm-up are not recorded. */
  | { readonly kind: "open"; readonly perSecond: number; readonly warmupSeconds: number }
  /** So many of each sender, all at once. */
  | { readonly kind: "burst"; readonly messages: number };

/** A sender, and those who receive what it sends: itself with an echo, the subscribers of its topic otherwise. */
interface Flow {
  /** Its place among the flows, and so in the timetable. */
  readonly place: number;
  readonly sender: Connection;
  readonly ring: MessageRing;
  /** Receivers whose connections are open. */
  receivers: number;
  sent: number;
  refused: number;
  /** Arrivals at the receivers whose connections are open. */
  arrived: number;
  /** Whether its arrivals can no longer be told by counting: a message was refused or left out. */
  isBroken: boolean;
  isWaiting: boolean;
}

export class Load implements Owner {
  /** Messages that left, and that were refused. */
  sent = 0;
  refused = 0;
  /** Messages that were due in the timetable when their sender's connection had ended. */
  unsent = 0;
  /** Messages due at open connections, and messages that arrived. */
  due = 0;
  delivered = 0;
  /** Messages that were due at a connection when the server ended it. */
  cut = 0;
  /** Messages compared as a whole with what was sent. */
  inspected = 0;
  readonly latencies = timesHistogram();
  readonly timetable: Timetable | undefined;

  readonly #job: Job;
  readonly #pace: Pace;
  readonly #troubles: Troubles;
  readonly #connections: readonly Connection[];
  readonly #flows: Flow[] = [];
  /** The flow of each connection, by its index. */
  readonly #flowOf: Flow[] = [];
  #running = false;
  #startMs = 0;

  /** Topics have the connections that were opened for them as subscribers; the first of each publishes. */
  constructor(job: Job, connections: readonly Connection[], pace: Pace, troubles: Troubles) {
    this.#pace = pace;
    this.#troubles = troubles;
    this.#connections = connections;
    const batch = pace.kind === "closed" ? pace.inFlight : pace.kind === "burst" ? pace.messages : 1;
    this.#job = { ...job, inFlight: batch };
    const flows = new Map<string, Flow>();
    const echoRing = connections[0]?.topic === undefined ? ringFor(this.#job, undefined) : undefined;
    for (const connection of connections) {
      const { topic, index } = connection;
      let flow = topic === undefined ? undefined : flows.get(topic);
      if (flow === undefined) {
        const ring = echoRing ?? ringFor(this.#job, topic, MESSAGES_PER_TOPIC);
        flow = this.#newFlow(connection, ring);
        if (topic !== undefined) flows.set(topic, flow);
      }
      flow.receivers++;
      this.#flowOf[index] = flow;
    }
    this.timetable = pace.kind === "open"
      ? new Timetable(pace.perSecond, (index) => this.#sendDue(index))
      : undefined;
  }

  #newFlow(sender: Connection, ring: MessageRing): Flow {
    const flow: Flow = {
      place: this.#flows.length,
      ...{ sender, ring, receivers: 0, sent: 0, refused: 0, arrived: 0, isBroken: false, isWaiting: false },
    };
    this.#flows.push(flow);
    return flow;
  }

  /** Messages that did not arrive; what is still under way is counted too. */
  get lost(): number {
    return this.cut + this.due - this.delivered;
  }

  /** Whether no sender's connection is open any more. */
  get isDead(): boolean {
    return this.#flows.every(({ sender }) => !sender.isRunning);
  }

  /** Bytes that the system has not taken from this process, on all connections. */
  get waitingBytes(): number {
    return this.#connections.reduce((sum, { waitingBytes }) => sum + waitingBytes, 0);
  }

  start(): void {
    this.#running = true;
    for (const connection of this.#connections) this.#prepare(connection);
    this.#startMs = performance.now();
    if (this.#pace.kind === "open") this.timetable?.start(this.#pace.warmupSeconds);
    else for (const flow of this.#flows) this.#fill(flow);
  }

  #prepare(connection: Connection): void {
    const dialect = dialects[this.#job.protocol];
    const { topic, index } = connection;
    const prefix = dialect.prefix(topic);
    const sorting: Sorting | undefined = prefix &&
      { prefix, counts: (payload) => this.#counts(connection, payload) };
    connection.owner = this;
    const { ring } = this.#flowOf[index] as Flow; // every connection is in one
    connection.expect(arrivingBytes(this.#job, ring), INSPECT_EVERY, sorting);
  }

  /** Sends nothing more; what is under way still arrives. */
  stop(): void {
    this.#running = false;
    this.timetable?.stop();
  }

  /** Ends the connections on which something is still due, so that it cannot arrive in the next measurement. */
  endUnsettled(): void {
    for (const connection of this.#connections) {
      const flow = this.#flowOf[connection.index] as Flow; // as above
      if (connection.received < flow.sent - flow.refused) connection.end();
    }
  }

  progressed(connection: Connection, count: number): void {
    const flow = this.#flowOf[connection.index] as Flow; // as above
    this.delivered += count;
    flow.arrived += count;
    if (connection.received > flow.sent) {
      const reason = `connection ${connection.index}: more messages came than were sent`;
      this.failed(reason, connection, new Error(reason));
    } else if (this.timetable !== undefined) {
      this.#record(this.timetable, connection, flow, count);
    } else if (this.#pace.kind === "burst") {
      const ms = performance.now() - this.#startMs;
      for (let i = 0; i < count; i++) recordMs(this.latencies, ms);
    } else if (this.#running && !flow.isWaiting) {
      this.#fill(flow);
    }
  }

  #record(timetable: Timetable, { received }: Connection, flow: Flow, count: number): void {
    timetable.hasWorked = true;
    if (flow.isBroken) return;
    const now = performance.now();
    for (let i = received - count; i < received; i++) {
      const dueMs = timetable.dueMs(i * this.#flows.length + flow.place);
      if (timetable.isRecorded(dueMs)) recordMs(this.latencies, now - dueMs);
    }
  }

  inspect(connection: Connection, sequence: number, payload: Buffer): void {
    const flow = this.#flowOf[connection.index] as Flow; // as above
    if (flow.isBroken) return; // which message this is, is not known
    this.inspected++;
    checkArrival(this.#job, flow.ring, connection, sequence, payload);
  }

  failed(reason: string, connection: Connection, error: Error): void {
    if (!connection.isRunning) return;
    this.#troubles.ended(reason, error);
    connection.end();
    const flow = this.#flowOf[connection.index] as Flow; // as above
    const missing = Math.max(0, flow.sent - flow.refused - connection.received);
    this.cut += missing;
    this.due -= missing;
    flow.receivers--;
    flow.arrived -= connection.received;
    if (this.#running && this.#pace.kind === "closed" && !flow.isWaiting) this.#fill(flow);
  }

  /** Whether a message that does not look like data is some; counts what it says otherwise. */
  #counts(connection: Connection, payload: Uint8Array): boolean {
    const remark = dialects[this.#job.protocol].remark(payload, connection.topic);
    if (remark.kind === "data") return true;
    const flow = this.#flowOf[connection.index] as Flow; // as above
    if (remark.kind === "refusal") this.#refusal(flow, remark.code, remark.retryAfterMs);
    if (remark.kind === "gap") {
      flow.isBroken = true;
      this.#troubles.gap(remark.missed, remark.reason);
      if (connection.subscription !== undefined) connection.subscription.offset += remark.missed;
    }
    return false;
  }

  #refusal(flow: Flow, code: string, retryAfterMs = DEFAULT_RETRY_MS): void {
    this.#troubles.refused(code);
    this.refused++;
    this.due -= flow.receivers;
    flow.refused++;
    flow.isBroken = true;
    if (this.#pace.kind !== "closed" || flow.isWaiting) return;
    // As a well-behaved client does.
    flow.isWaiting = true;
    setTimeout(() => {
      flow.isWaiting = false;
      if (this.#running) this.#fill(flow);
    }, retryAfterMs);
  }

  /** Sends as many messages as may be under way. */
  #fill(flow: Flow): void {
    if (flow.receivers === 0) return;
    const { longestBatch } = flow.ring;
    const underWay = flow.sent - flow.refused - Math.floor(flow.arrived / flow.receivers);
    this.#send(flow, Math.min(longestBatch, longestBatch - underWay));
  }

  #sendDue(index: number): void {
    const flow = this.#flows[index % this.#flows.length] as Flow; // below the length
    if (flow.sender.isRunning) this.#send(flow, 1);
    else this.unsent++;
  }

  #send(flow: Flow, count: number): void {
    if (count <= 0 || !flow.sender.isRunning) return;
    flow.sender.write(flow.ring.batch(flow.sent, count));
    flow.sent += count;
    this.sent += count;
    this.due += count * flow.receivers;
  }
}
