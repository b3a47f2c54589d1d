/** The arrows of the house: which file of server/ may import which. Adding one that points up fails here. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path/posix";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { assert, assertEquals } from "@std/assert";

const root = fileURLToPath(new URL("../server/", import.meta.url));

interface Import {
  readonly from: string;
  /** A path below server/, or the name of a package. */
  readonly to: string;
  /** Whether it is resolved when the importing file loads: neither `import type` nor `import()`. */
  readonly atLoad: boolean;
}

/** The imports of one file, in any form: static, type only, re-export, for effect, dynamic, `import("…")` as a type. */
function importsOf(from: string, source: string): Import[] {
  const code = source.replaceAll(/\/\*[^]*?\*\//g, "").replaceAll(/^\s*\/\/.*$/gm, "");
  const forms = /\b(?:(import|export)\s+(type\s)?(?:[\w\s*{},$]*?from\s*)?|import\s*\(\s*)["']([^"']+)["']/g;
  return [...code.matchAll(forms)].map(([, keyword, typeOnly, specifier = ""]) => ({
    from,
    to: specifier.startsWith(".") ? normalize(join(dirname(from), specifier)) : specifier,
    atLoad: keyword !== undefined && typeOnly === undefined,
  }));
}

function folder(path: string): string {
  return `${dirname(path)}/`;
}

const sharedByEngines = ["pick", "queue_budget", "request", "tls_files"].map((name) => `engines/${name}.ts`);

/** The engine that a file is, or is part of; undefined for files that no engine owns. */
function engineOf(path: string): string | undefined {
  if (sharedByEngines.includes(path) || path.startsWith("engines/native/")) return undefined;
  return /^engines\/(\w+)/.exec(path)?.[1];
}

const codecMayUse = ["node:zlib", "node:crypto", "node:buffer"];

/** Each rule says what is wrong with an import that it forbids. */
const rules: readonly { readonly rule: string; forbids(from: string, to: string): boolean }[] = [
  {
    rule: "the hub never sees engines, wire formats, bytes on the wire or sessions",
    forbids: (from, to) =>
      from.startsWith("hub/") && /^(engines|codec|protocol|auth|http)\/|^(session|delivery)\.ts$/.test(to),
  },
  {
    rule: "an engine does not import another engine",
    forbids: (from, to) => {
      const [importer, imported] = [engineOf(from), engineOf(to)];
      return importer !== undefined && imported !== undefined && importer !== imported;
    },
  },
  {
    rule: "engines know no topics' meaning: nothing of the hub, the broker, the protocol or a session",
    forbids: (from, to) =>
      from.startsWith("engines/") && /^(hub|broker|protocol|auth|http)\/|^(session|delivery)\.ts$/.test(to),
  },
  {
    rule: "the codec is pure computation: it imports itself, node:zlib, node:crypto and node:buffer",
    forbids: (from, to) => from.startsWith("codec/") && !to.startsWith("codec/") && !codecMayUse.includes(to),
  },
  {
    rule: "only engines/ts is built on the codec",
    forbids: (from, to) => to.startsWith("codec/") && !/^(codec|engines\/ts)\//.test(from),
  },
  {
    rule: "only engines/pick.ts imports an engine",
    forbids: (from, to) =>
      engineOf(to) !== undefined && engineOf(from) !== engineOf(to) && from !== "engines/pick.ts",
  },
  {
    rule: "engines/native/ is for engines",
    forbids: (from, to) => to.startsWith("engines/native/") && !from.startsWith("engines/"),
  },
  {
    rule: "only serve.ts and broker/pick.ts import a broker; the others know the contract",
    forbids: (from, to) =>
      to.startsWith("broker/") &&
      !["broker/broker.ts", "broker/pick.ts", "broker/retention.ts"].includes(to) &&
      !["serve.ts", "broker/pick.ts"].includes(from) && folder(from) !== "broker/",
  },
  {
    rule: "a broker knows no connections and no wire formats",
    forbids: (from, to) =>
      from.startsWith("broker/") && /^(hub|engines|codec|protocol|http)\/|^(session|delivery)\.ts$/.test(to),
  },
  {
    rule: "the protocol is reached from the session and reaches nobody",
    forbids: (from, to) =>
      from.startsWith("protocol/") &&
      /^(hub|broker|engines|codec|http|auth)\/|^(session|delivery)\.ts$/.test(to),
  },
  {
    rule: "the HTTP side sees what serve.ts hands it: no engines, no frames, no sessions",
    forbids: (from, to) =>
      from.startsWith("http/") && /^(engines|codec)\/|^(session|delivery|gate|drain)\.ts$/.test(to),
  },
  {
    rule: "limits are arithmetic on what they are given: they know the clock and each other",
    forbids: (from, to) => from.startsWith("limits/") && !to.startsWith("limits/") && to !== "clock.ts",
  },
  {
    rule:
      "who gets in is decided without the rest of the house: auth/ knows itself, clock.ts, topic.ts and packages",
    forbids: (from, to) =>
      from.startsWith("auth/") && to.endsWith(".ts") && !to.startsWith("auth/") &&
      !["clock.ts", "topic.ts"].includes(to),
  },
  {
    rule: "serve.ts is for main.ts and mod.ts, and nobody imports main.ts",
    forbids: (from, to) =>
      to === "main.ts" || to === "mod.ts" || (to === "serve.ts" && !["main.ts", "mod.ts"].includes(from)),
  },
  {
    rule: "what everything may use imports only what everything may use",
    forbids: (from, to) =>
      ["engine.ts", "close.ts", "clock.ts", "topic.ts"].includes(from) && to !== "clock.ts",
  },
  {
    rule: "the server is not built on tests, benchmarks or scripts",
    forbids: (_, to) => to.startsWith("../"),
  },
];

function faults(imports: readonly Import[]): string[] {
  return imports.flatMap(({ from, to }) =>
    rules.filter((rule) => rule.forbids(from, to)).map(({ rule }) => `${from} imports ${to}: ${rule}`)
  );
}

/** A way from a file back to itself through imports that are resolved at load; undefined when there is none. */
function findCycle(imports: readonly Import[]): string[] | undefined {
  const next = new Map<string, string[]>();
  for (const { from, to, atLoad } of imports) {
    if (atLoad) next.set(from, [...next.get(from) ?? [], to]);
  }
  const done = new Set<string>();
  const visit = (path: string[]): string[] | undefined => {
    const last = path.at(-1) ?? "";
    if (path.indexOf(last) < path.length - 1) return path.slice(path.indexOf(last));
    if (done.has(last)) return undefined;
    for (const to of next.get(last) ?? []) {
      const cycle = visit([...path, to]);
      if (cycle !== undefined) return cycle;
    }
    done.add(last);
    return undefined;
  };
  for (const from of next.keys()) {
    const cycle = visit([from]);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}

const files = readdirSync(root, { recursive: true, encoding: "utf8" })
  .map((path) => path.replaceAll("\\", "/"))
  .filter((path) => path.endsWith(".ts"));
const imports = files.flatMap((path) => importsOf(path, readFileSync(root + path, "utf8")));

describe("the client", () => {
  const folderOfClient = fileURLToPath(new URL("../client/", import.meta.url));
  const files = readdirSync(folderOfClient).filter((file) => file.endsWith(".ts"));

  it("imports nothing but itself, and react.ts React", () => {
    const found = files.flatMap((file) => importsOf(file, readFileSync(folderOfClient + file, "utf8")));
    assert(found.some(({ from, to }) => from === "mod.ts" && to === "client.ts"));
    assertEquals(
      found.filter(({ from, to }) => !files.includes(to) && !(from === "react.ts" && to === "react")),
      [],
    );
    assertEquals(findCycle(found), undefined);
  });
});

describe("the layers of server/", () => {
  it("have no import that the house forbids", () => {
    assertEquals(faults(imports), []);
  });

  it("have no cycle of imports", () => {
    assertEquals(findCycle(imports), undefined);
    const [a, b] = [{ from: "a.ts", to: "b.ts", atLoad: true }, { from: "b.ts", to: "a.ts", atLoad: true }];
    assertEquals(findCycle([a, b]), ["a.ts", "b.ts", "a.ts"]);
    assertEquals(findCycle([a, { ...b, atLoad: false }]), undefined);
  });

  it("are read whole: every relative import found is a file that exists, and every file but the doors is imported", () => {
    const inside = imports.map(({ to }) => to).filter((to) => to.endsWith(".ts"));
    assertEquals(inside.filter((to) => !files.includes(to)), []);
    const doors = ["main.ts", "mod.ts"];
    assertEquals(files.filter((file) => !inside.includes(file) && !doors.includes(file)), []);
  });

  const forms: [string, string, boolean][] = [
    ["a static import", `import { a } from "../codec/frame.ts";`, true],
    ["an import over several lines", `import {\n  a,\n  type B,\n} from "../codec/frame.ts";`, true],
    ["an import for its effect", `import "../codec/frame.ts";`, true],
    ["a re-export", `export { a } from "../codec/frame.ts";`, true],
    ["a re-export of everything", `export * from "../codec/frame.ts";`, true],
    ["a type import", `import type { A } from "../codec/frame.ts";`, false],
    ["a dynamic import", `const a = (await import("../codec/frame.ts")).a;`, false],
    ["a type from an import", `type A = typeof import("../codec/frame.ts");`, false],
  ];
  for (const [name, source, atLoad] of forms) {
    it(`are seen in ${name}`, () => {
      assertEquals(importsOf("hub/hub.ts", source), [{ from: "hub/hub.ts", to: "codec/frame.ts", atLoad }]);
    });
  }

  it("are not seen in comments", () => {
    const source = `/** import "../codec/frame.ts"; */\n// import "../codec/frame.ts";\nconst a = 1;`;
    assertEquals(importsOf("hub/hub.ts", source), []);
  });

  const arrows: [from: string, to: string, allowed: boolean][] = [
    ["hub/hub.ts", "broker/broker.ts", true],
    ["hub/hub.ts", "broker/memory.ts", false],
    ["hub/hub.ts", "protocol/protocol.ts", false],
    ["hub/hub.ts", "engines/pick.ts", false],
    ["hub/hub.ts", "codec/frame.ts", false],
    ["hub/hub.ts", "topic.ts", true],
    ["hub/hub.ts", "session.ts", false],
    ["session.ts", "hub/hub.ts", true],
    ["session.ts", "protocol/command.ts", true],
    ["session.ts", "engines/bun.ts", false],
    ["session.ts", "serve.ts", false],
    ["session.ts", "codec/frame.ts", false],
    ["protocol/command.ts", "hub/topic.ts", false],
    ["protocol/command.ts", "topic.ts", true],
    ["engines/bun.ts", "engines/native/socket.ts", true],
    ["engines/ts/exchange.ts", "engines/request.ts", true],
    ["engines/bun.ts", "engines/uws.ts", false],
    ["engines/bun.ts", "engines/ts/topics.ts", false],
    ["engines/ts/listener.ts", "engines/ts/connection.ts", true],
    ["engines/ts/listener.ts", "codec/frame.ts", true],
    ["engines/ts/listener.ts", "hub/hub.ts", false],
    ["engines/native/topics.ts", "engines/bun.ts", false],
    ["engines/pick.ts", "engines/bun.ts", true],
    ["engines/pick.ts", "engines/ts/listener.ts", true],
    ["serve.ts", "engines/pick.ts", true],
    ["serve.ts", "engines/bun.ts", false],
    ["serve.ts", "broker/memory.ts", true],
    ["options.ts", "engines/pick.ts", true],
    ["codec/deflate.ts", "node:zlib", true],
    ["codec/deflate.ts", "codec/frame.ts", true],
    ["codec/deflate.ts", "engine.ts", false],
    ["codec/deflate.ts", "node:net", false],
    ["codec/deflate.ts", "ws", false],
    ["broker/pick.ts", "broker/redis.ts", true],
    ["broker/redis.ts", "broker/broker.ts", true],
    ["broker/redis.ts", "hub/hub.ts", false],
    ["limits/users.ts", "clock.ts", true],
    ["limits/users.ts", "limits/cooling.ts", true],
    ["limits/users.ts", "engine.ts", false],
    ["session.ts", "limits/message_guard.ts", true],
    ["auth/token.ts", "auth/keys.ts", true],
    ["auth/token.ts", "clock.ts", true],
    ["auth/permissions.ts", "topic.ts", true],
    ["auth/token.ts", "jose", true],
    ["auth/origin.ts", "engine.ts", false],
    ["auth/origin.ts", "options.ts", false],
    ["auth/permissions.ts", "hub/hub.ts", false],
    ["auth/credentials.ts", "http/routes.ts", false],
    ["session.ts", "auth/permissions.ts", true],
    ["hub/hub.ts", "auth/permissions.ts", false],
    ["main.ts", "serve.ts", true],
    ["mod.ts", "serve.ts", true],
    ["http/routes.ts", "main.ts", false],
    ["http/publish.ts", "hub/hub.ts", true],
    ["http/connections.ts", "session.ts", false],
    ["gate.ts", "http/answers.ts", true],
    ["engine.ts", "clock.ts", true],
    ["engine.ts", "options.ts", false],
    ["hub/hub.ts", "../bench/ring.ts", false],
  ];
  for (const [from, to, allowed] of arrows) {
    it(`${allowed ? "allow" : "forbid"} ${from} -> ${to}`, () => {
      const found = faults([{ from, to, atLoad: true }]);
      assert(allowed ? found.length === 0 : found.length > 0, found.join("\n"));
    });
  }
});
