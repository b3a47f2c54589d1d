/** What TLS of a `wss:` URL is worth: the chain, the name, the dates, the versions. Sends no credentials. */
import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { clearTimeout, setTimeout } from "node:timers";
import { connect } from "node:tls";
import { tlsOptions } from "../../conformance/wire.ts";
import { speaksTls } from "../hello.ts";
import type { Settings } from "../settings.ts";
import type { Stage } from "../stage.ts";
import { Finding, Need, type Passed, Skip, type Test } from "../test.ts";

const DAY_MS = 86_400_000;
/** Automatic renewal has had its chance by then. */
const FEWEST_DAYS = 14;

interface Handshake {
  readonly certificate: X509Certificate;
  /** As in `TLSv1.3`. */
  readonly protocol: string;
  /** Why the chain is not believed, as OpenSSL names it. */
  readonly chainProblem: string | undefined;
}

/** OpenSSL's words for a chain that is not believed, and what they mean for an operator. */
const CHAIN_PROBLEMS: ReadonlyMap<string, string> = new Map([
  ["DEPTH_ZERO_SELF_SIGNED_CERT", "the certificate is signed by itself"],
  ["SELF_SIGNED_CERT_IN_CHAIN", "the chain ends at an authority that is not believed here (--ca FILE)"],
  [
    "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
    "the authority is not believed here (--ca FILE), or an intermediate is missing",
  ],
  [
    "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    "the server does not send the intermediate certificate, or --ca FILE is missing",
  ],
]);
const DATE_PROBLEMS: readonly string[] = ["CERT_HAS_EXPIRED", "CERT_NOT_YET_VALID"];

/** A TLS handshake that takes any certificate and judges it itself. */
function shakeHands({ target, timeoutMs, trust }: Settings): Promise<Handshake> {
  return new Promise((resolve, reject) => {
    const { host, port } = target;
    const socket = connect({
      ...tlsOptions(host, { ...trust, insecure: true }),
      host,
      port,
      // The name is a test of its own.
      checkServerIdentity: () => undefined,
    });
    const timer = setTimeout(
      () => socket.destroy(new Error(`no TLS handshake in ${timeoutMs} ms`)),
      timeoutMs,
    );
    socket.once("close", () => clearTimeout(timer));
    socket.once("error", (error: Error) => reject(new Finding(`the TLS handshake fails: ${error.message}`)));
    socket.once("secureConnect", () => {
      const { raw } = socket.getPeerCertificate();
      const problem: unknown = socket.authorizationError;
      const chainProblem = socket.authorized || problem === null || problem === undefined
        ? undefined
        : problem instanceof Error
        ? String((problem as NodeJS.ErrnoException).code ?? problem.message)
        : String(problem);
      resolve({
        certificate: new X509Certificate(raw),
        protocol: socket.getProtocol() ?? "",
        chainProblem,
      });
      socket.destroy();
    });
  });
}

async function chain({ settings }: Stage): Promise<Passed> {
  if (settings.trust.insecure === true) throw new Skip("--insecure: any certificate will do");
  const { certificate, chainProblem } = await shakeHands(settings);
  if (chainProblem === undefined) return { what: `signed by ${oneLine(certificate.issuer)}` };
  if (DATE_PROBLEMS.includes(chainProblem)) {
    throw new Skip("cannot be judged outside its dates; see tls.dates");
  }
  throw new Finding(`${CHAIN_PROBLEMS.get(chainProblem) ?? "the chain is not believed"} (${chainProblem})`);
}

async function hostName({ settings }: Stage): Promise<Passed> {
  if (settings.trust.insecure === true) throw new Skip("--insecure: any name will do");
  const { certificate } = await shakeHands(settings);
  const { host } = settings.target;
  const matches = isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host);
  const names = certificate.subjectAltName ?? oneLine(certificate.subject);
  if (matches === undefined) throw new Finding(`the certificate is for ${names}, not for ${host}`);
  return { what: `made out to ${host}, among ${names}` };
}

async function dates({ settings }: Stage): Promise<Passed> {
  const { certificate } = await shakeHands(settings);
  const now = settings.now();
  const starts = Date.parse(certificate.validFrom);
  const daysLeft = Math.floor((Date.parse(certificate.validTo) - now) / DAY_MS);
  if (daysLeft < 0) throw new Finding(`the certificate expired on ${certificate.validTo}`);
  if (starts > now) throw new Finding(`the certificate is not valid before ${certificate.validFrom}`);
  if (daysLeft < FEWEST_DAYS) {
    throw new Finding(`the certificate expires in ${daysLeft} days, on ${certificate.validTo}`);
  }
  return { what: `valid until ${certificate.validTo}, ${daysLeft} days from now`, figures: { daysLeft } };
}

async function currentVersions({ settings }: Stage): Promise<Passed> {
  const { protocol } = await shakeHands(settings);
  const speaks12 = await speaksTls(settings.target, "1.2", settings.timeoutMs);
  if (protocol === "TLSv1.3") return { what: speaks12 ? "1.3 and 1.2" : "1.3 only" };
  if (!speaks12) throw new Finding(`neither 1.3 nor 1.2, only ${protocol}`);
  return { what: "1.2", notes: ["1.3 is not offered; it saves clients a round trip"] };
}

async function oldVersions({ settings }: Stage): Promise<Passed> {
  for (const version of ["1.1", "1.0"] as const) {
    if (await speaksTls(settings.target, version, settings.timeoutMs)) {
      throw new Finding(`TLS ${version} is accepted`);
    }
  }
  return { what: "1.1 and 1.0 are refused" };
}

/** OpenSSL writes names over several lines. */
function oneLine(name: string): string {
  return name.replaceAll("\n", ", ");
}

/** The tests of this group. */
export const tlsTests: readonly Test[] = [
  {
    name: "tls.chain",
    checks: "The certificate is signed by an authority that is believed here or given with --ca.",
    section: "RFC 5280, 6",
    onFailure:
      "Let the server send its own certificate and every intermediate after it (fullchain.pem, not cert.pem). For an " +
      "authority of your own give its certificate with --ca.",
    quick: true,
    need: Need.Tcp,
    run: chain,
  },
  {
    name: "tls.name",
    checks: "The certificate is made out to the host of the URL.",
    section: "RFC 9110, 4.3.4",
    onFailure:
      "Ask for a certificate with this name among its subject alternative names, or connect by a name that it has. " +
      "Behind a proxy, see that the right virtual host answers.",
    quick: true,
    need: Need.Tcp,
    run: hostName,
  },
  {
    name: "tls.dates",
    checks: `The certificate is valid now and for ${FEWEST_DAYS} days more.`,
    section: "RFC 5280, 4.1.2.5",
    onFailure:
      "Renew it, and find out why that did not happen by itself. If it was renewed already, the server has not read " +
      "the file again: Millrace does on SIGHUP, nginx on a reload.",
    quick: true,
    need: Need.Tcp,
    run: dates,
  },
  {
    name: "tls.versions",
    checks: "TLS 1.3 or 1.2 is spoken.",
    section: "RFC 8446; RFC 9325, 3.1.1",
    onFailure: "Allow TLS 1.2 and 1.3 where TLS ends (nginx: ssl_protocols TLSv1.2 TLSv1.3).",
    quick: true,
    need: Need.Tcp,
    run: currentVersions,
  },
  {
    name: "tls.old-versions",
    checks: "TLS 1.1 and 1.0 are refused.",
    section: "RFC 8996",
    onFailure:
      "Switch them off where TLS ends (nginx: ssl_protocols TLSv1.2 TLSv1.3; HAProxy: ssl-min-ver TLSv1.2).",
    quick: true,
    need: Need.Tcp,
    run: oldVersions,
  },
];
