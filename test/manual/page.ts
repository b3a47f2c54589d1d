/**
 * A page of the manual as its tests see it: code blocks with their lines and the comment before them, links, anchors.
 * It must never know what a block means.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import GithubSlugger from "github-slugger";
import { lexer, type Token, type Tokens, walkTokens } from "marked";

/** The folder of the project. */
export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** A fenced block. */
export interface CodeBlock {
  readonly language: string;
  readonly text: string;
  /** Of its first line in the page, from 1. */
  readonly line: number;
  /** The HTML comment right before it, which readers do not see; empty without one. */
  readonly comment: string;
}

export interface Page {
  /** From the project's folder. */
  readonly path: string;
  readonly blocks: readonly CodeBlock[];
  /** As they are written. */
  readonly links: readonly string[];
  /** What a link can name after `#`. */
  readonly anchors: ReadonlySet<string>;
}

/** The README and its like, the manual, and what lies beside examples and files to deploy. */
export function manualPages(): Page[] {
  const folders = ["docs", "examples", "deploy", "client"].filter((folder) => existsSync(join(ROOT, folder)));
  const nested = folders.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".md") && !name.includes("node_modules"))
      .map((name) => join(folder, name))
  );
  return ["README.md", "CONTRIBUTING.md", "SECURITY.md", ...nested.sort()].map(readPage);
}

/** Reads a page; `path` is from the project's folder. */
export function readPage(path: string): Page {
  const source = readFileSync(join(ROOT, path), "utf8");
  const blocks: CodeBlock[] = [];
  const links: string[] = [];
  const anchors = new Set<string>();
  const slugger = new GithubSlugger();
  let at = 0;
  let comment = "";
  for (const token of lexer(source)) {
    const start = source.indexOf(token.raw, at);
    if (isCode(token)) {
      const line = source.slice(0, start).split("\n").length + 1;
      blocks.push({ language: token.lang ?? "", text: token.text, line, comment });
    }
    if (token.type !== "space") comment = COMMENT.exec(token.raw)?.[1] ?? "";
    at = start + token.raw.length;
    walkTokens([token], (inner) => {
      if (inner.type === "link" || inner.type === "image") links.push((inner as Tokens.Link).href);
      if (inner.type === "heading") {
        anchors.add(slugger.slug((inner as Tokens.Heading).text.replaceAll("`", "")));
      }
    });
  }
  return { path, blocks, links, anchors };
}

const COMMENT = /^\s*<!-- (.*?) -->\s*$/s;

function isCode(token: Token): token is Tokens.Code {
  return token.type === "code";
}

/** What is wrong with the links of a page; external ones are not visited. */
export function brokenLinks(page: Page): string[] {
  return page.links.flatMap((link) => {
    if (/^(https:|mailto:)/.test(link)) return URL.canParse(link) ? [] : [`${link}: not a URL`];
    if (/^[a-z]+:/.test(link)) return [`${link}: neither https: nor a file`];
    const [file = "", anchor] = link.split("#");
    const path = file === "" ? page.path : relative(ROOT, join(ROOT, dirname(page.path), decodeURI(file)));
    if (!existsSync(join(ROOT, path))) return [`${link}: there is no ${path}`];
    if (anchor === undefined || !path.endsWith(".md")) return [];
    return readPage(path).anchors.has(anchor) ? [] : [`${link}: ${path} has no heading for it`];
  });
}
