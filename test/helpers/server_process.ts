/**
 * A server program of a test's own: on a free port of loopback, in a folder of its own, gone with the test. It can be
 * stopped, killed, paused, and started again on the same port with its data or without.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

/** Why a program cannot be used here; false when it can. Says so on the terminal too, beside the skipped tests. */
export function whyNotInstalled(program: string, aptPackage: string): string | false {
  const { error, status } = spawnSync(program, ["--version"]);
  if (error === undefined && status === 0) return false;
  const reason = `${program} is not installed (Debian: apt-get install ${aptPackage})`;
  console.error(`SKIPPED: ${reason}: the tests that need it`);
  return reason;
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Deno's own `child.kill` sends one signal only, whichever was the first. */
function signal(child: ChildProcess, name: NodeJS.Signals): void {
  if (child.pid !== undefined) process.kill(child.pid, name);
}

export interface Program {
  readonly command: string;
  readonly args: (port: number, folder: string) => readonly string[];
  /** What it prints once it can be used. */
  readonly ready: RegExp;
}

export class ServerProcess {
  readonly port: number;
  private readonly program: Program;
  private readonly folder = mkdtempSync(join(tmpdir(), "millrace-"));
  private child: ChildProcess | undefined = undefined;

  private constructor(program: Program, port: number) {
    this.program = program;
    this.port = port;
  }

  /** Only takes a port. */
  static async prepare(program: Program): Promise<ServerProcess> {
    return new ServerProcess(program, await freePort());
  }

  /** 0 when it does not run. */
  get pid(): number {
    return this.child?.pid ?? 0;
  }

  /** Resolves once it can be used, with what is in the folder. */
  async start(): Promise<void> {
    const { command, args, ready } = this.program;
    const child = spawn(command, args(this.port, this.folder), { stdio: ["ignore", "pipe", "pipe"] });
    this.child = child;
    let output = "";
    await new Promise<void>((resolve, reject) => {
      const read = (chunk: Uint8Array) => {
        output += new TextDecoder().decode(chunk);
        if (ready.test(output)) resolve();
      };
      child.once("error", reject);
      child.once("exit", (code) => reject(new Error(`${command} ended with ${code}: ${output}`)));
      child.stdout?.on("data", read);
      child.stderr?.on("data", read);
    });
  }

  /** Ends it in good order: what it has acknowledged stays. */
  stop(): Promise<void> {
    return this.end("SIGTERM");
  }

  /** Ends it at once: of the last second's data a part stays. */
  kill(): Promise<void> {
    return this.end("SIGKILL");
  }

  async restartWithData(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async restartWithoutData(): Promise<void> {
    await this.kill();
    for (const entry of readdirSync(this.folder)) rmSync(join(this.folder, entry), { recursive: true });
    await this.start();
  }

  /** It keeps its connections, and answers nobody. */
  pause(): void {
    if (this.child === undefined) return;
    signal(this.child, "SIGSTOP");
    // Its threads stop one after the other, and one of them could still answer.
    while (!this.isStopped(this.child.pid ?? 0));
  }

  resume(): void {
    if (this.child !== undefined) signal(this.child, "SIGCONT");
  }

  /** Whether every thread of a process is stopped (proc(5)). */
  private isStopped(pid: number): boolean {
    const threads = readdirSync(`/proc/${pid}/task`);
    return threads.every((thread) =>
      /\) T /.test(readFileSync(`/proc/${pid}/task/${thread}/stat`, "latin1"))
    );
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  private async end(name: NodeJS.Signals): Promise<void> {
    const { child } = this;
    if (child === undefined) return;
    this.child = undefined;
    const exit = once(child, "exit");
    signal(child, name);
    await exit;
  }
}
