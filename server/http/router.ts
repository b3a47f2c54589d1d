/**
 * From a request to the route that answers it: by path and method, for those who have the key if it needs one. What
 * goes wrong in a known way becomes a problem here; a fault of ours is the engine's to report.
 */
import type { ApiKeys } from "../auth/api_keys.ts";
import { BrokerUnavailable } from "../broker/broker.ts";
import type { HttpRequest, HttpResponse } from "../engine.ts";
import { brokerUnavailable, notFound, problem, RequestFault } from "./answers.ts";

export type Answer = HttpResponse | Promise<HttpResponse>;

/** What answers one method of one path. */
export interface Route {
  /** GET stands for HEAD too. */
  readonly method: "GET" | "POST";
  /** As OpenAPI writes it: a segment in braces, which is the last one, stands for the rest of the path. */
  readonly path: string;
  /** Whether it is for those with an API key. */
  readonly needsKey: boolean;
  /**
   * @param rest what the segment in braces stands for, still percent-encoded; empty for other paths
   * @throws {RequestFault} for a request that is at fault
   * @throws {BrokerUnavailable} (rejects) when the broker is needed and away
   */
  answer(request: HttpRequest, rest: string): Answer;
}

type Methods = Map<string, Route>;

export class Router {
  /** By path, or by what a path begins with. */
  private readonly paths = new Map<string, Methods>();
  private readonly beginnings = new Map<string, Methods>();
  private readonly apiKeys: ApiKeys | undefined;

  /** @param apiKeys undefined where the API is off */
  constructor(routes: readonly Route[], apiKeys: ApiKeys | undefined) {
    this.apiKeys = apiKeys;
    for (const route of routes) {
      const brace = route.path.indexOf("{");
      const table = brace < 0 ? this.paths : this.beginnings;
      const key = brace < 0 ? route.path : route.path.slice(0, brace);
      const methods: Methods = table.get(key) ?? new Map();
      table.set(key, methods.set(route.method, route));
    }
  }

  /** Rejects for a fault of ours only. */
  async answer(request: HttpRequest): Promise<HttpResponse> {
    try {
      return await this.dispatch(request);
    } catch (error) {
      if (error instanceof RequestFault) return problem(error.status, error.message);
      if (error instanceof BrokerUnavailable) {
        return brokerUnavailable("The broker cannot be reached now: try again.");
      }
      throw error;
    }
  }

  private dispatch(request: HttpRequest): Answer {
    const [methods, rest] = this.find(request.path);
    if (methods === undefined) return notFound();
    const route = methods.get(request.method === "HEAD" ? "GET" : request.method);
    if (route === undefined) return notAllowed(methods);
    return (route.needsKey ? this.refusal(request) : undefined) ?? route.answer(request, rest);
  }

  private find(path: string): [Methods | undefined, rest: string] {
    const exact = this.paths.get(path);
    if (exact !== undefined) return [exact, ""];
    for (const [beginning, methods] of this.beginnings) {
      if (path.startsWith(beginning) && path.length > beginning.length) {
        return [methods, path.slice(beginning.length)];
      }
    }
    return [undefined, ""];
  }

  private refusal({ headers }: HttpRequest): HttpResponse | undefined {
    if (this.apiKeys === undefined) {
      return problem(403, "The HTTP API is off: the operator turns it on with --api-key-file.");
    }
    if (this.apiKeys.accepts(headers.get("authorization"))) return undefined;
    return problem(401, "This needs the header Authorization: Bearer with an API key.", {
      "www-authenticate": "Bearer",
    });
  }
}

function notAllowed(methods: Methods): HttpResponse {
  const allowed = [...methods.keys()].flatMap((method) => method === "GET" ? ["GET", "HEAD"] : [method]);
  const listed = allowed.join(", ");
  return problem(405, `This path answers ${listed}.`, { allow: listed });
}
