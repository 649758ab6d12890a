/** Pure: one replay, from the gateway's welcome until everything that was missed is processed. */

/** Follows the replays of a session. */
export class ReplayWatch {
  /** Events of the running replay that were processed. */
  done = 0;
  /** How many there are to be; null: not known. @type {number | null} */
  of = null;
  /** It ends when everything up to this is processed; null: its end was not told. @type {number | null} */
  #liveSeq = null;

  /** Whether its end was told and is not reached. */
  get isEnding() {
    return this.#liveSeq !== null;
  }

  /** The gateway welcomes. @param {number | null} of events that it will replay. */
  begin(of) {
    this.done = 0;
    this.of = of;
  }

  /** The client's state changed. @param {boolean} isLive */
  state(isLive) {
    this.#liveSeq = isLive ? Number.POSITIVE_INFINITY : null;
  }

  /** Everything up to a sequence has come. @param {number} seq */
  live(seq) {
    this.#liveSeq = seq;
  }

  /** A tab that joins another's connection is not told where the replay ended. */
  untold() {
    if (this.#liveSeq === Number.POSITIVE_INFINITY) this.#liveSeq = 0;
  }

  /**
   * Whether it is over now; true once.
   * @param {number} seq Everything up to it is processed.
   */
  isOver(seq) {
    if (this.#liveSeq === null || seq < this.#liveSeq) return false;
    this.#liveSeq = null;
    this.done = 0;
    this.of = null;
    return true;
  }
}
