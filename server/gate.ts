/**
 * The gate: decides about each handshake, in the order of what the checks cost: the path, whether the node takes anybody,
 * the format, the Origin, the limits, and last the token. What it lets in is a session that holds its place.
 */
import { randomBytes } from "node:crypto";
import { type Access, Denial, denialTexts } from "./access.ts";
import { type ClientAddress, limitKey } from "./auth/client_address.ts";
import { findToken } from "./auth/credentials.ts";
import type { OriginPolicy } from "./auth/origin.ts";
import { CloseCode } from "./close.ts";
import type { HttpResponse, UpgradeAnswer, UpgradeRequest } from "./engine.ts";
import { notFound, notReady, problem } from "./http/answers.ts";
import type { ConnectionLimits, Place, Refusal } from "./limits/connections.ts";
import type { HandshakeOutcome } from "./observe/counters.ts";
import { RejectWith } from "./options.ts";
import { formats, negotiateFormat } from "./protocol/formats.ts";
import { Readiness } from "./readiness.ts";
import { Session } from "./session.ts";
import type { SessionContext } from "./session_context.ts";

const SESSION_ID_BYTES = 9;
/** When a node that has no keys to check a token with, or has too many of a user's connections, may be asked again. */
const RETRY_AFTER_SECONDS = 5;

/** What the gate asks. */
export interface GateSettings {
  readonly context: SessionContext;
  readonly origins: OriginPolicy;
  readonly addresses: ClientAddress;
  readonly limits: ConnectionLimits;
  readiness(): Readiness;
}

/** A refusal in both of its forms: an HTTP status, and a close code for `rejectWith: "close"`. */
interface Rejection {
  readonly outcome: HandshakeOutcome;
  readonly status: 401 | 403 | 429 | 503;
  readonly code: CloseCode;
  readonly text: string;
  readonly retryAfterSeconds?: number;
}

const refusalTexts: Readonly<Record<Refusal["kind"], string>> = {
  full: "This node has as many connections as it may have.",
  pending: "Too many handshakes are under way.",
  address: "This address has as many connections as one may have.",
  handshake_rate: "This address opens connections too fast.",
};

const badOrigin: Rejection = {
  outcome: "origin",
  status: 403,
  code: CloseCode.OriginNotAllowed,
  text: "Pages of this Origin may not connect here; the operator lists those that may in allowedOrigins.",
};

export class Gate {
  private readonly settings: GateSettings;

  constructor(settings: GateSettings) {
    this.settings = settings;
  }

  /** Answers at once, unless there is a token to check. */
  decide(request: UpgradeRequest): UpgradeAnswer<Session> | Promise<UpgradeAnswer<Session>> {
    const { context, origins, addresses, limits } = this.settings;
    const { options, counters, access } = context;
    if (request.path !== options.path) return { accept: false, response: notFound() };
    const closed = this.whenNotReady();
    if (closed !== undefined) return closed;
    const negotiated = negotiateFormat(request.headers.get("sec-websocket-protocol"));
    if (negotiated === undefined) {
      counters.handshakes.bad_subprotocol++;
      const known = formats.map((format) => format.subprotocol).join(" and ");
      const text = `None of the offered subprotocols is known; known are ${known}.`;
      return { accept: false, response: problem(400, text) };
    }
    const reject = (rejection: Rejection) => this.reject(rejection, negotiated);
    if (!origins.allows(request.headers.get("origin"), request.headers.get("host"))) return reject(badOrigin);
    const place = limits.arrive(limitKey(addresses.of(request.remoteAddress, request.headers)));
    if ("kind" in place) return reject(toRejection(place));
    const found = access.anonymous === undefined
      ? findToken(request.query, request.headers, options.authCookie)
      : undefined;
    if (found === undefined) return this.admit(negotiated, place, access.anonymous);
    if ("problem" in found) {
      place.release();
      return reject(this.denied(Denial.Malformed));
    }
    return this.authenticate(found.token, negotiated, place);
  }

  private async authenticate(
    token: string,
    negotiated: Negotiated,
    place: Place,
  ): Promise<UpgradeAnswer<Session>> {
    const answer = await this.settings.context.access.authenticate(token).catch((error: unknown) => {
      place.release();
      throw error;
    });
    if (typeof answer === "string") {
      place.release();
      return this.reject(this.denied(answer), negotiated);
    }
    // It may have begun to go away meanwhile.
    const closed = this.whenNotReady();
    if (closed === undefined) return this.admit(negotiated, place, answer);
    place.release();
    this.settings.context.access.release(answer);
    return closed;
  }

  /** Undefined while new connections are welcome. */
  private whenNotReady(): UpgradeAnswer<Session> | undefined {
    const readiness = this.settings.readiness();
    if (readiness === Readiness.Ready) return undefined;
    this.settings.context.counters.handshakes.draining++;
    return { accept: false, response: notReady(readiness) };
  }

  private admit(negotiated: Negotiated, place: Place, access: Access | undefined): UpgradeAnswer<Session> {
    const { context } = this.settings;
    const session = new Session(context, { id: newSessionId(), format: negotiated.format, access, place });
    return { accept: true, data: session, protocol: negotiated.subprotocol };
  }

  private denied(denial: Denial): Rejection {
    this.settings.context.counters.authFailures[denial]++;
    const text = denialTexts[denial];
    switch (denial) {
      case Denial.KeysUnavailable:
        return unavailable(503, "token", text);
      case Denial.UserLimit:
        return unavailable(429, "user_limit", text);
      default:
        return { outcome: "token", status: 401, code: CloseCode.InvalidToken, text };
    }
  }

  private reject(rejection: Rejection, negotiated: Negotiated): UpgradeAnswer<Session> {
    const { context } = this.settings;
    const { outcome, status, code, text, retryAfterSeconds } = rejection;
    context.counters.handshakes[outcome]++;
    if (context.options.rejectWith === RejectWith.Close) {
      const session = Session.rejected(context, negotiated.format, code);
      return { accept: true, data: session, protocol: negotiated.subprotocol };
    }
    return { accept: false, response: refusal(status, text, retryAfterSeconds) };
  }
}

type Negotiated = NonNullable<ReturnType<typeof negotiateFormat>>;

function newSessionId(): string {
  return randomBytes(SESSION_ID_BYTES).toString("base64url");
}

function unavailable(status: 429 | 503, outcome: HandshakeOutcome, text: string): Rejection {
  return { outcome, status, code: CloseCode.TryAgainLater, text, retryAfterSeconds: RETRY_AFTER_SECONDS };
}

function toRejection({ kind, retryAfterSeconds }: Refusal): Rejection {
  const isOurs = kind === "full" || kind === "pending";
  const status = isOurs ? 503 : 429;
  return { ...unavailable(status, kind, refusalTexts[kind]), retryAfterSeconds };
}

function refusal(status: number, text: string, retryAfterSeconds: number | undefined): HttpResponse {
  const retry = retryAfterSeconds === undefined ? {} : { "retry-after": String(retryAfterSeconds) };
  const challenge = status === 401 ? { "www-authenticate": "Bearer" } : {};
  return problem(status, text, { ...retry, ...challenge });
}
