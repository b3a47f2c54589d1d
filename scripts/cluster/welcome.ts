/** What `cluster` says once everything runs: where it is, and what somebody can try at once. */
import type { Addresses } from "./cluster.ts";

/** The commands in it work as they stand, in any shell. */
export function welcome({ proxies, certificateFile, nodes, apiKey, redis, prometheus }: Addresses): string {
  const url = Object.values(proxies)[0] ?? "";
  const node = nodes[0]?.url ?? "";
  const row = (address: string, what: string) => `  ${address.padEnd(32)} ${what}`;
  return [
    ...Object.entries(proxies).map(([name, url]) => row(url, `${name}: for clients`)),
    ...nodes.map(({ name, url, pid }) => row(url, `${name} (pid ${pid}): /ready, /metrics, /api`)),
    row(redis, "Redis"),
    ...(prometheus === undefined ? [] : [row(prometheus, "Prometheus")]),
    "",
    "Subscribe through the proxy (wscat comes from npm), and publish on a node:",
    "",
    `  npx wscat --ca ${certificateFile} -c ${url} -w 3600 -x '{"type":"subscribe","topic":"news"}'`,
    "",
    `  curl -s -H 'Authorization: Bearer ${apiKey}' -H 'Content-Type: application/json' \\`,
    `    ${node}/api/publish -d '{"topic":"news","data":"hello"}'`,
    "",
    "Ctrl-C stops everything.",
    "",
  ].join("\n");
}
