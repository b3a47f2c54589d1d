/** Messages of every kind that come back as they were sent. */
import type { Payload } from "../speech.ts";
import type { Stage } from "../stage.ts";
import { Need, type Passed, type Test } from "../test.ts";

const ALL_BYTES = Uint8Array.from({ length: 256 }, (_, index) => index);
const TEXTS = ["Hello", "", "äöü, Ελληνικά, 日本語, 👩‍🚀, \u0000", 'quotes " \\ and\nlines\r\n'];
const FRAGMENT_BYTES = 7;
const JSON_VALUE = {
  text: "Zürich 🏔",
  numbers: [0, -1, 1.5, 9_007_199_254_740_991],
  nested: { list: [null, true, [], {}] },
};

/** Sends one after the other, each when the one before has come back. */
async function echoed(stage: Stage, payloads: readonly Payload[], binary = false): Promise<void> {
  const line = await stage.line({ binary });
  for (const payload of payloads) {
    await line.say(payload);
    await line.expect(payload);
  }
  await stage.close(line.wire);
}

async function text(stage: Stage): Promise<Passed> {
  await echoed(stage, TEXTS);
  return { what: `${TEXTS.length} texts came back, an empty one and one beyond ASCII among them` };
}

async function json(stage: Stage): Promise<Passed> {
  const sent = JSON.stringify(JSON_VALUE);
  await echoed(stage, [sent]);
  return { what: `a JSON document of ${sent.length} characters came back` };
}

async function binary(stage: Stage): Promise<Passed> {
  await echoed(stage, [ALL_BYTES, new Uint8Array(0)], true);
  return { what: "all 256 values of a byte came back, and an empty message" };
}

async function fragmented(stage: Stage): Promise<Passed> {
  const line = await stage.line();
  const sent = TEXTS.join("|");
  await line.sayInFragments(sent, FRAGMENT_BYTES);
  await line.expect(sent);
  return { what: `a message in frames of ${FRAGMENT_BYTES} bytes came back whole` };
}

/** The tests of this group. */
export const echoTests: readonly Test[] = [
  {
    name: "echo.text",
    checks: "Texts come back unchanged: plain, empty, beyond ASCII, with line ends.",
    section: "RFC 6455, 5.6 and 8.1",
    onFailure:
      "Something between the client and the application changes or loses text: look for a conversion of encodings, " +
      "trimming, or a handler that takes an empty message for none.",
    quick: true,
    need: Need.WebSocket,
    echo: true,
    run: text,
  },
  {
    name: "echo.json",
    checks: "A JSON document comes back unchanged.",
    section: "RFC 6455, 5.6",
    onFailure:
      "The application parses and writes JSON again and loses something on the way: large integers, Unicode, or " +
      "the difference between null and nothing.",
    quick: true,
    need: Need.WebSocket,
    echo: true,
    run: json,
  },
  {
    name: "echo.binary",
    checks: "All 256 byte values and an empty binary message come back, as binary.",
    section: "RFC 6455, 5.6",
    onFailure:
      "Bytes are taken for text somewhere. Check that the server keeps the kind of a message, and what it does with " +
      "buffers between receiving and sending.",
    quick: true,
    need: Need.WebSocket,
    echo: true,
    run: binary,
  },
  {
    name: "echo.fragments",
    checks: "A message that arrives in many frames comes back whole.",
    section: "RFC 6455, 5.4",
    onFailure:
      "Clients and proxies may cut messages into frames at will. The server must hand over messages, not frames.",
    quick: true,
    need: Need.WebSocket,
    echo: true,
    run: fragmented,
  },
];
