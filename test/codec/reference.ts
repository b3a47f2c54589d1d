// A second decoder, written from RFC 6455 alone, to hold the real one against: it looks at all bytes received so
// far, slowly and plainly, and imports nothing from the codec. Also builds frames, right and wrong ones.

/** What a decoder made of a stream: its events, and the code it failed with, if it did. */
export interface Outcome {
  readonly events: readonly string[];
  readonly failure: number | null;
}

export function hex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}

export function unhex(text: string): Uint8Array {
  const digits = text.replaceAll(/\s/g, "");
  return Uint8Array.from(
    { length: digits.length / 2 },
    (_, at) => parseInt(digits.slice(at * 2, at * 2 + 2), 16),
  );
}

export function concat(...parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** A frame as the arguments say, also where the RFC forbids it. */
export function frame(
  first: number,
  payload: Uint8Array,
  key: readonly number[] | null = [0x37, 0xfa, 0x21, 0x3d],
): Uint8Array {
  const length = payload.length;
  const mask = key === null ? 0 : 0x80;
  const head = length < 126
    ? [first, mask | length]
    : length < 65_536
    ? [first, mask | 126, length >> 8, length & 255]
    : [first, mask | 127, 0, 0, 0, 0, length >>> 24, (length >> 16) & 255, (length >> 8) & 255, length & 255];
  const body = key === null ? payload : payload.map((byte, at) => byte ^ (key[at % 4] ?? 0));
  return concat(Uint8Array.from([...head, ...(key ?? [])]), body);
}

/** Where text stops being a possible beginning of UTF-8: "valid", "open" (cut off), or "bad". */
export function textState(bytes: readonly number[]): "valid" | "open" | "bad" {
  let at = 0;
  while (at < bytes.length) {
    const lead = bytes[at] ?? 0;
    const size = lead < 0x80 ? 1 : lead >= 0xc0 && lead < 0xe0 ? 2 : lead >= 0xe0 && lead < 0xf0 ? 3 : 4;
    if ((lead >= 0x80 && lead < 0xc0) || lead > 0xf7) return "bad";
    const there = bytes.slice(at, at + size);
    if (there.slice(1).some((byte) => (byte & 0xc0) !== 0x80)) return "bad";
    // The lowest and the highest character that can begin like this.
    const bits = (fill: number) => {
      let value = size === 1 ? lead : lead & (0x7f >> size);
      for (let index = 1; index < size; index++) value = (value << 6) | ((there[index] ?? fill) & 0x3f);
      return value;
    };
    const [low, high] = [bits(0x80), bits(0xbf)];
    const least = [0, 0, 0x80, 0x800, 0x10000][size] ?? 0;
    if (high < least || low > 0x10ffff || (low >= 0xd800 && high <= 0xdfff)) return "bad";
    if (there.length < size) return "open";
    at += size;
  }
  return "valid";
}

export interface Rules {
  readonly server: boolean;
  readonly maxPayloadBytes: number;
  readonly maxFragments: number;
}

/** Decodes all of a stream from its beginning. Events are `kind:content`. */
export function decodeReference(stream: Uint8Array, rules: Rules): Outcome {
  const events: string[] = [];
  const failed = (failure: number): Outcome => ({ events, failure });
  const bytes = [...stream];
  let at = 0;
  let message: { text: boolean; payload: number[]; fragments: number } | null = null;
  for (;;) {
    if (at >= bytes.length) return { events, failure: null };
    const byte = (offset: number): number | undefined => bytes[at + offset];
    const first = byte(0) ?? 0;
    const opcode = first & 15;
    const fin = first >= 128;
    if ((first & 0x70) !== 0 || ![0, 1, 2, 8, 9, 10].includes(opcode)) return failed(1002);
    if (opcode >= 8 ? !fin : (opcode === 0) === (message === null)) return failed(1002);
    const second = byte(1);
    if (second === undefined) return { events, failure: null };
    if ((second >= 128) !== rules.server) return failed(1002);
    let length = second & 127;
    if (opcode >= 8 && length > 125) return failed(1002);
    const extra = length === 126 ? 2 : length === 127 ? 8 : 0;
    if (extra > 0) {
      if (byte(1 + extra) === undefined) return { events, failure: null };
      const value = bytes.slice(at + 2, at + 2 + extra).reduce((sum, next) => sum * 256n + BigInt(next), 0n);
      if (value >= 1n << 63n || value < (extra === 2 ? 126n : 65_536n)) return failed(1002);
      length = Number(value);
    }
    const before: number = message?.payload.length ?? 0;
    if (opcode < 8 && before + length > rules.maxPayloadBytes) return failed(1009);
    if (opcode < 8 && (message?.fragments ?? 0) + 1 > rules.maxFragments) return failed(1009);
    const head = 2 + extra + (rules.server ? 4 : 0);
    if (byte(head - 1) === undefined) return { events, failure: null };
    const key = rules.server ? bytes.slice(at + head - 4, at + head) : [0, 0, 0, 0];
    const there = bytes.slice(at + head, at + head + length).map((next, index) =>
      next ^ (key[index % 4] ?? 0)
    );
    const whole = there.length === length;
    if (opcode >= 8) {
      if (!whole) return { events, failure: null };
      if (opcode === 8) return close(there, events);
      events.push(`${opcode === 9 ? "ping" : "pong"}:${hex(Uint8Array.from(there))}`);
    } else {
      message ??= { text: opcode === 1, payload: [], fragments: 0 };
      message.payload.push(...there);
      message.fragments++;
      const state = message.text ? textState(message.payload) : "valid";
      if (state === "bad" || (state === "open" && whole && fin)) return failed(1007);
      if (!whole) return { events, failure: null };
      if (fin) {
        events.push(`${message.text ? "text" : "binary"}:${hex(Uint8Array.from(message.payload))}`);
        message = null;
      }
    }
    at += head + length;
  }
}

function close(payload: number[], events: string[]): Outcome {
  if (payload.length === 0) return { events: [...events, "close:1005:"], failure: null };
  const code = (payload[0] ?? 0) * 256 + (payload[1] ?? 0);
  const defined = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014];
  if (payload.length === 1 || !(defined.includes(code) || (code >= 3000 && code < 5000))) {
    return { events, failure: 1002 };
  }
  const reason = payload.slice(2);
  if (textState(reason) !== "valid") return { events, failure: 1007 };
  return {
    events: [...events, `close:${code}:${new TextDecoder().decode(Uint8Array.from(reason))}`],
    failure: null,
  };
}
