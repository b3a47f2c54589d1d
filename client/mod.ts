/**
 * The Millrace client: topics over a WebSocket that comes back by itself, for browsers, Bun, Node and Deno.
 *
 * ```ts
 * import { createClient } from "@millrace/client";
 *
 * type Topics = { "chat.*": { text: string }; "prices.>": number };
 * const client = createClient<Topics>({ url: "ws://127.0.0.1:9001/ws" });
 *
 * client.on("state", ({ state }) => console.log(state));
 * client.on("gap", (gap) => console.log("lost", gap));
 * const subscription = client.subscribe("chat.lobby", ({ data, offset }) => console.log(offset, data.text));
 * const { offset } = await client.publish("chat.lobby", { text: "hello" });
 * for await (const { topic, data } of client.messages("prices.>", { signal })) console.log(topic, data);
 * subscription.unsubscribe();
 * await client.close();
 * ```
 *
 * - `createClient(options)` does not connect; the first subscription or command does, or `connect({ signal })`.
 * - `subscribe(topic, listener, options)`: `{ unsubscribe(), ready }`. Each message once and in order; what is missing
 *   is told to `onGap` and to `on("gap")`. One subscription at the server serves all those of a topic here.
 * - `messages(topic, options)`: the same as an async iterator with a bounded buffer.
 * - `publish(topic, data, options)` resolves with the place once the server has stored it. While the line is down it
 *   waits in a bounded queue.
 * - `history(topic, options)`, `presence(topic, options)`, `broadcast(data, options)`.
 * - `state`, and the events `state`, `gap`, `error`, `broadcast`; `on` returns what takes the listener away.
 * - `close({ flushMs, signal })` waits for what was asked for, then ends the connection for good.
 *
 * Failures are {@link MillraceError} with a `code`. docs/client.md is the manual.
 */
export { type Client, createClient } from "./client.ts";
export type { State, StateChange } from "./connection.ts";
export type { ClientEvents } from "./client.ts";
export type { Clock } from "./clock.ts";
export { type ClientErrorCode, MillraceError } from "./errors.ts";
export { type Format, json } from "./format.ts";
export type * from "./message.ts";
export type { MessageStream } from "./messages.ts";
export type * from "./options.ts";
export type { Subscription } from "./subscription.ts";
export type { DataOf, Topic } from "./topics.ts";
export { pageWake, type WakeSource } from "./wake.ts";
