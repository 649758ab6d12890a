/**
 * Shell: shows a quick replay slowly enough for eyes. Events are processed, stored and acknowledged at full speed; only
 * what the board shows of them waits here, for about two seconds at most.
 */

/** The longest pause between two moves, in ms. */
const PAUSE_MS = 90;
/** In about so many ms everything that waits is shown. */
const WITHIN_MS = 2000;
/** More than so many moves are not worth watching: they are shown at once. */
const WATCHED = 250;

/**
 * A queue of moves, shown one by one.
 * @template T
 */
export class Playback {
  /** @type {T[]} */
  #queue = [];
  /** @type {ReturnType<typeof setTimeout> | null} */
  #timer = null;
  #show;
  #isMoving;

  /**
   * @param {(moves: T[]) => void} show
   * @param {() => boolean} isMoving Whether anybody watches; if not, moves are shown at once.
   */
  constructor(show, isMoving) {
    this.#show = show;
    this.#isMoving = isMoving;
  }

  /** Moves that wait. */
  get length() {
    return this.#queue.length;
  }

  /** @param {T} move */
  push(move) {
    this.#queue.push(move);
    if (this.#timer === null) this.#next();
    else if (this.#queue.length > WATCHED || !this.#isMoving()) this.flush();
  }

  /** Show all that waits, at once. */
  flush() {
    const moves = this.#queue.splice(0);
    if (moves.length) this.#show(moves);
  }

  /** Forget what waits. */
  clear() {
    this.#queue.length = 0;
  }

  #next() {
    this.#timer = null;
    if (!this.#queue.length) return;
    if (this.#queue.length > WATCHED || !this.#isMoving()) this.flush();
    else this.#show(this.#queue.splice(0, 1));
    const pause = Math.min(PAUSE_MS, WITHIN_MS / Math.max(1, this.#queue.length));
    this.#timer = setTimeout(() => this.#next(), pause);
  }
}
