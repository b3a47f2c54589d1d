/**
 * What a permission check costs: `node --expose-gc --import tsx bench/permissions.bench.ts`. The heap column must say
 * that a check allocates nothing.
 */
import { bench, do_not_optimize, run } from "mitata";
import { type Grants, Permissions } from "../server/auth/permissions.ts";

const none: Grants = { subscribe: [], publish: [], presence: [], history: [], broadcast: false };
const topic = (text: string) => JSON.parse(JSON.stringify(text)) as string;

const cases: [name: string, permissions: Permissions, topic: string][] = [
  ["everything", Permissions.of({ ...none, publish: [">"] }, undefined), "chat.room-17.messages"],
  [
    "one literal",
    Permissions.of({ ...none, publish: ["chat.room-17.messages"] }, undefined),
    "chat.room-17.messages",
  ],
  [
    "chat.*.messages",
    Permissions.of({ ...none, publish: ["chat.*.messages"] }, undefined),
    "chat.room-17.messages",
  ],
  [
    "users.{user}.>",
    Permissions.of({ ...none, publish: ["users.{user}.>"] }, "u-48213"),
    "users.u-48213.inbox",
  ],
  [
    "5th of 5, configuration and token",
    Permissions.of({ ...none, publish: ["news.>", "chat.*.messages", "users.{user}.>"] }, "u-48213")
      .union(Permissions.of({ ...none, publish: ["team.red.*", "team.blue.*"] }, "u-48213")),
    "users.u-48213.inbox",
  ],
  [
    "none of 128",
    Permissions.of({ ...none, publish: Array.from({ length: 128 }, (_, i) => `team-${i}.>`) }, undefined),
    "team-x.chat",
  ],
];

for (const [name, permissions, text] of cases) {
  const asked = topic(text);
  bench(name, () => do_not_optimize(permissions.allows("publish", asked)));
}
await run({ colors: false });
