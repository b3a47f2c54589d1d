/** An issuer of tokens on loopback: it publishes its keys (a JWKS), can change them, be late, and be down. */
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";

/** An issuer's web server. */
export interface Issuer {
  url: string;
  fetches: number;
  /** What it publishes next; a listener takes the whole request. */
  answer: string | RequestListener;
  stop(): Promise<void>;
}

/** Starts one that answers with `answer`. */
export async function startIssuer(answer: Issuer["answer"]): Promise<Issuer> {
  const server = createServer((request, response) => {
    issuer.fetches++;
    if (typeof issuer.answer === "string") response.end(issuer.answer);
    else issuer.answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const stop = () =>
    new Promise<void>((resolve) => {
      if (!server.listening) return resolve();
      server.close(() => resolve());
      server.closeAllConnections();
    });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`;
  const issuer: Issuer = { url, fetches: 0, answer, stop };
  return issuer;
}

/** A JWKS with these keys. */
export function setOf(...keys: unknown[]): string {
  return JSON.stringify({ keys });
}

/** The answer of an issuer with a fault. */
export const failing: RequestListener = (_, response) => response.writeHead(503).end();
