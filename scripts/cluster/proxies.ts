/**
 * The proxies of the cluster: the files of `deploy/` as they are, and what differs by machine written for this one, on
 * loopback, into a folder of the run. Nothing here is configuration of Millrace's.
 */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const deploy = fileURLToPath(new URL("../../deploy/", import.meta.url));
const deployed = (path: string) => join(deploy, path);

/** The same in `deploy/nginx/machine/limits.conf` and `deploy/haproxy/1-machine.cfg`. */
const CONNECTIONS_PER_ADDRESS = 2_000;
const HANDSHAKES_PER_ADDRESS = 2_000;
/** What HAProxy may take where file descriptors allow it; it refuses to start where they do not. */
const CONNECTIONS = 60_000;
const DESCRIPTORS_PER_CONNECTION = 2;
const OTHER_DESCRIPTORS = 200;

export const proxyNames = ["nginx", "haproxy"] as const;
export type ProxyName = typeof proxyNames[number];

/** What a proxy has to know of this run. */
export interface ProxySettings {
  /** Of its own, and there. */
  readonly folder: string;
  readonly port: number;
  readonly nodes: readonly { readonly name: string; readonly port: number }[];
  readonly certificateFile: string;
  readonly keyFile: string;
  /** Both in one. */
  readonly bundleFile: string;
  /** What one address may have; that of the files in `deploy/` when undefined. */
  readonly connectionsPerAddress: number | undefined;
}

/** A proxy that the cluster can run. */
export interface ProxyProgram {
  readonly package: string;
  /** Makes it read its files again, without losing anybody. */
  readonly reloadSignal: NodeJS.Signals;
  /** Writes what it needs, and answers with the arguments that run it in the foreground. */
  prepare(settings: ProxySettings): string[];
}

const nginx: ProxyProgram = {
  package: "nginx",
  reloadSignal: "SIGHUP",
  prepare({ folder, port, nodes, certificateFile, keyFile, connectionsPerAddress }) {
    const machine = join(folder, "machine");
    mkdirSync(machine);
    symlinkSync(deployed("nginx/nginx.conf"), join(folder, "nginx.conf"));
    const limit = connectionsPerAddress ?? CONNECTIONS_PER_ADDRESS;
    const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    const files: Record<string, readonly string[]> = {
      // Only root can change to another user, and that one could not read this folder.
      main: [
        ...(process.getuid?.() === 0 ? ["user root root;"] : []),
        `pid ${folder}/pid;`,
        "error_log stderr notice;",
      ],
      http: ["access_log off;", ...temporary.map((name) => `${name}_temp_path ${folder}/${name};`)],
      nodes: nodes.map(({ port }) => `server 127.0.0.1:${port} max_fails=1 fail_timeout=2s;`),
      server: [
        `listen 127.0.0.1:${port} ssl backlog=4096;`,
        "server_name localhost;",
        `ssl_certificate ${certificateFile};`,
        `ssl_certificate_key ${keyFile};`,
      ],
      limits: [
        `limit_conn connections ${limit};`,
        `limit_req zone=handshakes burst=${HANDSHAKES_PER_ADDRESS} nodelay;`,
      ],
    };
    for (const [name, lines] of Object.entries(files)) {
      writeFileSync(join(machine, `${name}.conf`), `${lines.join("\n")}\n`);
    }
    return ["-p", folder, "-e", "stderr", "-c", join(folder, "nginx.conf"), "-g", "daemon off;"];
  },
};

const haproxy: ProxyProgram = {
  package: "haproxy",
  reloadSignal: "SIGUSR2",
  prepare({ folder, port, nodes, bundleFile, connectionsPerAddress }) {
    const machine = [
      "global",
      `setenv MILLRACE_BIND 127.0.0.1:${port}`,
      `setenv MILLRACE_CERTIFICATE ${bundleFile}`,
      `setenv MILLRACE_CONNECTIONS ${haproxyConnections()}`,
      `setenv MILLRACE_CONNECTIONS_PER_ADDRESS ${connectionsPerAddress ?? CONNECTIONS_PER_ADDRESS}`,
      `setenv MILLRACE_HANDSHAKES_PER_ADDRESS ${HANDSHAKES_PER_ADDRESS}`,
      "log stderr format raw local0 notice notice",
      `stats socket ${folder}/admin.sock mode 600 level admin expose-fd listeners`,
    ];
    const servers = nodes.map(({ name, port }) => `server ${name} 127.0.0.1:${port}`);
    const backend = ["backend millrace from millrace", ...servers];
    const files = ["1-machine.cfg", "2-millrace.cfg", "3-nodes.cfg"].map((name) => join(folder, name));
    const [machineFile = "", millraceFile = "", nodesFile = ""] = files;
    writeFileSync(machineFile, `${machine.join("\n    ")}\n`);
    symlinkSync(deployed("haproxy/2-millrace.cfg"), millraceFile);
    writeFileSync(nodesFile, `${backend.join("\n    ")}\n`);
    return ["-W", "-p", join(folder, "pid"), ...files.flatMap((file) => ["-f", file])];
  },
};

export const proxyPrograms: Readonly<Record<ProxyName, ProxyProgram>> = { nginx, haproxy };

/** How many connections HAProxy can take with the file descriptors that it may open. */
export function haproxyConnections(): number {
  let limits = "";
  try {
    limits = readFileSync("/proc/self/limits", "utf8");
  } catch (error) {
    // Not Linux.
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  const hard = Number(/^Max open files\s+\S+\s+(\d+)/m.exec(limits)?.[1] ?? Infinity);
  return Math.min(CONNECTIONS, Math.floor((hard - OTHER_DESCRIPTORS) / DESCRIPTORS_PER_CONNECTION));
}
