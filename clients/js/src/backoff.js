/**
 * Pure: how long to wait before the next connection.
 *
 * Full jitter under the cap, as centrifuge-js does it: jitter before the cap is lost at the cap, and then a crowd that
 * lost one gateway comes back in step for ever.
 */

/**
 * The limits of waiting, in seconds.
 *
 * @typedef {{ leastS?: number, maxS?: number, quickS?: number }} Backoff
 *   `leastS`: the least wait after a failure, and the first step of the growth; 0.5.
 *   `maxS`: the most: growth and jitter stay at or under it; 20.
 *   `quickS`: the most before the first reconnect of a connection that had been live; spreads a crowd a little; 0.25.
 */

/** The waits within these limits. `random` gives numbers from 0 to below 1. */
export class Waits {
  #leastS;
  #maxS;
  #quickS;
  #random;

  /**
   * @param {Backoff} limits
   * @param {() => number} random
   */
  constructor({ leastS = 0.5, maxS = 20, quickS = 0.25 }, random) {
    this.#leastS = leastS;
    this.#maxS = maxS;
    this.#quickS = quickS;
    this.#random = random;
  }

  /**
   * The wait before try `attempt`, from 0: min(max, least + random(0, min(max, least * 2^attempt))).
   *
   * @param {number} attempt
   */
  delayS(attempt) {
    const span = Math.min(this.#maxS, this.#leastS * 2 ** attempt);
    return Math.min(this.#maxS, this.#leastS + this.#random() * span);
  }

  /** The wait before the first reconnect after a good connection: 0 to `quickS`. */
  quickDelayS() {
    return this.#random() * this.#quickS;
  }

  /**
   * The wait that the gateway asked for, plus up to half of it, or up to `quickS` when that is more (P6.6). A negative
   * wish counts as 0.
   *
   * @param {number} afterMs
   */
  toldDelayS(afterMs) {
    const afterS = Math.max(0, afterMs) / 1000;
    return afterS + this.#random() * Math.max(this.#quickS, afterS / 2);
  }
}
