/**
 * The broker contract: who owns a topic's order. A broker gives each publication its place (epoch and offset) and
 * brings the publications of a topic to every node that has subscribed to it. It knows nothing of connections.
 */

/** A place in a topic: the publication `offset` of the history that `epoch` names; 0 before the first one. */
export interface Position {
  /** Random; new whenever the topic's history starts afresh. */
  readonly epoch: string;
  /** Grows by one with each publication. */
  readonly offset: number;
}

/** A publication in its place. */
export interface Publication extends Position {
  readonly topic: string;
  readonly data: unknown;
}

/** Called for each publication of a subscribed topic, in the order of its offsets. */
export type Deliver = (publication: Publication) => void;

export interface Broker {
  readonly name: string;
  /** Whether publications can be taken now. */
  readonly isAvailable: boolean;
  /** Gives the publication its place and brings it to the subscribed nodes. */
  publish(topic: string, data: unknown): Position;
  /** From now on this node receives the topic's publications, the first one being that after the returned place. */
  subscribe(topic: string): Position;
  unsubscribe(topic: string): void;
  close(): Promise<void>;
}
