/**
 * Pure: which received events are still in work, and so how far everything is processed.
 *
 * One row in the order of receipt. An entry is finished when nobody holds it any more; the processed sequence is that
 * of the last entry before the first unfinished one. So events may be processed in any order by any number of
 * iterators, and the position never passes one that is not done.
 *
 * @typedef {{ seq: number, holders: Set<number>, sizeBytes: number }} Entry
 */

/** Holds a gap until the program has dealt with it; no iterator has this number. */
const GAP = 0;

/** What is processed of a stream before its first gap is closed: no position, not even the one before its beginning. */
export const NOTHING = -1;

/** The events of one stream that wait to be processed, beginning after `after`. */
export class Ledger {
  /**
   * By sequence; gaps by their number below zero.
   *
   * @type {Map<number, Entry>}
   */
  #work = new Map();

  /** How many events wait; gaps are not the gateway's to be counted against it. */
  events = 0;

  /**
   * `isLost`: what lies up to `after` is lost, and the program does not know yet. Nothing is processed then, not even
   * that, until the gap that tells of it, to be opened next, is closed.
   *
   * @param {number} after
   * @param {boolean} [isLost]
   */
  constructor(after, isLost) {
    /** Everything up to here is done. */
    this.processed = isLost ? NOTHING : after;
    /** Everything up to here has been received: a repeat. */
    this.received = after;
  }

  /**
   * Take in an event above `received`; `holders` are the iterators that must process it, maybe none.
   *
   * @param {number} seq
   * @param {Iterable<number>} holders
   * @param {number} sizeBytes
   */
  receive(seq, holders, sizeBytes) {
    this.received = seq;
    this.events += 1;
    this.#work.set(seq, { seq, holders: new Set(holders), sizeBytes });
  }

  /**
   * Nothing is due up to `seq`: once all before is processed, the position may stand there.
   *
   * @param {number} seq
   */
  reach(seq) {
    if (seq > this.received) this.receive(seq, [], 0);
  }

  /**
   * A gap was told: no position beyond it until `closeGap`, so that a crash in between tells it again.
   *
   * @param {number} number from 1, never used before
   */
  openGap(number) {
    this.#work.set(-number, { seq: this.received, holders: new Set([GAP]), sizeBytes: 0 });
  }

  /**
   * The program has dealt with the gap. An unknown number changes nothing.
   *
   * @param {number} number
   */
  closeGap(number) {
    this.process(-number, GAP);
  }

  /**
   * An iterator is done with an event. Saying so again changes nothing.
   *
   * @param {number} seq
   * @param {number} holder
   */
  process(seq, holder) {
    this.#work.get(seq)?.holders.delete(holder);
  }

  /**
   * An iterator gave up all its events: they are not due to it any more.
   *
   * @param {number} holder
   */
  release(holder) {
    for (const entry of this.#work.values()) entry.holders.delete(holder);
  }

  /** Move `processed` as far as finished entries go. Returns how many events and bytes that were. */
  settle() {
    let count = 0;
    let sizeBytes = 0;
    for (const [key, entry] of this.#work) {
      if (entry.holders.size) break;
      this.#work.delete(key);
      if (key >= 0) this.events -= 1;
      this.processed = Math.max(this.processed, entry.seq);
      count += 1;
      sizeBytes += entry.sizeBytes;
    }
    return { count, sizeBytes };
  }
}
