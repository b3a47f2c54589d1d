/** permessage-deflate: what is agreed on, messages both ways, and offers that may not be accepted. */
import { readAnswer } from "../../conformance/handshake.ts";
import { prose } from "../../conformance/payloads.ts";
import type { Line } from "../line.ts";
import type { Stage } from "../stage.ts";
import { Finding, Need, type Passed, Skip, type Test } from "../test.ts";

const OFFER = "permessage-deflate; client_max_window_bits";
const MESSAGE_BYTES = 8_192;
const MESSAGES = 4;
const SWITCHING = 101;
/** Each breaks a rule of RFC 7692, section 7.1 and its parts. */
const BAD_OFFERS = [
  "permessage-deflate; server_max_window_bits=7",
  "permessage-deflate; server_max_window_bits=16",
  "permessage-deflate; server_no_context_takeover=1",
  "permessage-deflate; no_such_parameter",
  "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
];
const NOT_OFFERED = "the server does not do permessage-deflate";

async function negotiated(stage: Stage): Promise<Passed> {
  const wire = await stage.open({ offer: OFFER });
  const answer = wire.head?.headers.get("sec-websocket-extensions");
  if (wire.deflate === undefined) throw new Skip(NOT_OFFERED);
  const { serverTakeover, serverWindowBits } = wire.deflate;
  const memory = serverTakeover
    ? `keeps its window of ${2 ** serverWindowBits} bytes`
    : "starts each message afresh";
  return { what: `agreed: ${answer}; the server ${memory}` };
}

async function compressedLine(stage: Stage): Promise<Line> {
  const line = await stage.line({ offer: OFFER });
  if (line.wire.deflate === undefined) throw new Skip(NOT_OFFERED);
  line.compress();
  return line;
}

async function roundTrips(stage: Stage): Promise<Passed> {
  const line = await compressedLine(stage);
  const text = new TextDecoder().decode(prose(MESSAGE_BYTES));
  const before = line.wire.events.length;
  for (let index = 0; index < MESSAGES; index++) {
    await line.say(text);
    await line.expect(text);
  }
  await line.say("");
  await line.expect("");
  line.stopCompressing();
  const bytes = line.wire.events.slice(before).reduce((sum, { wireBytes }) => sum + wireBytes, 0);
  const share = Math.round((100 * bytes) / (MESSAGES * MESSAGE_BYTES));
  return {
    what: `${MESSAGES + 1} compressed messages came back, in ${share} % of their size`,
    notes: bytes >= MESSAGES * MESSAGE_BYTES ? ["the server itself sends nothing compressed"] : [],
    figures: { sizePercent: share },
  };
}

async function plainBetween(stage: Stage): Promise<Passed> {
  const line = await compressedLine(stage);
  await line.say("compressed");
  await line.expect("compressed");
  line.stopCompressing();
  await line.say("not compressed");
  await line.expect("not compressed");
  return { what: "a message without compression is taken too" };
}

async function badOffers(stage: Stage): Promise<Passed> {
  const wire = await stage.open({ offer: OFFER });
  if (wire.deflate === undefined) throw new Skip(NOT_OFFERED);
  for (const offer of BAD_OFFERS) {
    const { head } = await stage.ask({ offer });
    if (head?.status !== SWITCHING) continue;
    if (readAnswer(head.headers.get("sec-websocket-extensions"), offer) === undefined) continue;
    throw new Finding(`the offer "${offer}" is accepted`);
  }
  return { what: `${BAD_OFFERS.length} offers against the rules are declined` };
}

/** The tests of this group. */
export const compressionTests: readonly Test[] = [
  {
    name: "compression.negotiation",
    checks: "The answer to an offer of permessage-deflate grants nothing that was not offered.",
    section: "RFC 7692, 7.1",
    onFailure:
      "Browsers fail the connection. The answer must be made from the offer; look for a fixed header in the server " +
      "or a proxy.",
    quick: true,
    need: Need.WebSocket,
    run: negotiated,
  },
  {
    name: "compression.round-trip",
    checks: "Compressed messages come back, one after the other, and an empty one.",
    section: "RFC 7692, 7.2",
    onFailure:
      "The two sides do not agree about the window. Switch compression off until the library is fixed: connections " +
      "break at random with it.",
    quick: true,
    need: Need.WebSocket,
    echo: true,
    run: roundTrips,
  },
  {
    name: "compression.plain-message",
    checks: "Once compression is agreed on, a message without it is taken too.",
    section: "RFC 7692, 6",
    onFailure: "Clients leave short messages uncompressed. The server must look at each message's RSV1 bit.",
    quick: true,
    need: Need.WebSocket,
    echo: true,
    run: plainBetween,
  },
  {
    name: "compression.bad-offers",
    checks: "Offers with parameters that are out of range, unknown or given twice are declined.",
    section: "RFC 7692, 7.1",
    onFailure:
      "No browser makes such offers; it shows that the server does not read them. Update the library.",
    quick: false,
    need: Need.WebSocket,
    run: badOffers,
  },
];
