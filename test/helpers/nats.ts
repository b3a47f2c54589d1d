/** A NATS server with JetStream of a test's own. */
import process from "node:process";
import { ServerProcess, whyNotInstalled } from "./server_process.ts";

const PROGRAM = process.env["NATS_SERVER"] ?? "nats-server";

/** Why there can be no NATS here; false when there can. */
export function whyNoNats(): string | false {
  return whyNotInstalled(PROGRAM, "nats-server");
}

export class NatsServer {
  readonly process: ServerProcess;

  private constructor(process: ServerProcess) {
    this.process = process;
  }

  /** Only takes a port. */
  static async prepare(): Promise<NatsServer> {
    return new NatsServer(
      await ServerProcess.prepare({
        command: PROGRAM,
        args: (port, folder) => ["-js", "-a", "127.0.0.1", "-p", String(port), "-sd", folder],
        ready: /Server is ready/,
      }),
    );
  }

  /** Resolves once it answers. */
  static async start(): Promise<NatsServer> {
    const server = await NatsServer.prepare();
    await server.process.start();
    return server;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.process.port}`;
  }
}
