/**
 * Fan-out, in one room or in many: a member publishes, every member (that one too) receives every publication. A fixed
 * number of publications is under way in each room. It must never know how the window is measured.
 */
import type { Buffer } from "node:buffer";
import type { Connection } from "./connection.ts";
import type { Failures } from "./failures.ts";
import type { Job } from "./job.ts";
import type { MessageRing } from "./ring.ts";
import { arrivingBytes, checkArrival, INSPECT_EVERY, ringFor } from "./throughput.ts";
import type { Traffic } from "./throughput.ts";

/** The topic of the one room. */
export const TOPIC = "t";

/** Connections of which every single message is inspected, where messages carry offsets. */
const CLOSELY_WATCHED = 4;

/** Different messages in the ring of a room, when there are many rooms. */
const MESSAGES_PER_ROOM = 8;

interface Room {
  readonly ring: MessageRing;
  readonly members: readonly Connection[];
  published: number;
  delivered: number;
  /** Deliveries at which there is room for another publication. */
  roomAt: number;
  publisher: number;
}

/** The topic of connection `index`: rooms have `roomSize` members each. */
export function roomTopic(index: number, { roomSize }: Pick<Job, "roomSize">): string {
  return `room.${Math.floor(index / roomSize)}`;
}

export class FanoutTraffic implements Traffic {
  delivered = 0;
  due = 0;
  inspected = 0;
  readonly #job: Job;
  readonly #failures: Failures;
  /**
   * In many rooms members publish in turn, each once the one before has reached all: so it is known what arrives when.
   * In one room the first member publishes, as soon as one of its publications has reached all.
   */
  readonly #inTurn: boolean;
  readonly #rooms: Room[] = [];
  /** The room of each connection. */
  readonly #roomOf: Room[] = [];
  #running = false;

  constructor(job: Job, failures: Failures) {
    this.#job = job;
    this.#failures = failures;
    this.#inTurn = job.workload === "rooms";
  }

  start(connections: readonly Connection[]): void {
    this.#running = true;
    const size = this.#inTurn ? this.#job.roomSize : connections.length;
    const watchedStep = Math.ceil(connections.length / CLOSELY_WATCHED);
    for (let from = 0; from < connections.length; from += size) {
      const members = connections.slice(from, from + size);
      const ring = ringFor(this.#job, members[0]?.topic, this.#inTurn ? MESSAGES_PER_ROOM : undefined);
      const room: Room = { ring, members, published: 0, delivered: 0, roomAt: 0, publisher: 0 };
      this.#rooms.push(room);
      for (const member of members) {
        this.#roomOf[member.index] = room;
        const isWatched = member.subscription !== undefined && member.index % watchedStep === 0;
        member.expect(arrivingBytes(this.#job, ring), isWatched ? 1 : INSPECT_EVERY);
      }
    }
    for (const room of this.#rooms) this.#publish(room);
  }

  stop(): void {
    this.#running = false;
  }

  progressed(connection: Connection, count: number): void {
    this.delivered += count;
    const room = this.#roomOf[connection.index] as Room; // a connection is in one from the start
    room.delivered += count;
    if (room.delivered >= room.roomAt && this.#running) this.#publish(room);
  }

  inspect(connection: Connection, sequence: number, payload: Buffer): void {
    this.inspected++;
    const room = this.#roomOf[connection.index] as Room; // as above
    checkArrival(this.#job, room.ring, connection, sequence, payload);
  }

  failed(reason: string): void {
    this.#failures.add(reason);
  }

  complaint(): string | undefined {
    for (const { members, published } of this.#rooms) {
      const wrong = members.filter((member) => member.received !== published);
      const [first] = wrong;
      if (first === undefined) continue;
      return `${wrong.length} of ${members.length} subscribers did not get exactly ${published} ` +
        `publications; number ${first.index} got ${first.received}`;
    }
    return undefined;
  }

  #publish(room: Room): void {
    const { members, published, delivered } = room;
    const inFlight = this.#job.inFlight;
    const space = inFlight - (published - Math.floor(delivered / members.length));
    // More deliveries than publications: the complaint at the end tells whose.
    const batch = Math.min(space, inFlight);
    if (this.#inTurn) room.publisher = (room.publisher + 1) % members.length;
    members[room.publisher]?.write(room.ring.batch(published, batch));
    room.published += batch;
    this.due += batch * members.length;
    room.roomAt = (this.#inTurn ? room.published : room.published - inFlight + 1) * members.length;
  }
}
