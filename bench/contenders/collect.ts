/** Loaded before a server that is measured as it is: the garbage collection that it owes the benchmark on SIGUSR2. */
import { collectOnSignal } from "./settings.ts";

collectOnSignal();
