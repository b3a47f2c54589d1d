/**
 * Pages that are followed command by command, in a fresh clone, on free ports. With MILLRACE_LONG=1 the clone's packages
 * are installed as the reader installs them; otherwise they are those of this folder.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import { whyMissing } from "../../scripts/debian.ts";
import { freePort } from "../../scripts/cluster/ports.ts";
import { readPage, ROOT } from "./page.ts";
import { follow } from "./walkthrough.ts";

/** What a page says is the same on every runtime. */
const isNode = !("Bun" in globalThis) && !("Deno" in globalThis);
/** Ports in the pages; those of a cluster's nodes follow each other. */
const PORT = /\b(?:9001|9002|8443|9101|9102|9103)\b/g;
const FIRST_NODE_PORT = 9101;
const NODES = 3;

describe("a page that is followed command by command in a fresh clone", { skip: !isNode }, () => {
  let clone = "";

  before(() => {
    clone = mkdtempSync(join(tmpdir(), "millrace-clone-"));
    execFileSync("git", ["clone", "--quiet", ROOT, clone]);
    if (process.env["MILLRACE_LONG"] === "1") execFileSync("npm", ["install", "--no-audit"], { cwd: clone });
    else symlinkSync(join(ROOT, "node_modules"), join(clone, "node_modules"));
  });
  after(() => rmSync(clone, { recursive: true, force: true }));

  async function followed(path: string): Promise<void> {
    const nodes = await freePort(NODES);
    const ports = new Map(
      Array.from({ length: NODES }, (_, at) => [String(FIRST_NODE_PORT + at), String(nodes + at)]),
    );
    for (const port of ["9001", "9002", "8443"]) ports.set(port, String(await freePort()));
    await follow(
      readPage(path).blocks,
      clone,
      (text) => text.replaceAll(PORT, (port) => ports.get(port) ?? port),
    );
  }

  const needed = ["nginx", "redis-server", "openssl"].map(whyMissing).find((reason) => reason !== false) ??
    false;

  it(
    "docs/tutorial.md leads to a subscriber that survives its node",
    { skip: needed },
    () => followed("docs/tutorial.md"),
  );

  it("docs/authentication.md lets a token in", () => followed("docs/authentication.md"));

  it("docs/debugging.md looks at a handshake and a topic", () => followed("docs/debugging.md"));

  it("docs/rolling-restarts.md drains a node", () => followed("docs/rolling-restarts.md"));

  it("docs/http.md publishes and operates over HTTP", () => followed("docs/http.md"));

  it("docs/tls.md serves wss:", () => followed("docs/tls.md"));
});
