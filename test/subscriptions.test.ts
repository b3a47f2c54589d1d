/** What a connection is told of the offsets that it was too slow for. */
import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import { SendStatus } from "../server/engine.ts";
import { jsonFormat } from "../server/protocol/json.ts";
import type { ServerEvent } from "../server/protocol/protocol.ts";
import { Subscriptions } from "../server/subscriptions.ts";
import type { Hub } from "../server/hub/hub.ts";

describe("the gaps of a slow connection", () => {
  /** Subscriptions of a connection that takes as many events as `room` says. */
  function stage() {
    const told: unknown[][] = [];
    const connection = { room: Infinity };
    const subscriptions = new Subscriptions(
      // Nothing is subscribed to here.
      { hub: undefined as unknown as Hub, maxTopicsPerConnection: 1, keepsPresence: () => false },
      {
        ...{ id: "s", user: undefined, format: jsonFormat, socket: undefined },
        send(event: ServerEvent) {
          if (connection.room-- <= 0) return SendStatus.Dropped;
          if (event.type === "gap") told.push([event.topic, event.from, event.to]);
          return SendStatus.Sent;
        },
        refuse() {},
        failed() {},
      },
    );
    const missed = (topic: string, ...offsets: number[]) => {
      for (const offset of offsets) subscriptions.missed({ topic, epoch: "e", offset });
    };
    return { subscriptions, connection, told, missed };
  }

  it("are whole ranges for each topic, and told once", () => {
    const { subscriptions, told, missed } = stage();
    missed("a", 3, 4);
    missed("b", 7);
    missed("a", 5, 5);
    subscriptions.drained();
    subscriptions.drained();
    assertEquals(told, [["a", 3, 5], ["b", 7, 7]]);
  });

  it("hold no offset that was delivered between two losses, though the first could not be told yet", () => {
    const { subscriptions, connection, told, missed } = stage();
    missed("a", 3);
    connection.room = 0;
    subscriptions.drained();
    missed("a", 6, 7);
    connection.room = 1;
    subscriptions.drained();
    assertEquals(told, [["a", 3, 3]]);
    connection.room = 9;
    subscriptions.drained();
    assertEquals(told, [["a", 3, 3], ["a", 6, 7]]);
  });
});
