/** How much of the client a page loads. On Node only: the bundle is the same whoever makes it. */
import { describe, it } from "node:test";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { assertGreater, assertLessOrEqual } from "@std/assert";

const MAX_BYTES = 6 * 1024;
const isNode = process.versions["bun"] === undefined && process.versions["deno"] === undefined;

describe("the client's bundle", { skip: !isNode && "esbuild is run by Node" }, () => {
  it(`is at most ${MAX_BYTES} bytes with gzip: everything of mod.ts, JSON included`, async () => {
    const { build } = await import("esbuild");
    const { outputFiles: [file] } = await build({
      ...{ entryPoints: [fileURLToPath(new URL("../../client/mod.ts", import.meta.url))], write: false },
      ...{ bundle: true, minify: true, format: "esm", target: "es2022" },
    });
    const bytes = gzipSync(file?.contents ?? "", { level: 9 }).length;
    assertGreater(bytes, 3_000);
    assertLessOrEqual(bytes, MAX_BYTES);
  });
});
