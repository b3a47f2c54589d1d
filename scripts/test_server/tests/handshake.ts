/** Handshakes that must be refused, and how. Strict where the RFC says MUST, else what is odd becomes a note. */
import type { RequestOptions } from "../../conformance/handshake.ts";
import type { Stage } from "../stage.ts";
import { Finding, Need, type Passed, type Test } from "../test.ts";

const SWITCHING = 101;
const UPGRADE_REQUIRED = 426;
const FIRST_SERVER_ERROR = 500;
/** No version of the protocol has this number (RFC 6455 section 11.6). */
const UNKNOWN_VERSION = "99";
const OUR_VERSION = "13";
const NO_SUCH_PATH = "/no-such-endpoint-of-test-server";

/** Sends a handshake that must not be accepted; passes when the answer is an error or the end of TCP. */
async function refused(stage: Stage, options: RequestOptions, resource?: string): Promise<Passed> {
  const wire = await stage.ask(options, resource);
  const status = wire.head?.status;
  if (status === SWITCHING) throw new Finding("the server accepts it with 101");
  if (status === undefined) {
    if (!wire.ended) throw new Finding("the server neither answers nor ends the connection");
    return { what: "refused", notes: ["the server ended TCP without an HTTP answer"] };
  }
  if (status >= FIRST_SERVER_ERROR) {
    throw new Finding(`the server answers with status ${status}, its own fault`);
  }
  return { what: `refused with status ${status}` };
}

async function unknownVersion(stage: Stage): Promise<Passed> {
  const passed = await refused(stage, { headers: { "Sec-WebSocket-Version": UNKNOWN_VERSION } });
  const head = stage.wires.at(-1)?.head;
  if (head === undefined) return passed;
  const versions = head.headers.get("sec-websocket-version")?.split(",").map((version) => version.trim());
  if (versions?.includes(OUR_VERSION) !== true) {
    throw new Finding(`refused with status ${head.status}, without the header Sec-WebSocket-Version: 13`);
  }
  const notes = head.status === UPGRADE_REQUIRED ? [] : [`status ${head.status}; 426 would be usual`];
  return { what: `${passed.what} and Sec-WebSocket-Version: ${versions.join(", ")}`, notes };
}

async function otherPath(stage: Stage): Promise<Passed> {
  const wire = await stage.ask({}, NO_SUCH_PATH);
  const status = wire.head?.status;
  if (status === undefined && !wire.ended) {
    throw new Finding("the server neither answers nor ends the connection");
  }
  if (status === SWITCHING) {
    return { what: "accepted", notes: ["every path leads to the WebSocket endpoint"] };
  }
  if (status !== undefined && status >= FIRST_SERVER_ERROR) {
    throw new Finding(`the server answers with status ${status}, its own fault`);
  }
  return { what: status === undefined ? "refused by ending TCP" : `refused with status ${status}` };
}

const LIBRARY = "Clients that get this wrong are let in and fail later in ways that are hard to read. " +
  "Use a WebSocket library that checks the handshake, and its current version.";

/** The tests of this group. */
export const handshakeTests: readonly Test[] = [
  {
    name: "handshake.unknown-version",
    checks: "A version that nobody knows (99) is refused, with the versions that the server speaks.",
    section: "RFC 6455, 4.2.2 and 4.4",
    onFailure: `A refusal must carry Sec-WebSocket-Version: 13, so that a client can try again. ${LIBRARY}`,
    quick: true,
    need: Need.WebSocket,
    run: unknownVersion,
  },
  {
    name: "handshake.no-version",
    checks: "A handshake without Sec-WebSocket-Version is refused.",
    section: "RFC 6455, 4.2.1",
    onFailure: LIBRARY,
    quick: true,
    need: Need.WebSocket,
    run: (stage) => refused(stage, { headers: { "Sec-WebSocket-Version": null } }),
  },
  {
    name: "handshake.no-key",
    checks: "A handshake without Sec-WebSocket-Key is refused.",
    section: "RFC 6455, 4.2.1",
    onFailure:
      "The key proves that the client means WebSocket and not a form or a script that was tricked. " +
      LIBRARY,
    quick: true,
    need: Need.WebSocket,
    run: (stage) => refused(stage, { headers: { "Sec-WebSocket-Key": null } }),
  },
  {
    name: "handshake.method",
    checks: "A handshake with POST instead of GET is refused.",
    section: "RFC 6455, 4.2.1",
    onFailure: "Only GET may upgrade. Restrict the route to GET, in the server or in the proxy before it.",
    quick: true,
    need: Need.WebSocket,
    run: (stage) => refused(stage, { method: "POST", headers: { "Content-Length": "0" } }),
  },
  {
    name: "handshake.path",
    checks: "A path that does not exist gets an answer; that it is accepted is noted.",
    section: "RFC 6455, 4.2.2",
    onFailure:
      "The request hangs or breaks something: give unknown paths a 404. Scanners ask for them all day.",
    quick: true,
    need: Need.WebSocket,
    run: otherPath,
  },
];
