/**
 * The colours of a report in light and dark, as CSS variables that pages and drawings share.
 * Text has a contrast of at least 4.5 to its background, and marks of at least 3 (WCAG 2.2, 1.4.3 and 1.4.11).
 */

const LIGHT = {
  "paper": "#ffffff",
  "ink": "#1b1d21",
  "muted": "#565b64",
  "grid": "#dfe2e6",
  "panel": "#f4f5f7",
  "link": "#0b5cad",
  "ours": "#1668b8",
  "native": "#b4540a",
  "server": "#2f7d4f",
  "other": "#757c87",
  "ceiling": "#8a6f1d",
  "mark-1": "#1668b8",
  "mark-2": "#b4540a",
  "mark-3": "#2f7d4f",
};

const DARK: typeof LIGHT = {
  "paper": "#14161a",
  "ink": "#e9ebee",
  "muted": "#a9afb9",
  "grid": "#343942",
  "panel": "#1f2329",
  "link": "#7cb7f2",
  "ours": "#5aa6ee",
  "native": "#e59a55",
  "server": "#6fc18f",
  "other": "#99a1ad",
  "ceiling": "#cdb05a",
  "mark-1": "#5aa6ee",
  "mark-2": "#e59a55",
  "mark-3": "#6fc18f",
};

const declarations = (colours: typeof LIGHT) =>
  Object.entries(colours).map(([name, value]) => `--${name}:${value}`).join(";");

/** Declares the variables for `selector`, and again for whoever prefers dark. */
export function colours(selector: string): string {
  return `${selector}{${declarations(LIGHT)}}` +
    `@media (prefers-color-scheme:dark){${selector}{${declarations(DARK)}}}`;
}
