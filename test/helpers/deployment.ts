/** What tests read of deploy/: the files, and what each way to run a node gives it for its options and for its end. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parse, parseAllDocuments } from "yaml";

/** The path of a file, from the root of the project. */
export function pathOf(name: string): string {
  return fileURLToPath(new URL(`../../${name}`, import.meta.url));
}

export function readText(name: string): string {
  return readFileSync(pathOf(name), "utf8");
}

/** A file with one YAML document, its merge keys resolved. The caller says what is in it; tests look whether it is. */
export function readYaml<T>(name: string): T {
  return parse(readText(name), { merge: true }) as T;
}

/** A file with several YAML documents. */
export function readManifests(name: string): Manifest[] {
  return parseAllDocuments(readText(name)).map((document) => document.toJS() as Manifest);
}

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
}

/** `NAME=value` lines of a file, without comments. */
export function readEnvironmentFile(name: string): Record<string, string> {
  const lines = readText(name).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return Object.fromEntries(lines.map((line) => {
    const at = line.indexOf("=");
    return [line.slice(0, at), line.slice(at + 1)];
  }));
}

/** The value of a directive of a systemd unit; the last one where there are several. */
export function directive(unit: string, name: string): string {
  return [...unit.matchAll(new RegExp(`^${name}=(.*)$`, "gm"))].at(-1)?.[1] ?? "";
}

/** Bytes of `2g`, `2Gi` or `2G`. */
export function toBytes(text: string): number {
  const [, count = "", unit = ""] = /^(\d+)([kmg])i?$/i.exec(text) ?? [];
  return Number(count) * 1024 ** ("kmg".indexOf(unit.toLowerCase()) + 1);
}
