/**
 * The load generator's scanners: what they count must not depend on how the stream is cut, and what they do not
 * expect must stop a run.
 */
import { Buffer } from "node:buffer";
import { describe, it } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { BINARY, FrameScanner, RawScanner, StreamScanner, TEXT } from "../../bench/load/scanner.ts";
import type { ScannerSink } from "../../bench/load/scanner.ts";

/** Remembers what it was given; a payload is lent, so it is copied. */
class Recorder implements ScannerSink {
  readonly messages: { sequence: number; payload: string }[] = [];
  readonly controls: number[] = [];

  message(sequence: number, payload: Uint8Array): void {
    this.messages.push({ sequence, payload: Buffer.from(payload).toString() });
  }

  control(opcode: number): void {
    this.controls.push(opcode);
  }
}

function frame(firstByte: number, payload: string): Buffer {
  const { length } = payload;
  const header = length < 126
    ? Buffer.from([firstByte, length])
    : Buffer.from([firstByte, 126, length >> 8, length & 255]);
  return Buffer.concat([header, Buffer.from(payload)]);
}

const TEXT_FRAME = 0x81;

describe("the frame scanner", () => {
  const long = "x".repeat(300);
  const stream = Buffer.concat([
    frame(TEXT_FRAME, "one"),
    frame(TEXT_FRAME, ""),
    frame(0x89, "ping"),
    frame(TEXT_FRAME, long),
    frame(TEXT_FRAME, "four"),
  ]);

  it("finds the same messages and control frames wherever the stream is cut", () => {
    for (let cut = 0; cut <= stream.length; cut++) {
      const sink = new Recorder();
      const scanner = new FrameScanner(TEXT, sink);
      const counted = scanner.push(stream, 0, cut) + scanner.push(stream, cut, stream.length);
      assertEquals(counted, 4);
      assertEquals(sink.messages.map(({ payload }) => payload), ["one", "", long, "four"]);
      assertEquals(sink.controls, [9]);
    }
  });

  it("finds the same messages in a stream that arrives byte by byte", () => {
    const sink = new Recorder();
    const scanner = new FrameScanner(TEXT, sink);
    for (let at = 0; at < stream.length; at++) scanner.push(stream, at, at + 1);
    assertEquals(scanner.messages, 4);
    assertEquals(sink.messages.map(({ payload }) => payload), ["one", "", long, "four"]);
  });

  it("reads a 64-bit length (section 5.2)", () => {
    const scanner = new FrameScanner(BINARY, new Recorder());
    const header = Buffer.from([0x82, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70]);
    assertEquals(scanner.push(header, 0, header.length), 0);
    assertEquals(scanner.push(new Uint8Array(70_000), 0, 69_999), 0);
    assertEquals(scanner.push(new Uint8Array(1), 0, 1), 1);
  });

  it("hands over only every nth message, from the first one on", () => {
    const sink = new Recorder();
    const scanner = new FrameScanner(TEXT, sink);
    scanner.expect(1, 3);
    const bytes = Buffer.concat([..."abcdefg"].map((letter) => frame(TEXT_FRAME, letter)));
    assertEquals(scanner.push(bytes, 0, bytes.length), 7);
    assertEquals(sink.messages, [
      { sequence: 0, payload: "a" },
      { sequence: 3, payload: "d" },
      { sequence: 6, payload: "g" },
    ]);
  });

  it("refuses another opcode, a reserved bit, a fragment, a mask and another size", () => {
    const faults: [string, Buffer][] = [
      ["0x82", frame(0x82, "abc")],
      ["0xc1", frame(0xc1, "abc")],
      ["0x1", frame(0x01, "abc")],
      ["masked", Buffer.from([0x81, 0x83, 0, 0, 0, 0, 1, 2, 3])],
      ["4 bytes instead of 3", frame(TEXT_FRAME, "abcd")],
    ];
    for (const [reason, bytes] of faults) {
      const scanner = new FrameScanner(TEXT, new Recorder());
      scanner.expect(3, 64);
      const good = frame(TEXT_FRAME, "abc");
      assertEquals(scanner.push(good, 0, good.length), 1);
      assertThrows(() => scanner.push(bytes, 0, bytes.length), Error, reason);
    }
  });
});

describe("the frame scanner with compression", () => {
  it("tells compressed messages from others (RFC 7692, section 6)", () => {
    const flags: boolean[] = [];
    const sink = {
      message: (_: number, _payload: Uint8Array, flag: boolean) => void flags.push(flag),
      control() {},
    };
    const scanner = new FrameScanner(TEXT, sink, true);
    const bytes = Buffer.concat([frame(0xc1, "abc"), frame(0x81, "abc"), frame(0xc1, "x".repeat(200))]);
    for (let at = 0; at < bytes.length; at++) scanner.push(bytes, at, at + 1);
    assertEquals(flags, [true, false, true]);
    const wrong = frame(0xc2, "abc");
    assertThrows(() => scanner.push(wrong, 0, wrong.length), Error, "0xc2");
  });
});

describe("the stream scanner", () => {
  const stream = Buffer.concat([
    frame(0x02, "aa"),
    frame(0x80, "abb"),
    frame(0x89, "ping"),
    frame(0x82, ""),
    frame(0x82, `b${"ccc".repeat(25)}PI`),
    frame(0x82, `NG${"ccc".repeat(25)}`),
  ]);

  it("counts messages without regard to frames and interjections, wherever the stream is cut", () => {
    for (let cut = 0; cut <= stream.length; cut++) {
      const sink = new Recorder();
      const scanner = new StreamScanner(3, 2, sink, Buffer.from("PING"));
      const counted = scanner.push(stream, 0, cut) + scanner.push(stream, cut, stream.length);
      assertEquals([counted, sink.controls], [52, [9]]);
      assertEquals(sink.messages.slice(0, 2), [{ sequence: 0, payload: "aaa" }, {
        sequence: 2,
        payload: "ccc",
      }]);
    }
  });

  it("refuses text, a mask and a length that nobody sends", () => {
    const faults: [string, Buffer][] = [
      ["0x81", frame(0x81, "abc")],
      ["masked", Buffer.from([0x82, 0x83, 0, 0, 0, 0])],
      ["announces", Buffer.from([0x82, 127, 0, 0, 1, 0, 0, 0, 0, 0])],
    ];
    for (const [reason, bytes] of faults) {
      const scanner = new StreamScanner(3, 1, new Recorder(), Buffer.from("PING"));
      assertThrows(() => scanner.push(bytes, 0, bytes.length), Error, reason);
    }
  });
});

describe("the frame scanner that sorts", () => {
  const data = `{"type":"echo","data":"x"}`;
  const long = `{"type":"echo","data":"${"x".repeat(200)}"}`;
  const refusal = `{"type":"error","code":"rate_limited"}`;
  // The same as `data` to its reader, but written otherwise.
  const other = `{"data":"y","type":"echo"}`;
  const parts = [data, refusal, long, data, other, refusal, "", data];
  const stream = Buffer.concat(parts.map((part) => frame(TEXT_FRAME, part)));

  it("counts what has the prefix and what is let pass, however the stream is cut", () => {
    for (let cut = 0; cut <= stream.length; cut++) {
      const sink = new Recorder();
      const asked: string[] = [];
      const scanner = new FrameScanner(TEXT, sink);
      scanner.expect(-1, 2, {
        prefix: Buffer.from(`{"type":"echo"`),
        counts(payload) {
          const text = Buffer.from(payload).toString();
          asked.push(text);
          return text === other;
        },
      });
      const counted = scanner.push(stream, 0, cut) + scanner.push(stream, cut, stream.length);
      assertEquals([counted, scanner.messages], [5, 5], `cut at ${cut}`);
      assertEquals(asked, [refusal, other, refusal, ""], `cut at ${cut}`);
      assertEquals(sink.messages, [
        { sequence: 0, payload: data },
        { sequence: 2, payload: data },
        { sequence: 4, payload: data },
      ], `cut at ${cut}`);
    }
  });
});

describe("the raw scanner", () => {
  it("counts messages of one size and hands over every nth, wherever the stream is cut", () => {
    const stream = Buffer.from("aaabbbcccddd");
    for (let cut = 0; cut <= stream.length; cut++) {
      const sink = new Recorder();
      const scanner = new RawScanner(3, 2, sink);
      assertEquals(scanner.push(stream, 0, cut) + scanner.push(stream, cut, stream.length), 4);
      assertEquals(sink.messages, [{ sequence: 0, payload: "aaa" }, { sequence: 2, payload: "ccc" }]);
    }
  });
});
