/**
 * Follows a page command by command in a folder of its own, as its reader would. What to do with a block stands in an HTML
 * comment before it, clauses divided by `;`:
 *
 * - `file NAME`: the block is saved as a file.
 * - `run`: its commands must succeed. What they assign to variables holds for the blocks after it.
 * - `terminal NAME, ready when TEXT`: its commands stay; the reader goes on once they print TEXT.
 * - `terminal NAME prints`: the block is what that terminal prints from here on; `…` stands for anything.
 * - `printed`: the block is what the last `run` printed.
 * - `stop NAME`: Ctrl-C in that terminal.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { CodeBlock } from "./page.ts";

const PATIENCE_MS = 30_000;
const ASSIGNMENT = /^(?:export )?[A-Z_]+=/;

/** What a program in a terminal has printed, and who waits for it. */
class Terminal {
  readonly child: ChildProcess;
  printed = "";
  /** What has been read of it. */
  #seen = 0;
  #heard = (): void => {};

  constructor(command: string, folder: string) {
    this.child = spawn("bash", ["-c", command], {
      cwd: folder,
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.on("data", (chunk: unknown) => {
        this.printed += String(chunk);
        this.#heard();
      });
    }
    this.child.once("close", () => this.#heard());
  }

  /** Waits until what comes matches, and goes on behind it. */
  async prints(pattern: RegExp): Promise<void> {
    const deadline = setTimeout(() => this.#heard(), PATIENCE_MS);
    const end = performance.now() + PATIENCE_MS;
    try {
      for (;;) {
        const match = pattern.exec(this.printed.slice(this.#seen));
        if (match !== null) {
          this.#seen += match.index + match[0].length;
          return;
        }
        if (performance.now() >= end || this.hasEnded) {
          throw new Error(`waited for ${pattern}; what came: ${this.printed.slice(this.#seen) || "nothing"}`);
        }
        await new Promise<void>((resolve) => this.#heard = resolve);
      }
    } finally {
      clearTimeout(deadline);
    }
  }

  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** Ctrl-C reaches everything that was started in the terminal. */
  async stop(): Promise<void> {
    if (this.hasEnded || this.child.pid === undefined) return;
    const closed = once(this.child, "close");
    process.kill(-this.child.pid, "SIGINT");
    await closed;
  }
}

/** Follows the blocks; `replace` changes ports that may be taken into free ones. */
export async function follow(
  blocks: readonly CodeBlock[],
  folder: string,
  replace: (text: string) => string,
): Promise<void> {
  const terminals = new Map<string, Terminal>();
  let assignments = "";
  let output = "";
  const named = (name: string): Terminal => {
    const terminal = terminals.get(name);
    if (terminal === undefined) throw new RangeError(`no terminal ${name}`);
    return terminal;
  };
  const act = async (clause: string, text: string): Promise<void> => {
    const [verb, name = ""] = clause.split(/[ ,]+/);
    const ready = clause.split("ready when ")[1];
    if (verb === "stop") await named(name).stop();
    else if (verb === "file") writeFileSync(join(folder, name), text);
    else if (verb === "run") {
      output = await run(`${assignments}${text}`, folder);
      assignments += text.split("\n").filter((line) => ASSIGNMENT.test(line)).map((line) => `${line}\n`).join(
        "",
      );
    } else if (verb === "printed") {
      if (!patternOf(text).test(output)) throw new Error(`expected ${text}\nwhat came: ${output}`);
    } else if (ready !== undefined) {
      const terminal = new Terminal(`${assignments}${text}`, folder);
      terminals.set(name, terminal);
      await terminal.prints(patternOf(ready));
    } else if (clause.endsWith("prints")) await named(name).prints(patternOf(text));
    else throw new RangeError(`a comment that the walkthrough does not know: ${clause}`);
  };
  try {
    for (const { comment, line, text } of blocks) {
      for (const clause of comment.split(";").map((part) => part.trim()).filter((part) => part !== "")) {
        try {
          await act(replace(clause), replace(text));
        } catch (error) {
          throw new Error(`line ${line}: ${(error as Error).message}`);
        }
      }
    }
  } finally {
    for (const terminal of terminals.values()) await terminal.stop();
  }
}

async function run(command: string, folder: string): Promise<string> {
  const terminal = new Terminal(`set -e -o pipefail\n${command}`, folder);
  const [code] = await once(terminal.child, "close") as [number | null];
  if (code !== 0) throw new Error(`exit code ${code}: ${terminal.printed}`);
  return terminal.printed;
}

/** The text itself, with `…` for anything and white space where it has some, or none. */
function patternOf(text: string): RegExp {
  const escaped = text.trim().replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(escaped.replaceAll("…", "[\\s\\S]*?").replaceAll(/\s+/g, "\\s*"));
}
