/** The dialect of every protocol that has one; `tcp` has neither frames nor a greeting, and carries data alone. */
import type { Protocol } from "../job.ts";
import { bare, nchan } from "./bare.ts";
import type { Dialect } from "./dialect.ts";
import { millrace, millraceMsgpack } from "./millrace.ts";
import { mqtt } from "./mqtt.ts";
import { nats } from "./nats.ts";
import { socketio } from "./socketio.ts";

export const dialects: Readonly<Record<Protocol, Dialect>> = {
  bare,
  millrace,
  "millrace-msgpack": millraceMsgpack,
  socketio,
  mqtt,
  nats,
  nchan,
  tcp: bare,
};
