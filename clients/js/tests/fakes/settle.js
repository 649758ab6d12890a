/** Waiting without time: for what has been set going, or for a condition. */

const { setImmediate } = globalThis; // also when a test has mocked timers

/** Resolves when every promise that can go on has gone on, and what was posted between threads or tabs has come. */
export async function settle(turns = 1) {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** The longest that a condition is waited for, in seconds: other threads take their time. */
const SOON_S = 20;

/** Resolves as soon as `isSo`; fails when it never is. */
export async function until(isSo, what = String(isSo)) {
  for (const endMs = performance.now() + SOON_S * 1000; performance.now() < endMs; await settle()) {
    if (isSo()) return;
  }
  throw new Error(`never: ${what}`);
}
