/** Messages that carry nothing but data: the topic is the path, and what is sent is what arrives. */
import { type Dialect, plain } from "./dialect.ts";

export const bare: Dialect = {
  ...plain,
  target: (path, topic) => topic === undefined ? path : `/${topic}`,
  sent: (data) => data,
  arriving: (data) => data,
};

/** The same with the topic in the query, for a location of nginx that knows no connection without one. */
export const nchan: Dialect = { ...bare, target: (path, topic = "none") => `${path}?topic=${topic}` };
