#!/usr/bin/env -S npx tsx
/**
 * `npm run example:node`: the backend of a shop. It tells buyers over Millrace what becomes of their orders, and gives
 * each a token for their own. Buyers never talk to Millrace but with that token, and the API key never leaves here.
 */
import { Buffer } from "node:buffer";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import process from "node:process";
import { parseArgs } from "node:util";
import { SignJWT } from "jose";
import { Publisher, PublishError } from "./publisher.ts";

const HELP = `npm run example:node -- --api-key-file FILE --jwt-secret-file FILE [options]

A shop's backend beside a Millrace that was started with the same two files.

  GET  /token?user=ann   a token with which ann may follow orders.ann
  POST /orders           [{"user": "ann", "order": 7, "status": "shipped"}, …]: tells each user of theirs

  --millrace URL         where Millrace answers HTTP (http://127.0.0.1:9001)
  --port N               of this backend (8081; 0 takes a free one)
  --help                 this text`;

const TOKEN_LIFE = "10m";
const EXIT_WRONG_USE = 2;

interface Change {
  readonly user: string;
  readonly order: number;
  readonly status: string;
}

/** What this backend answers. */
interface Answer {
  readonly status: number;
  readonly body: string;
}

const { values } = parseArgs({
  options: {
    "millrace": { type: "string", default: "http://127.0.0.1:9001" },
    "port": { type: "string", default: "8081" },
    "api-key-file": { type: "string" },
    "jwt-secret-file": { type: "string" },
    "help": { type: "boolean", default: false },
  },
});
if (values.help) {
  console.log(HELP);
  process.exit();
}
const publisher = new Publisher({ url: values.millrace, apiKey: readSecret("api-key-file") });
const secret = Buffer.from(readSecret("jwt-secret-file"));

const server = createServer(async (request, response) => {
  const { status, body } = await route(request).catch((error: unknown): Answer => {
    console.error(error);
    return { status: 500, body: "A fault of ours." };
  });
  response.writeHead(status, { "Content-Type": "text/plain; charset=utf-8" }).end(body);
});
server.listen(Number(values.port), "127.0.0.1", () => {
  console.log(`backend: http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});

async function route(request: IncomingMessage): Promise<Answer> {
  const { pathname, searchParams } = new URL(request.url ?? "", "http://backend");
  if (pathname === "/token") {
    const user = searchParams.get("user") ?? "";
    return isUser(user) ? { status: 200, body: await sign(user) } : { status: 400, body: "Which user?" };
  }
  if (pathname === "/orders" && request.method === "POST") return await tell(await text(request));
  return { status: 404, body: "There is nothing here." };
}

/** A real backend asks who is there before it signs that they are. */
function sign(user: string): Promise<string> {
  return new SignJWT({ millrace: { subscribe: ["orders.{user}"] } })
    .setProtectedHeader({ alg: "HS256" }).setSubject(user).setIssuedAt().setExpirationTime(TOKEN_LIFE).sign(
      secret,
    );
}

/** Publishes each change to the topic of its user: one request to Millrace for all of them. */
async function tell(body: string): Promise<Answer> {
  const changes = readChanges(body);
  if (changes === undefined) {
    return { status: 400, body: "A list of changes, with user, order and status each." };
  }
  try {
    await publisher.publish(changes.map(({ user, order, status }) => ({
      topic: `orders.${user}`,
      data: { id: randomUUID(), order, status },
    })));
    return { status: 200, body: `${changes.length} told` };
  } catch (error) {
    if (!(error instanceof PublishError)) throw error;
    console.error(`not told: ${error.status ?? "no answer"}: ${error.message}`);
    return { status: 502, body: "The buyers could not be told." };
  }
}

function readChanges(body: string): Change[] | undefined {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return undefined;
  }
  const isChange = (one: Partial<Change> | null) =>
    isUser(one?.user) && typeof one?.order === "number" && typeof one?.status === "string";
  return Array.isArray(value) && value.length > 0 && value.every(isChange) ? value : undefined;
}

/** A name that is one token of a topic. */
function isUser(value: unknown): value is string {
  return typeof value === "string" && /^[\w-]{1,50}$/.test(value);
}

/** The first line of a file. */
function readSecret(option: "api-key-file" | "jwt-secret-file"): string {
  const path = values[option];
  if (path !== undefined) return (readFileSync(path, "utf8").split("\n")[0] ?? "").trim();
  console.error(`--${option} is needed: see --help`);
  process.exit(EXIT_WRONG_USE);
}
