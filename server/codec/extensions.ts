// Extension negotiation: the grammar of Sec-WebSocket-Extensions (RFC 6455 section 9.1), read strictly and in linear
// time, and the parameters of permessage-deflate (RFC 7692 section 7.1) for both roles. Compresses nothing.

import { MAX_WINDOW_BITS, MIN_DEFLATE_WINDOW_BITS, MIN_WINDOW_BITS } from "./deflate.ts";

/** One element of the header: a name and its parameters, `true` where a parameter has no value. */
export interface Extension {
  readonly name: string;
  readonly parameters: ReadonlyMap<string, string | true>;
  /** A parameter came twice, which makes an offer invalid and a response fatal. */
  readonly repeated: boolean;
}

/** What two sides agreed on. */
export interface DeflateParameters {
  readonly serverNoContextTakeover: boolean;
  readonly clientNoContextTakeover: boolean;
  readonly serverMaxWindowBits: number;
  readonly clientMaxWindowBits: number;
}

/** What a server wants of permessage-deflate. */
export interface DeflateServerOptions {
  /** One compressor for all connections: no window is kept for what we send. */
  readonly serverNoContextTakeover: boolean;
  /** One decompressor for all connections: clients keep no window either. */
  readonly clientNoContextTakeover: boolean;
  /** 9 to 15. */
  readonly serverMaxWindowBits: number;
  /** 8 to 15; only clients that offer `client_max_window_bits` can be held to it. */
  readonly clientMaxWindowBits: number;
}

/** What a client offers; numbers that are not given are not mentioned. */
export interface DeflateClientOffer {
  readonly serverNoContextTakeover?: boolean;
  readonly clientNoContextTakeover?: boolean;
  readonly serverMaxWindowBits?: number;
  /** `true` says that we could keep to a smaller window, should the server ask. */
  readonly clientMaxWindowBits?: number | true;
}

const DEFLATE = "permessage-deflate";
const SERVER_NO_TAKEOVER = "server_no_context_takeover";
const CLIENT_NO_TAKEOVER = "client_no_context_takeover";
const SERVER_WINDOW = "server_max_window_bits";
const CLIENT_WINDOW = "client_max_window_bits";

const TOKEN = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;
const BLANKS = /[ \t]*/y;
const QUOTED = /"((?:[^"\\]|\\.)*)"/y;

/** Reads at one place after the other; each character is looked at once. */
class Scanner {
  private readonly text: string;
  private at = 0;

  constructor(text: string) {
    this.text = text;
    this.skipBlanks();
  }

  get done(): boolean {
    return this.at === this.text.length;
  }

  token(): string | null {
    return this.match(TOKEN);
  }

  /** A token as a quoted string: its backslashes are taken out, and what is left must be a token. */
  quotedToken(): string | null {
    const quoted = this.match(QUOTED);
    if (quoted === null) return null;
    const value = quoted.slice(1, -1).replace(/\\(.)/g, "$1");
    return isToken(value) ? value : null;
  }

  take(character: string): boolean {
    if (this.text[this.at] !== character) return false;
    this.at++;
    this.skipBlanks();
    return true;
  }

  private match(pattern: RegExp): string | null {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0];
    if (found === undefined) return null;
    this.at += found.length;
    this.skipBlanks();
    return found;
  }

  private skipBlanks(): void {
    BLANKS.lastIndex = this.at;
    this.at += BLANKS.exec(this.text)?.[0].length ?? 0;
  }
}

/** Whether a text is a token of RFC 9110 section 5.6.2. */
export function isToken(text: string): boolean {
  TOKEN.lastIndex = 0;
  return TOKEN.exec(text)?.[0].length === text.length && text !== "";
}

/** The tokens of a comma-separated header, or null if it is anything else or empty. */
export function parseTokens(header: string): string[] | null {
  const scanner = new Scanner(header);
  const tokens: string[] = [];
  do {
    const token = scanner.token();
    if (token === null) return null;
    tokens.push(token);
  } while (scanner.take(","));
  return scanner.done ? tokens : null;
}

/** The elements of Sec-WebSocket-Extensions in their order, or null if the header breaks the grammar. */
export function parseExtensions(header: string): Extension[] | null {
  const scanner = new Scanner(header);
  const extensions: Extension[] = [];
  do {
    const extension = parseExtension(scanner);
    if (extension === null) return null;
    extensions.push(extension);
  } while (scanner.take(","));
  return scanner.done ? extensions : null;
}

function parseExtension(scanner: Scanner): Extension | null {
  const name = scanner.token();
  if (name === null) return null;
  const parameters = new Map<string, string | true>();
  let repeated = false;
  while (scanner.take(";")) {
    const parameter = scanner.token();
    if (parameter === null) return null;
    let value: string | true | null = true;
    if (scanner.take("=")) value = scanner.token() ?? scanner.quotedToken();
    if (value === null) return null;
    repeated ||= parameters.has(parameter);
    parameters.set(parameter, value);
  }
  return { name, parameters, repeated };
}

/** The number of a window parameter, or null: 8 to 15 in decimal without a leading zero (RFC 7692 section 7.1.2). */
function windowBits(value: string | true): number | null {
  if (value === true || !/^(?:[89]|1[0-5])$/.test(value)) return null;
  return Number(value);
}

interface RawParameters {
  readonly serverNoContextTakeover: boolean;
  readonly clientNoContextTakeover: boolean;
  readonly serverMaxWindowBits: number | undefined;
  readonly clientMaxWindowBits: number | true | undefined;
}

/** The four parameters as they stand there, or null if one is unknown, repeated or has a value it must not have. */
function readParameters(extension: Extension): RawParameters | null {
  if (extension.repeated) return null;
  let serverNoContextTakeover = false;
  let clientNoContextTakeover = false;
  let serverMaxWindowBits: number | undefined;
  let clientMaxWindowBits: number | true | undefined;
  for (const [name, value] of extension.parameters) {
    const bits = windowBits(value);
    if (name === SERVER_NO_TAKEOVER && value === true) serverNoContextTakeover = true;
    else if (name === CLIENT_NO_TAKEOVER && value === true) clientNoContextTakeover = true;
    else if (name === SERVER_WINDOW && bits !== null) serverMaxWindowBits = bits;
    else if (name === CLIENT_WINDOW && value === true) clientMaxWindowBits = true;
    else if (name === CLIENT_WINDOW && bits !== null) clientMaxWindowBits = bits;
    else return null;
  }
  return { serverNoContextTakeover, clientNoContextTakeover, serverMaxWindowBits, clientMaxWindowBits };
}

/**
 * A server's answer to what a client offers: the first permessage-deflate offer that can be met, or null. An
 * offer with a parameter that is unknown, repeated or out of range is passed over (RFC 7692 section 7.1).
 */
export function negotiateDeflate(
  offers: readonly Extension[],
  options: DeflateServerOptions,
): DeflateParameters | null {
  for (const offer of offers) {
    if (offer.name !== DEFLATE) continue;
    const asked = readParameters(offer);
    if (asked === null) continue;
    const serverMaxWindowBits = Math.min(
      asked.serverMaxWindowBits ?? MAX_WINDOW_BITS,
      options.serverMaxWindowBits,
    );
    // zlib cannot keep to a window of 256 bytes, and a promise not kept would break the client's inflater.
    if (serverMaxWindowBits < MIN_DEFLATE_WINDOW_BITS) continue;
    let clientMaxWindowBits = MAX_WINDOW_BITS;
    if (asked.clientMaxWindowBits !== undefined) {
      const offered = asked.clientMaxWindowBits === true ? MAX_WINDOW_BITS : asked.clientMaxWindowBits;
      clientMaxWindowBits = Math.min(offered, options.clientMaxWindowBits);
    }
    return {
      serverNoContextTakeover: asked.serverNoContextTakeover || options.serverNoContextTakeover,
      clientNoContextTakeover: asked.clientNoContextTakeover || options.clientNoContextTakeover,
      serverMaxWindowBits,
      clientMaxWindowBits,
    };
  }
  return null;
}

/** The Sec-WebSocket-Extensions value with which a server agrees. Windows of 15 bits go without saying. */
export function deflateResponse(parameters: DeflateParameters): string {
  let header = DEFLATE;
  if (parameters.serverNoContextTakeover) header += `; ${SERVER_NO_TAKEOVER}`;
  if (parameters.clientNoContextTakeover) header += `; ${CLIENT_NO_TAKEOVER}`;
  if (parameters.serverMaxWindowBits < MAX_WINDOW_BITS) {
    header += `; ${SERVER_WINDOW}=${parameters.serverMaxWindowBits}`;
  }
  if (parameters.clientMaxWindowBits < MAX_WINDOW_BITS) {
    header += `; ${CLIENT_WINDOW}=${parameters.clientMaxWindowBits}`;
  }
  return header;
}

/** The Sec-WebSocket-Extensions value of a client's offer. Throws RangeError for windows out of range. */
export function deflateOffer(offer: DeflateClientOffer): string {
  let header = DEFLATE;
  if (offer.serverNoContextTakeover === true) header += `; ${SERVER_NO_TAKEOVER}`;
  if (offer.clientNoContextTakeover === true) header += `; ${CLIENT_NO_TAKEOVER}`;
  if (offer.serverMaxWindowBits !== undefined) {
    header += `; ${SERVER_WINDOW}=${checked(offer.serverMaxWindowBits, MIN_WINDOW_BITS)}`;
  }
  if (offer.clientMaxWindowBits === true) header += `; ${CLIENT_WINDOW}`;
  else if (offer.clientMaxWindowBits !== undefined) {
    // A window that our own compressor would have to keep to.
    header += `; ${CLIENT_WINDOW}=${checked(offer.clientMaxWindowBits, MIN_DEFLATE_WINDOW_BITS)}`;
  }
  return header;
}

function checked(bits: number, least: number): number {
  if (Number.isInteger(bits) && bits >= least && bits <= MAX_WINDOW_BITS) return bits;
  throw new RangeError(`window bits are ${least} to ${MAX_WINDOW_BITS}`);
}

/**
 * What a server's answer means to a client that made `offer`, or a text that says what is wrong with it, for which
 * the client fails the connection (RFC 7692 section 7.1 and RFC 6455 section 9.1).
 */
export function acceptDeflate(
  answers: readonly Extension[],
  offer: DeflateClientOffer,
): DeflateParameters | string {
  const [answer] = answers;
  if (answers.length !== 1 || answer?.name !== DEFLATE) return "an extension that was not offered";
  const said = readParameters(answer);
  if (said === null || said.clientMaxWindowBits === true) {
    return "a permessage-deflate parameter is not valid";
  }
  if (said.clientMaxWindowBits !== undefined) {
    if (offer.clientMaxWindowBits === undefined) return `${CLIENT_WINDOW} was not offered`;
    // Ours is the compressor of this window, and zlib's cannot keep to the smallest.
    if (said.clientMaxWindowBits < MIN_DEFLATE_WINDOW_BITS) return `${CLIENT_WINDOW} is too small for us`;
  }
  if (offer.serverMaxWindowBits !== undefined) {
    if ((said.serverMaxWindowBits ?? MAX_WINDOW_BITS) > offer.serverMaxWindowBits) {
      return `${SERVER_WINDOW} is larger than offered`;
    }
  }
  if (offer.serverNoContextTakeover === true && !said.serverNoContextTakeover) {
    return `${SERVER_NO_TAKEOVER} was offered and not granted`;
  }
  const offeredWindow = typeof offer.clientMaxWindowBits === "number"
    ? offer.clientMaxWindowBits
    : MAX_WINDOW_BITS;
  return {
    serverNoContextTakeover: said.serverNoContextTakeover,
    clientNoContextTakeover: said.clientNoContextTakeover || offer.clientNoContextTakeover === true,
    serverMaxWindowBits: said.serverMaxWindowBits ?? MAX_WINDOW_BITS,
    clientMaxWindowBits: Math.min(said.clientMaxWindowBits ?? MAX_WINDOW_BITS, offeredWindow),
  };
}
