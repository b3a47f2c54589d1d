/** HTTP answers in the one form that this server gives them: JSON, not to be stored, with a sentence for an error. */
import type { HttpResponse } from "../engine.ts";

export function json(status: number, body: unknown, headers: Record<string, string> = {}): HttpResponse {
  const type = { "content-type": "application/json", "cache-control": "no-store" };
  return { status, headers: { ...type, ...headers }, body: `${JSON.stringify(body)}\n` };
}

/** An error as the HTTP side tells it. */
export function httpError(
  status: number,
  message: string,
  headers: Record<string, string> = {},
): HttpResponse {
  return json(status, { error: message }, headers);
}

export function notFound(): HttpResponse {
  return httpError(404, "There is nothing at this path.");
}
