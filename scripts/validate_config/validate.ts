/** From files to findings: reads them, sees what they do, and asks every rule. Prints nothing. */
import { isFolder, readText } from "./files.ts";
import { type Finding, type Hit, severities } from "./finding.ts";
import { haproxyConfig } from "./haproxy_config.ts";
import { readHaproxy } from "./haproxy_tree.ts";
import { nginxConfig } from "./nginx_config.ts";
import { nginxReferenceProblems } from "./nginx_references.ts";
import { readNginx } from "./nginx_tree.ts";
import { apply, type Judged, type Known, type Rule } from "./rule.ts";
import { fragmentRule, nothingRule, rules, syntaxRule } from "./rules/all.ts";

export const programs = ["nginx", "haproxy"] as const;
export type ProgramName = typeof programs[number];

export interface Validation {
  readonly program: ProgramName;
  /** Every file that was read. */
  readonly files: readonly string[];
  /** The worst first, and within that in the order of files and lines. */
  readonly findings: readonly Finding[];
}

/** The program that a file is for, by its content; undefined when that does not tell. */
export function recognise(paths: readonly string[]): ProgramName | undefined {
  const [path] = paths;
  if (path === undefined) return undefined;
  // HAProxy reads folders, nginx does not.
  if (paths.length > 1 || isFolder(path)) return "haproxy";
  const read = readText(path);
  if ("problem" in read) return undefined;
  const lines = read.text.split("\n").map((line) => line.replace(/#.*/, "").trimEnd());
  const sections = lines.filter((line) =>
    /^\s*(global|defaults|(frontend|backend|listen|peers|resolvers)\s+[^\s;{]+)(\s+[^;{]*)?$/.test(line)
  );
  const braces = lines.filter((line) =>
    /([{;]|; *\})$/.test(line) && !/^\s*(acl|http-|use_backend)/.test(line)
  );
  if (sections.length === braces.length) return undefined;
  return sections.length > braces.length ? "haproxy" : "nginx";
}

function collect(config: Parameters<NonNullable<Rule["nginx"]>>[0], known: Known): Finding[] {
  return rules.flatMap((rule) => apply(rule, rule.nginx?.(config, known) ?? []));
}

function validateNginx(path: string, known: Known, webSocketPath: string | undefined): Validation {
  const tree = readNginx(path);
  const config = nginxConfig(tree, webSocketPath);
  const problems: Hit[] = [...tree.problems];
  // A tree with holes would be said to lack what could not be read.
  if (problems.length === 0) problems.push(...nginxReferenceProblems(config));
  const findings = apply(syntaxRule, problems);
  if (problems.length === 0) findings.push(...collect(config, known));
  const about: Judged[] = [{
    place: tree.root.place,
    what: `this is a part of the block ${tree.fragmentOf ?? ""}`,
    fix: [],
  }];
  if (tree.fragmentOf !== undefined) findings.push(...apply(fragmentRule, about));
  if (problems.length === 0 && config.routes.length + config.streamServers.length === 0) {
    findings.push(
      ...apply(nothingRule, [{ place: tree.root.place, what: "there is no proxy_pass", fix: [] }]),
    );
  }
  return { program: "nginx", files: tree.files, findings: sorted(findings, tree.files) };
}

function validateHaproxy(
  paths: readonly string[],
  known: Known,
  webSocketPath: string | undefined,
): Validation {
  const tree = readHaproxy(paths);
  const config = haproxyConfig(tree, webSocketPath);
  const problems = [...tree.problems, ...config.problems];
  const findings = apply(syntaxRule, problems);
  if (problems.length === 0) {
    findings.push(...rules.flatMap((rule) => apply(rule, rule.haproxy?.(config, known) ?? [])));
    const [file] = tree.files;
    if (config.routes.length === 0 && file !== undefined) {
      const what = "no frontend passes anything to servers";
      findings.push(...apply(nothingRule, [{ place: { file, line: 1 }, what, fix: [] }]));
    }
  }
  return { program: "haproxy", files: tree.files, findings: sorted(findings, tree.files) };
}

/** In the order in which somebody would read them. */
export function sorted(findings: readonly Finding[], files: readonly string[]): Finding[] {
  const rank = (
    { severity, place }: Finding,
  ) => [severities.indexOf(severity), files.indexOf(place.file), place.line];
  return [...findings].sort((a, b) => {
    const [x, y] = [rank(a), rank(b)];
    return x.map((value, index) => value - (y[index] ?? 0)).find((difference) => difference !== 0) ?? 0;
  });
}

/**
 * Validates a configuration.
 * @param paths one file for nginx; files and folders in their order for HAProxy
 * @param webSocketPath a path that is known to be for WebSockets
 */
export function validate(
  program: ProgramName,
  paths: readonly string[],
  known: Known,
  webSocketPath: string | undefined,
): Validation {
  const [path = ""] = paths;
  return program === "nginx"
    ? validateNginx(path, known, webSocketPath)
    : validateHaproxy(paths, known, webSocketPath);
}
