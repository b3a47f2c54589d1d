/**
 * The manual is true: what its pages show compiles, parses or is accepted, their links lead somewhere, and what is listed
 * in them is what the code has. Pages that are followed command by command are in walkthrough.test.ts.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { transformSync } from "esbuild";
import { parseAllDocuments } from "yaml";
import { optionsPage } from "../../scripts/options_page.ts";
import { closeTable } from "../../server/close.ts";
import { flagName } from "../../server/config.ts";
import { optionNames } from "../../server/options.ts";
import { ErrorCode } from "../../server/protocol/protocol.ts";
import { toCommand } from "../../server/protocol/command.ts";
import { brokenLinks, type CodeBlock, manualPages, type Page, readPage, ROOT } from "./page.ts";
import { shellProblems } from "./shell.ts";

/** What a page says is the same on every runtime. */
const isNode = !("Bun" in globalThis) && !("Deno" in globalThis);
/** Shown, not run: what programs print, and other people's protocols. */
const SHOWN = new Set(["text", "http", "diff", "xml"]);

const pages = manualPages();

function blocksOf(...languages: readonly string[]): { page: Page; block: CodeBlock; name: string }[] {
  return pages.flatMap((page) =>
    page.blocks.filter(({ language }) => languages.includes(language))
      .map((block) => ({ page, block, name: `${page.path}:${block.line}` }))
  );
}

/** Values of JSON that follow each other. */
function jsonValues(text: string): unknown[] {
  const values: unknown[] = [];
  let pending = "";
  for (const line of text.split("\n")) {
    pending += `${line}\n`;
    try {
      values.push(JSON.parse(pending));
      pending = "";
    } catch {
      // The value goes on in the next line.
    }
  }
  if (pending.trim() !== "") JSON.parse(pending);
  return values;
}

function parserOf(language: string): ((text: string) => unknown) | undefined {
  switch (language) {
    case "json":
      return jsonValues;
    case "yaml":
      return (text) => {
        for (const { errors } of parseAllDocuments(text)) if (errors[0]) throw errors[0];
      };
    case "js":
    case "jsx":
    case "css":
      return (text) => transformSync(text, { loader: language });
    default:
      return undefined;
  }
}

describe("the manual", { skip: !isNode }, () => {
  for (const page of pages) {
    it(`${page.path}: every link leads somewhere`, () => assertEquals(brokenLinks(page), []));
  }

  it("says of every block what it is", () => {
    const known = new Set([
      ...SHOWN,
      ...[
        "ts",
        "tsx",
        "sh",
        "json",
        "yaml",
        "js",
        "jsx",
        "css",
        "html",
        "python",
        "nginx",
        "haproxy",
        "ini",
        "dockerfile",
      ],
    ]);
    const unknown = pages.flatMap(({ path, blocks }) =>
      blocks.filter(({ language }) => !known.has(language)).map(({ line, language }) =>
        `${path}:${line} ${language}`
      )
    );
    assertEquals(unknown, []);
  });

  it("shows commands that the shell, npm and the tools accept", () => {
    const problems = blocksOf("sh").flatMap(({ block, name }) =>
      shellProblems(block.text).map((problem) => `${name}: ${problem}`)
    );
    assertEquals(problems, []);
  });

  it("shows data and scripts that parse", () => {
    for (const { block, name } of blocksOf("json", "yaml", "js", "jsx", "css")) {
      try {
        parserOf(block.language)?.(block.text);
      } catch (error) {
        throw new Error(`${name}: ${(error as Error).message}`);
      }
    }
  });

  it("shows commands that the protocol takes", () => {
    for (const { block, name } of blocksOf("json")) {
      for (const value of jsonValues(block.text)) {
        const { type } = (value ?? {}) as { type?: unknown };
        if (!["subscribe", "unsubscribe", "publish", "history", "auth"].includes(String(type))) continue;
        assert(toCommand(value).type === type, name);
      }
    }
  });

  it("shows Python that compiles", () => {
    for (const { block, name } of blocksOf("python")) {
      const args = ["-c", "import sys; compile(sys.stdin.read(), 'block', 'exec')"];
      const { status, stderr } = spawnSync("python3", args, { input: block.text, encoding: "utf8" });
      assertEquals(status, 0, `${name}: ${stderr}`);
    }
  });
});

describe("TypeScript in the manual", { skip: !isNode }, () => {
  let folder = "";

  before(() => {
    mkdirSync(join(ROOT, "node_modules/.cache"), { recursive: true });
    folder = mkdtempSync(join(ROOT, "node_modules/.cache/manual-"));
  });
  after(() => rmSync(folder, { recursive: true }));

  it("compiles as it stands", () => {
    const names = new Map<string, string>();
    for (const [at, { block, name, page }] of blocksOf("ts", "tsx").entries()) {
      // Next to its page as the compiler sees it, so that relative imports mean the same.
      const place = block.comment.includes("file ") ? "." : join(page.path, "..");
      const file = join(place, `block_${at}.${block.language}`);
      mkdirSync(join(folder, place), { recursive: true });
      writeFileSync(join(folder, file), `${block.text}\nexport {};\n`);
      names.set(file, name);
    }
    writeFileSync(
      join(folder, "tsconfig.json"),
      JSON.stringify({
        extends: join(ROOT, "tsconfig.json"),
        compilerOptions: {
          rootDirs: [ROOT, folder],
          jsx: "react-jsx",
          noUnusedLocals: false,
          noUnusedParameters: false,
          moduleDetection: "force",
          types: ["node", "bun"],
          typeRoots: [join(ROOT, "node_modules/@types")],
          paths: {
            "@std/assert": [join(ROOT, "node_modules/deno-std/assert/mod.js")],
            "millrace": [join(ROOT, "server/mod.ts")],
            "@millrace/client": [join(ROOT, "client/mod.ts")],
            "@millrace/client/*": [join(ROOT, "client/*.ts")],
          },
        },
        include: [folder],
      }),
    );
    const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
    const { stdout } = spawnSync(process.execPath, [tsc, "-p", folder, "--pretty", "false"], {
      encoding: "utf8",
    });
    const errors = stdout.split("\n").filter((line) => line.includes("error"))
      .map((line) =>
        line.replace(/\S*?((?:\w+\/)*block_\d+\.tsx?)/, (path, file: string) => names.get(file) ?? path)
      );
    assertEquals(errors, []);
  });
});

describe("what the manual lists", { skip: !isNode }, () => {
  const textOf = (path: string): string => readFileSync(join(ROOT, path), "utf8");
  const unaligned = (text: string): string => text.replaceAll(/ +/g, " ").replaceAll(/-{3,}/g, "---");

  it("is every option, as the table of options has them (npm run docs:options)", () => {
    assertEquals(unaligned(textOf("docs/options.md")), unaligned(optionsPage()));
  });

  it("names no option that does not exist", () => {
    const flags = new Set(optionNames.map((name) => `--${flagName(name)}`));
    // In tables of pages about the server alone; tools have flags of their own.
    for (const path of ["docs/limits.md", "docs/authentication.md", "docs/delivery.md", "docs/protocol.md"]) {
      for (const [, flag = ""] of textOf(path).matchAll(/`(--[a-z-]+)/g)) {
        assert(
          flags.has(flag) || ["--config", "--help", "--print-config"].includes(flag),
          `${path}: ${flag}`,
        );
      }
    }
  });

  it("is every close code and every error code", () => {
    const protocol = textOf("docs/protocol.md");
    for (const code of Object.keys(closeTable)) {
      assert(protocol.includes(code), `docs/protocol.md: close code ${code}`);
    }
    for (const code of Object.values(ErrorCode)) {
      assert(protocol.includes(`\`${code}\``), `docs/protocol.md: error code ${code}`);
    }
  });

  it("is every page, in docs/README.md", () => {
    const listed = new Set(readPage("docs/README.md").links);
    const missing = pages.map(({ path }) => path).filter((path) => /^docs\/[^/]+\.md$/.test(path))
      .map((path) => path.slice("docs/".length)).filter((name) => name !== "README.md" && !listed.has(name));
    assertEquals(missing, []);
  });
});
