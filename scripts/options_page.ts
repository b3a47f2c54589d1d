/**
 * `npm run docs:options`: writes docs/options.md from the table of options. It must never know what an option means.
 */
import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { environmentName, flagName } from "../server/config.ts";
import { type OptionName, optionNames, specOf } from "../server/options.ts";

const PAGE = fileURLToPath(new URL("../docs/options.md", import.meta.url));

const OPENING = `# Options

Each is a flag, an environment variable and a key of the JSON file that \`--config\` names, in this order. \`--help\` shows
this table, \`--print-config\` what holds and where each value came from. A wrong one costs one clear line and exit code 2.
Files are read again on SIGHUP where [their page](authentication.md) says so; all else needs a restart.

This page is written by \`npm run docs:options\`.
`;

/** The name of this host would make the page another one on each machine. */
const DEFAULT_TEXTS: Partial<Record<OptionName, string>> = { node: "the host's name" };

/** The page, but for the alignment of its table. */
export function optionsPage(): string {
  const rows = optionNames.map((name) => {
    const { form, help, isSwitch, write, default: value } = specOf(name);
    const flag = `\`--${flagName(name)}${isSwitch ? "" : ` <${form}>`}\``;
    const standard = DEFAULT_TEXTS[name] ?? (write(value) === "" ? "" : `\`${write(value)}\``);
    return [flag, `\`${environmentName(name)}\``, `\`${name}\``, standard, help]
      .map((cell) => cell.replaceAll("|", "\\|"));
  });
  const table = [
    ["flag", "environment variable", "key in the file", "default", "what it is for"],
    ["---", "---", "---", "---", "---"],
    ...rows,
  ];
  return `${OPENING}\n${table.map((cells) => `| ${cells.join(" | ")} |`).join("\n")}\n`;
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  writeFileSync(PAGE, optionsPage());
  console.log(`${PAGE}: npm run fmt aligns its table`);
}
