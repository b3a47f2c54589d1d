/** The manifests against the types of the Kubernetes API, and against each other: what one names, another has. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { assert, assertEquals, assertGreater, assertMatch } from "@std/assert";
import type { Deployment } from "kubernetes-types/apps/v1";
import type { HorizontalPodAutoscaler } from "kubernetes-types/autoscaling/v2";
import type { ConfigMap, Service } from "kubernetes-types/core/v1";
import type { Ingress, NetworkPolicy } from "kubernetes-types/networking/v1";
import type { PodDisruptionBudget } from "kubernetes-types/policy/v1";
import { optionSpecs } from "../../server/options.ts";
import { pathOf, readManifests, readYaml } from "../helpers/deployment.ts";
import { runtime } from "../helpers/runtime.ts";
import { startServer } from "../helpers/server.ts";

const manifests = readManifests("deploy/kubernetes/millrace.yaml");

/** The one manifest of a kind; that it is what its type says is a test below. */
function manifest<T>(kind: string): T {
  const [first, ...more] = manifests.filter((manifest) => manifest.kind === kind);
  assert(first !== undefined && more.length === 0, kind);
  return first as T;
}

const deployment = manifest<Deployment>("Deployment");
const pod = deployment.spec?.template.spec;
const [container] = pod?.containers ?? [];
const labels = deployment.spec?.template.metadata?.labels;
const service = manifest<Service>("Service");
const autoscaler = manifest<HorizontalPodAutoscaler>("HorizontalPodAutoscaler");

/** What tsc says of manifests written as values of their types, which also tells fields that there are not. */
function typeErrors(values: readonly object[]): string {
  // Where the packages are found.
  const folder = mkdtempSync(join(pathOf("node_modules"), ".millrace-manifests-"));
  try {
    const lines = values.map((value, index) => {
      const { apiVersion, kind } = value as { apiVersion: string; kind: string };
      const [group = "", version = ""] = apiVersion.includes("/")
        ? apiVersion.split("/")
        : ["core", apiVersion];
      const type = `import("kubernetes-types/${group.split(".")[0]}/${version}").${kind}`;
      return `export const manifest${index}: ${type} = ${JSON.stringify(value)};`;
    });
    writeFileSync(join(folder, "manifests.ts"), lines.join("\n"));
    const flags = ["--noEmit", "--strict", "--skipLibCheck", "--module", "esnext"];
    const { stdout } = spawnSync(
      pathOf("node_modules/.bin/tsc"),
      [
        ...flags,
        "--moduleResolution",
        "bundler",
        "--types",
        "",
        "--ignoreConfig",
        join(folder, "manifests.ts"),
      ],
      { encoding: "utf8" },
    );
    return stdout;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("the manifests", () => {
  const skip = runtime === "node" ? false : "tsc says the same to everybody";
  it("are what the API of Kubernetes 1.30 takes, without a field that it does not know", { skip }, () => {
    assertEquals(typeErrors(manifests), "");
    const misspelled = { ...deployment, spec: { ...deployment.spec, minReadySecond: 1 } };
    assertMatch(typeErrors([misspelled]), /minReadySecond.* does not exist/);
  });

  it("have selectors that match the pods, and refer to what is there", () => {
    const ownLabels = JSON.stringify(labels);
    const budget = manifest<PodDisruptionBudget>("PodDisruptionBudget");
    const policy = manifest<NetworkPolicy>("NetworkPolicy");
    const selectors = [
      deployment.spec?.selector.matchLabels,
      service.spec?.selector,
      budget.spec?.selector?.matchLabels,
      policy.spec?.podSelector.matchLabels,
      ...(pod?.topologySpreadConstraints ?? []).map(({ labelSelector }) => labelSelector?.matchLabels),
    ];
    assertEquals(selectors.map((selector) => JSON.stringify(selector)), selectors.map(() => ownLabels));
    assertEquals(
      container?.envFrom?.[0]?.configMapRef?.name,
      manifest<ConfigMap>("ConfigMap").metadata?.name,
    );
    assertEquals(autoscaler.spec?.scaleTargetRef.name, deployment.metadata?.name);
    assertEquals(deployment.spec?.replicas, undefined);
    const names = (container?.ports ?? []).map(({ name }) => name);
    const policyPorts = policy.spec?.ingress?.flatMap(({ ports = [] }) => ports.map(({ port }) => port));
    for (const port of [service.spec?.ports?.[0]?.targetPort, ...policyPorts ?? []]) {
      assert(names.includes(String(port)), String(port));
    }
    const backend = manifest<Ingress>("Ingress").spec?.rules?.[0]?.http?.paths[0];
    assertEquals(backend?.backend.service?.name, service.metadata?.name);
    assertEquals(backend?.backend.service?.port?.name, service.spec?.ports?.[0]?.name);
    assertEquals(backend?.path, optionSpecs.path.default);
    const volumes = (pod?.volumes ?? []).map(({ name }) => name);
    assertEquals(container?.volumeMounts?.map(({ name }) => name), volumes);
  });

  it("run nobody as root, with nothing to write but memory and no right to more", () => {
    assertEquals(pod?.securityContext?.runAsNonRoot, true);
    assertEquals(pod?.automountServiceAccountToken, false);
    assertEquals(pod?.securityContext?.seccompProfile, { type: "RuntimeDefault" });
    assertEquals(container?.securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
  });

  it("probe what the server answers: /health whether it lives, /ready whether it takes clients", async () => {
    const probes = [container?.livenessProbe, container?.startupProbe, container?.readinessProbe];
    const paths = probes.map((probe) => probe?.httpGet?.path ?? "");
    assertEquals(paths, ["/health", "/health", "/ready"]);
    const server = await startServer();
    try {
      for (const path of new Set(paths)) {
        const { status } = await fetch(new URL(path, server.url.replace(/^ws/, "http")));
        assertEquals(status, 200, path);
      }
    } finally {
      await server.close();
    }
  });

  it("scale by the metric that prometheus-adapter makes, well below the limit of a node", () => {
    const metric = autoscaler.spec?.metrics?.[0]?.pods;
    const { rules } = readYaml<{ rules: { custom: { name: { as: string } }[] } }>(
      "deploy/kubernetes/prometheus-adapter.yaml",
    );
    assertEquals(rules.custom.map(({ name }) => name.as), [metric?.metric.name]);
    const { minReplicas = 0, maxReplicas = 0 } = autoscaler.spec ?? {};
    const target = Number(metric?.target.averageValue);
    // When one of the fewest goes, the others take its clients.
    assertGreater(optionSpecs.maxConnections.default as number, target * minReplicas / (minReplicas - 1));
    assertGreater(maxReplicas, minReplicas);
  });
});
