/** Pure: events counted by the second, over the last minute, replayed and live apart. */

/** How far back it counts, in seconds. */
export const SECONDS = 60;

/** @typedef {{ live: number, replayed: number }} Count */

/** Counts of the last `SECONDS` seconds. */
export class Rates {
  /** @type {Map<number, Count>} */
  #counts = new Map();

  /**
   * @param {boolean} isReplay
   * @param {number} nowS
   */
  add(isReplay, nowS) {
    const second = Math.floor(nowS);
    const count = this.#counts.get(second) ?? { live: 0, replayed: 0 };
    if (isReplay) count.replayed += 1;
    else count.live += 1;
    this.#counts.set(second, count);
    for (const old of this.#counts.keys()) if (old <= second - SECONDS) this.#counts.delete(old);
  }

  /**
   * One count a second, oldest first, the running second last.
   * @param {number} nowS
   * @returns {Count[]}
   */
  read(nowS) {
    const last = Math.floor(nowS);
    return Array.from({ length: SECONDS }, (_, at) => {
      return this.#counts.get(last - SECONDS + 1 + at) ?? { live: 0, replayed: 0 };
    });
  }
}

/**
 * The top of a scale on which the largest count fits: 4, 10, 20, 50, 100, 200, ...
 * @param {number} most
 * @returns {number}
 */
export function topOf(most) {
  for (let ten = 10; ; ten *= 10) {
    for (const top of ten === 10 ? [4, 10] : [ten / 5, ten / 2, ten]) if (most <= top) return top;
  }
}
