/**
 * What kind of server this is, found out by trying: Millrace says so in its handshake or its welcome, an echo server gives
 * back what it is sent, and of any other it is said what it did. Judges nothing.
 */
import { frame, Opcode, toBytes } from "../conformance/frame.ts";
import type { Wire, WireEvent } from "../conformance/wire.ts";
import type { Settings } from "./settings.ts";
import { formats, type Reply } from "./speech.ts";

const ECHO_MS = 2_000;
/** Of a length that no other answer is likely to have. */
const PROBE = "test-server asks whether this is an echo server";

/** What the server is taken for. */
export type Kind =
  | { readonly name: "echo"; readonly greetings: number }
  | { readonly name: "millrace"; readonly welcome: Reply }
  | { readonly name: "unknown"; readonly why: string };

/** Finds out on an open connection, which is of no use afterwards. */
export async function recognize(wire: Wire, { timeoutMs, greetingMs }: Settings): Promise<Kind> {
  const protocol = wire.head?.headers.get("sec-websocket-protocol") ?? "";
  const isMillrace = formats.some(({ subprotocol }) => subprotocol === protocol);
  await wire.until(() => wire.events.length > 0 || wire.over, isMillrace ? timeoutMs : greetingMs);
  const [first] = wire.events;
  const welcome = first === undefined ? undefined : readWelcome(first);
  if (welcome !== undefined) return { name: "millrace", welcome };
  if (isMillrace) return { name: "unknown", why: `it agreed on ${protocol} and sent no welcome` };
  const answers: WireEvent[] = [];
  // A server may lose or spoil one kind of message and still be an echo server.
  for (const opcode of [Opcode.Text, Opcode.Binary]) {
    const greetings = wire.events.length;
    await wire.send(frame({ opcode, payload: PROBE }));
    const echoed = () => wire.events.slice(greetings).some(isEcho);
    await wire.until(() => wire.events.length > greetings || wire.over, Math.min(timeoutMs, ECHO_MS));
    // What came may have been meant for somebody else.
    await wire.until(() => echoed() || wire.over, greetingMs);
    if (echoed()) return { name: "echo", greetings: opcode === Opcode.Text ? greetings : 0 };
    answers.push(...wire.events.slice(greetings));
    if (wire.over) break;
  }
  return { name: "unknown", why: `the server does not echo: ${whatItDid(wire, answers)}` };
}

/** An echo that is spoiled is still one, and what is wrong with it is for the tests to find. */
function isEcho({ kind, payload }: WireEvent): boolean {
  return (kind === "text" || kind === "binary") && payload.length === toBytes(PROBE).length;
}

function readWelcome(event: WireEvent): Reply | undefined {
  for (const format of formats) {
    const reply = format.read(event);
    if (reply?.type === "welcome" && "session" in reply && "heartbeatSeconds" in reply) return reply;
  }
  return undefined;
}

function whatItDid(wire: Wire, answers: readonly WireEvent[]): string {
  const [first] = answers;
  if (first !== undefined) return `it answered a message with another (${first.payload.length} bytes)`;
  if (wire.serverClose !== undefined) {
    return `it closed with ${wire.serverClose.code ?? "an empty close frame"} when it got a message`;
  }
  return wire.ended ? "it ended the connection when it got a message" : "it answered a message with nothing";
}
