/**
 * A program that the cluster runs, in a process group of its own: Ctrl-C in a terminal reaches the command alone, which
 * then ends its programs in the right order. It keeps the end of what the program says. It must never know which it is.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import process from "node:process";

const MS_PER_SECOND = 1_000;
/** Of what a program says, the end is kept. */
const KEPT_CHARACTERS = 65_536;
const LAST_WORDS_LINES = 15;

/** What ends a program when this process dies and cannot see to it (util-linux). */
const OUTLIVE_NOBODY: readonly string[] = ["setpriv", "--pdeathsig", "TERM"];
const prefix = spawnSync("setpriv", [...OUTLIVE_NOBODY.slice(1), "true"]).status === 0 ? OUTLIVE_NOBODY : [];

/** A program to run. */
export interface Launch {
  /** What it is called in messages. */
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly folder: string;
}

/** Who is told about a child. */
export interface ChildOwner {
  /** A piece of what it says. */
  said(text: string): void;
  /** It has ended without having been told to; `how` completes "it ended …". */
  died(how: string): void;
}

export class Child {
  readonly name: string;
  /** Resolves when it has ended. */
  readonly ended: Promise<void>;
  private readonly process: ChildProcess;
  private output = "";
  private failure: string | undefined = undefined;
  private isExpectedToEnd = false;

  constructor(launch: Launch, owner: ChildOwner) {
    this.name = launch.name;
    const [program = "", ...args] = [...prefix, launch.program, ...launch.args];
    const child = spawn(program, args, {
      cwd: launch.folder,
      env: launch.environment ?? process.env,
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    this.process = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.output = (this.output + text).slice(-KEPT_CHARACTERS);
        owner.said(text);
      });
    }
    this.ended = new Promise((resolve) => {
      const end = (how: string) => {
        if (this.failure !== undefined) return;
        this.failure = how;
        if (!this.isExpectedToEnd) owner.died(how);
        resolve();
      };
      // What it has started, if anything, ends with it.
      child.once("exit", () => this.signalGroup("SIGKILL"));
      child.once("error", (error) => end(`: ${error.message}`));
      child.once("close", (code, signal) => end(signal === null ? `with exit code ${code}` : `by ${signal}`));
    });
  }

  /** 0 when it could not be started. */
  get pid(): number {
    return this.process.pid ?? 0;
  }

  get isRunning(): boolean {
    return this.failure === undefined;
  }

  /** The end of everything it has said. */
  get said(): string {
    return this.output;
  }

  /** The last lines that it has said. */
  get lastWords(): string {
    return this.output.trimEnd().split("\n").slice(-LAST_WORDS_LINES).join("\n");
  }

  signal(name: NodeJS.Signals): void {
    if (this.isRunning && this.pid !== 0) process.kill(this.pid, name);
  }

  /** Asks it to end; after `patienceSeconds` it is killed. Resolves when it has ended. */
  async stop(patienceSeconds: number): Promise<void> {
    this.isExpectedToEnd = true;
    this.signal("SIGTERM");
    const timer = setTimeout(() => this.signalGroup("SIGKILL"), patienceSeconds * MS_PER_SECOND);
    await this.ended;
    clearTimeout(timer);
  }

  /** Ends it at once, with whatever it has started. */
  kill(): void {
    this.isExpectedToEnd = true;
    this.signalGroup("SIGKILL");
  }

  private signalGroup(name: "SIGKILL"): void {
    if (this.pid === 0) return;
    try {
      process.kill(-this.pid, name);
    } catch (error) {
      // Nobody is left in it.
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
}
