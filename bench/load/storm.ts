/**
 * Storm: a fixed number of handshakes is under way all the time; a connection that has been greeted ends at once.
 * It must never know what a handshake consists of.
 */
import { Connection } from "./connection.ts";
import type { Owner } from "./connection.ts";
import type { Failures } from "./failures.ts";
import type { Job, Storm } from "./job.ts";
import { readClocks, windowOf } from "./throughput.ts";
import type { Together } from "./together.ts";

export async function runStorm(job: Job, failures: Failures, together: Together): Promise<Storm> {
  const owner: Owner = { progressed() {}, inspect() {}, failed: (reason) => failures.add(reason) };
  let handshakes = 0;
  let running = true;
  const shake = async (): Promise<void> => {
    while (running) {
      const connection = new Connection(job, handshakes, owner);
      await connection.open();
      connection.end();
      handshakes++;
    }
  };
  await failures.unless(together());
  const shaking = Array.from(
    { length: job.inFlight },
    () => shake().catch((error: unknown) => failures.add(`a handshake failed: ${(error as Error).message}`)),
  );
  await failures.sleep(job.warmupSeconds);
  const start = { ...readClocks(job.serverPid), handshakes };
  await failures.sleep(job.seconds);
  const end = { ...readClocks(job.serverPid), handshakes };
  running = false;
  await failures.unless(Promise.all(shaking));
  failures.end();
  return { ...windowOf(start, end), handshakes: end.handshakes - start.handshakes };
}
