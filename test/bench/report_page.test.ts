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
import { findProgram, whyMissing } from "../../scripts/debian.ts";
import { fullResults } from "./report_data.ts";

const isNode = process.versions["bun"] === undefined && process.versions["deno"] === undefined;
const skip = isNode ? whyMissing("chromium") : "playwright-core drives browsers from Node only";

/** No service of Chromium's own may ask the network for anything. */
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const SIZES = [{ width: 390, height: 844 }, { width: 1400, height: 900 }];
const SCHEMES = ["light", "dark"] as const;

interface Legible {
  readonly leastContrast: number;
  readonly leastPixels: number;
}

/** WCAG 2.2, 1.4.3; CSS pixels, after a drawing has been fitted to the page. */
const legible: Legible = { leastContrast: 4.5, leastPixels: 11 };

const reports = fileURLToPath(new URL("../../bench/reports/", import.meta.url));

/** Published reports are held to the same as the one that is made here. */
function publishedPages(): string[] {
  try {
    return readdirSync(reports).map((name) => join(reports, name, "index.html"));
  } catch {
    return []; // Nothing has been published yet.
  }
}

/** What is wrong with the text of a page: too little contrast, too small, or outside of its drawing. */
function textFaults({ leastContrast, leastPixels }: Legible): string[] {
  const luminance = (colour: string): number => {
    const [red = 0, green = 0, blue = 0] = (colour.match(/[\d.]+/g) ?? []).map((part) => {
      const value = Number(part) / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const backgroundOf = (element: Element | null): string => {
    for (let at = element; at !== null; at = at.parentElement) {
      const { backgroundColor } = getComputedStyle(at);
      if (backgroundColor !== "rgba(0, 0, 0, 0)") return backgroundColor;
    }
    return "rgb(255, 255, 255)";
  };
  const faults: string[] = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent?.trim());
    const box = element.getBoundingClientRect();
    if (!own || box.width === 0 || element.closest("title, desc")) continue;
    const style = getComputedStyle(element);
    const drawing = element.closest("svg");
    const [lighter = 0, darker = 0] = [drawing ? style.fill : style.color, backgroundOf(element)].map(
      luminance,
    )
      .sort((a, b) => b - a);
    const contrast = (lighter + 0.05) / (darker + 0.05);
    const name = `${element.tagName} ${element.textContent?.slice(0, 30)}`;
    if (contrast < leastContrast) faults.push(`${name}: contrast ${contrast.toFixed(2)}`);
    const frame = drawing?.getBoundingClientRect();
    const scale = drawing && frame ? frame.width / drawing.viewBox.baseVal.width : 1;
    const pixels = parseFloat(style.fontSize) * scale;
    if (pixels < leastPixels) faults.push(`${name}: ${pixels.toFixed(1)} pixels`);
    if (
      frame && (box.left < frame.left - 1 || box.right > frame.right + 1 || box.bottom > frame.bottom + 1)
    ) {
      faults.push(`${name}: outside of its drawing`);
    }
  }
  return faults;
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
    // Loaded here, so that runtimes that skip this need not understand it.
    const { chromium } = await import("playwright-core");
    const executablePath = findProgram("chromium") as string;
    context = await chromium.launchPersistentContext(profile, {
      executablePath,
      headless: true,
      args: FLAGS,
    });
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
