/**
 * Debian's Chromium for tests of pages, driven with playwright-core from Node only; and what every page is held to,
 * on a phone and on a desk, in light and in dark.
 */
import process from "node:process";
import type { BrowserContext } from "playwright-core";
import { findProgram, whyMissing } from "../../scripts/debian.ts";

/** Why no page can be looked at here; false when one can. */
export function whyNoBrowser(): string | false {
  const isNode = process.versions["bun"] === undefined && process.versions["deno"] === undefined;
  return isNode ? whyMissing("chromium") : "playwright-core drives browsers from Node only";
}

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

/** @param profile a folder of the test's own */
export async function launchBrowser(profile: string): Promise<BrowserContext> {
  // Loaded here, so that runtimes that skip this need not understand it.
  const { chromium } = await import("playwright-core");
  const executablePath = findProgram("chromium") as string;
  return await chromium.launchPersistentContext(profile, { executablePath, headless: true, args: FLAGS });
}

export const SIZES = [{ width: 390, height: 844 }, { width: 1400, height: 900 }];
export const SCHEMES = ["light", "dark"] as const;

export interface Legible {
  readonly leastContrast: number;
  readonly leastPixels: number;
}

/** WCAG 2.2, 1.4.3; CSS pixels, after a drawing has been fitted to the page. */
export const legible: Legible = { leastContrast: 4.5, leastPixels: 11 };

/** What is wrong with the text of a page: too little contrast, too small, or outside of its drawing. */
export function textFaults({ leastContrast, leastPixels }: Legible): string[] {
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
