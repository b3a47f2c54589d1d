/** The rule about lines of HAProxy that have no effect in their section. `haproxy -c` warns of the same ones. */
import { backendOnly, backendTimeouts, frontendOnly, frontendTimeouts } from "../haproxy_keywords.ts";
import { hasServers, type Section, takesClients } from "../haproxy_tree.ts";
import type { Judged, Rule } from "../rule.ts";

function* misplacedIn(section: Section): Generator<Judged> {
  for (const { keyword, args: [name = ""], place } of section.lines) {
    const isTimeout = keyword === "timeout";
    const needsClients = isTimeout ? frontendTimeouts.has(name) : frontendOnly.has(keyword);
    const needsServers = isTimeout ? backendTimeouts.has(name) : backendOnly.has(keyword);
    const shown = isTimeout ? `timeout ${name}` : keyword;
    if (needsClients && !takesClients(section)) {
      yield {
        place,
        what: `'${shown}' has no effect: ${section.kind} ${section.name} takes no clients`,
        fix: ["frontend NAME", `    ${shown} …`],
      };
    }
    if (needsServers && !hasServers(section)) {
      yield {
        place,
        what: `'${shown}' has no effect: ${section.kind} ${section.name} has no servers`,
        fix: ["backend NAME", `    ${shown} …`],
      };
    }
  }
}

const misplaced: Rule = {
  id: "misplaced",
  severity: "warning",
  finds: "keywords that have no effect where they stand",
  why: "HAProxy ignores them with a warning, and somebody believes that they hold.",
  *haproxy({ proxies }) {
    for (const section of proxies) yield* misplacedIn(section);
  },
};

export const misplacedRules: readonly Rule[] = [misplaced];
