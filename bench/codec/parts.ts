import type { Cell } from "./table.ts";
export function* partCells(_filter: string): Iterable<Cell> {}
