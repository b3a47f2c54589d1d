/**
 * Programs of Debian that tests run. Where the machine lets us (root, apt-get), missing ones are installed, and no
 * service of theirs is started; otherwise the tests that need them are skipped, and somebody has to say so.
 */
import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";
import process from "node:process";

/** A program, and what goes untested without it. */
export interface DebianProgram {
  /** Its name, or the path of a file or folder for what is no program. */
  readonly program: string;
  readonly package: string;
  /** To complete "… is not tested". */
  readonly neededFor: string;
}

export const debianPrograms: readonly DebianProgram[] = [
  { program: "promtool", package: "prometheus", neededFor: "metrics, alerts and dashboard with Prometheus" },
  { program: "systemd-analyze", package: "systemd", neededFor: "what systemd says of its unit" },
  { program: "redis-server", package: "redis-server", neededFor: "the Redis broker" },
  { program: "nats-server", package: "nats-server", neededFor: "the NATS broker" },
  {
    program: "nginx",
    package: "nginx libnginx-mod-nchan",
    neededFor: "the benchmark of nchan, and deploy/nginx",
  },
  { program: "haproxy", package: "haproxy", neededFor: "deploy/haproxy" },
  { program: "mosquitto", package: "mosquitto", neededFor: "the benchmark of mosquitto" },
  {
    program: "/usr/lib/python3/dist-packages/websockets",
    package: "python3-websockets",
    neededFor: "the Python example",
  },
  // 103 MB to load; a page that nobody has seen in a browser is not tested.
  { program: "chromium", package: "chromium", neededFor: "the pages in a browser" },
];

/** What {@link installMissing} needs of a machine. */
export interface Machine {
  has(program: string): boolean;
  /** Why nothing may be installed here; undefined when it may. */
  readonly whyNot: string | undefined;
  /** Runs apt-get. Returns why it failed; undefined when it did not. */
  apt(...args: string[]): string | undefined;
  say(line: string): void;
}

/** Where Debian puts servers: not on everybody's PATH. */
const SERVER_FOLDERS = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/** The path of a program; undefined when it is not installed. */
export function findProgram(program: string): string | undefined {
  if (isAbsolute(program)) return isExecutable(program) ? program : undefined;
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  return [...folders, ...SERVER_FOLDERS].map((folder) => join(folder, program)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false; // Not there, or not ours to run.
  }
}

/** Why a test that needs the program is skipped; false when it can run. */
export function whyMissing(program: string): string | false {
  return findProgram(program) === undefined && `NOT TESTED: ${program} is not installed`;
}

const APT_TIMEOUT_SECONDS = 300;

/**
 * Runs apt-get with the arguments after the first, which is its time limit. Debian starts a service as soon as it is
 * installed, unless policy-rc.d forbids it; ours goes away with the shell, also when somebody presses Ctrl-C.
 */
const APT_SCRIPT = `
seconds=$1; shift
policy=/usr/sbin/policy-rc.d
trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM
if [ ! -e $policy ]; then
  trap 'rm -f $policy' EXIT
  printf '#!/bin/sh\\nexit 101\\n' > $policy && chmod 755 $policy || exit 1
fi
timeout --foreground --kill-after=10 $seconds apt-get "$@"
`;

const APT_ENVIRONMENT = {
  LC_ALL: "C",
  DEBIAN_FRONTEND: "noninteractive",
  // Or Ubuntu restarts services that use a library which was replaced.
  NEEDRESTART_SUSPEND: "1",
};

const APT_OPTIONS = [
  ...["-q", "-y", "--no-install-recommends"],
  ...["-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=20", "-o", "Acquire::https::Timeout=20"],
  ...["-o", "DPkg::Lock::Timeout=60"],
];

function runApt(...args: string[]): string | undefined {
  const { status, stdout, stderr, error } = spawnSync(
    "sh",
    ["-c", APT_SCRIPT, "apt", String(APT_TIMEOUT_SECONDS), ...APT_OPTIONS, ...args],
    {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
      maxBuffer: 64 * 1024 * 1024,
      env: { ...process.env, ...APT_ENVIRONMENT },
    },
  );
  if (status === 0) return undefined;
  const lastError = `${stdout}\n${stderr}`.split("\n").findLast((line) => line.startsWith("E: "));
  return error?.message ?? lastError ?? `apt-get ${args.join(" ")} ended with ${status}`;
}

const thisMachine: Machine = {
  has: (program) => findProgram(program) !== undefined,
  get whyNot() {
    if (findProgram("apt-get") === undefined) return "there is no apt-get here";
    return process.getuid?.() === 0 ? undefined : "only root may install it";
  },
  apt: runApt,
  say: (line) => console.log(line),
};

/**
 * Installs what is missing and may be installed, and says in a line each what is missing after that. Never fails: a test
 * can be skipped, but the others run.
 */
export function installMissing(
  programs: readonly DebianProgram[] = debianPrograms,
  machine: Machine = thisMachine,
): void {
  const missing = programs.filter(({ program }) => !machine.has(program));
  const failures = new Map<string, string>();
  let isUpdated = false;
  for (const { program, package: name, neededFor } of missing) {
    if (machine.whyNot !== undefined) break;
    machine.say(`installing ${name}, to test ${neededFor}`);
    let failure = machine.apt("install", ...name.split(" "));
    if (failure !== undefined && !isUpdated) {
      // The package lists may be missing or old.
      isUpdated = true;
      failure = machine.apt("update") ?? machine.apt("install", ...name.split(" "));
    }
    if (failure !== undefined) failures.set(program, failure);
  }
  for (const { program, package: name, neededFor } of missing) {
    if (machine.has(program)) continue;
    const why = failures.get(program) ?? machine.whyNot ?? `${name} does not have it`;
    machine.say(`NOT TESTED: ${neededFor}: ${program} is missing (apt-get install ${name}; ${why})`);
  }
}
