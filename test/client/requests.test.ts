/** What becomes of commands while lines come and go. */
import { describe, it } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { MillraceError } from "../../client/mod.ts";
import { scripted } from "./scripted.ts";

/** The code that a command failed with, or what it gave. */
function outcome(promise: Promise<unknown>): Promise<unknown> {
  return promise.catch((error) => error instanceof MillraceError ? error.code : error);
}

describe("commands of the client", () => {
  it("wait for a line, and are sent in their order", async () => {
    const { client, socket } = scripted();
    const all = [1, 2, 3].map((data) => client.publish("a", data));
    assertEquals(socket().sent, []);
    socket().greet();
    assertEquals(socket().sent.map(({ data }) => data), [1, 2, 3]);
    for (const { id } of socket().sent) socket().say({ type: "ack", id, topic: "a", epoch: "e", offset: id });
    assertEquals((await Promise.all(all)).map(({ offset }) => offset), [1, 2, 3]);
  });

  it("are rejected when too many wait: the new one, or the oldest", async () => {
    for (
      const [whenFull, codes] of [
        ["reject", ["sent", "sent", "queue_full"]],
        ["drop-oldest", ["queue_full", "sent", "sent"]],
      ] as const
    ) {
      const { client, socket } = scripted({ queue: { limit: 2, whenFull } });
      const all = [1, 2, 3].map((data) => outcome(client.publish("a", data).then(() => "sent")));
      socket().greet();
      for (const { id } of socket().sent) socket().say({ type: "ack", id });
      assertEquals(await Promise.all(all), [...codes]);
    }
  });

  it("whose reply was lost are told to have an unknown outcome, or are repeated where that was asked for", async () => {
    const { client, clock, socket } = scripted();
    const once = outcome(client.publish("a", "once"));
    const broadcast = outcome(client.broadcast("once"));
    const repeated = outcome(client.publish("a", "again", { repeat: true }));
    const history = outcome(client.history("a"));
    socket().greet();
    const first = socket().sent;
    assertEquals(first.length, 4);
    socket().end(1006);
    const later = outcome(client.publish("a", "later"));
    clock.advance(1e5);
    socket().greet();
    assertEquals([await once, await broadcast], ["unknown_outcome", "unknown_outcome"]);
    assertEquals(socket().sent.map(({ data, type }) => data ?? type), ["again", "history", "later"]);
    for (const { id } of socket().sent) socket().say({ type: "ack", id, epoch: "e", offset: 1 });
    assertEquals(await repeated, { epoch: "e", offset: 1 });
    assertEquals(await later, { epoch: "e", offset: 1 });
    assert(await history);
  });

  it("keep their order when they are repeated", () => {
    const { client, clock, socket } = scripted({ repeat: true });
    const all = Array.from({ length: 40 }, (_, data) => data);
    for (const data of all) void outcome(client.publish("a", data));
    socket().greet();
    socket().end(1006);
    clock.advance(1e5);
    socket().greet();
    for (let index = 0; index < socket().sent.length; index++) {
      socket().say({ type: "ack", id: socket().sent[index]?.["id"], epoch: "e", offset: index });
    }
    assertEquals(socket().sent.map(({ data }) => data), all);
  });

  it("are not all sent at once, and wait as long as the server's rates want", async () => {
    const { client, clock, socket } = scripted();
    const all = Array.from({ length: 100 }, (_, data) => outcome(client.publish("a", data)));
    socket().greet();
    assertEquals(socket().sent.length, 32);
    const [one, two] = socket().sent;
    for (const sent of [two, one]) {
      socket().say({ type: "error", id: sent?.["id"], code: "rate_limited", message: "", retryAfterMs: 50 });
    }
    for (const { id } of socket().sent.slice(2)) socket().say({ type: "ack", id, epoch: "e", offset: 1 });
    assertEquals(socket().sent.length, 32);
    clock.advance(50);
    assertEquals(socket().sent.slice(32, 34).map(({ data }) => data), [0, 1]);
    for (let index = 32; index < socket().sent.length; index++) {
      socket().say({ type: "ack", id: socket().sent[index]?.["id"], epoch: "e", offset: index });
    }
    await Promise.all(all);
    const refused = outcome(client.publish("a", 1));
    socket().refuse("publish", "rate_limited", { retryAfterMs: null });
    assertEquals(await refused, "rate_limited");
  });

  it("are taken back by their signal as long as they have not been sent; afterwards only their outcome is not waited for", async () => {
    const { client, clock, socket } = scripted();
    const [stopping, reason] = [new AbortController(), new Error("stop")];
    const waiting = outcome(client.publish("a", 1, { signal: stopping.signal }));
    stopping.abort(reason);
    assertEquals(await waiting, reason);
    socket().greet();
    assertEquals(socket().sent, []);
    const sent = new AbortController();
    const asked = outcome(client.publish("a", 2, { signal: sent.signal, repeat: true }));
    sent.abort(reason);
    assertEquals(await asked, reason);
    socket().end(1006);
    clock.advance(1e5);
    socket().greet();
    assertEquals(socket().sent, []);
    assertEquals(await outcome(client.history("a", { signal: AbortSignal.abort(reason) })), reason);
  });

  it("that the server would not take are never sent", async () => {
    const { client, socket } = scripted();
    const large = outcome(client.publish("a", "ä".repeat(500)));
    const fits = client.publish("a", "a".repeat(900));
    socket().greet();
    assertEquals(await large, "message_too_large");
    socket().reply("publish", { epoch: "e", offset: 1 });
    await fits;
    await assertRejects(() => client.publish("a", undefined), TypeError);
    await assertRejects(() => client.publish("a", 1n), TypeError);
    await assertRejects(() => client.publish("a.*", 1), TypeError);
    assertEquals(socket().sent.length, 1);
  });

  it("are flushed by close, as long as that may take; later ones are rejected", async () => {
    const { client, clock, socket, settle } = scripted();
    const one = outcome(client.publish("a", 1));
    const two = outcome(client.publish("a", 2));
    const closed = client.close({ flushMs: 100 });
    assertEquals(await outcome(client.publish("a", 3)), "closed");
    socket().greet();
    socket().say({ type: "ack", id: socket().sent[0]?.["id"], epoch: "e", offset: 1 });
    await settle();
    assertEquals(client.state, "open");
    clock.advance(100);
    await settle();
    assertEquals(client.state, "closed");
    socket().end(1000);
    await closed;
    assertEquals([await one, await two], [{ epoch: "e", offset: 1 }, "unknown_outcome"]);
  });

  it("close is done as soon as everything has been answered", async () => {
    const { client, socket, settle } = scripted();
    void client.publish("a", 1);
    const closed = client.close();
    socket().greet();
    socket().reply("publish", { epoch: "e", offset: 1 });
    await settle();
    assertEquals([client.state, socket().readyState], ["closed", 2]);
    socket().end(1000);
    await closed;
  });
});
