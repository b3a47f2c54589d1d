/**
 * A connection on which messages come back: says payloads, hears them again, whatever a server makes of them on the wire.
 * Knows no test.
 */
import { Deflater } from "../conformance/deflate.ts";
import { equalBytes } from "../conformance/exchange.ts";
import { fragments, frame, Opcode, Rsv1, toBytes } from "../conformance/frame.ts";
import type { Wire } from "../conformance/wire.ts";
import type { Dialect, Heard, Payload } from "./speech.ts";
import { Finding } from "./test.ts";

const SHOWN_CHARACTERS = 60;

/** Made by the stage; the wire is open. */
export class Line {
  readonly wire: Wire;
  readonly #dialect: Dialect;
  readonly #timeoutMs: number;
  #taken: Heard | undefined;
  #deflater: Deflater | undefined;
  /** The next event to look at. */
  #next = 0;

  constructor(wire: Wire, dialect: Dialect, timeoutMs: number) {
    this.wire = wire;
    this.#dialect = dialect;
    this.#timeoutMs = timeoutMs;
  }

  /** What the server says by itself at the start is not an answer. */
  async passGreetings(): Promise<void> {
    const { greetings } = this.#dialect;
    if (!await this.wire.until(() => this.wire.events.length >= greetings, this.#timeoutMs)) {
      throw new Finding("the server's greeting, seen on other connections, did not come");
    }
    this.#next = greetings;
  }

  /** From now on messages are sent compressed as agreed. */
  compress(): void {
    if (this.wire.deflate !== undefined) this.#deflater = new Deflater(this.wire.deflate);
  }

  /** From now on they are sent as they are. */
  stopCompressing(): void {
    this.#deflater?.close();
    this.#deflater = undefined;
  }

  /** Sends messages, all in one write. */
  async say(...payloads: Payload[]): Promise<void> {
    const frames: Uint8Array[] = [];
    for (const each of payloads) {
      const { opcode, bytes } = this.#dialect.encode(each);
      if (this.#deflater === undefined) frames.push(frame({ opcode, payload: bytes }));
      else frames.push(frame({ opcode, payload: await this.#deflater.message(bytes), rsv: Rsv1 }));
    }
    await this.wire.send(...frames);
  }

  /** Sends one message in frames of at most `fragmentBytes`. */
  async sayInFragments(payload: Payload, fragmentBytes: number): Promise<void> {
    const { opcode, bytes } = this.#dialect.encode(payload);
    await this.wire.send(...fragments(opcode, bytes, fragmentBytes));
  }

  /** Whether an answer is here that nobody has taken. */
  get waiting(): boolean {
    this.#taken ??= this.take();
    return this.#taken !== undefined;
  }

  /** An answer that is here already. */
  take(): Heard | undefined {
    const taken = this.#taken;
    this.#taken = undefined;
    if (taken !== undefined) return taken;
    const { events } = this.wire;
    while (this.#next < events.length) {
      const event = events[this.#next++];
      if (event === undefined) continue;
      // Whoever does not answer the server's heartbeat is closed.
      if (event.kind === "ping") void this.wire.send(frame({ opcode: Opcode.Pong, payload: event.payload }));
      const heard = this.#dialect.decode(event);
      if (heard !== undefined) return heard;
    }
    return undefined;
  }

  /** The next answer; undefined when none came in time or the connection is over or broken. */
  async hear(timeoutMs = this.#timeoutMs): Promise<Heard | undefined> {
    await this.wire.until(() => this.waiting || this.wire.hopeless, timeoutMs);
    return this.take();
  }

  /**
   * Waits for the next answer, which must be `payload`.
   * @throws Finding when it is another, or none comes.
   */
  async expect(payload: Payload): Promise<void> {
    const heard = await this.hear();
    const wanted = describe(payload);
    if (heard === undefined) throw new Finding(`${wanted} did not come back: ${endOf(this.wire)}`);
    if ("refused" in heard) throw new Finding(`${wanted} was refused: ${heard.refused}`);
    if (typeof heard.payload !== typeof payload) {
      throw new Finding(`${wanted} came back as ${describe(heard.payload)}`);
    }
    const [sent, got] = [toBytes(payload), toBytes(heard.payload)];
    if (equalBytes(sent, got)) return;
    const at = sent.findIndex((byte, index) => byte !== got[index]);
    const where = got.length === sent.length ? `from byte ${at} on` : `${got.length} bytes long`;
    throw new Finding(`${wanted} came back changed, ${where}: ${describe(heard.payload)}`);
  }
}

function describe(payload: Payload): string {
  if (typeof payload !== "string") return `a binary message of ${payload.length} bytes`;
  if (payload.length > SHOWN_CHARACTERS) return `a text message of ${toBytes(payload).length} bytes`;
  return `the text message ${JSON.stringify(payload)}`;
}

/** How a connection on which something is missing stands. */
export function endOf(wire: Wire): string {
  const { serverClose, tcpEnd } = wire;
  if (serverClose !== undefined) {
    const { code, reason } = serverClose;
    return `the server closed with ${code ?? "an empty close frame"}${reason === "" ? "" : ` (${reason})`}`;
  }
  if (tcpEnd === "fin") return "the server ended TCP without a close frame";
  if (tcpEnd === "reset") return "the server reset TCP without a close frame";
  return "nothing came in time";
}
