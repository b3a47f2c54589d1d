/** The engine `ts`: our own codec on the runtime's TCP. It runs on Bun, Node and Deno. */
import process from "node:process";
import type { Engine } from "../../engine.ts";
import { listenError } from "../request.ts";
import { readTls } from "../tls_files.ts";
import { TsListener } from "./listener.ts";
import type { TcpListen, TcpSocket } from "./tcp.ts";

async function tcpListen(): Promise<TcpListen> {
  if (process.versions["bun"] !== undefined) return (await import("./tcp_bun.ts")).listenBun;
  return (await import("./tcp_node.ts")).listenNode;
}

/** @param documentedOnly keeps to the documented parts of the runtime's sockets, at a price in speed; for tests */
export function createTsEngine(documentedOnly: boolean): Engine {
  return {
    name: "ts",
    async listen(options, handlers) {
      const listener = new TsListener(options, handlers);
      const listen = await tcpListen();
      try {
        const { host, port } = options;
        const tls = options.tls && readTls(options.tls);
        const accept = (socket: TcpSocket) => listener.accept(socket);
        return listener.attach(await listen({ host, port, tls, documentedOnly, accept }));
      } catch (error) {
        throw listenError(options, error);
      }
    },
  };
}

export const tsEngine: Engine = createTsEngine(false);
