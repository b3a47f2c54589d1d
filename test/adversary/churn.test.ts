/** Connections that come and go in thousands, some in the middle of their handshake: nothing of them stays. */
import { Buffer } from "node:buffer";
import { connect, type Socket } from "node:net";
import process from "node:process";
import { after, describe, it } from "node:test";
import { assertEquals, assertLess } from "@std/assert";
import { Deadlines } from "../../server/deadlines.ts";
import { ConnectionLimits } from "../../server/limits/connections.ts";
import { UserLimits } from "../../server/limits/users.ts";
import { capture, collectGarbage } from "../helpers/captured.ts";
import { ManualClock } from "../helpers/manual_clock.ts";
import { encodeFrame, handshake, Opcode } from "../helpers/raw_client.ts";
import { whyNot } from "../helpers/runtime.ts";
import type { TestServer } from "../helpers/server.ts";
import { metric, ownEngines, stage } from "../helpers/stage.ts";
import { SECRET, sign, WALL_START_SECONDS } from "../helpers/tokens.ts";

const LONG = process.env["MILLRACE_LONG"] !== undefined;
const CONNECTIONS = LONG ? 100_000 : 3_000;
/** The code is compiled, the buffers of the runtime and of the clients are there. */
const WARM_UP = LONG ? 20_000 : 3_000;
const WAVE = 300;
const USERS = 200;
const ADDRESSES = 250;
/**
 * What the heap may differ by. It holds the clients too, and a collection leaves some of what has just been used. A
 * session takes about a kilobyte: one in ten that stayed would be above this in the long run, three in four in the short.
 */
const MAX_GROWTH_BYTES = LONG ? 8 << 20 : 2 << 20;
const HOUR_MS = 3_600_000;

const text = (command: unknown) => encodeFrame(Opcode.Text, JSON.stringify(command));

/** How far a client goes before its connection is reset. */
const ways:
  readonly ((url: string, token: string, from: Record<string, string>) => [Buffer[], answers: number])[] = [
    // Nothing but a part of the head.
    (url, _, from) => [[Buffer.from(handshake(url, from).slice(0, 60))], 0],
    // Goes while its token is being checked.
    (url, token, from) => [[Buffer.from(handshake(`${url}?token=${token}`, from))], 0],
    // The welcome of one without a token, one with a bad one, and one with a good one.
    (url, _, from) => [[Buffer.from(handshake(url, from))], 1],
    (url, token, from) => [[Buffer.from(handshake(`${url}?token=${token}x`, from))], 1],
    (url, token, from) => [[Buffer.from(handshake(`${url}?token=${token}`, from))], 1],
    // Goes while its auth message is being checked.
    (url, token, from) => [[Buffer.from(handshake(url, from)), text({ type: "auth", id: 1, token })], 1],
    // Authenticated, with a subscription and a publication.
    (url, token, from) => [[
      Buffer.from(handshake(`${url}?token=${token}`, from)),
      Buffer.concat([
        text({ type: "subscribe", id: 1, topic: "shared" }),
        text({ type: "subscribe", topic: `own.${token.slice(-8)}` }),
        text({ type: "publish", id: 2, topic: "shared", data: "x" }),
      ]),
    ], 2],
  ];

/** One client: each of its parts is sent once the one before is answered, and at the end the connection is reset. */
function visit(url: string, parts: readonly Buffer[], answers: number): Promise<void> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket: Socket = connect(Number(port), hostname);
    let answered = 0;
    const proceed = () => {
      const part = parts[answered];
      if (part !== undefined) socket.write(part);
      // In the next turn, so that the last part is on its way. A reset leaves no port behind in TIME_WAIT.
      if (answered >= answers) setImmediate(() => socket.resetAndDestroy());
    };
    socket.on("connect", proceed);
    socket.on("data", () => {
      answered++;
      proceed();
    });
    socket.on("end", () => socket.destroy());
    socket.on("error", () => {});
    socket.on("close", () => resolve());
  });
}

for (const engine of ownEngines) {
  describe(`connections that come and go on ${engine}`, { skip: await whyNot(engine) }, () => {
    const start = stage(engine);
    const limits = capture(ConnectionLimits, "arrive");
    const users = capture(UserLimits, "join");
    const deadlines = capture(Deadlines, "set");
    after(() => [limits, users, deadlines].forEach(({ release }) => release()));

    async function churn(server: TestServer, count: number, tokens: readonly string[]): Promise<void> {
      for (let done = 0; done < count; done += WAVE) {
        await Promise.all(Array.from({ length: WAVE }, (_, index) => {
          const n = done + index;
          const way = ways[n % ways.length] as typeof ways[number];
          const from = { "X-Forwarded-For": `192.0.2.${n % ADDRESSES}` };
          return visit(server.url, ...way(server.url, tokens[n % USERS] ?? "", from));
        }));
      }
      // Turns of the loop, not time: the last of them may still be on their way out.
      const places = () => [...limits.all].reduce((sum, { places }) => sum + places, 0);
      for (let turn = 0; turn < 1000 && places() + await metric(server, "millrace_connections") > 0; turn++);
      assertEquals([places(), await metric(server, "millrace_connections")], [0, 0]);
    }

    it(`leave nothing behind, ${CONNECTIONS} of them`, async () => {
      const clock = new ManualClock();
      const options = {
        jwtSecret: SECRET,
        trustedProxies: ["127.0.0.1"],
        handshakeRate: { perSecond: 100, burst: 1e6 },
      };
      const server = await start({
        ...options,
        ...{ maxConnections: WAVE, maxConnectionsPerAddress: 10, maxConnectionsPerUser: 10 },
        ...{ maxIdleTopics: 100, heartbeatSeconds: 0, logLevel: "silent" },
      }, { clock, log: { debug() {}, info() {}, warn() {}, error() {} } });
      const tokens = await Promise.all(
        Array.from({ length: USERS }, (_, i) =>
          sign({
            sub: `user-${i}`,
            exp: WALL_START_SECONDS + 10 * HOUR_MS,
            millrace: { subscribe: [">"], publish: [">"] },
          })),
      );
      await churn(server, WARM_UP, tokens);
      collectGarbage();
      const before = process.memoryUsage().heapUsed;
      await churn(server, CONNECTIONS, tokens);
      if (collectGarbage()) assertLess(process.memoryUsage().heapUsed - before, MAX_GROWTH_BYTES);

      const names = [
        "connections",
        "subscriptions",
        "topics",
        "slow_consumers",
        "queued_bytes",
        "handler_errors_total",
      ];
      for (const name of names) assertEquals([name, await metric(server, `millrace_${name}`)], [name, 0]);
      assertEquals([...limits.all].map(({ pendingHandshakes }) => pendingHandshakes), [0]);
      // Buckets are remembered until they are full again, and then by nobody.
      clock.advance(HOUR_MS);
      assertEquals([...limits.all].map(({ remembered }) => remembered), [0]);
      assertEquals([...users.all].map(({ remembered }) => remembered), [0]);
      const pending = [...deadlines.all].map((one) =>
        (one as unknown as { pending: Map<unknown, unknown> }).pending.size
      );
      assertEquals(pending.reduce((sum, size) => sum + size, 0), 0);
    });
  });
}
