/** The library's door: a server in one call, and the types and codes that its users need. */
export { CloseCode, closeTable, Reconnect } from "./close.ts";
export { type Clock, systemClock } from "./clock.ts";
export { DeflateMode, ListenError, SlowPolicy } from "./engine.ts";
export { EngineUnavailable } from "./engines/pick.ts";
export type { Options } from "./options.ts";
export { OptionsError } from "./resolve.ts";
export { serve, type Server, type Surroundings } from "./serve.ts";
