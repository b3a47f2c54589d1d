/** A rule: what it looks for in the files of each program, how bad that is and why it matters. Knows no rule. */
import type { Finding, Hit, Severity } from "./finding.ts";
import type { HaproxyConfig } from "./haproxy_config.ts";
import type { Millrace } from "./millrace.ts";
import type { NginxConfig } from "./nginx_config.ts";

/** What is known beside the files. */
export interface Known {
  /** Between two pings of the server; 0 for none. */
  readonly heartbeatSeconds: number;
  /** How long the server waits for a pong. */
  readonly pongSeconds: number;
  /** Where these come from, in words. */
  readonly heartbeatSource: string;
  /** Whether the servers need all requests of a client to go to the same one. */
  readonly isStickyRequired: boolean;
  /** Whether something in front of this proxy ends TLS. */
  readonly isBehindTls: boolean;
  /** How many WebSockets the proxy must carry at a time, if known. */
  readonly connections: number | undefined;
  /** Milliseconds since 1970, to compare certificates with. */
  readonly nowMs: number;
  /** Millrace's own configuration, if given. */
  readonly millrace: Millrace | undefined;
}

/** A hit that may be better or worse than its rule says. */
export interface Judged extends Hit {
  readonly severity?: Severity;
}

export interface Rule {
  /** In words with dashes, for `--skip`. */
  readonly id: string;
  readonly severity: Severity;
  /** What it looks for, for the manual: completes "finds …". */
  readonly finds: string;
  /** What happens to those who leave it so. */
  readonly why: string;
  nginx?(config: NginxConfig, known: Known): Iterable<Judged>;
  haproxy?(config: HaproxyConfig, known: Known): Iterable<Judged>;
}

/** The findings of one rule; the same words about the same line only once. */
export function apply(rule: Rule, hits: Iterable<Judged>): Finding[] {
  const found = new Map<string, Finding>();
  for (const hit of hits) {
    const { file, line } = hit.place;
    found.set(`${file}\n${line}\n${hit.what}`, {
      ...hit,
      rule: rule.id,
      severity: hit.severity ?? rule.severity,
      why: rule.why,
    });
  }
  return [...found.values()];
}
