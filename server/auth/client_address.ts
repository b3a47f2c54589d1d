/**
 * Where a request comes from, when proxies stand in between. A forwarding header is believed as far as trusted proxies
 * wrote it: it is read from its right end, where the nearest proxy has added what it saw, and what stands left of the
 * first stranger may be invented. Knows addresses only, and reads no header but the configured one.
 */
import ipaddr from "ipaddr.js";

/** Who is believed about addresses. */
export interface ProxySettings {
  /** Addresses and CIDR ranges of proxies in front of this server. */
  readonly trustedProxies: readonly string[];
  /** The header that they write; the other one may come from anybody. */
  readonly header: "x-forwarded-for" | "forwarded";
}

type Address = ipaddr.IPv4 | ipaddr.IPv6;
type Range = readonly [Address, prefixBits: number];

/** More proxies in a row are not believed. */
const MAX_PROXIES = 16;
/** A longer element is malformed. */
const MAX_ELEMENT_LENGTH = 256;
const IPV4_BITS = 32;
const IPV6_BITS = 128;
/** How much of an IPv6 address is one subscriber's: networks of this size are what providers assign. */
const SUBSCRIBER_BITS = 64;

/** Reads an address; IPv4-mapped ones as IPv4. Undefined for what is none, octal and short forms of IPv4 included. */
function parseAddress(text: string): Address | undefined {
  if (text.includes(":") ? !ipaddr.IPv6.isValid(text) : !ipaddr.IPv4.isValidFourPartDecimal(text)) {
    return undefined;
  }
  return ipaddr.process(text);
}

function parseRange(text: string): Range | undefined {
  const [, base = "", prefix] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const address = parseAddress(base);
  if (address === undefined || base.includes("%")) return undefined;
  const isIPv4 = address.kind() === "ipv4";
  const writtenBits = base.includes(":") ? IPV6_BITS : IPV4_BITS;
  const bits = Number(prefix ?? writtenBits) - (isIPv4 ? writtenBits - IPV4_BITS : 0);
  return bits >= 0 && bits <= (isIPv4 ? IPV4_BITS : IPV6_BITS) ? [address, bits] : undefined;
}

/** What is wrong with an entry of {@link ProxySettings.trustedProxies}, to follow its name; undefined when nothing is. */
export function parseCidr(text: string): string | undefined {
  if (parseRange(text) !== undefined) return undefined;
  return `must be an address or a range like 10.0.0.0/8 or 2001:db8::/32, not ${JSON.stringify(text)}`;
}

/**
 * What limits per address count by: an IPv4 address as it is, an IPv6 address by its /64, which is one subscriber's.
 * What is no address (a socket's path) stands for itself.
 */
export function limitKey(address: string): string {
  if (!address.includes(":")) return address;
  const parsed = parseAddress(address);
  if (parsed === undefined) return address;
  if (parsed instanceof ipaddr.IPv4) return parsed.toString();
  const subscriber = parsed.parts.map((part, i) => i < SUBSCRIBER_BITS / 16 ? part : 0);
  return `${new ipaddr.IPv6(subscriber)}/${SUBSCRIBER_BITS}`;
}

/** The address of a node as forwarding headers write it: alone, with a port, in brackets (RFC 7239 section 6). */
function parseNode(text: string): Address | undefined {
  const [, bracketed, plain] = /^(?:\[([^\]]*)\]|([\d.]+))(?::(?:\d{1,5}|_[\w.-]+))?$/.exec(text) ?? [];
  const address = bracketed ?? plain ?? text;
  if (address.includes("%") || (bracketed !== undefined && !bracketed.includes(":"))) return undefined;
  return parseAddress(address);
}

/** The address of an element of Forwarded (RFC 7239 section 4); undefined unless it has exactly one `for`. */
function parseForwarded(element: string): Address | undefined {
  const pair = /\s*(?:([\w!#$%&'*+.^`|~-]+)=("(?:[^"\\]|\\.)*"|[^\s;,"]+))?\s*(?:;|$)/y;
  let node: string | undefined;
  while (pair.lastIndex < element.length) {
    const found = pair.exec(element);
    if (found === null) return undefined;
    const [, name = "", value = ""] = found;
    if (name.toLowerCase() !== "for") continue;
    if (node !== undefined) return undefined;
    node = value.startsWith('"') ? value.slice(1, -1).replaceAll(/\\(.)/g, "$1") : value;
  }
  return node === undefined ? undefined : parseNode(node);
}

/**
 * Where the element of a list that ends at `end` starts; -1 when it is too long. Quotes are followed from the right,
 * so that an unpaired one in what a stranger wrote does not reach into what a proxy has added.
 */
function startOfElement(list: string, end: number): number {
  let quoted = false;
  for (let at = end - 1; at >= 0; at--) {
    if (end - at > MAX_ELEMENT_LENGTH) return -1;
    const character = list[at];
    if (character === "," && !quoted) return at + 1;
    if (character === '"' && !isEscaped(list, at)) quoted = !quoted;
  }
  return 0;
}

function isEscaped(text: string, at: number): boolean {
  let backslashes = 0;
  while (text[at - 1 - backslashes] === "\\") backslashes++;
  return backslashes % 2 === 1;
}

/** Finds the address of the client behind trusted proxies. */
export class ClientAddress {
  private readonly ranges: readonly Range[];
  private readonly header: ProxySettings["header"];

  /** @throws {TypeError} for a range that {@link parseCidr} finds wrong */
  constructor({ trustedProxies, header }: ProxySettings) {
    this.header = header;
    this.ranges = trustedProxies.map((text) => {
      const range = parseRange(text);
      if (range === undefined) throw new TypeError(`a trusted proxy ${parseCidr(text)}`);
      return range;
    });
  }

  /** Whether an address is one of the trusted proxies. */
  isTrusted(address: string): boolean {
    const parsed = parseAddress(address);
    return parsed !== undefined && this.trusts(parsed);
  }

  /**
   * The client's address: the peer's own unless that is a trusted proxy, else the first that is not one, going from
   * proxy to proxy away from here. Where the header ends, or cannot be read, it is the last address that was believed.
   * @param headers values by lower-case name
   */
  of(remoteAddress: string, headers: ReadonlyMap<string, string>): string {
    if (this.ranges.length === 0) return remoteAddress;
    const peer = parseAddress(remoteAddress);
    if (peer === undefined || !this.trusts(peer)) return remoteAddress;
    const list = headers.get(this.header) ?? "";
    let believed = peer;
    let end = list.length;
    for (let proxies = 0; proxies < MAX_PROXIES && end >= 0; proxies++) {
      const start = startOfElement(list, end);
      const element = start < 0 ? "" : list.slice(start, end).trim();
      const address = this.header === "forwarded" ? parseForwarded(element) : parseNode(element);
      if (address === undefined) break;
      believed = address;
      if (!this.trusts(address)) break;
      end = start - 1;
    }
    return believed.toString();
  }

  private trusts(address: Address): boolean {
    return this.ranges.some(([base, bits]) => base.kind() === address.kind() && address.match(base, bits));
  }
}
