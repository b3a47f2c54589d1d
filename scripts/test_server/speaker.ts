/**
 * A client of Millrace's protocol on the tool's own wire: commands with ids, their replies, and what else arrives. Knows no
 * test.
 */
import { frame } from "../conformance/frame.ts";
import type { Wire } from "../conformance/wire.ts";
import { endOf } from "./line.ts";
import { type Format, jsonFormat, type Reply } from "./speech.ts";
import type { Stage } from "./stage.ts";
import { Finding } from "./test.ts";

/** A command without its id. */
export interface Command {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** One connection. */
export class Speaker {
  readonly wire: Wire;
  readonly #format: Format;
  readonly #timeoutMs: number;
  #lastId = 0;
  #read = 0;
  readonly #replies: Reply[] = [];

  private constructor(wire: Wire, format: Format, timeoutMs: number) {
    this.wire = wire;
    this.#format = format;
    this.#timeoutMs = timeoutMs;
  }

  /** Connects in a format and waits for the welcome. */
  static async open(stage: Stage, format = jsonFormat): Promise<Speaker> {
    const wire = await stage.open({ headers: { "Sec-WebSocket-Protocol": format.subprotocol } });
    const speaker = new Speaker(wire, format, stage.settings.timeoutMs);
    await speaker.receive("a welcome", ({ type }) => type === "welcome");
    return speaker;
  }

  /** Everything that has arrived, in order. */
  get replies(): readonly Reply[] {
    const { events } = this.wire;
    while (this.#read < events.length) {
      const event = events[this.#read++];
      const reply = event === undefined ? undefined : this.#format.read(event);
      if (reply !== undefined) this.#replies.push(reply);
    }
    return this.#replies;
  }

  /** Sends commands as they are, in one write. */
  async send(...commands: readonly Command[]): Promise<void> {
    const { opcode } = this.#format;
    await this.wire.send(
      ...commands.map((command) => frame({ opcode, payload: this.#format.write(command) })),
    );
  }

  /** Sends a command and gives its reply, which may be an error. */
  async ask(command: Command): Promise<Reply> {
    const id = ++this.#lastId;
    await this.send({ ...command, id });
    return await this.receive(`a reply to ${command.type}`, (reply) => reply["id"] === id);
  }

  /**
   * The first event that fits; `what` names it where it does not come.
   * @throws Finding then.
   */
  async receive(what: string, fits: (reply: Reply) => boolean): Promise<Reply> {
    const [reply] = await this.receiveAll(what, 1, fits);
    if (reply === undefined) throw new Finding(`${what} did not come`);
    return reply;
  }

  /** The first `count` events that fit. */
  async receiveAll(what: string, count: number, fits: (reply: Reply) => boolean): Promise<Reply[]> {
    const found = () => this.replies.filter(fits);
    if (!await this.wire.until(() => found().length >= count || this.wire.over, this.#timeoutMs)) {
      throw new Finding(`${what} did not come: ${endOf(this.wire)}`);
    }
    const all = found();
    if (all.length < count) throw new Finding(`${what} did not come: ${endOf(this.wire)}`);
    return all.slice(0, count);
  }
}
