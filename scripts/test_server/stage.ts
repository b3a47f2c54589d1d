/**
 * What a test works with: connections to the server, each noted so that it ends with the test and its wire can be judged
 * afterwards. Knows no test.
 */
import { faultOf, readAnswer, request, type RequestOptions } from "../conformance/handshake.ts";
import { Wire } from "../conformance/wire.ts";
import type { Kind } from "./kind.ts";
import { Line } from "./line.ts";
import { requestOptions, type Settings } from "./settings.ts";
import { type Dialect, dialectFor, pingDialect } from "./speech.ts";
import { Finding } from "./test.ts";

/** Statuses by which a server says that it is full or that somebody comes too often. */
const LIMIT_STATUSES: readonly number[] = [429, 503];
/** How long a server may take to end TCP after both close frames (RFC 6455 section 7.1.1). */
const TCP_END_MS = 2_000;

/** The server refuses a handshake because of a limit, which it may. */
export class AtLimit extends Finding {}

/** What a line is to be able to do. */
export interface LineOptions {
  /** Carry bytes. */
  readonly binary?: boolean;
  /** The value of Sec-WebSocket-Extensions. */
  readonly offer?: string;
}

/** One test's connections. */
export class Stage {
  readonly settings: Settings;
  readonly kind: Kind;
  readonly wires: Wire[] = [];

  constructor(settings: Settings, kind: Kind) {
    this.settings = settings;
    this.kind = kind;
  }

  /** TCP, or TLS. Rejects with the runtime's error. */
  async connect(): Promise<Wire> {
    const { target, timeoutMs, trust } = this.settings;
    const wire = await Wire.connect(target, timeoutMs, trust);
    this.wires.push(wire);
    return wire;
  }

  /** Sends a handshake on a fresh connection and waits for the head of the answer, whatever it says. */
  async ask(options?: RequestOptions, resource?: string): Promise<Wire> {
    return await this.request(await this.connect(), options, resource);
  }

  /** As {@link ask}, on a connection that is there. */
  async request(wire: Wire, options?: RequestOptions, resource?: string): Promise<Wire> {
    const { target, timeoutMs } = this.settings;
    const at = resource === undefined ? target : { ...target, resource };
    await wire.write(request(at, requestOptions(this.settings, options)));
    await wire.until(() => wire.head !== undefined, timeoutMs);
    return wire;
  }

  /**
   * An open WebSocket connection.
   * @throws Finding when the answer is not a right 101, AtLimit when it speaks of a limit.
   */
  async open(options: RequestOptions = {}): Promise<Wire> {
    const wire = await this.ask(options);
    const problem = handshakeProblem(wire);
    if (problem !== undefined) {
      const limited = LIMIT_STATUSES.includes(wire.head?.status ?? 0);
      throw limited ? new AtLimit(problem) : new Finding(problem);
    }
    const deflate = readAnswer(wire.head?.headers.get("sec-websocket-extensions"), options.offer ?? "");
    if (typeof deflate === "string") throw new Finding(deflate);
    if (deflate !== undefined) wire.agreeOn(deflate);
    return wire;
  }

  /** An open connection on which messages come back, past every greeting. */
  async line({ binary = false, offer }: LineOptions = {}): Promise<Line> {
    return await this.converse(dialectFor(this.kind, binary), offer);
  }

  /** As {@link line}, in a given dialect. */
  async converse(dialect: Dialect, offer?: string): Promise<Line> {
    const wire = await this.open({ headers: dialect.headers, ...(offer === undefined ? {} : { offer }) });
    const line = new Line(wire, dialect, this.settings.timeoutMs);
    await line.passGreetings();
    return line;
  }

  /** An open connection that answers with messages where the server gives them back, else with pongs. */
  async anyLine(): Promise<Line> {
    return this.kind.name === "unknown" ? await this.converse(pingDialect) : await this.line();
  }

  /** One round trip of a short text on a fresh connection, which stays open. */
  async roundTrip(text: string): Promise<Wire> {
    const line = await this.anyLine();
    await line.say(text);
    await line.expect(text);
    return line.wire;
  }

  /** Closes with `code` and waits for both the answer and the end of TCP. */
  async close(wire: Wire, code = 1000): Promise<void> {
    const { timeoutMs } = this.settings;
    await wire.sendClose(code);
    await wire.until(() => wire.over, timeoutMs);
    if (wire.serverClose !== undefined) await wire.until(() => wire.ended, Math.min(timeoutMs, TCP_END_MS));
  }

  destroy(): void {
    for (const wire of this.wires) wire.destroy();
  }
}

/** What is wrong with the answer to a handshake; undefined when nothing is. */
export function handshakeProblem(wire: Wire): string | undefined {
  const { head } = wire;
  if (head === undefined) return wire.ended ? "TCP ended without an answer" : "no answer to the handshake";
  if (head.status === 101) return faultOf(head);
  if (head.status === 0) return "the answer is not HTTP/1.1";
  return `the handshake is refused with status ${head.status}${HINTS.get(head.status) ?? ""}`;
}

const HINTS: ReadonlyMap<number, string> = new Map([
  [400, " (does the server ask for a --subprotocol?)"],
  [401, " (give credentials with --token or --header)"],
  [403, " (is the --origin allowed, or are credentials missing?)"],
  [404, " (is this the path of the WebSocket endpoint?)"],
  [429, " (a rate or a number of connections is exceeded)"],
  [502, " (a proxy cannot reach the server behind it)"],
  [503, " (full, draining, or not ready)"],
  [504, " (a proxy got no answer from the server behind it)"],
]);
