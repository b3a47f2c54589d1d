/**
 * What a node says of itself once a second while somebody watches: one record, made of numbers that are there anyway.
 * Totals only grow, so that a reader makes rates of any two records and a lost one does no harm. It knows no sockets,
 * and not who reads it.
 */
import { randomBytes } from "node:crypto";
import type { Clock } from "../clock.ts";
import type { SlowConsumers } from "../limits/slow_consumers.ts";
import type { Counters } from "../observe/counters.ts";
import { watchLoopLag } from "../observe/loop_lag.ts";
import { readProcessFigures } from "../observe/process_figures.ts";
import type { Readiness } from "../readiness.ts";
import type { TopicTraffic } from "./traffic.ts";

/** The most topics and the most slow connections that a record names. */
export const MAX_TOPICS_NAMED = 10;
export const MAX_SLOW_NAMED = 10;

const RUN_ID_BYTES = 6;
const MS_PER_SECOND = 1_000;

/** Numbers that only grow while a node runs. */
export interface NodeTotals {
  readonly received: number;
  readonly receivedBytes: number;
  /** Replies and events for single connections. */
  readonly sent: number;
  /** Of this node's clients and its API. */
  readonly publications: number;
  /** Publications times their subscribers. */
  readonly deliveries: number;
  readonly deliveredBytes: number;
  /** Messages left out for somebody. */
  readonly dropped: number;
  /** Connections cut because all backlogs together were too much. */
  readonly evicted: number;
  readonly cpuSeconds: number;
}

/** A topic's traffic since the record before. */
export interface TopicFigures {
  readonly topic: string;
  /** To the topic itself, without patterns. */
  readonly subscribers: number;
  readonly publications: number;
  readonly deliveries: number;
  readonly deliveredBytes: number;
}

/** A connection with a backlog, as `GET /api/slow` tells it. */
export interface SlowFigures {
  readonly session: string;
  readonly user: string | null;
  readonly queuedBytes: number;
  readonly sinceMs: number;
  readonly skipped: number;
}

/** A node at one moment. */
export interface NodeFigures {
  readonly node: string;
  /** Random; of this process: a restarted node is another run. */
  readonly run: string;
  readonly version: string;
  readonly engine: string;
  readonly runtime: string;
  readonly broker: string;
  readonly state: Readiness;
  readonly uptimeSeconds: number;
  /** The node's monotonic clock. */
  readonly atMs: number;
  readonly connections: number;
  readonly topics: number;
  readonly subscriptions: number;
  readonly queuedBytes: number;
  readonly totals: NodeTotals;
  readonly residentBytes: number;
  readonly heapUsedBytes: number;
  /** The worst since the record before. */
  readonly loopLagMs: number;
  readonly slow: { readonly count: number; readonly connections: readonly SlowFigures[] };
  /** Since the record before, in `overMs`. */
  readonly traffic: {
    readonly overMs: number;
    readonly topics: readonly TopicFigures[];
    /** How many further topics had traffic. */
    readonly others: number;
  };
}

/** Somebody who may read too slowly. */
interface SlowPeer {
  readonly id: string;
  readonly user: string | undefined;
  readonly bufferedAmount: number;
}

export interface SamplerSettings<Peer extends SlowPeer> {
  /** What does not change while the node runs. */
  readonly identity: Pick<NodeFigures, "node" | "version" | "engine" | "runtime" | "broker">;
  readonly counters: Counters;
  readonly traffic: TopicTraffic;
  readonly slow: Pick<SlowConsumers<Peer>, "count" | "report">;
  readonly hub: {
    readonly topicCount: number;
    readonly subscriptionCount: number;
    subscriberCount(topic: string): number;
  };
  readonly connections: { readonly size: number };
  readonly clock: Clock;
  queuedBytes(): number;
  readiness(): Readiness;
}

/** Makes the records. Between {@link start} and {@link stop} it counts what nobody counts otherwise. */
export class Sampler<Peer extends SlowPeer> {
  readonly run: string = randomBytes(RUN_ID_BYTES).toString("base64url");
  private readonly settings: SamplerSettings<Peer>;
  private readonly startedMs: number;
  private lastMs = 0;
  private worstLagSeconds = 0;
  /** What was read last: while it cannot be read, that is told again. */
  private memory = { residentBytes: 0, heapUsedBytes: 0 };
  private stopLag: (() => void) | undefined = undefined;

  constructor(settings: SamplerSettings<Peer>) {
    this.settings = settings;
    this.startedMs = settings.clock.now();
  }

  start(): void {
    const { clock, traffic } = this.settings;
    this.lastMs = clock.now();
    this.worstLagSeconds = 0;
    traffic.start();
    this.stopLag ??= watchLoopLag(clock, (seconds) => {
      this.worstLagSeconds = Math.max(this.worstLagSeconds, seconds);
    });
  }

  stop(): void {
    this.settings.traffic.stop();
    this.stopLag?.();
    this.stopLag = undefined;
  }

  sample(): NodeFigures {
    const { identity, counters, traffic, slow, hub, connections, clock, queuedBytes, readiness } =
      this.settings;
    const process = readProcessFigures();
    this.memory = process.memory ?? this.memory;
    const atMs = clock.now();
    const { topics, others } = traffic.take(MAX_TOPICS_NAMED);
    const figures: NodeFigures = {
      ...identity,
      run: this.run,
      state: readiness(),
      uptimeSeconds: Math.floor((atMs - this.startedMs) / MS_PER_SECOND),
      atMs,
      connections: connections.size,
      topics: hub.topicCount,
      subscriptions: hub.subscriptionCount,
      queuedBytes: queuedBytes(),
      totals: totalsOf(counters, process.userCpuSeconds + process.systemCpuSeconds),
      residentBytes: this.memory.residentBytes,
      heapUsedBytes: this.memory.heapUsedBytes,
      loopLagMs: this.worstLagSeconds * MS_PER_SECOND,
      slow: {
        count: slow.count,
        connections: slow.report(MAX_SLOW_NAMED).map(({ peer, queuedBytes, sinceMs, skipped }) => (
          { session: peer.id, user: peer.user ?? null, queuedBytes, sinceMs, skipped }
        )),
      },
      traffic: {
        overMs: atMs - this.lastMs,
        topics: topics.map((count) => ({ ...count, subscribers: hub.subscriberCount(count.topic) })),
        others,
      },
    };
    this.lastMs = atMs;
    this.worstLagSeconds = 0;
    return figures;
  }
}

function totalsOf(counters: Counters, cpuSeconds: number): NodeTotals {
  return {
    received: counters.messagesIn,
    receivedBytes: counters.bytesIn,
    sent: counters.messagesOut,
    publications: counters.publications,
    deliveries: counters.deliveries,
    deliveredBytes: counters.deliveredBytes,
    dropped: counters.drops.slow + counters.drops.closing,
    evicted: counters.evictions,
    cpuSeconds,
  };
}
