/** What addresses and paths tell about who can reach them. Knows no proxy. */
import { isIP } from "node:net";

/** Whether an address to listen on or to connect to is on this machine only; brackets of IPv6 allowed. */
export function isLoopbackAddress(host: string): boolean {
  return /^(localhost|127\.\d+\.\d+\.\d+|\[?::1\]?)$/i.test(host);
}

/** Whether a host is an address, not a name. */
export function isAddress(host: string): boolean {
  return isIP(host.replaceAll(/[[\]]/g, "")) !== 0;
}

const WEBSOCKET_PATH =
  /(^|[/^(|])(wss?|websockets?|socket|socket\.io|socket\\\.io|sockjs|cable|signalr|realtime)\b/i;

/** Whether a path, or the pattern of one, names what WebSockets are usually served at. */
export function looksLikeWebSocketPath(path: string): boolean {
  return WEBSOCKET_PATH.test(path);
}

/** Whether a path, or its pattern, is of a protocol that begins with, or falls back to, several plain requests of one client. */
export function needsOneServer(path: string): boolean {
  return /socket\\?\.io|sockjs|signalr/i.test(path);
}
