/** Pings of the protocol, on which heartbeats and the idle timeouts of proxies rest. */
import { frame, Opcode } from "../../conformance/frame.ts";
import { pingDialect } from "../speech.ts";
import type { Stage } from "../stage.ts";
import { Need, type Passed, type Test } from "../test.ts";

const LONGEST_CONTROL_BYTES = 125;
const HEARTBEATS =
  "Heartbeats rest on this: without it, proxies and clients close connections that are idle but sound.";

async function answer(stage: Stage): Promise<Passed> {
  const line = await stage.converse(pingDialect);
  await line.say("");
  await line.expect("");
  return { what: "a ping is answered" };
}

async function payload(stage: Stage): Promise<Passed> {
  const line = await stage.converse(pingDialect);
  for (const sent of ["test-server", "p".repeat(LONGEST_CONTROL_BYTES)]) {
    await line.say(sent);
    await line.expect(sent);
  }
  return { what: `pongs carry the payload of their ping, up to ${LONGEST_CONTROL_BYTES} bytes` };
}

async function unsolicited(stage: Stage): Promise<Passed> {
  const line = await stage.converse(pingDialect);
  await line.wire.send(frame({ opcode: Opcode.Pong, payload: "nobody asked" }));
  await line.say("after it");
  await line.expect("after it");
  return { what: "a pong that nobody asked for is ignored" };
}

/** The tests of this group. */
export const pingTests: readonly Test[] = [
  {
    name: "ping.answer",
    checks: "A ping is answered with a pong.",
    section: "RFC 6455, 5.5.2",
    onFailure:
      `${HEARTBEATS} Switch automatic pongs on in the server's library, and see that nothing blocks its event loop.`,
    quick: true,
    need: Need.WebSocket,
    run: answer,
  },
  {
    name: "ping.payload",
    checks: "The pong carries the payload of its ping.",
    section: "RFC 6455, 5.5.3",
    onFailure:
      `${HEARTBEATS} Clients that number their pings take another payload for a lost answer. Do not write pongs by ` +
      "hand; let the library answer.",
    quick: true,
    need: Need.WebSocket,
    run: payload,
  },
  {
    name: "ping.unsolicited-pong",
    checks: "A pong without a ping does no harm.",
    section: "RFC 6455, 5.5.3",
    onFailure: "Some clients send pongs as a one-way heartbeat. The server must ignore them.",
    quick: true,
    need: Need.WebSocket,
    run: unsolicited,
  },
];
