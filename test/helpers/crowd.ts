/** Subscribers and publishers of the same topics, and whether what the ones saw is what the others were told. */
import { Events } from "./events.ts";
import { Follower } from "./follower.ts";
import { Publisher, type PublisherSettings } from "./publisher.ts";
import { type Random, seededRandom } from "./random.ts";
import type { Published, Story } from "./story.ts";

export interface CrowdSettings {
  readonly random: Random;
  readonly followers: number;
  readonly topicsOf: (follower: number) => readonly string[];
  readonly followerUrl: () => string;
  /** Where a follower connects from, if that matters. */
  readonly addressOf?: (follower: number) => string;
  readonly publishers: number;
  readonly publishing: Pick<PublisherSettings, "topics" | "urlOf" | "restMs" | "burst">;
}

/** Subscribers that connect at the same time. */
const CONNECTING_AT_ONCE = 250;

export class Crowd {
  readonly acknowledged = new Events<Published>();
  readonly arrived = new Events<never>();
  readonly followers: readonly Follower[];
  readonly publishers: readonly Publisher[];
  private readonly topics: readonly string[];

  constructor(settings: CrowdSettings) {
    const { random, followers, topicsOf, followerUrl, addressOf, publishers, publishing } = settings;
    this.topics = publishing.topics;
    const wake = () => this.arrived.wake();
    this.followers = Array.from(
      { length: followers },
      (_, index) =>
        new Follower({
          topics: topicsOf(index),
          urlOf: followerUrl,
          localAddress: addressOf?.(index),
          wake,
        }),
    );
    this.publishers = Array.from({ length: publishers }, (_, index) =>
      new Publisher({
        ...publishing,
        name: `p${index}`,
        random: seededRandom(random.below(2 ** 31) + 1),
        acknowledged: this.acknowledged,
      }));
  }

  get stories(): Story[] {
    return this.followers.flatMap(({ stories }) => [...stories.values()]);
  }

  /** Every subscription is there, and publications flow. */
  async start(): Promise<void> {
    for (let start = 0; start < this.followers.length; start += CONNECTING_AT_ONCE) {
      const some = this.followers.slice(start, start + CONNECTING_AT_ONCE);
      for (const follower of some) follower.follow();
      await this.arrived.until(() => some.every(({ isLive }) => isLive), "subscriptions");
    }
    for (const publisher of this.publishers) publisher.start();
    await this.acknowledged.until((all) => all.length > 50, "publications");
  }

  /** Some go, in good order or not, and some come back. */
  comeAndGo(random: Random): void {
    const follower = random.pick(this.followers);
    if (!follower.isFollowing) follower.follow();
    else if (random.chance(0.5)) follower.leave(random.chance(0.5) ? "close" : "destroy");
  }

  /** Everybody is back, and has come as far as the last publication of every topic. */
  async settle(): Promise<void> {
    for (const publisher of this.publishers) await publisher.stop();
    for (const follower of this.followers) if (!follower.isFollowing) follower.follow();
    const ends = new Map<string, Published>();
    for (const publisher of this.publishers) {
      for (const published of await publisher.finish()) ends.set(published.topic, published);
    }
    const isAtEnd = ({ topic, place }: Story) =>
      place?.epoch === ends.get(topic)?.epoch && place?.offset === ends.get(topic)?.offset;
    const late = () =>
      this.followers.find(({ isLive, stories }) => !isLive || ![...stories.values()].every(isAtEnd));
    try {
      await this.arrived.until(() => late() === undefined, "everybody at the end of every topic");
    } catch (error) {
      const { isLive, node, stories } = late() ?? { isLive: true, node: "", stories: new Map() };
      const places = [...stories.values()].map(({ topic, place }) => [topic, place, ends.get(topic)]);
      const who = `${isLive ? "subscribed" : "not subscribed"} at node ${node}: ${JSON.stringify(places)}`;
      throw new Error(`${this.faults().slice(0, 5).join("; ")}; somebody is ${who}`, { cause: error });
    }
  }

  async end(): Promise<void> {
    for (const follower of this.followers) follower.leave("destroy");
    await Promise.all(this.publishers.map((publisher) => publisher.end()));
  }

  /** Whatever nobody has announced. */
  faults(): string[] {
    const byTopic = new Map(this.topics.map((topic) => [topic, [] as Published[]]));
    for (const published of this.acknowledged.all) byTopic.get(published.topic)?.push(published);
    const places = this.acknowledged.all.map(({ topic, epoch, offset }) => `${topic} ${epoch} ${offset}`);
    return [
      ...this.publishers.flatMap(({ faults }) => faults),
      ...this.followers.flatMap(({ faults }) => faults),
      ...this.stories.flatMap(({ faults }) => faults),
      ...this.stories.flatMap((story) => story.faultsOf(byTopic.get(story.topic) ?? [])),
      ...(new Set(places).size < places.length ? ["two publications have the same place"] : []),
    ];
  }
}
