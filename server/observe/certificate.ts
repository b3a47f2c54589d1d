/**
 * When the certificate in use expires, for those who watch. Whether it can be used at all the engine has found out
 * before; nothing here decides anything.
 */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";

const MS_PER_SECOND = 1000;

/**
 * When the first certificate of a PEM chain expires, in seconds since 1970: a chain is good for as long as all of it is.
 * @throws {Error} when the file cannot be read or holds no certificate
 */
export function chainExpirySeconds(certFile: string): number {
  const text = readFileSync(certFile, "utf8");
  const chain = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [text];
  const ends = chain.map((pem) => Date.parse(new X509Certificate(pem).validTo) / MS_PER_SECOND);
  return Math.min(...ends);
}
