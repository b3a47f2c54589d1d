/**
 * Where a handshake carries its token: a header, the URL or a cookie. Finds it and never judges it; what it says about
 * a request holds no part of a token.
 */
import { parseCookie } from "cookie";

/** What a handshake carries: a token (possibly empty, which is an invalid one), none, or something that cannot be read. */
export type FoundToken = { readonly token: string } | { readonly problem: string } | undefined;

/** The credentials of an `Authorization: Bearer` header (RFC 6750 section 2.1); undefined for other schemes. */
export function bearerToken(authorization: string | undefined): string | undefined {
  const match = /^bearer(?:[ \t]+(.*))?$/is.exec(authorization ?? "");
  return match === null ? undefined : (match[1] ?? "").trim();
}

/**
 * Finds the token of a handshake: in the Authorization header, else in `?token=`, else in the cookie.
 * @param query what follows the `?` of the URL
 * @param headers values by lower-case name
 * @param cookieName "" when no cookie carries tokens
 */
export function findToken(
  query: string,
  headers: ReadonlyMap<string, string>,
  cookieName: string,
): FoundToken {
  const bearer = bearerToken(headers.get("authorization"));
  if (bearer !== undefined) return { token: bearer };
  const fromQuery = query === "" ? [] : new URLSearchParams(query).getAll("token");
  if (fromQuery.length > 1) return { problem: "The URL has more than one token." };
  if (fromQuery[0] !== undefined) return { token: fromQuery[0] };
  const cookies = headers.get("cookie");
  if (cookieName === "" || cookies === undefined) return undefined;
  const token = parseCookie(cookies)[cookieName];
  return token === undefined ? undefined : { token };
}
