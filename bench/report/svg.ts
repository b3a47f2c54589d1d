/**
 * A drawing as a part of a page, and as a file of its own that carries its colours with it.
 * It must never change what is drawn.
 */
import type { Chart } from "./document.ts";
import { colours } from "./theme.ts";

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
};

/** For text between tags and in double quotes. */
export function escapeMarkup(text: string): string {
  return text.replace(/[&<>"]/g, (character) => ESCAPES[character] ?? character);
}

/** The drawing with its name and description for those who cannot see it. */
export function inlineSvg({ id, title, description, svg }: Chart): string {
  const names = `role="img" aria-labelledby="${id}-title ${id}-description"`;
  const texts = `<title id="${id}-title">${escapeMarkup(title)}</title>` +
    `<desc id="${id}-description">${escapeMarkup(description)}</desc>`;
  return svg.replace(/<svg ([^>]*)>/, (_, attributes: string) => `<svg ${attributes} ${names}>${texts}`);
}

/** The same with its own paper and colours: an image knows nothing of the page around it. */
export function standaloneSvg(chart: Chart): string {
  const style = `<style>${
    colours("svg")
  }</style><rect width="100%" height="100%" fill="var(--paper)"></rect>`;
  return `${inlineSvg(chart).replace("</desc>", `</desc>${style}`)}\n`;
}
