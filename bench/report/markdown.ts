/**
 * A report as Markdown for the repository, with its drawings in files beside it.
 * It must never know what a report is about.
 */
import type { Block, Chart, Report, Table } from "./document.ts";

/** The whole page. Each chart is expected in `<id>.svg` beside it. */
export function toMarkdown({ title, subtitle, blocks }: Report): string {
  return `# ${plain(title)}\n\n${plain(subtitle)}\n\n${blocks.map(toBlock).join("\n\n")}\n`;
}

function toBlock(block: Block): string {
  switch (block.type) {
    case "heading":
      return `## ${plain(block.text)}`;
    case "subheading":
      return `### ${plain(block.text)}`;
    case "paragraph":
      return plain(block.text);
    case "code":
      return `\`\`\`\n${block.text}\n\`\`\``;
    case "list":
      return block.items.map((item, at) => `${block.isNumbered ? `${at + 1}.` : "-"} ${plain(item)}`).join(
        "\n",
      );
    case "table":
      return block.table.isFolded
        ? `<details><summary>${plain(block.table.caption)}</summary>\n\n${toTable(block.table)}\n\n</details>`
        : toTable(block.table);
    case "charts":
      return block.charts.map(toFigure).join("\n\n");
  }
}

function toFigure({ id, title, description, table }: Chart): string {
  const alternative = plain(title).replace(/[[\]]/g, "");
  return `### ${plain(title)}\n\n![${alternative}](${id}.svg)\n\n${plain(description)}\n\n${toTable(table)}`;
}

function toTable({ caption, columns, rows }: Table): string {
  const line = (texts: readonly string[]) => `| ${texts.map((text) => cell(text)).join(" | ")} |`;
  const rules = columns.map(({ isNumeric }) => isNumeric ? "---:" : "---");
  return [
    `${plain(caption)}:`,
    "",
    line(columns.map(({ title }) => title)),
    `| ${rules.join(" | ")} |`,
    ...rows.map(line),
  ].join("\n");
}

/** A pipe would end the cell and a line break the row, also between backticks. */
function cell(text: string): string {
  return plain(text).replaceAll("|", "\\|").replace(/\s*\n\s*/g, " ");
}

/** Escapes what Markdown would read as markup, but for what stands between backticks. */
function plain(text: string): string {
  return text.split(/(`[^`]+`)/)
    .map((part) => part.startsWith("`") && part.length > 2 ? part : part.replace(/[\\*_<>[\]]/g, "\\$&"))
    .join("");
}
