/**
 * What the Dockerfile and the systemd unit run, run by hand: the commands as they stand there, as another user than root,
 * in a folder that may only be read. One bundle serves both; no container engine and no systemd is needed.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { directive, pathOf, readEnvironmentFile, readText } from "../helpers/deployment.ts";
import { Events } from "../helpers/events.ts";
import { runtime } from "../helpers/runtime.ts";
import { whyNotAsProcess } from "../helpers/server.ts";
import { freePort } from "../helpers/server_process.ts";

const dockerfile = readText("deploy/docker/Dockerfile");
const unit = readText("deploy/systemd/millrace.service");
const IMAGE_BUN = "/usr/local/bin/bun";
const BUNDLE = "main.js";
/** The user of the image. Only root can become it; anybody else is not root already. */
const USER_ID = Number(/^USER (\d+):\1$/m.exec(dockerfile)?.[1]);
const asUser = process.getuid?.() === 0 ? { uid: USER_ID, gid: USER_ID } : {};

/** An instruction in its JSON form. */
function execForm(instruction: RegExp): string[] {
  return JSON.parse(instruction.exec(dockerfile)?.[1] ?? "[]") as string[];
}

const skip = runtime === "node" ? whyNotAsProcess("bun") : "the processes are the same whoever starts them";
describe("the bundle", { skip }, () => {
  /** Holds `app`, what the server sees, `build`, where it was made, and Bun. */
  const folder = mkdtempSync(join(tmpdir(), "millrace-bundle-"));
  const bun = join(folder, "bun");
  const app = join(folder, "app");
  const running: ChildProcess[] = [];

  before(() => {
    chmodSync(folder, 0o755);
    // Another user may not be let into this project.
    copyFileSync(realpathSync(pathOf("node_modules/.bin/bun")), bun);
    chmodSync(bun, 0o755);
    const build = join(folder, "build");
    cpSync(pathOf("server"), join(build, "server"), { recursive: true });
    copyFileSync(pathOf("package.json"), join(build, "package.json"));
    linkProductionPackages(join(build, "node_modules"));
    const [, command = ""] = /^RUN bun (build .*)$/m.exec(dockerfile) ?? [];
    const { status, stderr } = spawnSync(bun, command.split(" "), { cwd: build, encoding: "utf8" });
    assertEquals(status, 0, stderr);
    mkdirSync(app);
    copyFileSync(join(build, BUNDLE), join(app, BUNDLE));
    writeFileSync(join(app, "jwt.secret"), "a".repeat(64));
    chmodSync(join(app, BUNDLE), 0o444);
    chmodSync(app, 0o555);
  });

  after(() => {
    for (const child of running) child.kill("SIGKILL");
    chmodSync(app, 0o755);
    rmSync(folder, { recursive: true });
  });

  /** What `npm install --omit=dev --omit=optional` installs, by the lock file. */
  function linkProductionPackages(target: string): void {
    const { packages } = JSON.parse(readText("package-lock.json")) as {
      packages: Record<string, { dev?: boolean; optional?: boolean }>;
    };
    for (const [path, { dev, optional }] of Object.entries(packages)) {
      // A package inside another one comes with its owner.
      const [, name] = /^node_modules\/((?:@[^/]+\/)?[^/]+)$/.exec(path) ?? [];
      if (name === undefined || dev === true || optional === true) continue;
      mkdirSync(dirname(join(target, name)), { recursive: true });
      symlinkSync(pathOf(path), join(target, name));
    }
  }

  /** The command with this machine's paths. */
  function here(words: readonly string[], bundle: string): [string, string[]] {
    const [program, ...args] = words.map((word) => word === IMAGE_BUN ? bun : word).map((word) =>
      word === bundle ? join(app, BUNDLE) : word
    );
    assertEquals(program, bun);
    return [bun, args];
  }

  /** Starts a server by that command and waits until it listens. */
  async function start([program, args]: [string, string[]], env: Record<string, string>) {
    const child = spawn(program, args, { cwd: app, env, ...asUser, stdio: ["ignore", "pipe", "pipe"] });
    running.push(child);
    const output = new Events<string>();
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk: Uint8Array) => output.push(new TextDecoder().decode(chunk)));
    }
    const said = (text: RegExp) => output.until((all) => text.test(all.join("")), String(text));
    await said(/listening on/);
    const end = async () => {
      const exit = once(child, "exit");
      child.kill("SIGTERM");
      return (await exit)[0] as number | null;
    };
    return { child, said, end };
  }

  it("is built by the image's command from the packages of production, and starts as the image does", async () => {
    const env = { MILLRACE_HOST: "127.0.0.1", MILLRACE_PORT: String(await freePort()) };
    const server = await start(here(execForm(/^ENTRYPOINT (.*)$/m), "/app/main.js"), env);
    const [program, args] = here(execForm(/^HEALTHCHECK [^]*?CMD (.*)$/m), "");
    const check = () => spawnSync(program, args, { cwd: app, env, ...asUser }).status;
    assertEquals(check(), 0);
    if (process.platform === "linux") {
      const status = readFileSync(`/proc/${server.child.pid}/status`, "utf8");
      assertMatch(
        status,
        process.getuid?.() === 0 ? new RegExp(`^Uid:\\s${USER_ID}\\s`, "m") : /^Uid:\s[1-9]/m,
      );
    }
    assertEquals(await server.end(), 0);
    assert(check() !== 0, "the health check of a server that is gone");
    assertEquals(readdirSync(app).sort(), ["jwt.secret", BUNDLE]);
  });

  it("starts as the unit does, reads its keys again on a reload, and ends with 0", async () => {
    const env: Record<string, string> = {
      ...readEnvironmentFile("deploy/systemd/millrace.env"),
      MILLRACE_HOST: "127.0.0.1",
      MILLRACE_PORT: "0",
      MILLRACE_JWT_SECRET_FILE: join(app, "jwt.secret"),
      // What is left of it after a signal passes without clients; this would not.
      MILLRACE_DRAIN_DELAY_SECONDS: "0",
    };
    const command = directive(unit, "ExecStart").split(" ");
    const server = await start(here(command, "/opt/millrace/main.js"), env);
    const reload = directive(unit, "ExecReload").replace("$MAINPID", String(server.child.pid)).split(" ");
    assertEquals(spawnSync(reload[0] ?? "", reload.slice(1)).status, 0);
    await server.said(/keys reloaded/);
    assertEquals(await server.end(), 0);
  });

  it("ends with 2, which the unit does not try again, for an option that is wrong", () => {
    const { status } = spawnSync(bun, [join(app, BUNDLE)], { env: { MILLRACE_PORT: "many" }, ...asUser });
    assertEquals(String(status), directive(unit, "RestartPreventExitStatus"));
  });
});
