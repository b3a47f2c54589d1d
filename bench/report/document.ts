/**
 * What a report is made of: blocks that HTML and Markdown write each in their own way, so that both say the same.
 * In texts, `code` stands between backticks; there is no other markup. It must never know a benchmark.
 */

/** A table; the first column names the rows. */
export interface Table {
  readonly caption: string;
  readonly columns: readonly { readonly title: string; readonly isNumeric?: boolean }[];
  readonly rows: readonly (readonly string[])[];
  /** For those who doubt: everybody else passes by its caption. */
  readonly isFolded?: boolean;
}

/** A drawing with the same figures as text. */
export interface Chart {
  /** Unique in a report; the name of its file. */
  readonly id: string;
  readonly title: string;
  /** What it shows and how to read it, for those who cannot see it. */
  readonly description: string;
  /** An SVG document whose colours are CSS variables; see chart.ts. */
  readonly svg: string;
  readonly table: Table;
}

export type Block =
  | { readonly type: "heading"; readonly text: string }
  | { readonly type: "subheading"; readonly text: string }
  | { readonly type: "paragraph"; readonly text: string }
  | { readonly type: "list"; readonly items: readonly string[]; readonly isNumbered?: boolean }
  | { readonly type: "table"; readonly table: Table }
  | { readonly type: "charts"; readonly charts: readonly Chart[] }
  | { readonly type: "code"; readonly text: string };

/** A whole report. */
export interface Report {
  readonly title: string;
  /** One line under the title: date, machine, commit. */
  readonly subtitle: string;
  readonly blocks: readonly Block[];
}

export const heading = (text: string): Block => ({ type: "heading", text });
export const subheading = (text: string): Block => ({ type: "subheading", text });
export const paragraph = (text: string): Block => ({ type: "paragraph", text });
export const list = (items: readonly string[]): Block => ({ type: "list", items });
export const code = (text: string): Block => ({ type: "code", text });

/** A table block; columns whose title begins with `#` are numeric. */
export function tableBlock(caption: string, titles: readonly string[], rows: Table["rows"]): Block {
  return { type: "table", table: table(caption, titles, rows) };
}

/** A table block that shows its caption until it is opened. */
export function foldedTable(caption: string, titles: readonly string[], rows: Table["rows"]): Block {
  return { type: "table", table: { ...table(caption, titles, rows), isFolded: true } };
}

/** A table; columns whose title begins with `#` are numeric. */
export function table(caption: string, titles: readonly string[], rows: Table["rows"]): Table {
  const columns = titles.map((title) =>
    title.startsWith("#") ? { title: title.slice(1), isNumeric: true } : { title }
  );
  return { caption, columns, rows };
}

/** Charts, or a sentence in their place when there is nothing to draw. */
export function chartsOr(charts: readonly (Chart | undefined)[], missing: string): Block {
  const drawn = charts.filter((chart) => chart !== undefined);
  return drawn.length === 0 ? paragraph(missing) : { type: "charts", charts: drawn };
}
