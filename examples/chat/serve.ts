#!/usr/bin/env -S npx tsx
/**
 * `npm run example:chat`: the web server of the chat page. It serves three files, hands out tokens, and passes `/ws` on
 * to Millrace, which it starts unless it is told where some are.
 */
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build } from "esbuild";
import { SignJWT } from "jose";
import { serve } from "../../server/mod.ts";
import { Balancer } from "./balancer.ts";

const HELP = `npm run example:chat -- [options]

Serves the chat page, and starts a Millrace of its own for it.

  --port N                port of the page (8080; 0 takes a free one)
  --node URL              an http: URL of a Millrace that runs already, instead; several are tried in this order.
                          Start them with --history 'chat.>:100:3600' --presence 'chat.>' --jwt-secret-file FILE
  --jwt-secret-file FILE  that file: pages get tokens that are signed with it
  --help                  this text`;

const DEFAULT_PORT = "8080";
const SECRET_BYTES = 32;
/** Short, for tokens to be seen renewed. */
const TOKEN_LIFE = "5m";
/** What everybody who has a name may do in this chat. */
const permissions = { subscribe: ["chat.>"], publish: ["chat.>"], presence: ["chat.>"], history: ["chat.>"] };

const { values } = parseArgs({
  options: {
    "port": { type: "string", default: DEFAULT_PORT },
    "node": { type: "string", multiple: true, default: [] },
    "jwt-secret-file": { type: "string" },
    "help": { type: "boolean", default: false },
  },
});
if (values.help) {
  console.log(HELP);
  process.exit();
}
const secretFile = values["jwt-secret-file"];
if ((values.node.length > 0) !== (secretFile !== undefined)) {
  console.error("--node and --jwt-secret-file go together: see --help");
  process.exit(2);
}
const secret = secretFile === undefined
  ? randomBytes(SECRET_BYTES).toString("hex")
  : readFileSync(secretFile, "utf8").trim();
const balancer = new Balancer(
  (values.node.length > 0 ? values.node : [await startMillrace()]).map((url) => new URL(url)),
);

async function startMillrace(): Promise<string> {
  const { url } = await serve({
    port: 0,
    jwtSecret: secret,
    history: ["chat.>:100:3600"],
    presence: ["chat.>"],
  });
  return url.replace("ws:", "http:");
}

// Browsers cannot read TypeScript: the page's script and the client it imports become one file of JavaScript.
const { outputFiles } = await build({
  entryPoints: [pathOf("chat.ts")],
  ...{ bundle: true, format: "esm", target: "es2022", sourcemap: "inline", write: false },
});

const files: Readonly<Record<string, readonly [type: string, content: string]>> = {
  "/": ["text/html", readFileSync(pathOf("index.html"), "utf8")],
  "/style.css": ["text/css", readFileSync(pathOf("style.css"), "utf8")],
  "/chat.js": ["text/javascript", outputFiles[0]?.text ?? ""],
};

const server = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? "", "http://page");
  const line = searchParams.get("line") ?? "";
  const file = files[pathname];
  if (file !== undefined) answer(response, 200, ...file);
  else if (pathname === "/token") void signIn(searchParams.get("name") ?? "", response);
  else if (pathname === "/cut" && request.method === "POST") {
    answer(response, 204, undefined, balancer.cut(line));
  } else if (pathname === "/mend" && request.method === "POST") {
    answer(response, 204, undefined, balancer.mend(line));
  } else answer(response, 404, "text/plain", "There is nothing here.");
});
server.on("upgrade", (request, socket, head) => void balancer.upgrade(request, socket, head));
server.listen(Number(values.port), "127.0.0.1", () => {
  console.log(`chat: open http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
});

/** A real one asks for a password first. */
async function signIn(name: string, response: ServerResponse): Promise<void> {
  if (!/^[\p{L}\p{N}_-]{1,20}$/u.test(name)) {
    return answer(response, 400, "text/plain", "A name is 1 to 20 letters.");
  }
  const token = await new SignJWT({ millrace: permissions }).setProtectedHeader({ alg: "HS256" })
    .setSubject(name).setExpirationTime(TOKEN_LIFE).sign(Buffer.from(secret));
  answer(response, 200, "text/plain", token);
}

function answer(
  response: ServerResponse,
  status: number,
  type = "text/plain",
  content: string | void = "",
): void {
  response.writeHead(status, { "Content-Type": `${type}; charset=utf-8`, "Cache-Control": "no-store" }).end(
    content,
  );
}

function pathOf(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}
