/**
 * The ways to run a node that deploy/ has, side by side: the options they give it are options, it has the time that its
 * end may take, and the memory and file descriptors that its limits and the alerts count on.
 */
import { describe, it } from "node:test";
import { assert, assertEquals, assertGreater, assertThrows } from "@std/assert";
import { readConfig } from "../../server/config.ts";
import type { Options } from "../../server/options.ts";
import {
  directive,
  readEnvironmentFile,
  readManifests,
  readText,
  readYaml,
  toBytes,
} from "../helpers/deployment.ts";

/** One way to run a node. */
interface Way {
  readonly name: string;
  readonly environment: Readonly<Record<string, string>>;
  /** From the first word of its end until it is killed. */
  readonly graceSeconds: number;
  /** How much of that passes before it is told. */
  readonly waitSeconds: number;
  readonly memory: string;
  /** 0 where the machine says. */
  readonly fileDescriptors: number;
}

interface Service {
  readonly environment: Record<string, string>;
  readonly stop_grace_period: string;
  readonly mem_limit: string;
  readonly ulimits: { readonly nofile: number };
}

interface Workload {
  readonly kind: string;
  readonly data: Record<string, string>;
  readonly spec: { readonly template: { readonly spec: PodSpec } };
}

interface PodSpec {
  readonly terminationGracePeriodSeconds: number;
  readonly containers: readonly {
    readonly env: readonly { readonly name: string }[];
    readonly lifecycle: { readonly preStop: { readonly sleep: { readonly seconds: number } } };
    readonly resources: { readonly limits: { readonly memory: string } };
  }[];
}

function compose(): Way[] {
  const { services } = readYaml<{ services: Record<string, Service> }>("deploy/docker/compose.yaml");
  return ["node1", "node2", "node3"].map((name) => {
    const service = services[name];
    assert(service !== undefined);
    return {
      name: `Compose, ${name}`,
      // What the image sets.
      environment: { MILLRACE_HOST: "0.0.0.0", MILLRACE_PORT: "9001", ...service.environment },
      graceSeconds: parseInt(service.stop_grace_period),
      waitSeconds: 0,
      memory: service.mem_limit,
      fileDescriptors: service.ulimits.nofile,
    };
  });
}

function kubernetes(): Way {
  const manifests = readManifests("deploy/kubernetes/millrace.yaml") as unknown as Workload[];
  const pod = manifests.find(({ kind }) => kind === "Deployment")?.spec.template.spec;
  const [container] = pod?.containers ?? [];
  assert(pod !== undefined && container !== undefined);
  const own: Record<string, string> = {
    MILLRACE_NODE: "millrace-5d8f7c-x2x4z",
    MILLRACE_BROKER_URLS: "redis://:secret@redis:6379",
  };
  assertEquals(container.env.map(({ name }) => name).sort(), Object.keys(own).sort());
  return {
    name: "Kubernetes",
    environment: {
      MILLRACE_HOST: "0.0.0.0",
      ...manifests.find(({ kind }) => kind === "ConfigMap")?.data,
      ...own,
    },
    graceSeconds: pod.terminationGracePeriodSeconds,
    waitSeconds: container.lifecycle.preStop.sleep.seconds,
    memory: container.resources.limits.memory,
    fileDescriptors: 0,
  };
}

function systemd(): Way {
  const unit = readText("deploy/systemd/millrace.service");
  return {
    name: "systemd",
    environment: readEnvironmentFile("deploy/systemd/millrace.env"),
    graceSeconds: Number(directive(unit, "TimeoutStopSec")),
    waitSeconds: 0,
    memory: directive(unit, "MemoryMax"),
    fileDescriptors: Number(directive(unit, "LimitNOFILE")),
  };
}

/** For what comes after the last connection is gone. */
const MARGIN_SECONDS = 5;
/** Of the shutdown timeout, clients are sent away in (server/drain.ts). */
const LEAVING_SHARE = 0.8;
/** Besides connections: files, the broker, the log. */
const OTHER_DESCRIPTORS = 1000;

/** Why a node with these options could be killed before it has come to its end; undefined when it could not. */
function whyCut({ graceSeconds, waitSeconds }: Way, options: Options): string | undefined {
  const { drainDelaySeconds, shutdownTimeoutSeconds, reconnectWindowSeconds } = options;
  const needed = waitSeconds + drainDelaySeconds + shutdownTimeoutSeconds + MARGIN_SECONDS;
  if (needed > graceSeconds) return `needs ${needed} s and has ${graceSeconds}`;
  return reconnectWindowSeconds > LEAVING_SHARE * shutdownTimeoutSeconds
    ? `clients lose their connections before they may come back`
    : undefined;
}

for (const way of [...compose(), kubernetes(), systemd()]) {
  describe(`a node under ${way.name}`, () => {
    const { options } = readConfig([], way.environment);

    it("has options that hold, listens for others, and lets nobody in without a token", () => {
      assertEquals(options.host, "0.0.0.0");
      assertEquals(options.port, 9001);
      assert(options.jwtSecretFile !== "" && !options.insecureAnonymous);
      assertGreater(options.trustedProxies.length, 0);
      assertThrows(
        () => readConfig([], { ...way.environment, MILLRACE_TRUSTED_PROXY: "x" }),
        Error,
        "unknown",
      );
    });

    it("is killed only after its drain delay and shutdown timeout, and clients leave in time", () => {
      assertEquals(whyCut(way, options), undefined);
      assert(whyCut({ ...way, graceSeconds: options.shutdownTimeoutSeconds }, options) !== undefined);
      assert(
        whyCut(way, { ...options, reconnectWindowSeconds: options.shutdownTimeoutSeconds }) !== undefined,
      );
    });

    it("is warned of before it is out of memory, and has a file descriptor for every connection", () => {
      const [, factor = ""] = /process_resident_memory_bytes\{.*?\} > ([\d.]+) \* 1024 \^ 3/.exec(
        readText("deploy/prometheus/alerting.rules.yml"),
      ) ?? [];
      const warnedBytes = Number(factor) * 1024 ** 3;
      assertGreater(warnedBytes, 0);
      assertGreater(toBytes(way.memory), warnedBytes);
      assertGreater(warnedBytes, options.maxQueuedBytes);
      if (way.fileDescriptors > 0) {
        assertGreater(way.fileDescriptors, options.maxConnections + OTHER_DESCRIPTORS);
      }
    });
  });
}
