/**
 * Commands in a page, checked without running them: the shell accepts the lines, npm scripts exist, the server takes the
 * options and each tool knows the flags it is given.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { parse } from "shell-quote";
import { readConfig } from "../../server/config.ts";
import { ROOT } from "./page.ts";

const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
  scripts: Record<string, string>;
};

/** Programs that a reader has, or is told how to get. */
const PROGRAMS = new Set([
  ...[
    "bash",
    "cat",
    "cd",
    "certbot",
    "chmod",
    "cp",
    "curl",
    "docker",
    "echo",
    "export",
    "git",
    "kill",
    "kubectl",
    "ln",
    "mkdir",
  ],
  ...[
    "apt-get",
    "mount",
    "openssl",
    "printf",
    "prometheus",
    "promtool",
    "python3",
    "rm",
    "sudo",
    "systemctl",
    "taskset",
    "systemd-analyze",
  ],
  ...[
    "haproxy",
    "journalctl",
    "nats-server",
    "nginx",
    "prometheus",
    "socat",
    "xargs",
    "redis-server",
    "useradd",
    "wscat",
    "install",
    "sleep",
    "kustomize",
    "jq",
  ],
]);
const SERVER_SCRIPTS = new Set(["server", "server:node", "server:deno"]);
const helpTexts = new Map<string, string>();

/** What is wrong with a block of commands. */
export function shellProblems(text: string): string[] {
  const { status, stderr } = spawnSync("bash", ["-n"], { input: text, encoding: "utf8" });
  if (status !== 0) return [stderr.trim()];
  return commandsOf(text).flatMap(problemOf);
}

/** Words of each simple command, without assignments before them. */
function commandsOf(text: string): string[][] {
  const commands: string[][] = [];
  for (const line of text.replaceAll("\\\n", " ").split("\n")) {
    let words: string[] = [];
    const finish = (): void => {
      const start = words.findIndex((word) => !/^\w+=/.test(word));
      if (start >= 0) commands.push(words.slice(start));
      words = [];
    };
    for (const entry of parse(line, (name) => `$${name}`)) {
      if (typeof entry === "string") words.push(entry);
      else if ("comment" in entry) break;
      else if (entry.op === "glob") words.push(entry.pattern);
      else if (/^[<>]/.test(entry.op)) words.push("");
      else finish();
    }
    finish();
  }
  return commands;
}

function problemOf(words: readonly string[]): string[] {
  const command = words.join(" ");
  const [path = "", ...args] = words[0] === "npx" ? words.slice(1) : words;
  const program = path.replace("/usr/bin/", "");
  if (program === "npm") return npmProblem(args);
  if (program === "bun" && args[0] === "run") return scriptProblem(args[1] ?? "", args.slice(2));
  if (program === "deno" && args[0] === "task") return scriptProblem(args[1] ?? "", args.slice(2));
  if (program === "node" && args[0] === "dist/main.js") return serverProblem(args.slice(1));
  if (program === "bun" || program === "node" || program === "deno") return [];
  return PROGRAMS.has(program) ? [] : [`${command}: no program that a reader is known to have`];
}

function npmProblem([verb = "", ...args]: string[]): string[] {
  if (verb === "run") {
    const [name = "", ...rest] = args.filter((word) => word !== "-s" && word !== "--silent");
    if (rest.length > 0 && rest[0] !== "--") return [`npm run ${name}: flags go after --`];
    return scriptProblem(name, rest.slice(1));
  }
  return ["install", "test", "uninstall", "ci"].includes(verb)
    ? []
    : [`npm ${verb}: not a command of npm we use`];
}

function scriptProblem(name: string, args: readonly string[]): string[] {
  if (scripts[name] === undefined) return [`${name}: there is no such script in package.json`];
  if (SERVER_SCRIPTS.has(name)) return serverProblem(args);
  // What comes after another -- is for the programs that the tool starts.
  const own = args.includes("--") ? args.slice(0, args.indexOf("--")) : args;
  return own.filter((word) => word.startsWith("--"))
    .map((word) => word.split("=")[0] ?? "")
    .filter((flag) => !new RegExp(`${flag}\\b`).test(helpOf(name)))
    .map((flag) => `${name}: --help does not know ${flag}`);
}

function serverProblem(args: readonly string[]): string[] {
  try {
    // `…` and `<name>` stand for what the reader puts in.
    readConfig(args.filter((word) => !/^(|…|\$\w+)$/.test(word)), {});
    return [];
  } catch (error) {
    return [(error as Error).message];
  }
}

function helpOf(name: string): string {
  const known = helpTexts.get(name);
  if (known !== undefined) return known;
  const command = (scripts[name] ?? "").split(" ").slice(1);
  const { stdout } = spawnSync(process.execPath, [...command, "--help"], { cwd: ROOT, encoding: "utf8" });
  helpTexts.set(name, stdout);
  return stdout;
}
