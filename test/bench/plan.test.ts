/**
 * What is run, how often and in which order.
 */
import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { type Question, questions } from "../../bench/cells.ts";
import { CODEC } from "../../bench/codec_run.ts";
import { builtIn } from "../../bench/contenders.ts";
import { quoted } from "../../bench/environment.ts";
import { balancedOrder, type Knowledge, planRuns, stepsOf, type Wishes } from "../../bench/plan.ts";
import { cellKey, type Sample } from "../../bench/result.ts";

const RUN_SECONDS = 2;
const knowledge: Knowledge = { whyNot: () => undefined, runSeconds: () => RUN_SECONDS };
const wishes: Wishes = {
  full: true,
  only: [],
  workloads: [],
  cell: "",
  runs: 5,
  leastRuns: 3,
  budgetSeconds: Infinity,
};

function question(rank: number, connections: number, contenders: string[], quick?: string[]): Question {
  const cell = { workload: "echo", parameters: { connections } } as const;
  return { rank, cell, contenders, ...(quick && { quick }) };
}

const three = [question(2, 3, ["a", "b"]), question(0, 1, ["a", "b"], ["a"]), question(1, 2, ["a"])];

function planned(asked: Partial<Wishes>, of: readonly Question[] = three) {
  const { cells, ...rest } = planRuns(of, { ...wishes, ...asked }, knowledge);
  return {
    ...rest,
    cells: cells.map(({ cell, contenders }) => [cell.parameters["connections"], ...contenders]),
  };
}

describe("the plan", () => {
  it("has the most important cells first", () => {
    const plan = planned({});
    assertEquals(plan.cells, [[1, "a", "b"], [2, "a"], [3, "a", "b"]]);
    assertEquals([plan.runs, plan.estimateSeconds, plan.notRun], [5, 5 * 5 * RUN_SECONDS, []]);
  });

  it("is only the headlines when not everything is asked for", () => {
    assertEquals(planned({ full: false }).cells, [[1, "a"]]);
  });

  it("leaves out the least important cells when time is short, and says which", () => {
    const plan = planned({ budgetSeconds: 35 });
    assertEquals(plan.cells, [[1, "a", "b"], [2, "a"]]);
    assertEquals(plan.notRun.map(({ cell, contenders }) => [cell.parameters["connections"], ...contenders]), [
      [3, "a", "b"],
    ]);
    assert(plan.estimateSeconds <= 35);
  });

  it("has fewer runs before it gives up a headline", () => {
    const plan = planned({ budgetSeconds: 13 });
    assertEquals([plan.runs, plan.cells], [3, [[1, "a", "b"]]]);
    assertEquals(planned({ budgetSeconds: 5 }).cells, []);
  });

  it("runs no more often what asks for fewer runs", () => {
    const long = { ...question(1, 2, ["a"]), mostRuns: 1 };
    const plan = planRuns([question(0, 1, ["a"]), long], wishes, knowledge);
    assertEquals(plan.estimateSeconds, (5 + 1) * RUN_SECONDS);
    assertEquals(stepsOf(plan, []).map(({ run }) => run), [1, 2, 3, 4, 5, 1]);
  });

  it("keeps to the contenders and workloads that are asked for", () => {
    const named = [question(0, 1, ["engine-ts-node", "uws-bare", "ws", "ws-bufferutil"])];
    assertEquals(planned({ only: ["ts", "ws"] }, named).cells, [
      [1, "engine-ts-node", "ws", "ws-bufferutil"],
    ]);
    assertEquals(planned({ workloads: ["idle"] }).cells, []);
    assertEquals(planned({ cell: "connections=3" }).cells, [[3, "a", "b"]]);
  });

  it("asks a contender once in a cell, however often it is asked for", () => {
    const twice = [question(0, 1, ["a"]), question(1, 1, ["b", "a"])];
    assertEquals(planned({}, twice).cells, [[1, "a", "b"]]);
  });

  it("lists what contenders cannot do", () => {
    const whyNot = (_: unknown, name: string) => name === "b" ? "it cannot" : undefined;
    const plan = planRuns(three, wishes, { ...knowledge, whyNot });
    assertEquals(plan.cells.flatMap(({ contenders }) => contenders), ["a", "a", "a"]);
    assertEquals(plan.notRun.map(({ contenders, reason }) => [...contenders, reason]), [
      ["b", "it cannot"],
      ["b", "it cannot"],
    ]);
  });
});

describe("the order of runs", () => {
  it("gives every contender every place once, and every neighbour equally often", () => {
    for (const count of [1, 2, 5, 6, 19]) {
      const rows = Array.from({ length: count }, (_, row) => balancedOrder(count, row));
      const pairs = new Map<string, number>();
      for (const row of rows) {
        assertEquals([...row].sort((a, b) => a - b), Array.from({ length: count }, (_, i) => i));
        for (let i = 1; i < count; i++) {
          const pair = `${row[i - 1]} ${row[i]}`;
          pairs.set(pair, (pairs.get(pair) ?? 0) + 1);
        }
      }
      for (let place = 0; place < count; place++) {
        assertEquals(new Set(rows.map((row) => row[place])).size, count);
      }
      const most = count % 2 === 0 ? 1 : 2;
      assert([...pairs.values()].every((times) => times <= most), `${count}`);
    }
  });

  it("goes cell by cell and run by run", () => {
    const steps = stepsOf(planRuns(three, { ...wishes, runs: 2 }, knowledge), []);
    assertEquals(
      steps.map(({ cell, contender, run }) => `${cell.parameters["connections"]}${contender}${run}`),
      [
        ...["1a1", "1b1", "1b2", "1a2"],
        ...["2a1", "2a2"],
        ...["3a1", "3b1", "3b2", "3a2"],
      ],
    );
  });

  it("leaves out what a file has already, whatever the order of its parameters", () => {
    const cell = { workload: "echo", parameters: { binary: false, connections: 1 } } as const;
    const same = { workload: "echo", parameters: { connections: 1, binary: false } } as const;
    const plan = planRuns([{ rank: 0, cell, contenders: ["a", "b"] }], { ...wishes, runs: 2 }, knowledge);
    const done: Sample = { kind: "sample", cell: same, contender: "b", run: 1, failures: [], figures: {} };
    assertEquals(stepsOf(plan, [done]).map(({ contender, run }) => `${contender}${run}`), ["a1", "b2", "a2"]);
  });
});

describe("the command that a file keeps", () => {
  it("can be given to a shell again", () => {
    assertEquals(["--full", "--cell", "code 1048576 ", "it's", ""].map(quoted), [
      ...["--full", "--cell", "'code 1048576 '", "'it'\\''s'", "''"],
    ]);
  });
});

describe("the questions", () => {
  it("are asked of contenders that there are", () => {
    const names = new Set([...builtIn.map(({ name }) => name), CODEC]);
    const unknown = questions.flatMap(({ contenders, quick = [] }) => [...contenders, ...quick])
      .filter((name) => !names.has(name));
    assertEquals(unknown, []);
  });

  it("ask for every part of the codec on every runtime", () => {
    const asked = questions.filter(({ cell }) => cell.workload === "codec").map(({ cell }) =>
      cell.parameters
    );
    for (const runtime of ["node", "bun", "deno"]) {
      const names = asked.filter((parameters) => parameters["runtime"] === runtime).map(({ name }) =>
        String(name)
      );
      for (const part of ["decode", "encode", "mask", "utf8", "deflate", "inflate", "prepare"]) {
        assert(names.some((name) => name.startsWith(part)), `${part} on ${runtime}`);
      }
    }
  });

  it("have headlines that are among what --full asks", () => {
    for (const { cell, contenders, quick = [] } of questions) {
      assert(quick.every((name) => contenders.includes(name)), cellKey(cell));
    }
  });
});
