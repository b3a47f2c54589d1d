/**
 * The first message of a TLS handshake, written by hand, because runtimes no longer offer the old versions whose refusal
 * is to be seen. Only asks which version the server would speak and goes no further.
 */
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { connect, isIP } from "node:net";
import { clearTimeout, setTimeout } from "node:timers";
import type { Target } from "../conformance/target.ts";

/** Versions that can be asked for, as they are on the wire (RFC 8446 section 4.2.1, RFC 8996). */
export const TlsVersion = { "1.0": 0x0301, "1.1": 0x0302, "1.2": 0x0303 } as const;
export type TlsVersion = keyof typeof TlsVersion;

/** ECDSA and RSA, with and without ECDHE; the first six need 1.2. */
const CIPHER_SUITES = [
  ...[0xc02b, 0xc02c, 0xc02f, 0xc030, 0xcca8, 0xcca9],
  ...[0xc009, 0xc00a, 0xc013, 0xc014, 0x002f, 0x0035],
];
const GROUPS = [0x001d, 0x0017, 0x0018];
const SIGNATURES = [0x0403, 0x0503, 0x0804, 0x0805, 0x0401, 0x0501, 0x0203, 0x0201];
const Extension = { ServerName: 0, Groups: 10, PointFormats: 11, Signatures: 13 } as const;
const HANDSHAKE_RECORD = 22;
const CLIENT_HELLO = 1;
const SERVER_HELLO = 2;
const RANDOM_BYTES = 32;
/** Record header, handshake header and version of a ServerHello. */
const ANSWER_BYTES = 11;
const VERSION_AT = 9;
const TYPE_AT = 5;

function u16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}

/** Bytes behind their length, which takes `lengthBytes`. */
function vector(lengthBytes: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const length = Buffer.alloc(lengthBytes);
  length.writeUIntBE(body.length, 0, lengthBytes);
  return Buffer.concat([length, body]);
}

function extension(type: number, body: Buffer): Buffer {
  return Buffer.concat([u16(type), vector(2, body)]);
}

/** A ClientHello that offers `version` as the highest (RFC 5246 section 7.4.1.2). */
export function clientHello(version: TlsVersion, host: string): Uint8Array {
  const name = isIP(host) === 0
    ? [extension(Extension.ServerName, vector(2, Buffer.from([0]), vector(2, Buffer.from(host))))]
    : [];
  const body = Buffer.concat([
    u16(TlsVersion[version]),
    randomBytes(RANDOM_BYTES),
    vector(1),
    vector(2, ...CIPHER_SUITES.map(u16)),
    vector(1, Buffer.from([0])),
    vector(
      2,
      ...name,
      extension(Extension.Groups, vector(2, ...GROUPS.map(u16))),
      extension(Extension.PointFormats, vector(1, Buffer.from([0]))),
      ...(version === "1.2" ? [extension(Extension.Signatures, vector(2, ...SIGNATURES.map(u16)))] : []),
    ),
  ]);
  const hello = Buffer.concat([Buffer.from([CLIENT_HELLO]), vector(3, body)]);
  return Buffer.concat([Buffer.from([HANDSHAKE_RECORD]), u16(TlsVersion["1.0"]), vector(2, hello)]);
}

/** Whether the server would speak this version. Rejects when TCP cannot connect, or nothing comes in time. */
export function speaksTls(target: Target, version: TlsVersion, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const { host, port } = target;
    const socket = connect({ host, port });
    let answer: Buffer = Buffer.alloc(0);
    const finish = (done: () => void) => {
      clearTimeout(timer);
      socket.destroy();
      done();
    };
    const timer = setTimeout(
      () => finish(() => reject(new Error(`no answer to TLS ${version} in ${timeoutMs} ms`))),
      timeoutMs,
    );
    socket.once("connect", () => socket.write(clientHello(version, host)));
    socket.once("error", (error) => finish(() => answer.length > 0 ? resolve(false) : reject(error)));
    socket.on("data", (chunk: Buffer) => {
      answer = Buffer.concat([answer, chunk]);
      if (answer.length < ANSWER_BYTES) return;
      const accepts = answer[0] === HANDSHAKE_RECORD && answer[TYPE_AT] === SERVER_HELLO &&
        answer.readUInt16BE(VERSION_AT) === TlsVersion[version];
      finish(() => resolve(accepts));
    });
    // An alert is shorter than a ServerHello; some servers just hang up.
    socket.once("close", () => finish(() => resolve(false)));
  });
}
