/**
 * A deliberately slowed contender: a busy loop that takes a given share of the process's own CPU time on top of it,
 * spread over the messages. It shows that a comparison finds what it must find; it must never run unless asked for.
 */
import process from "node:process";

/** Reading the CPU time costs microseconds, so that a reading every 64 messages took as much again as the loop. */
const MESSAGES_PER_READING = 1024;
const MICROSECONDS = 1e6;

/** CPU time of this process in microseconds, user and system. */
function cpuMicroseconds(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/**
 * A function to call once for each message. After every 1,024 messages it spins until the time spent spinning is `share`
 * (0.05 is 5 %) of all other CPU time since it was made. Throws a RangeError unless 0 < share <= 1.
 */
export function busyLoop(share: number, cpu: () => number = cpuMicroseconds): () => void {
  if (!(share > 0 && share <= 1)) throw new RangeError(`a busy loop of ${share}: expected a share up to 1`);
  const started = cpu();
  let spun = 0;
  let messages = 0;
  return () => {
    if (++messages % MESSAGES_PER_READING !== 0) return;
    const from = cpu();
    // One debt never grows beyond a second, whatever the clock did.
    const due = Math.min((from - started - spun) * share - spun, MICROSECONDS);
    let now = from;
    while (now - from < due) now = cpu();
    spun += now - from;
  };
}

/** The handler, slowed by {@link busyLoop}. */
export function slowed<Socket, Message>(
  handle: (socket: Socket, message: Message) => void,
  share: number,
): (socket: Socket, message: Message) => void {
  const spin = busyLoop(share);
  return (socket, message) => {
    handle(socket, message);
    spin();
  };
}
