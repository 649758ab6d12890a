/** Waiting without time: for what has been set going, or for a condition. */

const { setImmediate } = globalThis; // also when a test has mocked timers

/** Resolves when every promise that can go on has gone on, and what was posted between threads or tabs has come. */
export async function settle(turns = 1) {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Resolves as soon as `isSo`; fails when it never is. */
export async function until(isSo, what = String(isSo)) {
  for (let turn = 0; turn < 20_000; turn++) {
    if (isSo()) return;
    await settle();
  }
  throw new Error(`never: ${what}`);
}
