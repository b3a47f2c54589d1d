/** Certificates as files: whether they are there, until when they hold, whether the key is theirs and which names they have. */
import { createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import { join } from "node:path";
import { isFolder, namesIn, readText } from "./files.ts";

const DAY_MS = 86_400_000;
/** How long before its end a certificate is worth a warning. */
const SOON_DAYS = 14;

/** What is wrong with a certificate, by the rule that says so. */
export interface CertificateProblem {
  readonly rule: "certificate-file" | "certificate-expired" | "certificate-key" | "certificate-name";
  readonly what: string;
  /** Whether it will only be wrong. */
  readonly isSoon: boolean;
}

function problem(rule: CertificateProblem["rule"], what: string, isSoon = false): CertificateProblem {
  return { rule, what, isSoon };
}

function* problemsOf(
  path: string,
  pem: string,
  key: string,
  names: readonly string[],
  nowMs: number,
): Generator<CertificateProblem> {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(pem);
  } catch {
    yield problem("certificate-file", `${path} holds no certificate in PEM`);
    return;
  }
  const endMs = Date.parse(certificate.validTo);
  const startMs = Date.parse(certificate.validFrom);
  if (endMs < nowMs) yield problem("certificate-expired", `${path} is expired since ${certificate.validTo}`);
  else if (startMs > nowMs) {
    yield problem("certificate-expired", `${path} is not valid before ${certificate.validFrom}`);
  } else if (endMs < nowMs + SOON_DAYS * DAY_MS) {
    yield problem("certificate-expired", `${path} expires soon, on ${certificate.validTo}`, true);
  }
  if (!isKeyOf(certificate, key)) yield problem("certificate-key", `the key is not that of ${path}`);
  for (const name of names) {
    if (certificate.checkHost(name) === undefined) {
      yield problem(
        "certificate-name",
        `${path} is not for ${name} (${certificate.subjectAltName ?? certificate.subject})`,
      );
    }
  }
}

/** The key in a file that holds certificates, too: not every runtime finds it there. */
const PRIVATE_KEY = /-----BEGIN [A-Z ]*PRIVATE KEY-----[^]*?-----END [A-Z ]*PRIVATE KEY-----/;

/** False only when both are readable and do not belong together; keys with a passphrase are not judged. */
function isKeyOf(certificate: X509Certificate, key: string): boolean {
  try {
    const own = createPublicKey(createPrivateKey(PRIVATE_KEY.exec(key)?.[0] ?? key)).export({
      type: "spki",
      format: "der",
    });
    return own.equals(certificate.publicKey.export({ type: "spki", format: "der" }));
  } catch {
    return true;
  }
}

/**
 * Judges a certificate and its key.
 * @param keyPath the same as `path` when one file holds both
 * @param names host names that it should have
 */
export function certificateProblems(
  path: string,
  keyPath: string,
  names: readonly string[],
  nowMs: number,
): CertificateProblem[] {
  if (isFolder(path)) {
    const files = namesIn(path).filter((name) => /\.(pem|crt)$/.test(name)).map((name) => join(path, name));
    return files.flatMap((file) => certificateProblems(file, file, [], nowMs));
  }
  const [pem, key] = [readText(path), readText(keyPath)];
  const missing = [[path, pem], [keyPath, key]] as const;
  const problems = missing.flatMap(([file, read]) =>
    "problem" in read ? [problem("certificate-file", `${file} ${read.problem}`)] : []
  );
  if (!("text" in pem)) return problems.slice(0, path === keyPath ? 1 : problems.length);
  return [...problems, ...problemsOf(path, pem.text, "text" in key ? key.text : "", names, nowMs)];
}
