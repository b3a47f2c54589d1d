/** Section 14.5, beyond Autobahn: opening handshakes that must be refused, and odd ones that must not (section 4.2). */
import { type Case, type Context, type Outcome, Verdict } from "../case.ts";
import { CLEAN, conclude, exchange, finish, only, text } from "../exchange.ts";
import { concat, frame, Opcode } from "../frame.ts";
import { faultOf, KEY, request, type RequestOptions, type ResponseHead } from "../handshake.ts";
import type { Wire } from "../wire.ts";

const HELLO = "Hello";
const SWITCHING = 101;

/** The wire after a request, whatever the answer is. */
async function ask(context: Context, options: RequestOptions): Promise<Wire> {
  const wire = await context.connect();
  await wire.write(request(context.target, options));
  await wire.until(() => wire.head !== undefined, context.timeoutMs);
  return wire;
}

/** An outcome that ends before there is a WebSocket connection to close. */
export function refusal(wire: Wire, behavior: Verdict, what: string): Outcome {
  wire.destroy();
  return {
    behavior,
    what,
    close: { verdict: Verdict.Ok, by: "nobody", code: undefined, what: "never opened" },
    log: wire.log,
  };
}

interface Refused {
  readonly id: string;
  readonly description: string;
  readonly request: RequestOptions;
  /** Said of a refusal that is right, but lacks something. */
  readonly check?: (head: ResponseHead) => string | undefined;
  /** The request is plain HTTP without what makes it an upgrade: any answer but 101 will do. */
  readonly plainHttp?: boolean;
  /** What accepting it is worth. `failed` if absent. */
  readonly whenAccepted?: Verdict;
}

function judgeRefusal(row: Refused, wire: Wire): Outcome {
  const { head } = wire;
  if (head === undefined || head.status === 0) {
    return refusal(wire, Verdict.NonStrict, wire.ended ? "TCP dropped without a response" : "no response");
  }
  if (head.status === SWITCHING) {
    return refusal(wire, row.whenAccepted ?? Verdict.Failed, "accepted with 101");
  }
  const said = `refused with ${head.status}`;
  if (row.plainHttp !== true && (head.status < 400 || head.status > 499)) {
    return refusal(wire, Verdict.NonStrict, `${said}, not with a 4xx status`);
  }
  const lack = row.check?.(head);
  return refusal(
    wire,
    lack === undefined ? Verdict.Ok : Verdict.NonStrict,
    lack === undefined ? said : `${said}, ${lack}`,
  );
}

function versionHeader(head: ResponseHead): string | undefined {
  const versions = head.headers.get("sec-websocket-version")?.split(",").map((version) => version.trim());
  return versions?.includes("13") ? undefined : "without Sec-WebSocket-Version: 13 (section 4.4)";
}

const REFUSED: readonly Refused[] = [
  {
    id: "14.5.1",
    description: "A request without Sec-WebSocket-Key.",
    request: { headers: { "Sec-WebSocket-Key": null } },
  },
  {
    id: "14.5.2",
    description: "A key of 15 bytes in base64.",
    request: { headers: { "Sec-WebSocket-Key": "bWlsbHJhY2UtMTIzNDU2" } },
    whenAccepted: Verdict.NonStrict,
  },
  {
    id: "14.5.3",
    description: "A key that is not base64.",
    request: { headers: { "Sec-WebSocket-Key": "!!!!!!!!!!!!!!!!!!!!!!==" } },
    whenAccepted: Verdict.NonStrict,
  },
  {
    id: "14.5.4",
    description: "An empty key.",
    request: { headers: { "Sec-WebSocket-Key": "" } },
  },
  {
    id: "14.5.5",
    description: "Sec-WebSocket-Version: 12.",
    request: { headers: { "Sec-WebSocket-Version": "12" } },
    check: versionHeader,
  },
  {
    id: "14.5.6",
    description: "Sec-WebSocket-Version: 99.",
    request: { headers: { "Sec-WebSocket-Version": "99" } },
    check: versionHeader,
  },
  {
    id: "14.5.7",
    description: "A request without Sec-WebSocket-Version.",
    request: { headers: { "Sec-WebSocket-Version": null } },
  },
  {
    id: "14.5.8",
    description: "A request without Upgrade.",
    request: { headers: { Upgrade: null } },
    plainHttp: true,
  },
  {
    id: "14.5.9",
    description: "A request without Connection: Upgrade.",
    request: { headers: { Connection: "keep-alive" } },
    plainHttp: true,
    whenAccepted: Verdict.NonStrict,
  },
  { id: "14.5.10", description: "Upgrade: h2c.", request: { headers: { Upgrade: "h2c" } }, plainHttp: true },
  {
    id: "14.5.11",
    description: "The method POST.",
    request: { method: "POST", headers: { "Content-Length": "0" } },
    plainHttp: true,
  },
  {
    id: "14.5.12",
    description: "HTTP/1.0.",
    request: { httpVersion: "1.0" },
    plainHttp: true,
    whenAccepted: Verdict.NonStrict,
  },
  {
    id: "14.5.13",
    description: "A request without Host.",
    request: { headers: { Host: null } },
    whenAccepted: Verdict.NonStrict,
  },
  {
    id: "14.5.14",
    description: "Two different keys.",
    request: { headers: { "Sec-WebSocket-Key": [KEY, "AAAAAAAAAAAAAAAAAAAAAA=="] } },
    whenAccepted: Verdict.NonStrict,
  },
];

const refusedCases: readonly Case[] = REFUSED.map((row) => ({
  id: row.id,
  description: row.description,
  expectation: row.plainHttp === true
    ? "Any answer but 101."
    : `A 4xx answer${row.check === undefined ? "" : " with Sec-WebSocket-Version: 13"}, no 101.`,
  run: async (context: Context) => judgeRefusal(row, await ask(context, row.request)),
}));

function accepted(id: string, description: string, handshake: RequestOptions): Case {
  return exchange({
    id,
    description,
    expectation: "A 101 with the right Sec-WebSocket-Accept, then an echo; clean close.",
    handshake,
    play: (wire) => wire.send(frame({ opcode: Opcode.Text, payload: HELLO })),
    answers: only(text(HELLO)),
    ending: CLEAN,
  });
}

/** A handshake whose octets the case writes by itself; then the echo of one message. */
function writtenByHand(
  id: string,
  description: string,
  withoutEcho: Verdict,
  write: (wire: Wire, head: Uint8Array, message: Uint8Array, context: Context) => Promise<void>,
): Case {
  return {
    id,
    description,
    expectation: `A 101, then an echo; clean close. Without an echo: ${withoutEcho}.`,
    run: async (context) => {
      const wire = await context.connect();
      await write(wire, request(context.target), frame({ opcode: Opcode.Text, payload: HELLO }), context);
      await wire.until(() => wire.events.length > 0 || wire.hopeless, context.timeoutMs);
      if (wire.head === undefined) return refusal(wire, Verdict.Failed, "no answer to the opening handshake");
      const fault = faultOf(wire.head);
      if (fault !== undefined) return refusal(wire, Verdict.Failed, `opening handshake: ${fault}`);
      if (!wire.over) await wire.sendClose(1000);
      await finish(wire, context.timeoutMs);
      const right = wire.events.length === 1 && wire.events[0]?.kind === "text";
      return conclude(wire, right ? Verdict.Ok : withoutEcho, right ? "echoed" : "no echo", CLEAN);
    },
  };
}

/** A subprotocol may be chosen from those offered, or none (section 4.2.2). */
const subprotocol: Case = {
  id: "14.5.22",
  description: "Two subprotocols offered.",
  expectation: "A 101 that names one of the two, or none.",
  run: async (context) => {
    const wire = await ask(context, { headers: { "Sec-WebSocket-Protocol": "millrace-a, millrace-b" } });
    const fault = wire.head === undefined ? "no answer" : faultOf(wire.head);
    if (fault !== undefined) return refusal(wire, Verdict.Informational, `not opened: ${fault}`);
    const chosen = wire.head?.headers.get("sec-websocket-protocol");
    await wire.sendClose(1000);
    await finish(wire, context.timeoutMs);
    const right = chosen === undefined || ["millrace-a", "millrace-b"].includes(chosen);
    return conclude(wire, right ? Verdict.Ok : Verdict.Failed, `chosen: ${chosen ?? "none"}`, CLEAN);
  },
};

/** 14.5.1 to 14.5.22. */
export const ownHandshakeCases: readonly Case[] = [
  ...refusedCases,
  accepted("14.5.15", "A plain lawful handshake.", {}),
  accepted("14.5.16", "Upgrade: WebSocket and Connection: upgrade, in other letter cases.", {
    headers: { Upgrade: "WebSocket", Connection: "upgrade" },
  }),
  accepted("14.5.17", "Connection: keep-alive, Upgrade.", { headers: { Connection: "keep-alive, Upgrade" } }),
  accepted("14.5.18", "Header names in lower case.", {
    headers: {
      Upgrade: null,
      upgrade: "websocket",
      "Sec-WebSocket-Key": null,
      "sec-websocket-key": KEY,
      "Sec-WebSocket-Version": null,
      "sec-websocket-version": "13",
    },
  }),
  accepted("14.5.19", "An extension nobody knows.", { offer: "x-millrace-unknown; a=1" }),
  writtenByHand(
    "14.5.20",
    "The request octet by octet.",
    Verdict.Failed,
    async (wire, head, message, { timeoutMs }) => {
      await wire.writeChopped(head, 1);
      await wire.until(() => wire.head !== undefined, timeoutMs);
      await wire.write(message);
    },
  ),
  writtenByHand(
    "14.5.21",
    "The request and the first frame in one write, which a client should not do (section 4.1).",
    Verdict.Informational,
    (wire, head, message) => wire.write(concat([head, message])),
  ),
  subprotocol,
];
