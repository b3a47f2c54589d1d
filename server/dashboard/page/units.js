/** Numbers as people read them. Each is at most some six characters long, so that nothing moves while it changes. */

const KIB = 1024;
const THOUSAND = 1000;
const MINUTE_SECONDS = 60;
const HOUR_SECONDS = 3600;
const DAY_SECONDS = 86_400;

/**
 * @param {number} value
 * @param {number} step between two units
 * @param {readonly string[]} units
 */
function scaled(value, step, units) {
  let at = 0;
  while (Math.abs(value) >= step && at < units.length - 1) {
    value /= step;
    at++;
  }
  const digits = Number.isInteger(value) || Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return `${value.toFixed(digits)}${units[at]}`;
}

/**
 * A count: 950, 12,345, 1.23M.
 * @param {number} value
 */
export function count(value) {
  return value < 100_000
    ? Math.round(value).toLocaleString("en")
    : scaled(value, THOUSAND, ["", "k", "M", "G"]);
}

/**
 * So many a second; slow ones with a digit behind the point.
 * @param {number} value
 */
export function rate(value) {
  return value > 0 && value < 10 ? value.toFixed(1) : count(value);
}

/** @param {number} value */
export function bytes(value) {
  return scaled(value, KIB, [" B", " KiB", " MiB", " GiB", " TiB"]);
}

/** @param {number} value */
export function milliseconds(value) {
  return value >= THOUSAND
    ? `${(value / THOUSAND).toFixed(1)} s`
    : `${value.toFixed(value > 0 && value < 10 ? 1 : 0)} ms`;
}

/** @param {number} value of one core */
export function percent(value) {
  return `${value.toFixed(value > 0 && value < 10 ? 1 : 0)} %`;
}

/**
 * A time span in its two largest units.
 * @param {number} seconds
 */
export function span(seconds) {
  const whole = Math.floor(seconds);
  if (whole < MINUTE_SECONDS) return `${whole} s`;
  if (whole < HOUR_SECONDS) return `${Math.floor(whole / MINUTE_SECONDS)} min ${whole % MINUTE_SECONDS} s`;
  if (whole < DAY_SECONDS) {
    return `${Math.floor(whole / HOUR_SECONDS)} h ${Math.floor(whole % HOUR_SECONDS / MINUTE_SECONDS)} min`;
  }
  return `${Math.floor(whole / DAY_SECONDS)} d ${Math.floor(whole % DAY_SECONDS / HOUR_SECONDS)} h`;
}
