/** The OpenAPI document as a judge: what it names, and whether an answer is what it says. */
import { Ajv2020, type ErrorObject } from "ajv/dist/2020.js";
import { openApi } from "../../server/http/openapi.ts";
import type { HttpAnswer } from "../helpers/http.ts";

interface Media {
  readonly schema: object;
}

interface Described {
  readonly description: string;
  readonly headers?: Readonly<Record<string, { readonly required: boolean; readonly schema: object }>>;
  readonly content?: Readonly<Record<string, Media>>;
}

interface Operation {
  readonly requestBody?: { readonly content: Readonly<Record<string, Media>> };
  readonly responses: Readonly<Record<string, Described>>;
  readonly security?: readonly object[];
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
}

export const document = openApi("/ws");
const paths = document.paths as unknown as Readonly<Record<string, Readonly<Record<string, Operation>>>>;

const ajv = new Ajv2020({ strict: true, allErrors: true, allowUnionTypes: true });
// The document is one schema resource: its own words, outside of the schemas, are no faults of theirs.
ajv.addVocabulary(["openapi", "info", "paths", "components"]);
ajv.addSchema(document, "document");

/** What is wrong with `value` by a schema, or by one that the document names. */
export function faultsOf(schema: object, value: unknown): ErrorObject[] {
  const located = JSON.parse(JSON.stringify(schema).replaceAll(`"#/`, `"document#/`)) as object;
  const validate = ajv.compile(located);
  return validate(value) ? [] : validate.errors ?? [];
}

export function faultsOfNamed(name: keyof typeof document.components.schemas, value: unknown): ErrorObject[] {
  return faultsOf({ $ref: `#/components/schemas/${name}` }, value);
}

/** Every operation, as `GET /health`. */
export function operations(): ReadonlyMap<string, Operation> {
  const found = new Map<string, Operation>();
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      found.set(`${method.toUpperCase()} ${path}`, operation);
    }
  }
  return found;
}

/** What of an answer the document does not say, in words; undefined when it is as described. */
export function contradiction(operationName: string, answer: HttpAnswer): string | undefined {
  const described = operations().get(operationName)?.responses[answer.status];
  if (described === undefined) return `${operationName} has no answer ${answer.status}: ${answer.text}`;
  for (const [name, { required, schema }] of Object.entries(described.headers ?? {})) {
    const text = answer.headers.get(name.toLowerCase());
    if (text === undefined) {
      if (required) return `${operationName} ${answer.status} lacks the header ${name}`;
      continue;
    }
    const isNumber = "type" in schema && schema.type === "integer";
    const faults = faultsOf(schema, isNumber ? Number(text) : text);
    if (faults.length > 0) return `${operationName} ${answer.status} has ${name}: ${text}`;
  }
  if (described.content === undefined) return undefined;
  const media = described.content[answer.type];
  if (media === undefined) return `${operationName} ${answer.status} is of type ${answer.type}`;
  const faults = faultsOf(media.schema, answer.json ?? answer.text);
  return faults.length === 0 ? undefined : `${operationName} ${answer.text}: ${JSON.stringify(faults)}`;
}
