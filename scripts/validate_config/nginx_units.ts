/** Times and sizes as nginx writes them. */

const UNIT_SECONDS: Readonly<Record<string, number>> = {
  ms: 1e-3,
  s: 1,
  m: 60,
  h: 3600,
  d: 86_400,
  w: 604_800,
  M: 2_592_000,
  y: 31_536_000,
};

/** Seconds of `1h 30m` or `90`; undefined for what is none. */
export function nginxSeconds(text: string | undefined): number | undefined {
  if (text === undefined || !/^(\d+(ms|[yMwdhms])?\s*)+$/.test(text)) return undefined;
  return [...text.matchAll(/(\d+)(ms|[yMwdhms])?/g)]
    .reduce((sum, [, count, unit = "s"]) => sum + Number(count) * (UNIT_SECONDS[unit] ?? 0), 0);
}

const UNIT_BYTES: Readonly<Record<string, number>> = { "": 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

/** Bytes of `64k`; undefined for what is none. */
export function nginxBytes(text: string | undefined): number | undefined {
  const match = /^(\d+)([kmg]?)$/i.exec(text ?? "");
  return match === null ? undefined : Number(match[1]) * (UNIT_BYTES[(match[2] ?? "").toLowerCase()] ?? 1);
}
