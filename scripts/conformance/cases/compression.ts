/** Sections 12 and 13: permessage-deflate (RFC 7692) over kinds of content, message sizes and parameter sets. */
import { type Case, type Context, type Outcome, Verdict } from "../case.ts";
import { Deflater } from "../deflate.ts";
import { CLEAN, conclude, equalBytes, finish } from "../exchange.ts";
import { fragments, Opcode, Rsv1 } from "../frame.ts";
import { html, json, noise, picture, prose } from "../payloads.ts";

/** Message size and, where not zero, the most bytes a frame may carry. The eighteen of Autobahn. */
const SIZES: readonly (readonly [number, number])[] = [
  [16, 0],
  [64, 0],
  [256, 0],
  [1024, 0],
  [4096, 0],
  [8192, 0],
  [16_384, 0],
  [32_768, 0],
  [65_536, 0],
  [131_072, 0],
  [8192, 256],
  [16_384, 256],
  [32_768, 256],
  [65_536, 256],
  [131_072, 256],
  [131_072, 1024],
  [131_072, 4096],
  [131_072, 32_768],
];

/** Autobahn sends a thousand messages in each of the 216 cases; this many bytes suffice to fill a window eight times. */
const BYTES_PER_CASE = 256 * 1024;
const MOST_MESSAGES = 100;
const FEWEST_MESSAGES = 4;
const PATIENCE = 10;
const CONTENT_BYTES = 256 * 1024;
const DEFAULT_OFFER = "permessage-deflate; client_no_context_takeover; client_max_window_bits";

interface Content {
  readonly name: string;
  readonly opcode: number;
  make(bytes: number): Uint8Array;
}

const JSON_CONTENT: Content = { name: "JSON", opcode: Opcode.Text, make: json };
const CONTENTS: readonly Content[] = [
  JSON_CONTENT,
  { name: "a picture", opcode: Opcode.Binary, make: picture },
  { name: "prose", opcode: Opcode.Binary, make: prose },
  { name: "incompressible bytes", opcode: Opcode.Binary, make: noise },
  { name: "HTML", opcode: Opcode.Text, make: html },
];

/** What section 13 asks of the server, in Autobahn's order. */
const OFFERS: readonly string[] = [
  DEFAULT_OFFER,
  `${DEFAULT_OFFER}; server_no_context_takeover`,
  `${DEFAULT_OFFER}; server_max_window_bits=8`,
  `${DEFAULT_OFFER}; server_max_window_bits=15`,
  `${DEFAULT_OFFER}; server_no_context_takeover; server_max_window_bits=8`,
  `${DEFAULT_OFFER}; server_no_context_takeover; server_max_window_bits=15`,
  [
    `${DEFAULT_OFFER}; server_no_context_takeover; server_max_window_bits=8`,
    `${DEFAULT_OFFER}; server_no_context_takeover`,
    DEFAULT_OFFER,
  ].join(", "),
];

const made = new Map<Content, Uint8Array>();

/** Message number `index` of a case: a slice of the content that moves on and wraps around. */
function slice(content: Content, bytes: number, index: number): Uint8Array {
  let all = made.get(content);
  if (all === undefined) made.set(content, all = content.make(CONTENT_BYTES));
  const start = (index * bytes) % (all.length - bytes + 1);
  return all.subarray(start, start + bytes);
}

async function runMessages(
  content: Content,
  offer: string,
  [bytes, frameBytes]: readonly [number, number],
  context: Context,
): Promise<Outcome> {
  const wire = await context.open({ offer });
  if (wire.deflate === undefined) {
    await wire.sendClose(1000);
    await finish(wire, context.timeoutMs);
    return conclude(wire, Verdict.Informational, NOT_AGREED, CLEAN);
  }
  const deflater = new Deflater(wire.deflate);
  const kind = content.opcode === Opcode.Text ? "text" : "binary";
  const count = messagesOf(bytes);
  let echoed = 0;
  let wireBytes = 0;
  for (; echoed < count && !wire.over; echoed++) {
    const payload = slice(content, bytes, echoed);
    const compressed = await deflater.message(payload);
    await wire.send(...fragments(content.opcode, compressed, frameBytes === 0 ? Infinity : frameBytes, Rsv1));
    if (!await wire.until(() => wire.events.length > 0 || wire.hopeless, PATIENCE * context.timeoutMs)) break;
    const echo = wire.events.shift();
    if (echo?.kind !== kind || !equalBytes(echo.payload, payload)) break;
    wireBytes += echo.wireBytes;
  }
  deflater.close();
  if (!wire.over) await wire.sendClose(1000);
  await finish(wire, context.timeoutMs);
  const right = echoed === count && wire.events.length === 0;
  const share = Math.round((100 * wireBytes) / (count * bytes));
  const what = `${echoed} of ${count} echoed, in ${share} % of their size`;
  return conclude(wire, right ? Verdict.Ok : Verdict.Failed, what, CLEAN);
}

/** Said where a server has no permessage-deflate or declines an offer, as it may. */
export const NOT_AGREED = "permessage-deflate was not agreed on";

function messagesOf(bytes: number): number {
  return Math.max(FEWEST_MESSAGES, Math.min(MOST_MESSAGES, Math.floor(BYTES_PER_CASE / bytes)));
}

function sizesOf(section: string, content: Content, offer: string): Case[] {
  return SIZES.map((size, index) => {
    const [bytes, frameBytes] = size;
    const cut = frameBytes === 0 ? "" : ` in frames of at most ${frameBytes} bytes`;
    return {
      id: `${section}.${index + 1}`,
      description: `${
        messagesOf(bytes)
      } messages of ${bytes} bytes of ${content.name}${cut}; offer: ${offer}.`,
      expectation: "Every message comes back; clean close. A server without the extension is informational.",
      patience: PATIENCE,
      run: (context: Context) => runMessages(content, offer, size, context),
    };
  });
}

/** 12.1.1 to 12.5.18. */
export const contentCases: readonly Case[] = CONTENTS.flatMap((content, index) =>
  sizesOf(`12.${index + 1}`, content, DEFAULT_OFFER)
);

/** 13.1.1 to 13.7.18. */
export const parameterCases: readonly Case[] = OFFERS.flatMap((offer, index) =>
  sizesOf(`13.${index + 1}`, JSON_CONTENT, offer)
);
