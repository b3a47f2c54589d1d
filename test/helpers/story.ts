/**
 * What one client has seen of one topic, over all its connections, checked as it comes: an offset that does not follow the
 * one before is a fault, unless the server has announced it. It knows no connections.
 */
import type { Position } from "../../server/broker/broker.ts";

/** A publication that the broker has acknowledged. */
export interface Published extends Position {
  readonly topic: string;
  readonly data: unknown;
}

/** What was seen of an epoch. */
interface Chapter {
  readonly epoch: string;
  /** What came up to here has been before this client's time, or was announced as lost. */
  readonly entered: number;
  /** The last one that was seen or announced. */
  last: number;
  readonly seen: Map<number, unknown>;
  /** Announced as lost: `from` to `to`, both included. */
  readonly holes: { readonly from: number; readonly to: number }[];
}

/** The fields of an `ack`, a `message` or a `gap` that matter here. */
type Event = Record<string, unknown>;

export class Story {
  readonly topic: string;
  readonly chapters: Chapter[] = [];
  readonly faults: string[] = [];
  /** How often everything missed was replayed, and how often it could not be. */
  recovered = 0;
  unrecovered = 0;

  constructor(topic: string) {
    this.topic = topic;
  }

  /** Where to go on; undefined before the first subscription. */
  get place(): Position | undefined {
    const chapter = this.chapters.at(-1);
    return chapter && { epoch: chapter.epoch, offset: chapter.last };
  }

  /** The answer to a `subscribe`, which asked for everything since {@link place}. */
  subscribed({ epoch, offset, recovered }: Event): void {
    const chapter = this.chapters.at(-1);
    const to = Number(offset);
    if (chapter === undefined) this.enter(String(epoch), to);
    else if (recovered === true) {
      this.recovered++;
      this.require(epoch === chapter.epoch && to >= chapter.last, `recovered at ${epoch} ${to}`);
    } else {
      this.unrecovered++;
      this.require(recovered === false, "it is not said whether it recovered");
      if (epoch === chapter.epoch) this.skip(chapter, chapter.last + 1, to);
      else this.enter(String(epoch), to);
    }
  }

  message({ epoch, offset, data }: Event): void {
    const chapter = this.chapters.at(-1);
    const at = Number(offset);
    if (chapter === undefined) return this.fault(`a message before the ack: ${epoch} ${at}`);
    this.require(epoch === chapter.epoch && at === chapter.last + 1, `a message at ${epoch} ${at}`);
    // So that one fault is not told again by all that follows.
    chapter.last = at;
    chapter.seen.set(at, data);
  }

  gap({ epoch, from, to }: Event): void {
    const chapter = this.chapters.at(-1);
    if (chapter === undefined) return this.fault(`a gap before the ack: ${epoch}`);
    if (epoch === chapter.epoch) return this.skip(chapter, Number(from), Number(to));
    this.require(from === 1, `a gap of a new epoch from ${from}`);
    this.enter(String(epoch), Number(to));
  }

  /** What else is wrong, now that it is known what was `published` to this topic. */
  faultsOf(published: readonly Published[]): string[] {
    const faults: string[] = [];
    const current = this.chapters.at(-1);
    for (const { epoch, offset, data } of published) {
      const chapter = this.chapters.find((chapter) => chapter.epoch === epoch);
      if (chapter === undefined || offset <= chapter.entered) continue;
      if (chapter.seen.has(offset)) {
        const seen = chapter.seen.get(offset);
        if (seen !== data) faults.push(`${epoch} ${offset} was ${data} and came as ${seen}`);
      } else if (offset > chapter.last ? chapter === current : !isIn(chapter.holes, offset)) {
        faults.push(`${epoch} ${offset} (${data}) never came`);
      }
    }
    return faults.map((fault) => `${this.topic}: ${fault}`);
  }

  private enter(epoch: string, offset: number): void {
    this.require(this.chapters.every((chapter) => chapter.epoch !== epoch), `${epoch} comes once more`);
    this.chapters.push({ epoch, entered: offset, last: offset, seen: new Map(), holes: [] });
  }

  private skip(chapter: Chapter, from: number, to: number): void {
    this.require(from === chapter.last + 1 && to >= from, `announced as lost: ${from} to ${to}`);
    chapter.holes.push({ from, to });
    chapter.last = to;
  }

  private require(holds: boolean, what: string): void {
    if (!holds) this.fault(what);
  }

  private fault(what: string): void {
    const { epoch, offset } = this.place ?? { epoch: "-", offset: 0 };
    this.faults.push(`${this.topic}: after ${epoch} ${offset}: ${what}`);
  }
}

function isIn(holes: Chapter["holes"], offset: number): boolean {
  return holes.some(({ from, to }) => from <= offset && offset <= to);
}
