/**
 * How the load is shared by several processes. That shares are worked through together is in smoke.test.ts.
 */
import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import { defaultJob } from "../../bench/load/job.ts";
import type { Job } from "../../bench/load/job.ts";
import { sharesOf } from "../../bench/load/team.ts";

const server = { protocol: "bare", url: "ws://127.0.0.1:1/", serverPid: 1, collects: true } as const;

function shares(job: Partial<Job>): [from: number, connections: number, inFlight: number][] {
  return sharesOf({ ...defaultJob, ...server, workload: "echo", cores: [1, 2, 3], ...job })
    .map(({ firstIndex, connections, inFlight }) => [firstIndex, connections, inFlight]);
}

describe("the load of several processes", () => {
  it("is every connection once", () => {
    assertEquals(shares({ connections: 64, inFlight: 8 }), [[0, 21, 8], [21, 22, 8], [43, 21, 8]]);
    assertEquals(shares({ connections: 2 }).map(([from, count]) => [from, count]), [[0, 1], [1, 1]]);
  });

  it("leaves the members of a room together", () => {
    const rooms = { workload: "rooms", roomSize: 10 } as const;
    assertEquals(shares({ ...rooms, connections: 45, inFlight: 1 }), [[0, 20, 1], [20, 10, 1], [30, 15, 1]]);
    assertEquals(shares({ ...rooms, connections: 10 }).length, 1);
  });

  it("has its part of a storm's handshakes in each process", () => {
    assertEquals(shares({ workload: "storm", inFlight: 32 }).map(([, , inFlight]) => inFlight), [11, 10, 11]);
  });

  it("is one process' alone where it cannot be shared, or nobody asked for it", () => {
    for (const workload of ["fanout", "latency", "idle", "churn"] as const) {
      assertEquals(shares({ workload, connections: 64 }).length, 1);
    }
    assertEquals(shares({ cores: [] }).length, 1);
  });

  it("is on the core of its own", () => {
    const job: Job = { ...defaultJob, ...server, workload: "echo", cores: [1, 2] };
    assertEquals(sharesOf(job).map(({ cores }) => cores), [[1], [2]]);
  });
});
