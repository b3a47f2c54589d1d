/**
 * Where the server under test listens, from the URL on the command line. Knows nothing of sockets.
 */

const PORT_OF = { "ws:": 80, "wss:": 443 } as const;

/** A parsed `ws:` or `wss:` URL. */
export interface Target {
  readonly secure: boolean;
  readonly host: string;
  readonly port: number;
  /** Path and query, as they go into the request line. */
  readonly resource: string;
  /** The value of the Host header. */
  readonly authority: string;
}

/** @throws TypeError when the text is no `ws:` or `wss:` URL. */
export function parseTarget(text: string): Target {
  const url = new URL(text);
  if (url.protocol !== "ws:" && url.protocol !== "wss:") {
    throw new TypeError(`not a ws: or wss: URL: ${text}`);
  }
  return {
    secure: url.protocol === "wss:",
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? PORT_OF[url.protocol] : Number(url.port),
    resource: `${url.pathname}${url.search}`,
    authority: url.host,
  };
}
