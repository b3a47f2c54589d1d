/**
 * Every option once: its meaning, unit, default and bounds. Flags, environment variables, the configuration file, the
 * help text and the checks are all made from this table.
 */
import { hostname } from "node:os";
import { parseCidr } from "./auth/client_address.ts";
import { tokenAlgorithms } from "./auth/keys.ts";
import { parseAllowedOrigin } from "./auth/origin.ts";
import { brokerNames } from "./broker/pick.ts";
import { parseRetention } from "./broker/retention.ts";
import { DeflateMode, SlowPolicy } from "./engine.ts";
import { engineNames } from "./engines/pick.ts";
import {
  choice,
  file,
  integer,
  list,
  type OptionSpec,
  rate,
  secret,
  text,
  toggle,
  type ValueOf,
} from "./option.ts";
import { isPattern, PATTERN_RULE } from "./topic.ts";

export const logLevels = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = typeof logLevels[number];
export const logFormats = ["auto", "text", "json"] as const;
export type LogFormat = typeof logFormats[number];

/** What happens to a handshake that is refused for its token, its Origin or a limit. */
export const RejectWith = {
  /** An HTTP status before the upgrade. */
  Http: "http",
  /** The upgrade, and then a close code, which browsers can read. */
  Close: "close",
} as const;

/** Who may read `/metrics`. */
export const MetricsAccess = { Open: "open", Key: "key", Off: "off" } as const;

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const DAY_SECONDS = 86_400;
const MAX_COUNT = 100_000_000;

/** `{user}` stands for the token's subject, so it is checked as if it were a name. */
function patterns(help: string): OptionSpec<readonly string[]> {
  const problemOf = (item: string) => isPattern(item.replaceAll("{user}", "user")) ? undefined : PATTERN_RULE;
  return list("patterns", problemOf, help);
}

/** A limit that 0 turns off. */
function limit(value: number, help: string) {
  return integer(value, "", 0, MAX_COUNT, `${help}; 0 for no limit`);
}

export const optionSpecs = {
  // Where it listens.
  host: text(
    "127.0.0.1",
    /^[A-Za-z0-9.:_-]+$/,
    "an IP address or a host name",
    "address to listen on; 0.0.0.0 or :: lets everybody in",
  ),
  port: integer(9001, "", 0, 65_535, "TCP port; 0 takes a free one"),
  path: text("/ws", /^\/[^\s?#]*$/, "a URL path that starts with /", "path of the WebSocket endpoint"),
  tlsCert: file("PEM file of the certificate chain; with --tls-key, serves wss:"),
  tlsKey: file("PEM file of its private key"),
  engine: choice("auto", engineNames, "what serves the sockets; auto takes the native one of the runtime"),
  node: text(
    hostname().replaceAll(/[^A-Za-z0-9._-]/g, "-").slice(0, 64) || "node",
    /^[A-Za-z0-9._-]{1,64}$/,
    "1 to 64 characters of A-Z a-z 0-9 . _ -",
    "this node's name, told to clients",
  ),

  // Who gets in.
  jwtSecret: secret(
    "HMAC secret of the tokens, at least as long as the hash; better in the environment or a file",
  ),
  jwtSecretFile: file("file with that secret"),
  jwtPublicKeyFile: file("public key of the tokens: PEM key or certificate, JWK or JWKS"),
  jwksUrl: text(
    "",
    /^(https:\/\/.+|http:\/\/(localhost|127\.[\d.]+|\[::1\])([:/].*)?)?$/,
    "an https: URL, or http: on a loopback address",
    "URL of the JWKS with the public keys of the tokens",
  ),
  jwtAlgorithms: list(
    "algorithms",
    (item) => tokenAlgorithms.includes(item) ? undefined : `must be among ${tokenAlgorithms.join(", ")}`,
    "signatures to accept; without it HS256 with a secret, else RS256 ES256 EdDSA",
  ),
  jwtAudience: text("", /^/, "text", "what a token's `aud` must name; empty to accept any"),
  jwtIssuer: text("", /^/, "text", "what a token's `iss` must be; empty to accept any"),
  jwtClockToleranceSeconds: integer(5, "seconds", 0, 600, "how far the clock of the issuer may be off"),
  authCookie: text(
    "",
    /^[A-Za-z0-9!#$%&'*+.^_`|~-]*$/,
    "a cookie's name",
    "cookie that carries the token of a browser's session; empty for none",
  ),
  authTimeoutSeconds: integer(5, "seconds", 1, 600, "how long a connection may take to authenticate (4003)"),
  rejectWith: choice(
    RejectWith.Http,
    Object.values(RejectWith),
    "how a handshake is refused: an HTTP status, or an upgrade and a close code that browsers can read",
  ),
  allowSubscribe: patterns(
    "topics everybody may subscribe to, beside those of the token; {user} is its subject",
  ),
  allowPublish: patterns("topics everybody may publish to"),
  allowPresence: patterns("topics whose members everybody may see"),
  allowHistory: patterns("topics whose history everybody may read"),
  allowBroadcast: toggle("everybody may broadcast to all connections"),
  insecureAnonymous: toggle("serve other machines without any authentication"),
  allowedOrigins: list(
    "origins",
    parseAllowedOrigin,
    "Origins of pages that may connect: https://app.example.com, https://*.example.com or *; without it the server's own",
  ),
  requireOrigin: toggle("refuse handshakes without an Origin: nothing but browsers gets in"),
  trustedProxies: list(
    "addresses",
    parseCidr,
    "proxies whose word on the client's address is believed, as 10.0.0.0/8",
  ),
  forwardedHeader: choice(
    "x-forwarded-for",
    ["x-forwarded-for", "forwarded"],
    "the header in which they say it",
  ),
  apiKeyFile: file("keys of the HTTP API, one a line; without it the API is off"),
  metrics: choice(
    MetricsAccess.Open,
    Object.values(MetricsAccess),
    "who may read /metrics: everybody, those with an API key, or nobody",
  ),
  dashboard: toggle("serve the page /dashboard, which shows live figures to those with an API key"),

  // What is kept, and where.
  broker: choice(
    "memory",
    brokerNames,
    "who owns the order of topics: this node, or what joins several nodes",
  ),
  brokerUrls: list(
    "URLs",
    (item) => URL.canParse(item) ? undefined : "is not a URL",
    "where it is: one, or with redis several among which topics are shared out, the same on every node",
  ),
  brokerTimeoutSeconds: integer(2, "seconds", 1, 60, "how long it may take to answer"),
  brokerPrefix: text(
    "millrace",
    /^[A-Za-z0-9_-]{1,64}$/,
    "1 to 64 characters of A-Z a-z 0-9 _ -",
    "in front of its keys, channels and subjects; keeps installations apart",
  ),
  redisCluster: choice(
    "off",
    ["off", "topics", "patterns"],
    "the URLs are of one Redis Cluster (7 or newer); patterns cost it each publication on all of its servers",
  ),
  brokerReplicas: integer(1, "", 1, 5, "with nats: on how many of its servers everything is stored"),
  topicIdleSeconds: integer(
    DAY_SECONDS,
    "seconds",
    60,
    30 * DAY_SECONDS,
    "how long redis and nats remember the offsets of a topic that is not used",
  ),
  history: list(
    "rules",
    (item) => {
      const rule = parseRetention(item);
      return "problem" in rule ? rule.problem : undefined;
    },
    "what is kept of which topics, as pattern:messages:seconds; the first that matches counts",
  ),
  presence: patterns("topics of which it is kept who is in them"),
  presenceSeconds: integer(60, "seconds", 5, 3600, "how long the members of a node that died stay"),
  maxIdleTopics: integer(10_000, "", 0, MAX_COUNT, "topics without subscribers whose offsets are remembered"),

  // How fast, and how much.
  messageRate: rate("200:2000", "messages", "what one connection may send; 0 for no limit"),
  byteRate: rate(`${MIB}:${8 * MIB}`, "bytes", "what one connection may send; 0 for no limit"),
  userMessageRate: rate("1000:10000", "messages", "what all connections of a user may send to this node"),
  userByteRate: rate(
    `${4 * MIB}:${32 * MIB}`,
    "bytes",
    "what all connections of a user may send to this node",
  ),
  handshakeRate: rate("100:2000", "handshakes", "what one address may begin; 0 for no limit"),
  maxConnections: limit(100_000, "connections of this node"),
  maxConnectionsPerAddress: limit(2_000, "connections from one address (IPv6: one /64 network)"),
  maxConnectionsPerUser: limit(100, "connections of one user to this node"),
  maxPendingHandshakes: limit(1_000, "handshakes whose token is being checked"),
  maxMessageBytes: integer(
    64 * KIB,
    "bytes",
    64,
    64 * MIB,
    "largest message a client may send, after inflating",
  ),
  maxTopicsPerConnection: integer(128, "", 1, 100_000, "topics one connection may subscribe to"),
  maxErrors: integer(16, "", 1, 1_000_000, "invalid messages after which a connection is closed with 1008"),
  maxHttpBodyBytes: integer(MIB, "bytes", 0, GIB, "largest body of an HTTP request"),
  handshakeTimeoutSeconds: integer(
    10,
    "seconds",
    1,
    255,
    "how long a request may take to arrive (engine uws: always 10; bun: 10 for its head)",
  ),

  // When they cannot keep up.
  maxBackpressureBytes: integer(
    MIB,
    "bytes",
    4 * KIB,
    GIB,
    "how much may wait for one connection that reads too slowly",
  ),
  slowPolicy: choice(
    SlowPolicy.Close,
    Object.values(SlowPolicy),
    "past that: close with 4008, or skip messages and tell the client which",
  ),
  maxQueuedBytes: integer(
    256 * MIB,
    "bytes",
    64 * KIB,
    1024 * GIB,
    "how much may wait for all connections together; past it the slowest are cut",
  ),

  // Compression, heartbeat, shutdown.
  deflate: choice(
    DeflateMode.Off,
    Object.values(DeflateMode),
    "permessage-deflate: shared costs no memory per connection, dedicated 32 KiB and more for better ratios",
  ),
  deflateThresholdBytes: integer(KIB, "bytes", 0, 64 * MIB, "smaller messages are sent uncompressed"),
  heartbeatSeconds: integer(30, "seconds", 0, 900, "between two pings to a client; 0 turns them off"),
  heartbeatTimeoutSeconds: integer(
    10,
    "seconds",
    1,
    899,
    "how long a pong may take before the close with 4010",
  ),
  drainDelaySeconds: integer(
    0,
    "seconds",
    0,
    DAY_SECONDS,
    "at shutdown, from /ready saying 503 to the first client sent away: time for a balancer to notice",
  ),
  shutdownTimeoutSeconds: integer(
    10,
    "seconds",
    0,
    DAY_SECONDS,
    "after a signal and that delay, when the last connections are cut",
  ),
  reconnectWindowSeconds: integer(
    10,
    "seconds",
    0,
    DAY_SECONDS,
    "at shutdown, clients are sent away so that they come back elsewhere spread over this time",
  ),
  logLevel: choice("info", logLevels, "least severe log line to write"),
  logFormat: choice("auto", logFormats, "auto writes text on a terminal and JSON lines otherwise"),
} satisfies Readonly<Record<string, OptionSpec<unknown>>>;

/** All options with their values. */
export type Options = { readonly [Name in keyof typeof optionSpecs]: ValueOf<typeof optionSpecs[Name]> };
export type OptionName = keyof Options;

export const optionNames = Object.keys(optionSpecs) as readonly OptionName[];

/** The spec of an option whose name is only known when running. */
export function specOf(name: OptionName): OptionSpec<unknown> {
  return optionSpecs[name];
}

/** Whether a host to listen on lets nobody in but this machine. */
export function isLoopback(host: string): boolean {
  return /^(localhost|127\.\d+\.\d+\.\d+|::1)$/.test(host);
}

/** Where the keys of tokens may come from. */
export const keyOptions = ["jwtSecret", "jwtSecretFile", "jwtPublicKeyFile", "jwksUrl"] as const;

/** Whether connections need a token. */
export function hasAuthentication(options: Options): boolean {
  return keyOptions.some((name) => options[name] !== "");
}
