/**
 * Pure: the position of a session: it follows what is processed, is stored first, and is acknowledged then.
 *
 * Nothing is acknowledged that is not processed, and nothing that this connection's gateway has not brought. An event in
 * work, or a gap that the program has not dealt with, holds the position.
 *
 * @import { Effect, Gap, Position } from './effects.js'
 * @import { EventFrame, GapFrame, Welcome, WindowSize } from './frames.js'
 * @import { Timers } from './timers.js'
 */

import { Ledger, NOTHING } from './ledger.js';

/** The longest that a processed event waits for its acknowledgement. */
export const ACK_WITHIN_S = 0.25;
/** So many processed events are acknowledged at once; fewer when the window is small. */
export const ACK_EVENTS = 50;
/** A gateway that sends more than so many windows of unprocessed events breaks the protocol. */
export const OVERRUN = 2;

/** The events in work and the position below them. */
export class Acks {
  /** Number of the current ledger: an answer about an older stream changes nothing. */
  epoch = 0;
  #askedWindow;
  #window; // as the last welcome has it
  #timers;
  /** @type {string | null} */
  #stream = null;
  /** @type {Ledger | null} */
  #ledger = null;
  /** @type {Position | null} */
  #stored = null;
  #gaps = 0;
  #isHeld = false; // a welcome announced a gap that has not come yet: store nothing
  #isConnected = false; // from a welcome on
  #acked = 0;
  #ackLimit = 0;
  #processedEvents = 0; // since the last flush
  #processedBytes = 0;

  /**
   * @param {WindowSize} window what the client asks for
   * @param {Timers} timers where `ack` is set
   */
  constructor(window, timers) {
    this.#askedWindow = this.#window = window;
    this.#timers = timers;
  }

  /**
   * Up to where everything is processed; null before it is known.
   *
   * @returns {Position | null}
   */
  get position() {
    if (this.#stream === null || !this.#ledger || this.#isHeld || this.#ledger.processed === NOTHING) return null;
    return { stream: this.#stream, seq: this.#ledger.processed };
  }

  /**
   * Up to where everything has come of a stream whose first gap is still open, and so has no position; else null.
   *
   * @returns {Position | null}
   */
  get #received() {
    return this.#stream === null || !this.#ledger ? null : { stream: this.#stream, seq: this.#ledger.received };
  }

  /**
   * Where to resume from: the position, or the stored one while there is none: then the gateway tells again what lies in
   * between, also when it has forgotten the session.
   *
   * @returns {Position | null}
   */
  get resume() {
    return this.position ?? this.#stored;
  }

  // --- what the gateway brings ---

  /**
   * A connection begins: go on, or begin with what its gateway says.
   *
   * @param {Welcome} frame
   * @param {number} now
   * @returns {Effect[]}
   */
  begin(frame, now) {
    const before = this.position;
    this.#isConnected = true;
    this.#window = frame.window;
    this.#acked = 0;
    this.#ackLimit = frame.from;
    this.#isHeld = frame.outcome === 'gap';
    const lost = untoldGap(before ?? this.#received, frame);
    if (this.#stream !== frame.stream || !this.#ledger) {
      this.#restart(frame.stream, frame.from, this.#isHeld || lost !== null);
    }
    const effects = lost ? [this.#openGap(lost)] : [];
    if (!this.#isHeld && !before) effects.push(...this.store());
    this.#schedule(now);
    return effects;
  }

  /**
   * An event for some iterators, maybe none. null when the gateway goes on beyond the window: a bug of it.
   *
   * @param {EventFrame} frame
   * @param {number[]} inboxes
   * @param {number} now
   * @returns {Effect[] | null}
   */
  receive(frame, inboxes, now) {
    const { seq, size = 0 } = frame;
    const ledger = /** @type {Ledger} */ (this.#ledger); // a welcome has made one
    this.#ackLimit = Math.max(this.#ackLimit, seq);
    this.#isHeld = false; // the gap that was announced lies ahead: up to it the position may move
    if (seq <= ledger.received) {
      this.#schedule(now); // a repeat: its acknowledgement may have been lost
      return [];
    }
    if (ledger.events >= OVERRUN * this.#askedWindow.messages) return null;
    ledger.receive(seq, inboxes, size);
    return inboxes.length ? [{ kind: 'Deliver', inboxes, epoch: this.epoch, event: frame }] : this.#settle(now);
  }

  /**
   * Everything up to `seq` has been sent: once it is processed, the position may stand there.
   *
   * @param {number} seq
   * @param {number} now
   * @returns {Effect[]}
   */
  reach(seq, now) {
    this.#ackLimit = Math.max(this.#ackLimit, seq);
    this.#isHeld = false;
    this.#ledger?.reach(seq);
    this.#schedule(now);
    return this.#settle(now);
  }

  /**
   * A gap was told: the program must deal with it before the position may pass.
   *
   * @param {GapFrame} gap
   * @returns {Effect[]}
   */
  gap(gap) {
    /** @type {Effect[]} */
    const effects = [];
    if (gap.reason === 'stream_replaced' && !this.#isHeld) {
      // While connected: the new stream's identity comes with the next welcome, until then nothing is stored.
      this.#restart(null, 0);
      this.#ackLimit = this.#acked = 0;
      this.#stored = null;
      effects.push({ kind: 'Store', position: null });
    }
    this.#isHeld = false;
    return [...effects, this.#openGap(gap)];
  }

  /** The connection is lost: of it stay the position and the events in work. */
  endConnection() {
    this.#isConnected = false;
    if (!this.#isHeld) return;
    this.#isHeld = false; // the gap that was announced never came: ask as before
    const stored = this.#stored;
    if (stored && stored.stream === this.#stream) return;
    this.#restart(null, 0);
    this.#ledger = null;
    this.load(stored);
  }

  // --- what the program does ---

  /**
   * Begin with a stored position, unless a gateway's welcome was faster.
   *
   * @param {Position | null} position
   */
  load(position) {
    if (!position || this.#ledger) return;
    this.#stored = position;
    this.#restart(position.stream, position.seq);
  }

  /**
   * An iterator is done with an event of this epoch; of an older one it changes nothing.
   *
   * @param {number} inbox
   * @param {number} epoch
   * @param {number} seq
   * @param {number} now
   * @returns {Effect[]}
   */
  process(inbox, epoch, seq, now) {
    if (epoch !== this.epoch) return [];
    this.#ledger?.process(seq, inbox);
    return this.#settle(now);
  }

  /**
   * The program has dealt with a gap: the position may pass it, and does so now.
   *
   * @param {number} number
   * @param {number} now
   * @returns {Effect[]}
   */
  closeGap(number, now) {
    this.#ledger?.closeGap(number);
    return this.#ledger ? [...this.#settle(now), ...this.flush()] : [];
  }

  /**
   * An iterator is gone: its events are not due any more.
   *
   * @param {number} inbox
   */
  release(inbox) {
    this.#ledger?.release(inbox);
  }

  /**
   * An iterator is given up by the program: the position moves over its events.
   *
   * @param {number} inbox
   * @param {number} now
   * @returns {Effect[]}
   */
  giveUp(inbox, now) {
    this.release(inbox);
    return this.#settle(now);
  }

  // --- storing and acknowledging ---

  /**
   * Store and acknowledge what is processed, now; with no connection, store.
   *
   * @returns {Effect[]}
   */
  flush() {
    this.#timers.stop('ack');
    this.#processedEvents = this.#processedBytes = 0;
    const effects = this.store();
    const seq = this.#ackable();
    if (this.#isConnected && seq > this.#acked) {
      this.#acked = seq;
      effects.push({ kind: 'Send', frame: { type: 'ack', seq } });
    }
    return effects;
  }

  /**
   * Store the position when it is another than the stored one.
   *
   * @returns {Effect[]}
   */
  store() {
    const { position } = this;
    const stored = this.#stored;
    if (!position || (position.stream === stored?.stream && position.seq === stored.seq)) return [];
    this.#stored = position;
    return [{ kind: 'Store', position }];
  }

  /**
   * @param {string | null} stream
   * @param {number} after
   * @param {boolean} [isLost]
   */
  #restart(stream, after, isLost) {
    this.epoch += 1;
    this.#stream = stream;
    this.#ledger = new Ledger(after, isLost);
    this.#processedEvents = this.#processedBytes = 0;
  }

  /**
   * @param {GapFrame | Gap} gap
   * @returns {Effect}
   */
  #openGap({ after, before, reason, subjects }) {
    this.#gaps += 1;
    this.#ledger?.openGap(this.#gaps);
    return { kind: 'TellGap', number: this.#gaps, gap: { after, before, reason, ...(subjects && { subjects }) } };
  }

  /**
   * Let the position follow what is processed; acknowledge by count and size, else by time.
   *
   * @param {number} now
   * @returns {Effect[]}
   */
  #settle(now) {
    const { count, sizeBytes } = this.#ledger?.settle() ?? { count: 0, sizeBytes: 0 };
    if (!count) return [];
    this.#processedEvents += count;
    this.#processedBytes += sizeBytes;
    const { messages, bytes } = this.#window;
    if (
      this.#processedEvents >= Math.min(ACK_EVENTS, Math.max(1, Math.floor(messages / 2))) ||
      this.#processedBytes >= Math.floor(bytes / 2)
    ) {
      return this.flush();
    }
    this.#timers.setUnlessSet('ack', now + ACK_WITHIN_S);
    return [];
  }

  /** @param {number} now */
  #schedule(now) {
    if (this.#ackable() > this.#acked) this.#timers.setUnlessSet('ack', now + ACK_WITHIN_S);
  }

  /** The most that may be acknowledged here: processed, and known to this connection's gateway. */
  #ackable() {
    return !this.#ledger || this.#isHeld ? 0 : Math.min(this.#ledger.processed, this.#ackLimit);
  }
}

/**
 * The loss that a welcome shows without saying so: another stream, or a start beyond what this client has.
 *
 * @param {Position | null} before
 * @param {Welcome} frame
 * @returns {Gap | null}
 */
function untoldGap(before, { outcome, stream, from }) {
  if (!before || outcome === 'gap') return null;
  const gap = { after: before.seq, before: from + 1 };
  if (before.stream !== stream) return { ...gap, reason: 'stream_replaced' };
  return outcome === 'fresh' && from > before.seq ? { ...gap, reason: 'expired' } : null;
}
