/** The client's connection as a machine of states: when it comes back, when not, and what it does about silence. */
import { describe, it } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { adviceOn } from "../../client/close.ts";
import { MillraceError } from "../../client/mod.ts";
import { closeTable, Reconnect } from "../../server/close.ts";
import { WALL_START_MS } from "../helpers/manual_clock.ts";
import { scripted } from "./scripted.ts";

/** Connected, and past the welcome. */
function open(options: Parameters<typeof scripted>[0] = {}) {
  const script = scripted(options);
  void script.client.connect().catch(() => {});
  script.socket().greet();
  return script;
}

describe("the client's connection", () => {
  it("agrees with the server about every close code", () => {
    const words = {
      [Reconnect.No]: "stop",
      [Reconnect.Yes]: "return",
      [Reconnect.Jittered]: "return",
      [Reconnect.Backoff]: "back-off",
      [Reconnect.NewToken]: "new-token",
    };
    for (const [code, { reconnect }] of Object.entries(closeTable)) {
      assertEquals([code, adviceOn(Number(code))], [code, words[reconnect]]);
    }
    assertEquals([1006, 1005, 4999].map(adviceOn), ["return", "return", "return"]);
  });

  it("does not connect before it is asked for something", () => {
    const { client, sockets } = scripted();
    assertEquals([client.state, sockets.length], ["idle", 0]);
    client.subscribe("a", () => {});
    assertEquals([client.state, sockets.length], ["connecting", 1]);
  });

  it("comes back with waits that double up to a limit, each a random part of the bound", () => {
    const { clock, states, socket } = open();
    const waits: unknown[] = [];
    for (let attempt = 0; attempt < 8; attempt++) {
      socket().end(1006);
      const { retryInMs = 0 } = states.at(-1) ?? {};
      waits.push(retryInMs);
      clock.advance(retryInMs);
    }
    assertEquals(waits, [250, 500, 1000, 2000, 4000, 8000, 15000, 15000]);
  });

  it("begins with short waits again after a line that has lasted, but not when the server is full", () => {
    for (const [code, wait] of [[1011, 250], [1013, 1000]] as const) {
      const { clock, states, socket } = open({ heartbeat: { idleMs: 1e6 } });
      for (let attempt = 0; attempt < 2; attempt++) {
        socket().end(1006);
        clock.advance(states.at(-1)?.retryInMs ?? 0);
      }
      socket().greet();
      clock.advance(10_000);
      socket().end(code);
      assertEquals([code, states.at(-1)?.retryInMs], [code, wait]);
    }
  });

  it("waits after `drain` as long as it was told, and no sign of life shortens that", () => {
    const { clock, socket, sockets, states, wake } = open();
    socket().say({ type: "drain", reconnectAfterMs: 7_000, deadlineMs: 1 });
    socket().end(1001);
    assertEquals(states.at(-1), {
      ...{ state: "waiting", previous: "open", closeCode: 1001, reason: "", retryInMs: 7_000 },
    });
    wake();
    clock.advance(6_999);
    assertEquals(sockets.length, 1);
    clock.advance(1);
    assertEquals(sockets.length, 2);
  });

  it("tries at once when the machine is online or the page visible again", () => {
    const { socket, sockets, wake } = open();
    socket().end(1006);
    wake();
    assertEquals(sockets.length, 2);
  });

  it("does not come back when the server says so, rejects what waits, and tries again when asked to", async () => {
    const { client, clock, socket, sockets } = open();
    const sent = client.publish("a", 1);
    const connected = client.publish("a", 2);
    socket().end(4006);
    assertEquals(client.state, "stopped");
    for (const outcome of [sent, connected]) {
      assertEquals((await assertRejects(() => outcome, MillraceError)).code, "unknown_outcome");
    }
    const refused = await assertRejects(() => client.publish("a", 1), MillraceError);
    assertEquals([refused.code, refused.closeCode], ["stopped", 4006]);
    clock.advance(1e9);
    assertEquals(sockets.length, 1);
    const again = client.connect();
    socket().greet();
    await again;
    assertEquals(client.state, "open");
  });

  it("asks a silent line, and gives it up when nothing comes", () => {
    const { client, clock, socket, states } = open({ heartbeat: { idleMs: 1_000, timeoutMs: 300 } });
    clock.advance(999);
    socket().say({ type: "broadcast", data: 1 });
    clock.advance(999);
    assertEquals(socket().of("ping").length, 0);
    clock.advance(1);
    assertEquals(socket().of("ping").length, 1);
    socket().say({ type: "pong" });
    clock.advance(300);
    assertEquals(client.state, "open");
    clock.advance(700);
    assertEquals(socket().of("ping").length, 2);
    clock.advance(300);
    assertEquals([client.state, states.at(-1)?.reason], ["waiting", "Silence."]);
  });

  it("asks once more when its timer comes late: what has come meanwhile may wait behind it", () => {
    const clock = new SleepyClock();
    const { client, socket } = open({ clock, heartbeat: { idleMs: 1_000, timeoutMs: 300 } });
    clock.run(1_000);
    assertEquals(socket().of("ping").length, 1);
    clock.run(3_600_000);
    assertEquals([client.state, socket().of("ping").length], ["open", 2]);
    clock.run(3_600_000);
    assertEquals(client.state, "waiting");
  });

  it("asks the line at once when the page is visible again", () => {
    const { client, clock, socket, wake } = open({ heartbeat: { timeoutMs: 300 } });
    wake();
    assertEquals(socket().of("ping").length, 1);
    clock.advance(300);
    assertEquals(client.state, "waiting");
  });

  it("gives an attempt up that brings no welcome, and a URL that does not come", async () => {
    const { client, clock, socket, states } = scripted({ connectTimeoutMs: 500 });
    client.subscribe("a", () => {});
    socket().readyState = 1;
    clock.advance(500);
    assertEquals([states.at(-1)?.state, states.at(-1)?.reason], ["waiting", "No welcome."]);
    const slow = scripted({ url: () => new Promise(() => {}), connectTimeoutMs: 500 });
    slow.client.subscribe("a", () => {});
    slow.clock.advance(500);
    assertEquals(slow.client.state, "waiting");
    const failing = scripted({ url: () => Promise.reject(new Error("no DNS")) });
    failing.client.subscribe("a", () => {});
    await failing.settle();
    assertEquals([failing.client.state, failing.told], ["waiting", ["cannot_connect"]]);
  });

  it("says so when there can be no WebSocket", async () => {
    const WebSocket = class {
      constructor() {
        throw new SyntaxError("bad URL");
      }
    };
    const { client, told } = scripted({ WebSocket: WebSocket as never });
    assertEquals((await assertRejects(() => client.connect(), MillraceError)).code, "stopped");
    assertEquals([client.state, told], ["stopped", ["cannot_connect"]]);
  });

  it("authenticates before anything else, and renews its token before that runs out", async () => {
    const reasons: string[] = [];
    const { client, clock, socket, settle } = scripted({
      heartbeat: { idleMs: 1e9 },
      token: (reason) => Promise.resolve(`${reason} ${reasons.push(reason)}`),
    });
    client.subscribe("a", () => {});
    socket().greet({ authRequired: true });
    await settle();
    assertEquals([client.state, socket().sent], ["connecting", [{
      ...{ type: "auth", token: "connect 1", id: "auth" },
    }]]);
    const expiresAt = (WALL_START_MS + clock.now()) / 1000 + 600;
    socket().reply("auth", { user: "ann", expiresAt });
    assertEquals([client.state, socket().of("subscribe").length], ["open", 1]);
    clock.advance(569_999);
    assertEquals(reasons, ["connect"]);
    clock.advance(1);
    await settle();
    assertEquals(socket().last("auth")["token"], "refresh 2");
    socket().reply("auth", { user: "ann" });
    clock.advance(1e6);
    assertEquals(reasons.length, 2);
  });

  it("comes back with a fresh token when the old one has run out, and asks again when there is none to have", async () => {
    let calls = 0;
    const { client, clock, socket, sockets, told, settle } = scripted({
      token: () => ++calls === 2 ? Promise.reject(new Error("offline")) : Promise.resolve("t"),
    });
    client.subscribe("a", () => {});
    socket().greet({ authRequired: true });
    await settle();
    socket().reply("auth");
    socket().end(4005);
    assertEquals(client.state, "waiting");
    clock.advance(250);
    assertEquals(sockets.length, 2);
    socket().greet({ authRequired: true });
    await settle();
    assertEquals([told, socket().sent], [["token_failed"], []]);
    clock.advance(250);
    await settle();
    socket().reply("auth");
    assertEquals([client.state, calls], ["open", 3]);
    const without = open();
    without.socket().end(4005);
    assertEquals(without.client.state, "stopped");
  });

  it("gives a line up on which nothing answers its token", async () => {
    const { client, clock, socket, settle } = scripted({ token: () => "t", connectTimeoutMs: 500 });
    client.subscribe("a", () => {});
    socket().greet({ authRequired: true });
    await settle();
    clock.advance(499);
    assertEquals(client.state, "connecting");
    clock.advance(1);
    assertEquals(client.state, "waiting");
  });

  it("does not send a token that comes when its line has gone", async () => {
    const tokens: ((token: string) => void)[] = [];
    const { client, clock, socket, settle } = scripted({
      token: () => new Promise((resolve) => tokens.push(resolve)),
    });
    client.subscribe("a", () => {});
    socket().greet({ authRequired: true });
    socket().end(1006);
    clock.advance(250);
    socket().greet({ authRequired: true });
    tokens[0]?.("late");
    await settle();
    assertEquals(socket().sent, []);
    tokens[1]?.("in time");
    await settle();
    assertEquals(socket().sent.map(({ token }) => token), ["in time"]);
  });

  it("stops when its token is not accepted", async () => {
    const { client, socket, told, settle } = scripted({ token: () => "t" });
    client.subscribe("a", () => {});
    socket().greet({ authRequired: true });
    await settle();
    socket().refuse("auth", "unauthorized");
    socket().end(4002);
    assertEquals([client.state, told], ["stopped", ["unauthorized"]]);
  });

  it("stays closed when whoever hears of a state closes it", () => {
    for (const at of ["connecting", "open", "waiting"]) {
      const { client, clock, socket, sockets } = scripted();
      client.on("state", ({ state }) => {
        if (state === at) void client.close({ flushMs: 0 });
      });
      client.subscribe("a", () => {});
      if (sockets.length > 0) socket().greet();
      if (sockets.length > 0) socket().end(1006);
      clock.advance(1e6);
      assertEquals([at, client.state, sockets.length], [at, "closed", at === "connecting" ? 0 : 1]);
    }
  });

  it("takes nothing from a line that it has left", () => {
    const { client, socket, wake, clock } = open({ heartbeat: { timeoutMs: 300 } });
    const old = socket();
    wake();
    clock.advance(300 + 250);
    socket().greet();
    old.end(1000);
    old.say({ type: "drain", reconnectAfterMs: 1e6, deadlineMs: 1 });
    assertEquals(client.state, "open");
    socket().end(1006);
    clock.advance(500);
    assertEquals(client.state, "connecting");
  });

  it("throws nothing at the application for what the server says, but says that it was not understood", () => {
    const { client, socket, told } = open();
    for (
      const bad of ["{", "null", "7", '"text"', '{"type":"ack"}', '{"type":"message"}', '{"type":"news"}']
    ) {
      socket().raw(bad);
    }
    assertEquals(client.state, "open");
    assert(told.length > 0);
    assertEquals([...new Set(told)], ["bad_message"]);
  });

  it("is closed at once by its signal, and for good", async () => {
    const stopping = new AbortController();
    const { client, clock, sockets } = open({ signal: stopping.signal });
    stopping.abort();
    assertEquals(client.state, "closed");
    clock.advance(1e6);
    assertEquals(sockets.length, 1);
    assertEquals((await assertRejects(() => client.connect(), MillraceError)).code, "closed");
  });
});

/** A clock whose timers all run late: when it is told to. */
class SleepyClock {
  private time = 0;
  private timers = new Set<{ at: number; run: () => void }>();
  now(): number {
    return this.time;
  }
  wallMs(): number {
    return this.time;
  }
  after(ms: number, run: () => void): () => void {
    const timer = { at: this.time + ms, run };
    this.timers.add(timer);
    return () => void this.timers.delete(timer);
  }
  /** So much time goes by, and then whatever is due runs. */
  run(ms: number): void {
    this.time += ms;
    for (const timer of [...this.timers]) {
      if (timer.at <= this.time && this.timers.delete(timer)) timer.run();
    }
  }
}
