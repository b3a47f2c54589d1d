/**
 * Certificate and key from PEM files, looked at before an engine gets them: native ones say little of what is wrong,
 * and Deno takes what no handshake can use.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import type { TlsFiles } from "../engine.ts";

/** PEM texts. */
export interface TlsTexts {
  readonly cert: string;
  readonly key: string;
}

/** @throws {Error} with one line that names the file and what is wrong with it */
export function readTls({ certFile, keyFile }: TlsFiles): TlsTexts {
  const cert = readFileSync(certFile, "utf8");
  const key = readFileSync(keyFile, "utf8");
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(cert);
  } catch (error) {
    throw new Error(`${certFile} holds no certificate that can be read (${firstLine(error)})`);
  }
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey(key);
  } catch (error) {
    throw new Error(`${keyFile} holds no private key that can be read (${firstLine(error)})`);
  }
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new Error(`the key in ${keyFile} does not belong to the certificate in ${certFile}`);
  }
  try {
    createSecureContext({ cert, key });
  } catch (error) {
    throw new Error(`${certFile} and ${keyFile} cannot be used (${firstLine(error)})`);
  }
  return { cert, key };
}

/** What an error says, in one line. */
export function firstLine(error: unknown): string {
  return (error as Error).message.split("\n")[0] ?? "";
}
