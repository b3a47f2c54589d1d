// `ws` as its own server uses it: its Receiver and Sender, loaded from their files (under Bun the package name means
// Bun's own), once as they come and once with `bufferutil`. Types for the little of them that is used.

import { createRequire } from "node:module";
import process from "node:process";
import { fileURLToPath } from "node:url";

export interface WsReceiver {
  write(chunk: Uint8Array): boolean;
  on(event: "message", listener: (data: Uint8Array, isBinary: boolean) => void): void;
  on(event: "error", listener: (error: Error) => void): void;
}

/** What a Sender writes to. */
export interface WsSocket {
  cork(): void;
  uncork(): void;
  write(data: Uint8Array | string, done?: () => void): void;
}

export interface WsSender {
  send(
    data: Uint8Array | string,
    options: { binary: boolean; compress: boolean; fin: boolean; mask: boolean },
    done?: () => void,
  ): void;
}

interface WsDeflate {
  accept(configurations: object[]): object;
}

export interface Ws {
  readonly name: string;
  readonly Receiver: new (options: object) => WsReceiver;
  readonly Sender: {
    new (socket: WsSocket, extensions: object): WsSender;
    /** The pieces of one frame. */
    frame(data: Uint8Array, options: object): Uint8Array[];
  };
  readonly PerMessageDeflate: new (options: object) => WsDeflate;
  readonly unmask: (bytes: Uint8Array, mask: Uint8Array) => void;
  readonly isValidUTF8: (bytes: Uint8Array) => boolean;
}

function load(name: string, withoutBufferUtil: boolean): Ws {
  const require = createRequire(import.meta.url);
  const lib = fileURLToPath(new URL("../../node_modules/ws/lib/", import.meta.url));
  for (const path of Object.keys(require.cache)) if (path.startsWith(lib)) delete require.cache[path];
  // The variable is ws's own switch, read while its module loads.
  if (withoutBufferUtil) process.env["WS_NO_BUFFER_UTIL"] = "1";
  else delete process.env["WS_NO_BUFFER_UTIL"];
  const { unmask } = require(`${lib}buffer-util.js`);
  const { isValidUTF8 } = require(`${lib}validation.js`);
  const [Receiver, Sender] = [require(`${lib}receiver.js`), require(`${lib}sender.js`)];
  return {
    name,
    Receiver,
    Sender,
    PerMessageDeflate: require(`${lib}permessage-deflate.js`),
    unmask,
    isValidUTF8,
  };
}

function hasBufferUtil(): boolean {
  try {
    createRequire(import.meta.url)("bufferutil");
    return true;
  } catch (error) {
    console.log(`no bufferutil: ${error instanceof Error ? error.message : String(error)}`);
    return false;
  }
}

/** `ws`, and `ws` with `bufferutil` where that loads. */
export const rivals: readonly Ws[] = [
  load("ws", true),
  ...(hasBufferUtil() ? [load("ws+bufferutil", false)] : []),
];
