/** Shell: the clocks and timers of the platform. */

/**
 * @typedef {object} Clock
 * @property {() => number} nowS Monotonic seconds.
 * @property {() => number} unixS Seconds since 1970.
 * @property {(call: () => void, ms: number) => unknown} setTimeout
 * @property {(timer: any) => void} clearTimeout
 */

/** @type {Clock} */
export const systemClock = {
  nowS: () => performance.now() / 1000,
  unixS: () => Date.now() / 1000,
  setTimeout: (call, ms) => setTimeout(call, ms),
  clearTimeout: (timer) => clearTimeout(timer),
};
