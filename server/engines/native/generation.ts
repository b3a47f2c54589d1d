/**
 * One native server behind a listener, with its sockets. A listener has one that accepts, and for as long as they have
 * sockets those that accepted before its certificate was reloaded: a native server has one certificate for its life.
 */
import type { Handlers, ListenOptions, Message } from "../../engine.ts";
import type { QueueBudget } from "../queue_budget.ts";
import type { NativeListener } from "./listener.ts";
import type { NativeContext, NativeSocket } from "./socket.ts";
import type { TopicTable } from "./topics.ts";

/** The verbs of a native server that a listener needs. */
export interface NativeServer {
  readonly port: number;
  publish(topic: string, message: Message, compress: boolean): void;
  /** Its sockets live on. Called once. */
  stopAccepting(): void;
  /** Frees what is left once every socket is gone. */
  dispose(): void;
}

/**
 * Builds a native server whose sockets are `generation`'s; throws when its TLS files cannot be used.
 * @returns what makes it listen on a port, or throws when that cannot be taken
 */
export type BuildServer<Data> = (generation: Generation<Data>) => (port: number) => NativeServer;

export class Generation<Data> implements NativeContext<Data> {
  readonly listener: NativeListener<Data>;
  readonly options: ListenOptions;
  readonly handlers: Handlers<Data>;
  readonly topics: TopicTable;
  readonly budget: QueueBudget;
  readonly compressFrom: number;
  readonly sockets = new Set<NativeSocket<Data>>();
  private readonly startListening: (port: number) => NativeServer;
  private server: NativeServer | undefined = undefined;
  private isAccepting = false;

  constructor(listener: NativeListener<Data>, build: BuildServer<Data>) {
    this.listener = listener;
    this.options = listener.options;
    this.handlers = listener.handlers;
    this.topics = listener.topics;
    this.budget = listener.budget;
    this.compressFrom = listener.compressFrom;
    this.startListening = build(this);
  }

  /** @returns the port that was taken */
  listen(port: number): number {
    this.server = this.startListening(port);
    this.isAccepting = true;
    return this.server.port;
  }

  stopAccepting(): void {
    if (this.isAccepting) this.server?.stopAccepting();
    this.isAccepting = false;
  }

  publish(topic: string, message: Message, compress: boolean): void {
    this.server?.publish(topic, message, compress);
  }

  dispose(): void {
    this.server?.dispose();
  }

  opened(socket: NativeSocket<Data>): void {
    this.sockets.add(socket);
    this.listener.opened(this);
  }

  closed(socket: NativeSocket<Data>, byUs: boolean): void {
    this.sockets.delete(socket);
    this.listener.closed(this, byUs);
  }
}
