/**
 * HTTP answers in the forms that this server gives them: JSON in one line, not to be stored, and problem details
 * (RFC 9457) for an error, with a sentence that says what is wrong and what would be right.
 */
import { STATUS_CODES } from "node:http";
import type { HttpResponse } from "../engine.ts";
import { Readiness } from "../readiness.ts";

/** When somebody may try again: with another node behind the same address, and once the broker is back. */
const DRAINING_RETRY_SECONDS = 5;
const BROKER_RETRY_SECONDS = 2;

/** The problems that say more than their HTTP status; all others are `about:blank`. They name, and lead nowhere. */
export const ProblemType = {
  Blank: "about:blank",
  BrokerUnavailable: "/problems/broker_unavailable",
} as const;

/** A request that cannot be carried out as it stands; `message` says what was wrong and what would be right. */
export class RequestFault extends Error {
  override readonly name = "RequestFault";
  readonly status: 400 | 415;

  constructor(status: 400 | 415, message: string) {
    super(message);
    this.status = status;
  }
}

export function json(status: number, body: unknown, headers: Record<string, string> = {}): HttpResponse {
  return answer(status, "application/json", body, headers);
}

/**
 * An error as the HTTP side tells it.
 * @param members a type of problem, and what a problem of that type says beside
 */
export function problem(
  status: number,
  detail: string,
  headers: Record<string, string> = {},
  members: { readonly type?: string } & Record<string, unknown> = {},
): HttpResponse {
  const body = { type: ProblemType.Blank, title: STATUS_CODES[status] ?? "", status, detail, ...members };
  return answer(status, "application/problem+json", body, headers);
}

export function notFound(): HttpResponse {
  return problem(404, "There is nothing at this path.");
}

/** The broker cannot be asked, or has not answered in time. */
export function brokerUnavailable(detail: string, members: Record<string, unknown> = {}): HttpResponse {
  const retry = { "retry-after": String(BROKER_RETRY_SECONDS) };
  return problem(503, detail, retry, { type: ProblemType.BrokerUnavailable, ...members });
}

/** The node takes no new connections. */
export function notReady(readiness: Exclude<Readiness, "ready">): HttpResponse {
  if (readiness === Readiness.BrokerUnavailable) {
    return brokerUnavailable("The broker cannot be reached now: this node takes no new connections.");
  }
  const retry = { "retry-after": String(DRAINING_RETRY_SECONDS) };
  return problem(503, "This node is going away: it takes no new connections.", retry);
}

function answer(status: number, type: string, body: unknown, headers: Record<string, string>): HttpResponse {
  return {
    status,
    headers: { "content-type": type, "cache-control": "no-store", ...headers },
    body: `${JSON.stringify(body)}\n`,
  };
}
