/** The engine `ts`: our own codec on the runtime's TCP. It runs on Bun, Node and Deno. */
import process from "node:process";
import { type Engine, ListenError } from "../../engine.ts";
import { authority } from "../request.ts";
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
        const accept = (socket: TcpSocket) => listener.accept(socket);
        return listener.attach(await listen({ host, port, documentedOnly, accept }));
      } catch (error) {
        const code = (error as { code?: string }).code;
        const why = code === "EADDRINUSE" ? "the port is in use" : (error as Error).message;
        throw new ListenError(`cannot listen on ${authority(options.host, options.port)}: ${why}`);
      }
    },
  };
}

export const tsEngine: Engine = createTsEngine(false);
