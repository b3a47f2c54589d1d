/**
 * A report as one page that needs nothing else: no script, no font, no image, no request.
 * It must never know what a report is about.
 */
import type { Block, Chart, Report, Table } from "./document.ts";
import { escapeMarkup, inlineSvg } from "./svg.ts";
import { colours } from "./theme.ts";

/** Whatever slips in that would ask the network is refused by the browser. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

const STYLE = `${colours(":root")}
:root{color-scheme:light dark}
*{box-sizing:border-box}
body{margin:0 auto;max-width:72rem;padding:1rem 1rem 4rem;background:var(--paper);color:var(--ink);
font:1rem/1.55 system-ui,sans-serif;overflow-wrap:break-word}
h1{font-size:1.7rem;line-height:1.2;margin:1rem 0 .25rem}
h2{font-size:1.3rem;margin:2.75rem 0 .5rem;padding-top:.75rem;border-top:1px solid var(--grid)}
h3{font-size:1.05rem;margin:1.75rem 0 .5rem}
p,li{max-width:46rem}
.subtitle,caption,figcaption p{color:var(--muted)}
ol.answer{padding-left:1.4rem}ol.answer li{margin:.5rem 0}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(21rem,100%),1fr));gap:1.5rem 2rem;
align-items:start}
figure{margin:0;min-width:0}
figure h3{margin:.5rem 0}
figcaption p{margin:.25rem 0 .5rem;font-size:.875rem}
svg{display:block;width:100%;max-width:30rem;height:auto}
.scroll{overflow-x:auto;margin:.5rem 0 1rem}
table{border-collapse:collapse;font-size:.875rem;line-height:1.35}
caption{text-align:left;padding:.25rem 0;max-width:calc(100vw - 2rem)}
th,td{padding:.3rem .75rem .3rem 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--grid);
font-weight:400}
thead th{font-weight:600;vertical-align:bottom}
td:first-child,th[scope=row]{min-width:8rem}
.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
summary{cursor:pointer;color:var(--link);padding:.25rem 0}
code,pre{font:.875em ui-monospace,monospace;background:var(--panel);border-radius:.25rem}
code{padding:.1em .3em}
pre{padding:.75rem;overflow-x:auto}
a{color:var(--link)}
:focus-visible{outline:2px solid var(--link);outline-offset:2px}`;

/** The whole page. */
export function toHtml({ title, subtitle, blocks }: Report): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<link rel="icon" href="data:,">
<title>${escapeMarkup(title)}</title>
<style>
${STYLE}
</style>
</head>
<body>
<main>
<h1>${escapeMarkup(title)}</h1>
<p class="subtitle">${inline(subtitle)}</p>
${blocks.map(toBlock).join("\n")}
</main>
</body>
</html>
`;
}

function toBlock(block: Block): string {
  switch (block.type) {
    case "heading":
      return `<h2>${inline(block.text)}</h2>`;
    case "subheading":
      return `<h3>${inline(block.text)}</h3>`;
    case "paragraph":
      return `<p>${inline(block.text)}</p>`;
    case "code":
      return `<pre tabindex="0">${escapeMarkup(block.text)}</pre>`;
    case "list": {
      const items = block.items.map((item) => `<li>${inline(item)}</li>`).join("\n");
      return block.isNumbered ? `<ol class="answer">\n${items}\n</ol>` : `<ul>\n${items}\n</ul>`;
    }
    case "table":
      return block.table.isFolded ? folded(inline(block.table.caption), block.table) : toTable(block.table);
    case "charts":
      return `<div class="charts">\n${block.charts.map(toFigure).join("\n")}\n</div>`;
  }
}

function toFigure(chart: Chart): string {
  return `<figure>
<h3>${inline(chart.title)}</h3>
${inlineSvg(chart)}
<figcaption><p>${inline(chart.description)}</p></figcaption>
${folded("The figures as a table", chart.table)}
</figure>`;
}

function folded(summary: string, table: Table): string {
  return `<details><summary>${summary}</summary>\n${toTable(table)}\n</details>`;
}

/** Tables wider than a phone scroll by themselves, also with the keyboard. */
function toTable({ caption, columns, rows }: Table): string {
  const style = (at: number) => columns[at]?.isNumeric ? ' class="number"' : "";
  const titles = columns.map(({ title }, at) => `<th scope="col"${style(at)}>${inline(title)}</th>`).join("");
  const lines = rows.map((row) =>
    `<tr>${
      row.map((text, at) =>
        at === 0 ? `<th scope="row">${inline(text)}</th>` : `<td${style(at)}>${inline(text)}</td>`
      ).join("")
    }</tr>`
  );
  return `<div class="scroll" tabindex="0" role="region" aria-label="${escapeMarkup(caption)}">
<table><caption>${inline(caption)}</caption>
<thead><tr>${titles}</tr></thead>
<tbody>
${lines.join("\n")}
</tbody></table></div>`;
}

function inline(text: string): string {
  return escapeMarkup(text).replace(/`([^`]+)`/g, "<code>$1</code>");
}
