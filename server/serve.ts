/**
 * The composition root: makes the parts, wires them, and knows in which order they stop. Everything that decides
 * anything lives elsewhere.
 */
import { ApiKeys } from "./auth/api_keys.ts";
import { type BrokerSettings, pickBroker } from "./broker/pick.ts";
import { retentions } from "./broker/retention.ts";
import { type Clock, systemClock } from "./clock.ts";
import { Sampler } from "./dashboard/figures.ts";
import { TopicTraffic } from "./dashboard/traffic.ts";
import { Watching } from "./dashboard/watching.ts";
import { Deadlines } from "./deadlines.ts";
import { EngineDelivery } from "./delivery.ts";
import { Drain } from "./drain.ts";
import type { Handlers, Listener } from "./engine.ts";
import { pickEngine, runtimeName } from "./engines/pick.ts";
import { Gate } from "./gate.ts";
import { createGuards, type Guards } from "./guards.ts";
import { Heartbeat } from "./heartbeat.ts";
import { dashboardRoutes } from "./http/dashboard.ts";
import { Router } from "./http/router.ts";
import { createRoutes } from "./http/routes.ts";
import { Hub } from "./hub/hub.ts";
import { SlowConsumers } from "./limits/slow_consumers.ts";
import { chainExpirySeconds } from "./observe/certificate.ts";
import { Counters } from "./observe/counters.ts";
import { createLog, type Log } from "./observe/log.ts";
import { createMetrics, type Metrics } from "./observe/metrics.ts";
import { MetricsAccess, type Options } from "./options.ts";
import { resolveOptions } from "./resolve.ts";
import { Patterns } from "./patterns.ts";
import { formats } from "./protocol/formats.ts";
import { Readiness } from "./readiness.ts";
import type { Session } from "./session.ts";
import type { SessionContext } from "./session_context.ts";
import { VERSION } from "./version.ts";

/** How long the engine keeps a connection that was closed while the peer did not answer, beyond the heartbeat. */
const IDLE_MARGIN_SECONDS = 20;
/** How often backlogs are looked at. */
const SLOW_SCAN_MS = 1000;
/** How often what nodes have seen is compared with what the broker has. */
const BROKER_CHECK_SECONDS = 5;

/** What the server takes from its surroundings; each has a default. */
export interface Surroundings {
  readonly clock?: Clock;
  readonly log?: Log;
}

/** A running server. */
export interface Server {
  /** Where clients connect: `ws://host:port/path`. */
  readonly url: string;
  readonly engine: string;
  /**
   * Reads certificates and keys from their files again. Connections stay; a file that cannot be used is logged, and
   * what it held before goes on being used.
   */
  reload(): void;
  /**
   * Stops: nobody new is let in, one client after the other is told to reconnect elsewhere, gets what was sent to it
   * and is closed with 1001, and those that are not done by the deadline are cut. Calling it again waits for the same end.
   */
  close(): Promise<void>;
}

interface Running {
  listener: Listener | undefined;
  closing: Promise<void> | undefined;
  certificateExpirySeconds: number | undefined;
}

/**
 * Starts a server.
 * @throws {OptionsError} for options that cannot be used
 * @throws {KeyError} for a key, of tokens or of the API, that cannot be used
 * @throws {EngineUnavailable} when the engine cannot run here
 * @throws {ListenError} when the address cannot be taken
 */
export async function serve(given: Partial<Options> = {}, surroundings: Surroundings = {}): Promise<Server> {
  const options = resolveOptions(given);
  const { clock = systemClock, log = createLog(options.logLevel, options.logFormat) } = surroundings;
  const engine = await pickEngine(options.engine);
  const guards = createGuards(options, clock);
  const counters = new Counters();
  const heartbeat = new Heartbeat({
    intervalSeconds: options.heartbeatSeconds,
    timeoutSeconds: options.heartbeatTimeoutSeconds,
    clock,
  });
  const running: Running = { listener: undefined, closing: undefined, certificateExpirySeconds: undefined };
  const sessions = new Set<Session>();
  const delivery = new EngineDelivery(counters);
  const traffic = options.dashboard ? new TopicTraffic(delivery, counters) : undefined;
  const hub = new Hub({
    createBroker: await pickBroker(brokerSettings(options, clock, log)),
    delivery: traffic ?? delivery,
    failed: (error) => log.error({ err: error }, "a subscription failed for a fault of ours"),
  });
  const drain = new Drain({
    clients: sessions,
    delaySeconds: options.drainDelaySeconds,
    windowSeconds: options.reconnectWindowSeconds,
    timeoutSeconds: options.shutdownTimeoutSeconds,
    clock,
    log,
  });
  const readiness = () =>
    drain.isUnderWay ? Readiness.Draining : hub.isAvailable ? Readiness.Ready : Readiness.BrokerUnavailable;
  const slow = new SlowConsumers<Session>((bytes) => metrics.observeBackpressure(bytes));
  const queuedBytes = () => running.listener?.queuedBytes ?? 0;
  const build = { engine: engine.name, runtime: runtimeName(), version: VERSION };
  const metrics = createMetrics({
    counters,
    clock,
    ...build,
    gauges: {
      connections: () => connectionsByFormat(sessions),
      topics: () => hub.topicCount,
      subscriptions: () => hub.subscriptionCount,
      queuedBytes,
      slowConsumers: () => slow.count,
      ready: () => readiness() === Readiness.Ready,
      brokerAvailable: () => hub.isAvailable,
      certificateExpirySeconds: () => running.certificateExpirySeconds,
    },
    limits: {
      connections: options.maxConnections === 0 ? undefined : options.maxConnections,
      queuedBytes: options.maxQueuedBytes,
    },
  });
  const sources = { hub, counters, slow, clock, log, connections: sessions, queuedBytes, readiness };
  const watching = traffic && createWatching(options, build, guards, traffic, delivery, sources);
  const presence = new Patterns();
  for (const pattern of options.presence) presence.add(pattern);
  const context: SessionContext = {
    options,
    hub,
    sessions,
    heartbeat,
    deadlines: new Deadlines(clock),
    access: guards.access,
    messageRates: { messages: options.messageRate ?? undefined, bytes: options.byteRate ?? undefined },
    subscriptions: {
      hub,
      maxTopicsPerConnection: options.maxTopicsPerConnection,
      keepsPresence: (topic) => presence.matches(topic),
    },
    watching,
    slow,
    counters,
    clock,
    log,
  };
  const handlers = createHandlers(context, guards, metrics, drain, readiness);
  const stopScan = clock.every(SLOW_SCAN_MS, () => slow.scan(sessions, clock.now()));
  const stop = () => {
    stopScan();
    guards.stop();
    heartbeat.stop();
    metrics.close();
    watching?.stop();
  };
  try {
    running.listener = await engine.listen({
      ...options,
      tls: options.tlsCert === "" ? undefined : { certFile: options.tlsCert, keyFile: options.tlsKey },
      maxPayloadBytes: options.maxMessageBytes,
      closeTimeoutSeconds: Math.max(1, options.shutdownTimeoutSeconds),
      idleTimeoutSeconds: options.heartbeatSeconds === 0
        ? 0
        : options.heartbeatSeconds + options.heartbeatTimeoutSeconds + IDLE_MARGIN_SECONDS,
      clock,
    }, handlers);
  } catch (error) {
    stop();
    throw error;
  }
  const { listener } = running;
  delivery.listener = listener;
  const readExpiry = () => running.certificateExpirySeconds = chainExpirySeconds(options.tlsCert);
  if (options.tlsCert !== "") readExpiry();
  const shutDown = async () => {
    log.info({ connections: sessions.size }, "shutting down");
    await drain.start();
    await listener.close();
    drain.finished();
    stop();
    await hub.close();
    log.info("stopped");
  };
  const reload = (what: string, read: () => void) => {
    try {
      read();
      log.info(`${what} reloaded`);
    } catch (error) {
      log.error(`${what} not reloaded: ${(error as Error).message}`);
    }
  };
  return {
    url: listener.url + options.path,
    engine: engine.name,
    reload() {
      if (options.tlsCert !== "") {
        reload("certificate", () => {
          listener.reloadTls();
          readExpiry();
        });
      }
      reload("keys", () => guards.reload());
      for (const session of sessions) session.keysReloaded();
    },
    close: () => running.closing ??= shutDown(),
  };
}

/** What tells the nodes' figures to those who watch. */
function createWatching(
  options: Options,
  build: { readonly engine: string; readonly runtime: string; readonly version: string },
  { apiKeys }: Guards,
  traffic: TopicTraffic,
  delivery: EngineDelivery,
  sources:
    & Omit<ConstructorParameters<typeof Sampler<Session>>[0], "identity" | "traffic">
    & { readonly hub: Hub; readonly log: Log },
): Watching {
  const { hub, clock, log } = sources;
  const identity = { node: options.node, broker: options.broker, ...build };
  const watching = new Watching({
    ...{ hub, clock, log },
    sampler: new Sampler({ ...sources, identity, traffic }),
    isAlone: options.broker === "memory",
    apiKeys: apiKeys ?? ApiKeys.none,
    deliverHere: (publication) => delivery.deliverOwn(publication),
  });
  traffic.asked = (data) => watching.asked(data);
  return watching;
}

function brokerSettings(options: Options, clock: Clock, log: Log): BrokerSettings {
  const retentionOf = retentions(options.history);
  const { maxIdleTopics } = options;
  if (options.broker === "memory") return { kind: "memory", maxIdleTopics, retentionOf, clock };
  const shared = {
    urls: options.brokerUrls,
    timeoutSeconds: options.brokerTimeoutSeconds,
    idleTopicSeconds: options.topicIdleSeconds,
    maxIdleTopics,
    checkSeconds: BROKER_CHECK_SECONDS,
    presenceSeconds: options.presenceSeconds,
    retentionOf,
    clock,
    log,
  };
  if (options.broker === "redis") {
    return {
      kind: "redis",
      prefix: `${options.brokerPrefix}:`,
      isCluster: options.redisCluster !== "off",
      hasClusterPatterns: options.redisCluster === "patterns",
      ...shared,
    };
  }
  return { kind: "nats", prefix: options.brokerPrefix, replicas: options.brokerReplicas, ...shared };
}

function createHandlers(
  context: SessionContext,
  guards: Guards,
  metrics: Metrics,
  drain: Drain,
  readiness: () => Readiness,
): Handlers<Session> {
  const { options, hub, counters, sessions, slow, clock, log } = context;
  const gate = new Gate({ ...guards, context, readiness });
  const routes = createRoutes({
    webSocketPath: options.path,
    maxMessageBytes: options.maxMessageBytes,
    readiness,
    metrics: options.metrics === MetricsAccess.Off ? undefined : {
      needsKey: options.metrics === MetricsAccess.Key,
      contentType: metrics.contentType,
      text: () => metrics.text(),
    },
    ...{ hub, clock, slow, connections: sessions },
    keepsPresence: context.subscriptions.keepsPresence,
    published: () => counters.publications++,
    scanSlow: () => slow.scan(sessions, clock.now()),
    drain: () => void drain.start(),
  });
  const dashboard = options.dashboard ? dashboardRoutes(options.path) : [];
  const router = new Router([...routes, ...dashboard], guards.apiKeys);
  return {
    upgrade: (request) => gate.decide(request),
    http: (request) => router.answer(request),
    open: (socket) => socket.data.opened(socket),
    abandoned: (session) => session.abandoned(),
    message: (socket, message) => socket.data.received(message),
    drain: (socket) => socket.data.drained(),
    dropped(socket) {
      counters.drops.slow++;
      socket.data.missed();
    },
    evicted(socket) {
      counters.evictions++;
      log.warn(
        { session: socket.data.id },
        "cut: too much waits for all connections together, and most for this one",
      );
    },
    pong: (socket) => socket.data.ponged(),
    close(socket, code) {
      counters.countClose(code);
      socket.data.closed();
      log.debug({ session: socket.data.id, code }, "connection closed");
    },
    failed(error, socket) {
      counters.handlerErrors++;
      log.error({ err: error, session: socket?.data.id }, "a handler failed");
    },
  };
}

function connectionsByFormat(members: Iterable<Session>): Iterable<readonly [string, number]> {
  const counts = new Map(formats.map(({ name }) => [name, 0]));
  for (const { format: { name } } of members) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}
