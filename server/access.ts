/**
 * Access: who a connection is and what it may do. It is made here from a token, whether that came with the handshake or
 * in an `auth` message, and given back when the connection has gone. It knows nothing of sockets and wire formats.
 */
import { type Grants, Permissions } from "./auth/permissions.ts";
import { TokenFault, type TokenVerifier } from "./auth/token.ts";
import { CloseCode } from "./close.ts";
import type { MessageBuckets } from "./limits/message_guard.ts";
import type { UserLimits } from "./limits/users.ts";

/** Who a connection is and what it may do. */
export interface Access {
  /** The token's subject; undefined for the anonymous. */
  readonly user: string | undefined;
  /** When the connection is to end, in milliseconds since 1970: the clock tolerance after the token runs out; undefined for never. */
  readonly expiresAtMs: number | undefined;
  readonly permissions: Permissions;
  /** What all connections of the user share; undefined for the anonymous. */
  readonly buckets: MessageBuckets | undefined;
}

/** Why a token gives no access. */
export const Denial = {
  ...TokenFault,
  /** The user has as many connections as one may have. */
  UserLimit: "user_limit",
  /** A connection's new token is another user's. */
  OtherUser: "other_user",
} as const;
export type Denial = typeof Denial[keyof typeof Denial];

/** Each denial in words for the client. */
export const denialTexts: Readonly<Record<Denial, string>> = {
  malformed: "The token is not a signed JWT.",
  signature: "The token's signature does not fit.",
  algorithm: "The token is signed with an algorithm that is not accepted here.",
  expired: "The token has expired.",
  not_yet_valid: "The token is not valid yet.",
  audience: "The token is for another audience.",
  issuer: "The token is from another issuer.",
  missing_subject: "The token has no usable subject (`sub`: 1 to 256 characters).",
  claims: "The token's `millrace` claim is not of the form that the manual describes.",
  keys_unavailable: "The keys to check tokens with cannot be reached now.",
  user_limit: "This user has as many connections as one may have.",
  other_user: "A connection keeps its user: open another one for another user.",
};

/** How a connection ends whose `auth` message is denied. */
export function denialCloseCode(denial: Denial): CloseCode {
  const isForNow = denial === Denial.KeysUnavailable || denial === Denial.UserLimit;
  return isForNow ? CloseCode.TryAgainLater : CloseCode.AuthenticationFailed;
}

export interface AccessSettings {
  /** Undefined when connections are anonymous. */
  readonly verifier: TokenVerifier | undefined;
  /** What everybody may do, beside what the token says. */
  readonly grants: Grants;
  readonly users: UserLimits;
}

export class AccessControl {
  /** The access of those who need no token; undefined where everybody does. */
  readonly anonymous: Access | undefined;
  private readonly settings: AccessSettings;
  private readonly permissions: Permissions;

  constructor(settings: AccessSettings) {
    this.settings = settings;
    this.permissions = Permissions.of(settings.grants, undefined);
    const nobody = {
      user: undefined,
      expiresAtMs: undefined,
      permissions: this.permissions,
      buckets: undefined,
    };
    this.anonymous = settings.verifier === undefined ? nobody : undefined;
  }

  /** Gives access for a token, or for a fresh one in place of `current`. Never rejects for what is in the token. */
  async authenticate(token: string, current?: Access): Promise<Access | Denial> {
    const { verifier, users } = this.settings;
    if (verifier === undefined) throw new TypeError("authenticate() without a verifier");
    const verified = await verifier.verify(token);
    if (!verified.ok) return verified.reason;
    const { user, expiresAtMs, grants } = verified.identity;
    if (current !== undefined && current.user !== user) return Denial.OtherUser;
    const buckets = current === undefined ? users.join(user) : current.buckets;
    if (buckets === undefined) return Denial.UserLimit;
    const own = this.permissions.as(user);
    const permissions = grants === undefined ? own : own.union(Permissions.of(grants, user));
    return { user, expiresAtMs, permissions, buckets };
  }

  /** The connection has gone. */
  release({ user }: Access): void {
    if (user !== undefined) this.settings.users.leave(user);
  }
}
