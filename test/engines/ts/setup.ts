/**
 * What the tests of the engine `ts` share: listeners that are always ended again, clients on real sockets, and TCP that
 * exists on paper only, where every write can be counted and compared.
 */
import { Buffer } from "node:buffer";
import { after } from "node:test";
import type { Engine, Handlers, ListenOptions, Socket } from "../../../server/engine.ts";
import { tsEngine } from "../../../server/engines/ts/engine.ts";
import { TsListener } from "../../../server/engines/ts/listener.ts";
import type { TcpHandler, TcpSocket } from "../../../server/engines/ts/tcp.ts";
import { type Fixture, listen, type Name } from "../../contract/fixture.ts";
import { handshake, RawClient } from "../../helpers/raw_client.ts";

const PAPER_URL = "ws://127.0.0.1:1";

const fixtures = new Set<Fixture>();

/** To be called once in every test file: nothing outlives it. */
export function endEverything(): void {
  after(async () => {
    RawClient.destroyAll();
    for (const fixture of fixtures) await end(fixture);
  });
}

/** Ends one fixture before its file ends, and forgets what it has recorded. */
export async function end(fixture: Fixture): Promise<void> {
  for (const event of fixture.events.all) if (event.kind === "open") event.socket.terminate();
  await fixture.listener.close();
  fixtures.delete(fixture);
}

/** Listens on a free port. */
export async function start(
  options: Partial<ListenOptions> = {},
  overrides: Partial<Handlers<Name>> = {},
): Promise<Fixture> {
  const fixture = await listen(tsEngine, options, overrides);
  fixtures.add(fixture);
  return fixture;
}

export interface Joined {
  readonly client: RawClient;
  readonly socket: Socket<Name>;
}

export async function join(
  fixture: Fixture,
  name: Name,
  headers: Record<string, string> = {},
): Promise<Joined> {
  const client = await RawClient.open(`${fixture.url}/?${name}`, headers);
  return { client, socket: await fixture.socket(name) };
}

/** The next turn of the event loop, after its input and output have been looked at. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** A whole request on a connection of its own: whoever connected or wrote before it has been noticed by then. */
export async function beServed(fixture: Fixture): Promise<void> {
  const client = await RawClient.request(fixture.url, "GET /other HTTP/1.0\r\n\r\n");
  if (!client.head.startsWith("HTTP/1.1 200 ")) throw new Error(`not served: ${client.head}`);
  await client.gone();
}

/** A socket whose writes go nowhere; each call is one write to the operating system. */
export class PaperTcp implements TcpSocket {
  handler!: TcpHandler; // set by whoever accepts it
  pendingBytes = 0;
  readonly remoteAddress = "127.0.0.1";
  /** What was written by reference, as it was given, and copies of what was lent. */
  readonly writes: Uint8Array[] = [];
  ended = false;

  write(bytes: Uint8Array): void {
    this.writes.push(bytes);
  }

  writeLent(bytes: Uint8Array, start: number, end: number): boolean {
    this.writes.push(Buffer.from(bytes.subarray(start, end)));
    return true;
  }

  end(): void {
    this.ended = true;
  }

  destroy(): void {
    this.ended = true;
    this.pendingBytes = 0;
  }

  /** One read of the server's. The engine may change the bytes, so it gets its own. */
  receive(bytes: Uint8Array): void {
    const lent = Buffer.from(bytes);
    this.handler.received(lent, lent.length);
  }
}

export interface OnPaper {
  readonly fixture: Fixture;
  /** A connection on which nothing has been said. */
  connect(): PaperTcp;
  /** A connection past its handshake, with nothing of it left in `writes`. */
  join(name: Name, headers?: Record<string, string>): Promise<{ tcp: PaperTcp; socket: Socket<Name> }>;
}

/** A listener without a network. */
export async function startOnPaper(
  options: Partial<ListenOptions> = {},
  overrides: Partial<Handlers<Name>> = {},
): Promise<OnPaper> {
  let accept: (tcp: TcpSocket) => TcpHandler = () => {
    throw new Error("nobody listens");
  };
  const engine: Engine = {
    name: "ts on paper",
    listen(options, handlers) {
      const listener = new TsListener(options, handlers);
      accept = (tcp) => listener.accept(tcp);
      return Promise.resolve(listener.attach({ port: 1, close() {}, reloadTls() {} }));
    },
  };
  const fixture = await listen(engine, options, overrides);
  const connect = () => {
    const tcp = new PaperTcp();
    tcp.handler = accept(tcp);
    return tcp;
  };
  return {
    fixture,
    connect,
    async join(name, headers) {
      const tcp = connect();
      tcp.receive(Buffer.from(handshake(`${PAPER_URL}/?${name}`, headers)));
      const socket = await fixture.socket(name);
      tcp.writes.length = 0;
      return { tcp, socket };
    },
  };
}
