/** Shell: the only poll in these tests: wait for a fact, with a deadline. */
import { setTimeout as pause } from 'node:timers/promises';

/**
 * Resolve with the first value of `fact()` that is true; reject with its text when there is none within `withinS` seconds.
 * @template T
 * @param {() => T | Promise<T>} fact
 * @param {number} [withinS]
 * @returns {Promise<T>}
 */
export async function until(fact, withinS = 15) {
  const deadline = performance.now() + withinS * 1000;
  for (;;) {
    const value = await fact();
    if (value) return value;
    if (performance.now() > deadline) throw new Error(`not so within ${withinS} s: ${fact}`);
    await pause(5);
  }
}
