/** Every rule there is, and the pieces of syntax that have no rule of their own. */
import type { Rule } from "../rule.ts";
import { balancingRules } from "./balancing.ts";
import { exposureRules } from "./exposure.ts";
import { forwardingRules } from "./forwarding.ts";
import { limitRules } from "./limits.ts";
import { millraceRules } from "./millrace.ts";
import { misplacedRules } from "./misplaced.ts";
import { timeoutRules } from "./timeouts.ts";
import { tlsRules } from "./tls.ts";
import { upgradeRules } from "./upgrade.ts";

/** What the readers find; what it says beside each line is theirs. */
export const syntaxRule: Rule = {
  id: "syntax",
  severity: "error",
  finds:
    "what `nginx -t` or `haproxy -c` refuses: unknown or misplaced directives, missing ends, wrong arguments, names that nothing defines, includes that are missing or go round",
  why: "The proxy does not start with it, and a running one keeps its old configuration.",
};

/** What Millrace itself says about its configuration. */
export const optionsRule: Rule = {
  id: "millrace-options",
  severity: "error",
  finds: "what Millrace refuses of its own configuration",
  why: "Millrace does not start with it: exit code 2.",
};

/** A file to be included, read by itself. */
export const fragmentRule: Rule = {
  id: "fragment",
  severity: "note",
  finds: "a file that is a part of a configuration; what stands in other files is not seen",
  why: "nginx -t judges whole configurations: give nginx.conf, which includes this file.",
};

/** A configuration without WebSockets. */
export const nothingRule: Rule = {
  id: "no-proxy",
  severity: "note",
  finds: "a configuration that passes nothing on to servers",
  why: "There is nothing for WebSockets to go through, so there was little to look at.",
};

/** The rules that look at a configuration that could be read. */
export const rules: readonly Rule[] = [
  ...[...upgradeRules, ...timeoutRules, ...tlsRules, ...forwardingRules, ...balancingRules, ...limitRules],
  ...[...exposureRules, ...misplacedRules, ...millraceRules],
];

/** All of them, as the manual lists them. */
export const everyRule: readonly Rule[] = [syntaxRule, ...rules, optionsRule, fragmentRule, nothingRule];
