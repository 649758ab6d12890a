/** A clock that stands still until a test moves it. It is handed in as `platform.clock`. */

import { settle } from './settle.js';

export class FakeClock {
  #monotonicMs = 100_000;
  #wallMs = 1_800_000_000_000;
  /** @type {Map<number, { atMs: number, call: () => void }>} */
  #timers = new Map();
  #numbers = 0;

  nowS = () => this.#monotonicMs / 1000;

  unixS = () => this.#wallMs / 1000;

  setTimeout = (call, ms) => {
    this.#numbers += 1;
    this.#timers.set(this.#numbers, { atMs: this.#monotonicMs + ms, call });
    return this.#numbers;
  };

  clearTimeout = (number) => {
    this.#timers.delete(number);
  };

  /** How many timers are armed. */
  get armed() {
    return this.#timers.size;
  }

  /** Let time pass: what falls due is called in order, and what follows from it is done before the next. */
  async advance(seconds) {
    const endMs = this.#monotonicMs + Math.round(seconds * 1000);
    await settle();
    for (let fired = 0; ; fired++) {
      if (fired > 10_000) throw new Error('timers are armed again and again');
      const due = [...this.#timers].filter(([, { atMs }]) => atMs <= endMs).sort((a, b) => a[1].atMs - b[1].atMs);
      if (!due.length) break;
      const [number, { atMs, call }] = due[0];
      this.#timers.delete(number);
      this.#pass(Math.max(0, atMs - this.#monotonicMs));
      call();
      await settle();
    }
    this.#pass(Math.max(0, endMs - this.#monotonicMs));
  }

  /**
   * The machine sleeps: no timer is called meanwhile, and overdue ones wait for the next `advance`. Some monotonic
   * clocks go on in a sleep, others stand still.
   */
  sleep(seconds, { isMonotonicStill = false } = {}) {
    this.#wallMs += seconds * 1000;
    if (!isMonotonicStill) this.#monotonicMs += seconds * 1000;
  }

  #pass(ms) {
    this.#monotonicMs += ms;
    this.#wallMs += ms;
  }
}
