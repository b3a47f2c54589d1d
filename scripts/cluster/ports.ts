/** Free ports of loopback that stay free while a program is restarted. */
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";

/** Below the ports that Linux gives to outgoing connections: one of those could take a node's while it is away. */
const FIRST_PORT = 10_000;
const LAST_PORT = 29_999;
const MAX_ATTEMPTS = 200;

const handedOut = new Set<number>();

/** A port that nobody listens on now and that was not handed out before. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const port = FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT + 1));
    if (handedOut.has(port) || !await isFree(port)) continue;
    handedOut.add(port);
    return port;
  }
  throw new Error(`no free port between ${FIRST_PORT} and ${LAST_PORT}`);
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
