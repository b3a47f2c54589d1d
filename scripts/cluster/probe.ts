/** Asks a program of the cluster whether it is there, as a client or a balancer would. */
import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import type { Child } from "./child.ts";

const MS_PER_SECOND = 1_000;
const START_SECONDS = 30;
const POLL_MS = 20;
const ANSWER_SECONDS = 2;

/** A handshake that any WebSocket server accepts (RFC 6455 section 4.1). */
const HANDSHAKE = {
  "Connection": "Upgrade",
  "Upgrade": "websocket",
  "Sec-WebSocket-Version": "13",
  "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
};

/** What is asked, and how the answer is recognised. */
export interface Question {
  /** http: or https:, or ws: or wss: for a handshake. */
  readonly url: string;
  readonly status: number;
  /** The certificate that the server has to present, in PEM. */
  readonly certificate?: string;
}

/** The status of the answer; rejects when there is none. */
function ask({ url, certificate }: Question): Promise<number> {
  const isHandshake = url.startsWith("ws");
  const target = new URL(url.replace(/^ws/, "http"));
  const request = target.protocol === "https:" ? requestHttps : requestHttp;
  return new Promise((resolve, reject) => {
    const asked = request(target, {
      agent: false,
      headers: isHandshake ? HANDSHAKE : {},
      timeout: ANSWER_SECONDS * MS_PER_SECOND,
      ...(certificate === undefined ? {} : { ca: certificate }),
    });
    const answered = (status: number | undefined) => {
      asked.destroy();
      resolve(status ?? 0);
    };
    asked.on("upgrade", ({ statusCode }) => answered(statusCode));
    asked.on("response", ({ statusCode }) => answered(statusCode));
    asked.on("timeout", () => asked.destroy(new Error("no answer in time")));
    asked.on("error", reject);
    asked.end();
  });
}

/** Resolves once `child` answers as it should; rejects when it ends, or does not within some seconds. */
export async function untilReady(child: Child, question: Question): Promise<void> {
  const end = performance.now() + START_SECONDS * MS_PER_SECOND;
  let last = "";
  while (child.isRunning && performance.now() < end) {
    const status = await ask(question).catch((error: Error) => error.message);
    if (status === question.status) return;
    last = String(status);
    await pause();
  }
  const what = child.isRunning ? `is not ready after ${START_SECONDS} s (${question.url}: ${last})` : "ended";
  throw new Error(`${child.name} ${what}; it said:\n${child.lastWords}`);
}

/** Resolves once `child` has said something that matches; rejects as {@link untilReady} does. */
export async function untilSaid(child: Child, words: RegExp): Promise<void> {
  const end = performance.now() + START_SECONDS * MS_PER_SECOND;
  while (!words.test(child.said)) {
    if (!child.isRunning || performance.now() > end) {
      throw new Error(`${child.name} did not start; it said:\n${child.lastWords}`);
    }
    await pause();
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, POLL_MS));
}
