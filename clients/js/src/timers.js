/**
 * Pure: what a session waits for, and until when. Times are monotonic seconds; nothing here reads a clock.
 *
 * @typedef {'retry' | 'silence' | 'probe' | 'ack' | 'calm' | 'refresh'} Timer
 */

/** At most one time for each name. */
export class Timers {
  /** @type {Map<Timer, number>} */
  #due = new Map();

  /** The earliest time; Infinity when nothing is waited for. */
  get due() {
    return Math.min(...this.#due.values());
  }

  /**
   * Whether something waits for this timer.
   *
   * @param {Timer} timer
   */
  isSet(timer) {
    return this.#due.has(timer);
  }

  /**
   * Let a timer fall due at `at`, also when it had another time.
   *
   * @param {Timer} timer
   * @param {number} at
   */
  set(timer, at) {
    this.#due.set(timer, at);
  }

  /**
   * Let a timer fall due at `at`; one that runs keeps its time.
   *
   * @param {Timer} timer
   * @param {number} at
   */
  setUnlessSet(timer, at) {
    if (!this.isSet(timer)) this.set(timer, at);
  }

  /**
   * Whether this timer has fallen due and was not taken yet.
   *
   * @param {Timer} timer
   * @param {number} now
   */
  isDue(timer, now) {
    return (this.#due.get(timer) ?? Number.POSITIVE_INFINITY) <= now;
  }

  /**
   * Let a timer fall due in `withinS` at the latest. One that is due earlier keeps its time, unless it is past.
   *
   * @param {Timer} timer
   * @param {number} now
   * @param {number} withinS
   */
  hasten(timer, now, withinS) {
    const at = now + withinS;
    if (this.isDue(timer, now) || at < (this.#due.get(timer) ?? Number.POSITIVE_INFINITY)) this.set(timer, at);
  }

  /**
   * Let a timer not fall due any more. One that does not run changes nothing.
   *
   * @param {Timer} timer
   */
  stop(timer) {
    this.#due.delete(timer);
  }

  /**
   * Stop every timer, and let only `but` keep its time.
   *
   * @param {Timer} [but]
   */
  stopAll(but) {
    for (const timer of this.#due.keys()) if (timer !== but) this.stop(timer);
  }

  /**
   * Stop and yield what is due, earliest first. What one of them stops or sets anew is not yielded any more.
   *
   * @param {number} now
   * @returns {Generator<[Timer, number]>}
   */
  *take(now) {
    for (const [timer, at] of [...this.#due].sort((a, b) => a[1] - b[1])) {
      if (at <= now && this.#due.get(timer) === at) {
        this.stop(timer);
        yield [timer, at];
      }
    }
  }
}
