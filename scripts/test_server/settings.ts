/**
 * What the operator asked for, as every test sees it: where the server is, what a handshake to it carries, and the bounds
 * on time and traffic. Knows no flags and no test.
 */
import type { RequestOptions } from "../conformance/handshake.ts";
import type { Target } from "../conformance/target.ts";
import type { Trust } from "../conformance/wire.ts";

/** All of it. */
export interface Settings {
  readonly url: string;
  readonly target: Target;
  /** Sent with every opening handshake. */
  readonly headers: Readonly<Record<string, string>>;
  /** Offered where the test has none of its own; may be empty. */
  readonly subprotocols: readonly string[];
  readonly trust: Trust;
  /** How long to wait for one answer. */
  readonly timeoutMs: number;
  /** How long a greeting may take after the 101; servers that greet do it at once. */
  readonly greetingMs: number;
  /** How long latency is watched. */
  readonly durationMs: number;
  /** How many connections are opened at once. */
  readonly connections: number;
  /** How many messages are sent in one go. */
  readonly messages: number;
  /** The largest message that is tried. */
  readonly maxMessageBytes: number;
  /** First tokens of the topics that are published to. */
  readonly topic: string;
  /** Milliseconds since 1970, for certificates. */
  readonly now: () => number;
}

/** What may be left out. */
export const DEFAULTS = {
  timeoutMs: 5_000,
  greetingMs: 300,
  durationMs: 2_000,
  connections: 20,
  messages: 1_000,
  maxMessageBytes: 1_048_576,
  topic: "test-server",
} as const;

/** The request of an opening handshake; what `options` says stands above the settings. */
export function requestOptions(settings: Settings, options: RequestOptions = {}): RequestOptions {
  const { headers, subprotocols } = settings;
  const offered = subprotocols.length === 0 ? {} : { "Sec-WebSocket-Protocol": subprotocols.join(", ") };
  return { ...options, headers: { ...headers, ...offered, ...options.headers } };
}
