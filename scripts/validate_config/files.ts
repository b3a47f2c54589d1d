/** The files of a configuration: reading them, and the wildcards of nginx's include. Knows no syntax. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

/** A file's text, or in words why there is none. */
export type ReadText = { readonly text: string } | { readonly problem: string };

export function readText(path: string): ReadText {
  try {
    return { text: readFileSync(path, "utf8") };
  } catch (error) {
    return { problem: reasonOf(error as NodeJS.ErrnoException) };
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "does not exist",
  EACCES: "may not be read",
  EISDIR: "is a folder",
};

function reasonOf(error: NodeJS.ErrnoException): string {
  return REASONS[error.code ?? ""] ?? error.message;
}

export function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

export function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/** Names in a folder, sorted; none when it cannot be read. */
export function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return []; // Not there or not ours to read: a wildcard then matches nothing, as in nginx.
  }
}

/** Whether a path has wildcards as glob(7) has them. */
export function hasWildcard(path: string): boolean {
  return /[*?[]/.test(path);
}

/** What an absolute path with wildcards stands for, sorted. Hidden files match only a pattern that begins with a dot. */
export function glob(pattern: string): string[] {
  let found = ["/"];
  for (const segment of pattern.split("/").filter((part) => part !== "")) {
    if (!hasWildcard(segment)) {
      found = found.map((folder) => join(folder, segment));
      continue;
    }
    const wanted = segmentPattern(segment);
    found = found.flatMap((folder) =>
      namesIn(folder)
        .filter((name) => wanted.test(name) && (segment.startsWith(".") || !name.startsWith(".")))
        .map((name) => join(folder, name))
    );
  }
  return found.filter(isFile);
}

function segmentPattern(segment: string): RegExp {
  const source = segment.replaceAll(/\[!/g, "[^").replaceAll(/[.+(){}|\\$]/g, "\\$&")
    .replaceAll("*", ".*").replaceAll("?", ".");
  return new RegExp(`^${source}$`);
}
