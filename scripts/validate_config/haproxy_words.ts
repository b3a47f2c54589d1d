/**
 * The words of a line of HAProxy's configuration: quotes may begin anywhere, single ones keep everything, a backslash
 * takes the next character, `#` begins a comment. Knows no keyword. There is no parser of HAProxy files on npm.
 */

/** The words of a line, or what is wrong with it. */
export type ReadWords = { readonly words: readonly string[] } | { readonly problem: string };

/**
 * @param variables what `setenv` has said so far; others stay as they are written, for they are those of another machine
 */
export function splitWords(line: string, variables: ReadonlyMap<string, string>): ReadWords {
  const words: string[] = [];
  let word: string | undefined;
  for (let at = 0; at < line.length; at++) {
    const char = line.charAt(at);
    if (char === "#") break;
    if (/[ \t\r\v\f]/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (char === "'" || char === '"') {
      const end = closing(line, at);
      if (end === -1) return { problem: `unmatched quote at position ${at}` };
      const inside = line.slice(at + 1, end);
      word = (word ?? "") + (char === "'" ? inside : weak(inside, variables));
      at = end;
    } else if (char === "\\") {
      at++;
      word = (word ?? "") + line.charAt(at);
    } else word = (word ?? "") + char;
  }
  if (word !== undefined) words.push(word);
  return { words };
}

/** What stands between double quotes: escapes and variables count there. */
function weak(text: string, variables: ReadonlyMap<string, string>): string {
  return text.replaceAll(
    /\\(["\\$ #])|\$(?:\{(\w+)(?:-([^}]*))?\}|(\w+))/g,
    (whole, escaped?: string, braced?: string, fallback?: string, bare?: string) =>
      escaped ?? variables.get(braced ?? bare ?? "") ?? fallback ?? whole,
  );
}

/** Where the quote that opens at a place ends; -1 when it does not. */
function closing(line: string, open: number): number {
  const quote = line[open];
  for (let at = open + 1; at < line.length; at++) {
    if (quote === '"' && line[at] === "\\") at++;
    else if (line[at] === quote) return at;
  }
  return -1;
}
