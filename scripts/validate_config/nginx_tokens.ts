/**
 * The words of an nginx file, each with its line, by the rules nginx itself reads with: quotes only at the start of a
 * word, a backslash takes the next character, `${` does not open a block. Knows no directive. Of the parsers on npm,
 * nginx-conf, @webantic/nginx-config-parser and nginx-config-parser keep no lines, and the first accepts open blocks.
 */

/** A word, or one of `;`, `{`, `}`, or the end of the file. */
export interface Token {
  readonly kind: "word" | ";" | "{" | "}" | "end";
  /** Without its quotes and escapes; empty for what is no word. */
  readonly text: string;
  readonly line: number;
  /** Whether it was in quotes. */
  readonly isQuoted: boolean;
}

/** Text that nginx cannot read. */
export class NginxSyntaxError extends Error {
  override readonly name = "NginxSyntaxError";
  readonly line: number;

  constructor(message: string, line: number) {
    super(message);
    this.line = line;
  }
}

/** Not a byte order mark or other blanks of Unicode: nginx takes those for letters. */
const SPACE = /[ \t\r\n]/;
const ESCAPES: Readonly<Record<string, string>> = {
  t: "\t",
  r: "\r",
  n: "\n",
  '"': '"',
  "'": "'",
  "\\": "\\",
};

/** Reads the tokens of one file, front to back. */
export class NginxTokens {
  private readonly text: string;
  private at = 0;
  private line = 1;

  constructor(text: string) {
    this.text = text;
  }

  /** @throws {NginxSyntaxError} for an open quote, or something right behind a closing one */
  next(): Token {
    this.skipSpace();
    const { line } = this;
    const first = this.text[this.at];
    if (first === undefined) return { kind: "end", text: "", line, isQuoted: false };
    if (first === ";" || first === "{" || first === "}") {
      this.at++;
      return { kind: first, text: "", line, isQuoted: false };
    }
    const isQuoted = first === '"' || first === "'";
    const text = isQuoted ? this.quoted(first) : this.bare();
    return { kind: "word", text, line, isQuoted };
  }

  /** Skips a block of another language (`content_by_lua_block`) whose brace is open; counts braces. */
  skipBlock(): void {
    const { line } = this;
    for (let depth = 1; depth > 0; this.at++) {
      const char = this.text[this.at];
      if (char === undefined) throw new NginxSyntaxError('unexpected end of file, expecting "}"', line);
      if (char === "{") depth++;
      else if (char === "}") depth--;
      else if (char === "\n") this.line++;
    }
  }

  private skipSpace(): void {
    for (let char; (char = this.text[this.at]) !== undefined; this.at++) {
      if (char === "\n") this.line++;
      else if (char === "#") {
        while (this.at < this.text.length && this.text[this.at + 1] !== "\n") this.at++;
      } else if (!SPACE.test(char)) return;
    }
  }

  /** What a backslash at the current place and the character behind it stand for; nginx keeps it before most. */
  private escaped(): string {
    const char = this.text[this.at + 1] ?? "";
    if (char === "\n") this.line++;
    this.at += 2;
    return ESCAPES[char] ?? `\\${char}`;
  }

  private quoted(quote: string): string {
    const { line } = this;
    let text = "";
    this.at++;
    for (let char; (char = this.text[this.at]) !== quote;) {
      if (char === undefined) {
        throw new NginxSyntaxError(`unexpected end of file: ${quote} is not closed`, line);
      }
      if (char === "\\") text += this.escaped();
      else {
        if (char === "\n") this.line++;
        text += char;
        this.at++;
      }
    }
    this.at++;
    const after = this.text[this.at];
    if (after !== undefined && !SPACE.test(after) && !";{)".includes(after)) {
      throw new NginxSyntaxError(`unexpected "${after}" behind a closing quote`, this.line);
    }
    return text;
  }

  private bare(): string {
    let text = "";
    let isVariable = false;
    for (let char; (char = this.text[this.at]) !== undefined;) {
      if (char === "\\") {
        text += this.escaped();
        isVariable = false;
        continue;
      }
      if (char === "{" ? !isVariable : char === ";" || SPACE.test(char)) break;
      isVariable = char === "$";
      text += char;
      this.at++;
    }
    return text;
  }
}
