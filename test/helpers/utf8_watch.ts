/** An incremental UTF-8 check, byte by byte, by the table of the Unicode standard (table 3-7). For the faulty server only. */

/** Fed with bytes as they come; says at the first impossible one that it cannot become UTF-8 any more. */
export class Utf8Watch {
  #missing = 0;
  #low = 0x80;
  #high = 0xbf;

  /** True while everything so far can be the start of UTF-8. */
  feed(bytes: Uint8Array): boolean {
    for (const byte of bytes) {
      if (this.#missing > 0) {
        if (byte < this.#low || byte > this.#high) return false;
        this.#missing--;
        this.#low = 0x80;
        this.#high = 0xbf;
      } else if (!this.#start(byte)) return false;
    }
    return true;
  }

  /** No character is cut off at the end. */
  get whole(): boolean {
    return this.#missing === 0;
  }

  #start(byte: number): boolean {
    if (byte < 0x80) return true;
    if (byte < 0xc2 || byte > 0xf4) return false;
    this.#missing = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
    if (byte === 0xe0) this.#low = 0xa0;
    if (byte === 0xed) this.#high = 0x9f;
    if (byte === 0xf0) this.#low = 0x90;
    if (byte === 0xf4) this.#high = 0x8f;
    return true;
  }
}
