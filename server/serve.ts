/**
 * The composition root: makes the parts, wires them, and knows in which order they stop. Everything that decides
 * anything lives elsewhere.
 */
import { randomBytes, randomInt } from "node:crypto";
import { pickBroker } from "./broker/pick.ts";
import { type Clock, systemClock } from "./clock.ts";
import { deliver } from "./delivery.ts";
import type { Handlers, Listener, UpgradeAnswer, UpgradeRequest } from "./engine.ts";
import { pickEngine } from "./engines/pick.ts";
import { Heartbeat } from "./heartbeat.ts";
import { httpError, notFound, route } from "./http/routes.ts";
import { Hub } from "./hub/hub.ts";
import { createLog, type Log } from "./observe/log.ts";
import { type Options, resolveOptions } from "./options.ts";
import { formats, negotiateFormat } from "./protocol/formats.ts";
import { Session, type SessionContext } from "./session.ts";

const SESSION_ID_BYTES = 9;

/** How long the engine keeps a connection that was closed while the peer did not answer, beyond the heartbeat. */
const IDLE_MARGIN_SECONDS = 20;

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
   * Stops: nobody new is let in, everybody is told to reconnect elsewhere, what was sent leaves, connections close
   * with 1001, and those that are not done by the deadline are cut. Calling it again waits for the same end.
   */
  close(): Promise<void>;
}

/**
 * Starts a server.
 * @throws {OptionsError} for options that cannot be used
 * @throws {EngineUnavailable} when the engine cannot run here
 * @throws {ListenError} when the address cannot be taken
 */
export async function serve(given: Partial<Options> = {}, surroundings: Surroundings = {}): Promise<Server> {
  const options = resolveOptions(given);
  const { clock = systemClock, log = createLog(options.logLevel, options.logFormat) } = surroundings;
  const engine = await pickEngine(options.engine);
  const heartbeat = new Heartbeat({
    intervalSeconds: options.heartbeatSeconds,
    timeoutSeconds: options.heartbeatTimeoutSeconds,
    clock,
  });
  const running: { listener: Listener | undefined; closing: Promise<void> | undefined } = {
    listener: undefined,
    closing: undefined,
  };
  const hub = new Hub<Session>({
    createBroker: await pickBroker({
      kind: "memory",
      maxIdleTopics: options.maxIdleTopics,
      retentionOf: () => ({ messages: 0, seconds: 0 }),
      clock,
    }),
    deliver: (publication) => running.listener && deliver(running.listener, publication),
  });
  const isReady = () => running.closing === undefined && hub.isAvailable;
  const handlers = createHandlers({ options, hub, heartbeat, log }, isReady);
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
    heartbeat.stop();
    throw error;
  }
  const { listener } = running;
  const shutDown = async () => {
    log.info({ connections: hub.members.size }, "shutting down");
    const gone = listener.close();
    const deadlineMs = options.shutdownTimeoutSeconds * 1000;
    for (const session of hub.members) {
      session.leave(randomInt(options.reconnectWindowSeconds * 1000 + 1), deadlineMs);
    }
    const cancelDeadline = clock.after(deadlineMs, () => {
      log.warn({ connections: hub.members.size }, "cutting connections that did not close in time");
      for (const session of hub.members) session.terminate();
    });
    await gone;
    cancelDeadline();
    heartbeat.stop();
    await hub.close();
    log.info("stopped");
  };
  return {
    url: listener.url + options.path,
    engine: engine.name,
    close: () => running.closing ??= shutDown(),
  };
}

function createHandlers(context: SessionContext, isReady: () => boolean): Handlers<Session> {
  const { options, log } = context;
  return {
    upgrade: (request) => accept(request, context, isReady),
    http: (request) => route(request, { webSocketPath: options.path, isReady }),
    open: (socket) => socket.data.opened(socket),
    message: (socket, message) => socket.data.received(message),
    drain: (socket) => socket.data.drained(),
    dropped: (socket, topic) => socket.data.missed(topic),
    pong: (socket) => socket.data.ponged(),
    close(socket, code) {
      socket.data.closed();
      log.debug({ session: socket.data.id, code }, "connection closed");
    },
    failed: (error, socket) => log.error({ err: error, session: socket?.data.id }, "a handler failed"),
  };
}

function accept(
  request: UpgradeRequest,
  context: SessionContext,
  isReady: () => boolean,
): UpgradeAnswer<Session> {
  if (request.path !== context.options.path) return { accept: false, response: notFound() };
  if (!isReady()) {
    const response = httpError(503, "The server is shutting down.", { "retry-after": "5" });
    return { accept: false, response };
  }
  const negotiated = negotiateFormat(request.headers.get("sec-websocket-protocol"));
  if (negotiated === undefined) {
    const known = formats.map((format) => format.subprotocol).join(" and ");
    return {
      accept: false,
      response: httpError(400, `None of the offered subprotocols is known; known are ${known}.`),
    };
  }
  const session = new Session(
    context,
    randomBytes(SESSION_ID_BYTES).toString("base64url"),
    negotiated.format,
  );
  return { accept: true, data: session, protocol: negotiated.subprotocol };
}
