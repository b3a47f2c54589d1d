/** What TypeScript makes of topics with types: `npm run check` is the test, a line that should fail and does not is an error. */
import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import { createClient, type DataOf } from "../../client/mod.ts";

// A type, or an interface.
type Topics = { "chat.*": { text: string }; "prices.>": number; lobby: string; "prices.log": string[] };
interface Declared {
  lobby: string;
}

/** Compiles only when the two are one type. */
function same<One, Two>(
  ..._proof: [One] extends [Two] ? [Two] extends [One] ? [] : [never] : [never]
): void {}

describe("typed topics", () => {
  it("say what may be published and what is received", () => {
    const client = createClient<Topics>({ url: "ws://unused" });
    // Never called: the compiler reads it.
    const uses = async () => {
      await client.publish("chat.a", { text: "hello" });
      await client.publish("prices.eur.usd", 1);
      // @ts-expect-error: not what this topic carries
      await client.publish("chat.a", { txt: "hello" });
      // @ts-expect-error: not what this topic carries
      await client.publish("prices.eur", "1");
      // @ts-expect-error: no such topic
      await client.publish("chats.a", { text: "hello" });
      client.subscribe("chat.*", ({ data }) => same<typeof data, { text: string }>());
      client.subscribe("lobby", ({ data }) => same<typeof data, string>());
      for await (const { data } of client.messages("prices.>")) same<typeof data, number>();
      const { messages } = await client.history("prices.log");
      same<(typeof messages)[number]["data"], string[]>();
      // @ts-expect-error: no such topic
      client.subscribe("other", () => {});
      const declared = createClient<Declared>({ url: "" });
      declared.subscribe("lobby", ({ data }) => same<typeof data, string>());
      const loose = createClient({ url: "" });
      loose.subscribe("anything", ({ data }) => same<typeof data, unknown>());
      await loose.publish("anything", { at: "all" });
    };
    same<DataOf<Topics, "chat.a">, { text: string }>();
    same<DataOf<Topics, "prices.log">, string[]>();
    // @ts-expect-error: the check above can fail
    same<DataOf<Topics, "chat.a">, string>();
    assertEquals([client.state, typeof uses], ["idle", "function"]);
  });
});
