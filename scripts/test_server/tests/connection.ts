/** Whether there is a WebSocket server at the URL at all, and whether its 101 is right. */
import { performance } from "node:perf_hooks";
import { readAnswer } from "../../conformance/handshake.ts";
import { handshakeProblem, type Stage } from "../stage.ts";
import { Finding, Need, type Passed, Skip, type Test } from "../test.ts";

const SWITCHING = 101;
const REFUSED = "the handshake is not answered with 101; see connection.open";

async function open(stage: Stage): Promise<Passed> {
  const started = performance.now();
  const wire = await stage.connect();
  const connectMs = performance.now() - started;
  await stage.request(wire);
  const openMs = performance.now() - started;
  if (wire.head?.status !== SWITCHING) throw new Finding(handshakeProblem(wire) ?? "no 101");
  const part = `${stage.settings.target.secure ? "TCP and TLS" : "TCP"} ${connectMs.toFixed(1)} ms`;
  return { what: `open after ${openMs.toFixed(1)} ms, of which ${part}`, figures: { connectMs, openMs } };
}

async function accept(stage: Stage): Promise<Passed> {
  const wire = await stage.ask();
  if (wire.head?.status !== SWITCHING) throw new Skip(REFUSED);
  const problem = handshakeProblem(wire);
  if (problem !== undefined) throw new Finding(problem);
  return { what: "Upgrade, Connection and Sec-WebSocket-Accept are right" };
}

async function extras(stage: Stage): Promise<Passed> {
  const { head } = await stage.ask();
  if (head?.status !== SWITCHING) throw new Skip(REFUSED);
  const extension = readAnswer(head.headers.get("sec-websocket-extensions"), "");
  if (typeof extension === "string") throw new Finding(extension);
  const protocol = head.headers.get("sec-websocket-protocol");
  const { subprotocols } = stage.settings;
  if (protocol !== undefined && !subprotocols.includes(protocol)) {
    throw new Finding(`the server chose the subprotocol ${protocol}, which was not offered`);
  }
  if (subprotocols.length === 0) return { what: "no extension and no subprotocol that nobody asked for" };
  if (protocol !== undefined) return { what: `the server chose the subprotocol ${protocol}` };
  return {
    what: "no extension that nobody asked for",
    notes: [`none of the offered subprotocols was chosen: ${subprotocols.join(", ")}`],
  };
}

/** The tests of this group. */
export const connectionTests: readonly Test[] = [
  {
    name: "connection.open",
    checks: "TCP (and TLS) connect and the opening handshake is answered with 101.",
    section: "RFC 6455, 4.1",
    onFailure:
      "Nothing else can work before this does. Refused or timed out: is the server running, on this address and " +
      "port, and does a firewall let you through? A certificate: run --test tls. A status: the text says what it is " +
      "usually for; behind a proxy, check that it forwards Upgrade and Connection and speaks HTTP/1.1 to the server.",
    quick: true,
    need: Need.Nothing,
    run: open,
  },
  {
    name: "connection.accept",
    checks: "The 101 has Upgrade: websocket, Connection: Upgrade, and the Sec-WebSocket-Accept of our key.",
    section: "RFC 6455, 4.2.2",
    onFailure:
      "Browsers refuse this answer. Something computes the answer without the request's key, or a proxy or cache " +
      "answers in the server's place or strips hop-by-hop headers.",
    quick: true,
    need: Need.Link,
    run: accept,
  },
  {
    name: "connection.extras",
    checks: "The 101 grants no extension and no subprotocol that was not offered.",
    section: "RFC 6455, 4.1",
    onFailure:
      "Clients must fail this connection. The server sends a fixed header instead of choosing from the offer: " +
      "let its WebSocket library negotiate.",
    quick: true,
    need: Need.Link,
    run: extras,
  },
];
