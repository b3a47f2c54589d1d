/**
 * The guards as the options ask for them: who checks tokens, Origins, addresses, API keys and limits. They are made here
 * and read their files again here; what each decides is its own matter.
 */
import { AccessControl } from "./access.ts";
import { ApiKeys } from "./auth/api_keys.ts";
import { ClientAddress } from "./auth/client_address.ts";
import { OriginPolicy } from "./auth/origin.ts";
import type { Grants } from "./auth/permissions.ts";
import type { KeySettings } from "./auth/keys.ts";
import { createTokenVerifier, type TokenVerifier } from "./auth/token.ts";
import type { Clock } from "./clock.ts";
import { ConnectionLimits } from "./limits/connections.ts";
import { UserLimits } from "./limits/users.ts";
import { hasAuthentication, isLoopback, type Options } from "./options.ts";

export interface Guards {
  readonly access: AccessControl;
  readonly origins: OriginPolicy;
  readonly addresses: ClientAddress;
  readonly limits: ConnectionLimits;
  /** Undefined where the API is off. */
  readonly apiKeys: ApiKeys | undefined;
  /**
   * Reads keys from their files again.
   * @throws {KeyError} when one cannot be used; the old ones stay
   */
  reload(): void;
  /** Stops what watches over those who have left. */
  stop(): void;
}

/** @throws {KeyError} when a key cannot be used */
export function createGuards(options: Options, clock: Clock): Guards {
  const verifier = verifierOf(options, clock);
  const apiKeys = options.apiKeyFile === "" ? undefined : ApiKeys.fromFile(options.apiKeyFile);
  const limits = new ConnectionLimits({
    ...options,
    handshakeRate: options.handshakeRate ?? undefined,
  }, clock);
  const users = new UserLimits({
    maxConnectionsPerUser: options.maxConnectionsPerUser,
    rates: { messages: options.userMessageRate ?? undefined, bytes: options.userByteRate ?? undefined },
  }, clock);
  return {
    access: new AccessControl({ verifier, grants: grantsOf(options), users }),
    origins: new OriginPolicy({
      allowed: options.allowedOrigins,
      requireOrigin: options.requireOrigin,
      listensOnLoopback: isLoopback(options.host),
      secure: options.tlsCert !== "",
    }),
    addresses: new ClientAddress({ trustedProxies: options.trustedProxies, header: options.forwardedHeader }),
    limits,
    apiKeys,
    stop() {
      limits.stop();
      users.stop();
    },
    reload() {
      verifier?.reload();
      apiKeys?.reload();
    },
  };
}

function keyOf({ jwtSecret, jwtSecretFile, jwtPublicKeyFile, jwksUrl }: Options): KeySettings {
  if (jwtSecret !== "") return { kind: "secret", secret: jwtSecret };
  if (jwtSecretFile !== "") return { kind: "secret-file", file: jwtSecretFile };
  if (jwtPublicKeyFile !== "") return { kind: "public-key-file", file: jwtPublicKeyFile };
  return { kind: "jwks", url: jwksUrl };
}

function verifierOf(options: Options, clock: Clock): TokenVerifier | undefined {
  if (!hasAuthentication(options)) return undefined;
  const key = keyOf(options);
  const usual = key.kind.startsWith("secret") ? ["HS256"] : ["RS256", "ES256", "EdDSA"];
  return createTokenVerifier({
    key,
    algorithms: options.jwtAlgorithms.length === 0 ? usual : options.jwtAlgorithms,
    audience: options.jwtAudience,
    issuer: options.jwtIssuer,
    clockToleranceSeconds: options.jwtClockToleranceSeconds,
  }, clock);
}

/** What everybody may do. Where nobody needs a token and nothing is said, that is anything but to broadcast. */
function grantsOf(options: Options): Grants {
  const { allowSubscribe, allowPublish, allowPresence, allowHistory, allowBroadcast } = options;
  const lists = [allowSubscribe, allowPublish, allowPresence, allowHistory];
  const isOpen = !hasAuthentication(options) && lists.every((patterns) => patterns.length === 0);
  const granted = (patterns: readonly string[]) => isOpen ? [">"] : patterns;
  return {
    subscribe: granted(allowSubscribe),
    publish: granted(allowPublish),
    presence: granted(allowPresence),
    history: granted(allowHistory),
    broadcast: allowBroadcast,
  };
}
