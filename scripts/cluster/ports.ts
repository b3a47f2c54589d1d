/** Free ports of loopback that stay free while a program is restarted. */
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";

/** Below the ports that Linux gives to outgoing connections: one of those could take a node's while it is away. */
const FIRST_PORT = 10_000;
const LAST_PORT = 29_999;
const MAX_ATTEMPTS = 200;

const handedOut = new Set<number>();

/** A port that nobody listens on now and that was not handed out before; the first of `count` such ports in a row. */
export async function freePort(count = 1): Promise<number> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const first = FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT + 2 - count));
    const row = Array.from({ length: count }, (_, index) => first + index);
    if (row.some((port) => handedOut.has(port))) continue;
    if ((await Promise.all(row.map(isFree))).includes(false)) continue;
    for (const port of row) handedOut.add(port);
    return first;
  }
  throw new Error(`no ${count} free ports between ${FIRST_PORT} and ${LAST_PORT}`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const listening = once(server, "listening");
  server.listen(port, "127.0.0.1");
  try {
    await listening;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EADDRINUSE") return false;
    throw error;
  }
  const isOurs = (server.address() as AddressInfo).port === port;
  await new Promise((resolve) => server.close(resolve));
  return isOurs;
}
