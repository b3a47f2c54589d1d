/**
 * `GET /api/connections`, `GET /api/slow` and `POST /api/disconnect`: who is connected to this node, who reads too
 * slowly, and who has to go. It knows of a connection what {@link ApiConnection} says.
 */
import type { Clock } from "../clock.ts";
import type { HttpRequest, HttpResponse } from "../engine.ts";
import type { SlowConsumer } from "../limits/slow_consumers.ts";
import { json, RequestFault } from "./answers.ts";
import { isFields, readJson, readQuery, toPageRequest } from "./input.ts";
import { pageOf } from "./page.ts";

/** The most connections that the report of slow ones names. */
export const MAX_SLOW_REPORTED = 100;

const MS_PER_SECOND = 1_000;

/** A connection as the API shows it. */
export interface ApiConnection {
  readonly id: string;
  /** Undefined for the anonymous and for those who have yet to authenticate. */
  readonly user: string | undefined;
  readonly format: { readonly name: string };
  /** What limits per address count it by. */
  readonly address: string;
  /** Whole seconds of the server's clock. */
  readonly openedSecond: number;
  readonly subscriptionCount: number;
  /** Bytes that wait for it. */
  readonly bufferedAmount: number;
  /** Closes it in the operator's name. */
  disconnect(): void;
}

export interface ConnectionsSettings {
  /** Those that are open. */
  readonly connections: ReadonlySet<ApiConnection>;
  readonly clock: Clock;
  readonly slow: {
    readonly count: number;
    readonly queuedBytes: number;
    report(limit: number): readonly SlowConsumer<ApiConnection>[];
  };
  /** Looks for slow connections now. */
  scanSlow(): void;
}

export function listConnections({ query }: HttpRequest, settings: ConnectionsSettings): HttpResponse {
  const parameters = readQuery(query, ["user", "limit", "after"]);
  const found = select(settings.connections, "user", parameters.get("user"));
  const page = pageOf(found, ({ id }) => id, toPageRequest(parameters));
  const nowSeconds = Math.floor(settings.clock.now() / MS_PER_SECOND);
  const connections = page.items.map((connection) => ({
    session: connection.id,
    user: connection.user ?? null,
    format: connection.format.name,
    address: connection.address,
    connectedSeconds: nowSeconds - connection.openedSecond,
    subscriptions: connection.subscriptionCount,
    queuedBytes: connection.bufferedAmount,
  }));
  return json(200, { connections, next: page.next });
}

export function listSlow({ query }: HttpRequest, { slow, scanSlow }: ConnectionsSettings): HttpResponse {
  readQuery(query, []);
  scanSlow();
  const connections = slow.report(MAX_SLOW_REPORTED).map(({ peer, ...figures }) => ({
    session: peer.id,
    user: peer.user ?? null,
    ...figures,
  }));
  return json(200, { count: slow.count, queuedBytes: slow.queuedBytes, connections });
}

/** @throws {RequestFault} for a body that does not name exactly one user or one session */
export function disconnect(request: HttpRequest, { connections }: ConnectionsSettings): HttpResponse {
  const body = readJson(request);
  const names = isFields(body) ? Object.keys(body) : [];
  const [key] = names;
  const value = isFields(body) ? body[key ?? ""] : undefined;
  if (names.length !== 1 || (key !== "user" && key !== "session") || typeof value !== "string") {
    throw new RequestFault(400, "The body is an object with either `user` or `session`, which is a string.");
  }
  let disconnected = 0;
  for (const connection of select(connections, key === "user" ? "user" : "id", value)) {
    connection.disconnect();
    disconnected++;
  }
  return json(200, { disconnected });
}

/** Those whose `key` is `value`; all of them when that is undefined. */
function* select(
  connections: Iterable<ApiConnection>,
  key: "user" | "id",
  value: string | undefined,
): Generator<ApiConnection> {
  for (const connection of connections) {
    if (value === undefined || connection[key] === value) yield connection;
  }
}
