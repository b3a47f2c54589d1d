/**
 * The report in Debian's Chromium, on a phone and on a desk, in light and in dark. On Node only: it drives the browser
 * with playwright-core, which is made for Node, and the page is the same whichever runtime wrote it.
 * MILLRACE_SCREENSHOTS=FOLDER keeps a picture of each.
 */
import { after, before, describe, it } from "node:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { assert, assertEquals, assertGreater } from "@std/assert";
import type { BrowserContext, Page } from "playwright-core";
import type { Chart, Report } from "../../bench/report/document.ts";
import { writeReport } from "../../bench/report/main.ts";
import { parseResults } from "../../bench/report/results.ts";
import { makeReport } from "../../bench/report/sections.ts";
import { launchBrowser, legible, SCHEMES, SIZES, textFaults, whyNoBrowser } from "../helpers/browser.ts";
import { fullResults } from "./report_data.ts";

const skip = whyNoBrowser();

const reports = fileURLToPath(new URL("../../bench/reports/", import.meta.url));

/** Published reports are held to the same as the one that is made here. */
function publishedPages(): string[] {
  try {
    return readdirSync(reports, { withFileTypes: true }).filter((entry) => entry.isDirectory())
      .map(({ name }) => join(reports, name, "index.html"));
  } catch {
    return []; // Nothing has been published yet.
  }
}

/** Drawings by id of their title, with the number of marks in each. */
function drawings(): [string, number][] {
  return [...document.querySelectorAll("figure svg")].map((svg) => [
    svg.querySelector("title")?.id.replace(/-title$/, "") ?? "",
    [...svg.querySelectorAll(".mark")].filter((mark) => mark.getBoundingClientRect().width > 0).length,
  ]);
}

describe("a report in a browser", { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-report-"));
  const profile = mkdtempSync(join(tmpdir(), "millrace-chromium-"));
  const report: Report = makeReport(parseResults(fullResults()), undefined);
  const charts: Chart[] = report.blocks.flatMap((block) => block.type === "charts" ? block.charts : []);
  const made = join(folder, "index.html");
  let context: BrowserContext;

  before(async () => {
    writeReport(report, folder);
    context = await launchBrowser(profile);
  });

  after(async () => {
    await context?.close();
    rmSync(folder, { recursive: true });
    rmSync(profile, { recursive: true });
  });

  /** Opens a page and collects what it says to the console and asks of the network. */
  async function open(path: string): Promise<{ page: Page; complaints: string[] }> {
    const page = await context.newPage();
    const complaints: string[] = [];
    const url = pathToFileURL(path).href;
    page.on("console", (message) => complaints.push(`console: ${message.text()}`));
    page.on("pageerror", (error) => complaints.push(`error: ${error.message}`));
    page.on("request", (request) => {
      if (request.url() !== url && !request.url().startsWith("data:")) complaints.push(request.url());
    });
    await page.goto(url, { waitUntil: "load" });
    // tsx names functions with a helper that the page does not have.
    await page.evaluate("globalThis.__name = (named) => named");
    return { page, complaints };
  }

  for (const path of [made, ...publishedPages()]) {
    const name = path === made ? "a report of all workloads" : path.slice(reports.length);
    for (const size of SIZES) {
      for (const scheme of SCHEMES) {
        it(`shows ${name} at ${size.width} pixels in ${scheme}: legible, nothing cut off, nothing asked`, async () => {
          const { page, complaints } = await open(path);
          try {
            await page.setViewportSize(size);
            await page.emulateMedia({ colorScheme: scheme });
            await page.evaluate(() => document.querySelectorAll("details").forEach((one) => one.open = true));
            assertEquals(complaints, []);
            const width = await page.evaluate(() => document.documentElement.scrollWidth);
            assertEquals(width, size.width, "the page scrolls sideways");
            assertEquals(await page.evaluate(textFaults, legible), []);
            for (const [id, marks] of await page.evaluate(drawings)) {
              assertGreater(marks, 0, `${id} is empty`);
            }
            await keepPicture(page, `${size.width}-${scheme}`);
          } finally {
            await page.close();
          }
        });
      }
    }
  }

  it("has every chart, with a mark for every row of its table, a name and a description", async () => {
    const { page } = await open(made);
    try {
      const found = new Map(await page.evaluate(drawings));
      assertEquals([...found.keys()], charts.map(({ id }) => id));
      for (const { id, table } of charts) {
        // Drawings of ratios show the most telling rows only.
        assertGreater(found.get(id) ?? 0, Math.min(table.rows.length, 24) - 1, id);
      }
      const named = await page.getByRole("img", { name: "Echo, 8 messages in flight" }).count();
      assertEquals(named, 1);
    } finally {
      await page.close();
    }
  });

  it("sees what it looks for: faults of a broken page are found", async () => {
    const { page, complaints } = await open(made);
    try {
      await page.setViewportSize(SIZES[0] as { width: number; height: number });
      await page.evaluate(() => {
        document.body.insertAdjacentHTML("beforeend", '<p style="color:#999;width:600px">pale and wide</p>');
        document.querySelector("svg text")?.setAttribute("transform", "translate(-50 20)");
        document.body.insertAdjacentHTML("beforeend", '<img src="http://127.0.0.1:9/x.png" alt="">');
      });
      const faults = await page.evaluate(textFaults, legible);
      assert(faults.some((fault) => fault.startsWith("P pale and wide: contrast")), faults.join("; "));
      assert(faults.some((fault) => fault.endsWith("outside of its drawing")), faults.join("; "));
      assertGreater(await page.evaluate(() => document.documentElement.scrollWidth), 390);
      assert(complaints.some((text) => text.includes("Content Security Policy")), complaints.join("; "));
    } finally {
      await page.close();
    }
  });
});

async function keepPicture(page: Page, name: string): Promise<void> {
  const pictures = process.env["MILLRACE_SCREENSHOTS"];
  if (pictures === undefined) return;
  mkdirSync(pictures, { recursive: true });
  await page.evaluate(() => document.querySelectorAll("details").forEach((one) => one.open = false));
  await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true });
}
