/** The closing handshake: answered, with which code, who ends TCP, and what becomes of codes that may not be sent. */
import type { Wire } from "../../conformance/wire.ts";
import { closePayload, frame, Opcode } from "../../conformance/frame.ts";
import { endOf } from "../line.ts";
import type { Stage } from "../stage.ts";
import { Finding, Need, type Passed, type Test } from "../test.ts";

const NORMAL = 1000;
const PROTOCOL_ERROR = 1002;
const APPLICATION = 3001;
/** May never be on the wire (section 7.4.1), or belong to nobody (7.4.2). */
const UNLAWFUL = [999, 1005, 1006, 2999] as const;

async function closed(stage: Stage, code: number): Promise<Wire> {
  const wire = await stage.open();
  await stage.close(wire, code);
  if (wire.serverClose === undefined) {
    throw new Finding(`a close frame with ${code} was not answered: ${endOf(wire)}`);
  }
  return wire;
}

async function answer(stage: Stage): Promise<Passed> {
  const wire = await closed(stage, NORMAL);
  return { what: `answered with ${wire.serverClose?.code ?? "an empty close frame"}` };
}

async function code(stage: Stage): Promise<Passed> {
  for (const sent of [NORMAL, APPLICATION]) {
    const got = (await closed(stage, sent)).serverClose?.code;
    // A server may answer with a plain goodbye: what matters is that it does not claim another reason.
    if (got === sent || got === null || got === NORMAL) continue;
    throw new Finding(`a close frame with ${sent} was answered with ${got}`);
  }
  return { what: `${NORMAL} and ${APPLICATION} are answered with themselves, ${NORMAL} or an empty frame` };
}

async function tcp(stage: Stage): Promise<Passed> {
  const wire = await closed(stage, NORMAL);
  if (!wire.ended) throw new Finding("both close frames are out, and the server leaves TCP open");
  return { what: "the server ends TCP after both close frames" };
}

async function unlawful(stage: Stage): Promise<Passed> {
  for (const sent of UNLAWFUL) {
    const wire = await stage.open();
    await wire.sendRawClose(frame({ opcode: Opcode.Close, payload: closePayload(sent) }));
    await wire.until(() => wire.over, stage.settings.timeoutMs);
    if (!wire.over) throw new Finding(`a close frame with ${sent} is ignored`);
    const got = wire.serverClose?.code;
    if (got !== undefined && got !== null && got !== PROTOCOL_ERROR) {
      throw new Finding(`a close frame with ${sent} was answered with ${got}, as if it were lawful`);
    }
    // Whether the server lived through it; some end their process.
    (await stage.open()).destroy();
  }
  return { what: `${UNLAWFUL.join(", ")} are met with 1002, an empty close frame or the end of TCP` };
}

/** The tests of this group. */
export const closeTests: readonly Test[] = [
  {
    name: "close.answer",
    checks: "A close frame is answered with a close frame.",
    section: "RFC 6455, 5.5.1",
    onFailure:
      "Clients wait for the answer, seconds for each, and then report 1006 instead of 1000. The server, or a proxy " +
      "before it, drops the connection instead of closing it.",
    quick: true,
    need: Need.WebSocket,
    run: answer,
  },
  {
    name: "close.code",
    checks: "The answer carries the code that was sent, 1000, or none.",
    section: "RFC 6455, 5.5.1",
    onFailure:
      "Clients decide by the code whether to reconnect. Close with the peer's code when answering; do not put a " +
      "code of the application's there.",
    quick: true,
    need: Need.WebSocket,
    run: code,
  },
  {
    name: "close.tcp",
    checks: "The server ends TCP once both close frames are out.",
    section: "RFC 6455, 7.1.1",
    onFailure:
      "Connections pile up until somebody's idle timeout. The server must end TCP first after the closing handshake.",
    quick: true,
    need: Need.WebSocket,
    run: tcp,
  },
  {
    name: "close.unlawful-codes",
    checks:
      "Close codes that may not be sent (999, 1005, 1006, 2999) fail the connection, and the server lives on.",
    section: "RFC 6455, 7.4",
    onFailure:
      "Update the WebSocket library. If the server's process ended: it has no handler for the errors of a " +
      "connection, so that any client can end it with one frame.",
    quick: false,
    need: Need.WebSocket,
    run: unlawful,
  },
];
