import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { assertEquals } from "@std/assert";
import { chainExpirySeconds } from "../../server/observe/certificate.ts";
import { withFile } from "../helpers/temp_file.ts";

const fixture = (name: string) =>
  readFileSync(fileURLToPath(new URL(`../fixtures/${name}.cert.pem`, import.meta.url)), "utf8");
const EARLIER_SECONDS = Date.UTC(2126, 9, 29, 15, 50, 15) / 1000;
const LATER_SECONDS = Date.UTC(2126, 9, 29, 17, 25, 32) / 1000;

describe("the expiry of a certificate chain", () => {
  const cases: [string, string, number][] = [
    ["one certificate", fixture("renewed"), LATER_SECONDS],
    ["two, the first of which expires earlier", fixture("localhost") + fixture("renewed"), EARLIER_SECONDS],
    ["two, the second of which expires earlier", fixture("renewed") + fixture("localhost"), EARLIER_SECONDS],
  ];
  for (const [name, pem, expiry] of cases) {
    it(`is when the first of it expires: ${name}`, async () => {
      await withFile(pem, (path) => assertEquals(chainExpirySeconds(path), expiry));
    });
  }
});
