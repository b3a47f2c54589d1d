/**
 * Which web pages may connect (RFC 6455 section 10.2): browsers name a page's origin in every handshake, and would
 * otherwise let any page connect with its visitor's cookies, or from inside its visitor's network. Decides about two
 * headers and nothing else; programs that are no browsers can send what they like.
 */

/** What decides about origins. */
export interface OriginSettings {
  /**
   * Origins that may connect: `https://app.example.com`, `https://*.example.com` (any name below that domain), `*`
   * (every origin) or `null` (pages without one, like files). When empty, pages from the same host may.
   */
  readonly allowed: readonly string[];
  /** Whether requests without an Origin, which browsers do not make, are refused. */
  readonly requireOrigin: boolean;
  /** Whether only this machine can connect. */
  readonly listensOnLoopback: boolean;
  /** Whether TLS ends here, so that a page from the same host is one with https. */
  readonly secure: boolean;
}

/** An origin in its parts (RFC 6454 section 4), normalised. */
interface Origin {
  /** With its colon. */
  readonly scheme: string;
  readonly hostname: string;
  /** "" for the default port of the scheme. */
  readonly port: string;
}

const ANY = "*";
const OPAQUE = "null";
const SUBDOMAINS = "*.";
/** Scheme, host and possibly a port; nothing that a path, a user or a list of origins would need. */
const ORIGIN_FORM = /^[a-z][a-z0-9+.-]*:\/\/[^\s/?#@\\,]+$/i;
/** Of 255 for the longest name, and more than enough for a scheme and a port. */
const MAX_ORIGIN_LENGTH = 320;
const LOOPBACK_HOST = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

/** Reads an Origin header; undefined for what is none. */
function parseOrigin(text: string): Origin | undefined {
  if (text.length > MAX_ORIGIN_LENGTH || !ORIGIN_FORM.test(text) || !URL.canParse(text)) return undefined;
  const { protocol, hostname, port } = new URL(text);
  return hostname === "" ? undefined : { scheme: protocol, hostname, port };
}

function isWeb({ scheme }: Origin): boolean {
  return scheme === "https:" || scheme === "http:";
}

function isSame(a: Origin, b: Origin): boolean {
  return a.scheme === b.scheme && a.hostname === b.hostname && a.port === b.port;
}

/** An entry of the list; with `subdomains`, the names below `origin.hostname`. */
interface Entry {
  readonly origin: Origin;
  readonly subdomains: boolean;
}

function parseEntry(text: string): Entry | undefined {
  const subdomains = text.includes(`://${SUBDOMAINS}`);
  const origin = parseOrigin(subdomains ? text.replace(`://${SUBDOMAINS}`, "://") : text);
  if (origin === undefined || origin.hostname.includes("*")) return undefined;
  // There are no names below an address.
  if (subdomains && /^\[|\.\d+$/.test(origin.hostname)) return undefined;
  return { origin, subdomains };
}

/** What is wrong with an entry of {@link OriginSettings.allowed}, to follow its name; undefined when nothing is. */
export function parseAllowedOrigin(text: string): string | undefined {
  if (text === ANY || text === OPAQUE || parseEntry(text) !== undefined) return undefined;
  return `must be *, null, or an origin like https://app.example.com or https://*.example.com, without a path, not ${
    JSON.stringify(text)
  }`;
}

/** The check of the Origin header. */
export class OriginPolicy {
  private readonly settings: OriginSettings;
  private readonly entries: readonly Entry[];
  private readonly any: boolean;
  private readonly opaque: boolean;

  /** @throws {TypeError} for an entry that {@link parseAllowedOrigin} finds wrong */
  constructor(settings: OriginSettings) {
    this.settings = settings;
    this.any = settings.allowed.includes(ANY);
    this.opaque = this.any || settings.allowed.includes(OPAQUE);
    this.entries = settings.allowed.filter((text) => text !== ANY && text !== OPAQUE).map((text) => {
      const entry = parseEntry(text);
      if (entry === undefined) throw new TypeError(`an allowed origin ${parseAllowedOrigin(text)}`);
      return entry;
    });
  }

  /**
   * Whether a handshake with these headers may come from where it says.
   * @param origin the Origin header
   * @param host the Host header; without a list it is what the origin is compared with
   */
  allows(origin: string | undefined, host: string | undefined): boolean {
    if (origin === undefined) return !this.settings.requireOrigin;
    if (origin === OPAQUE) return this.opaque;
    const page = parseOrigin(origin);
    if (page === undefined) return false;
    if (this.any) return true;
    if (this.settings.allowed.length === 0) return this.isSameHost(page, host);
    return this.entries.some(({ origin, subdomains }) =>
      subdomains
        ? page.hostname.endsWith(`.${origin.hostname}`) &&
          page.hostname.length > origin.hostname.length + 1 &&
          isSame({ ...page, hostname: origin.hostname }, origin)
        : isSame(page, origin)
    );
  }

  /**
   * The rule without a list. On loopback the host must be a loopback one itself: a page of evil.example whose name is
   * made to point to 127.0.0.1 (DNS rebinding) names evil.example in both headers. A page from any port of this
   * machine may connect then, as that of a development server does.
   */
  private isSameHost(page: Origin, host: string | undefined): boolean {
    if (!isWeb(page) || host === undefined) return false;
    const server = parseOrigin(`${page.scheme}//${host}`);
    if (server === undefined) return false;
    if (this.settings.listensOnLoopback) {
      return LOOPBACK_HOST.test(server.hostname) && LOOPBACK_HOST.test(page.hostname);
    }
    return isSame(page, server) && (page.scheme === "https:" || !this.settings.secure);
  }
}
