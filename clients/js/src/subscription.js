/** Shell: the events of one set of patterns that wait to be taken, and the iterator over them. */

/** @typedef {import('./frames.js').EventFrame} EventFrame */
/** @typedef {import('./session.js').Ticket} Ticket */
/** @typedef {import('./event.js').Event} Event */
/** @typedef {'auto' | 'manual'} AckMode */

/**
 * @typedef {object} Entry One event received; `ticket` is that of its newest delivery.
 * @property {EventFrame} event
 * @property {Ticket} ticket
 * @property {boolean} isDone
 */

/**
 * Events received for one set of patterns and not yet processed. The session's window bounds it.
 *
 * It outlives its iterator: when a loop is left, its events stay unprocessed, and the next subscription with the same
 * patterns goes on with them, the one in hand first. It knows what it had: when another tab leads and the gateway
 * sends again what was not stored, an event that was processed is said to be so again, and one that waits is not doubled.
 */
export class Inbox {
  /** The event that the program has. @type {Entry | null} */
  inHand = null;
  /** @type {Subscription | null} */
  subscription = null;
  /** @type {Entry[]} */
  #waiting = [];
  /** @type {Map<number, Entry>} */
  #known = new Map();
  #stream = '';
  /** The highest sequence of this stream that it had. */
  #newest = 0;
  /** Who waits for an event. @type {((_: unknown) => void)[]} */
  #waiters = [];
  #ended = false;
  /** @type {Error | null} */
  #failure = null;
  #knownMost;

  /**
   * @param {number} number
   * @param {string[]} patterns
   * @param {number} windowMessages
   */
  constructor(number, patterns, windowMessages) {
    this.number = number;
    this.patterns = patterns;
    this.#knownMost = 2 * windowMessages; // more can neither be outstanding nor come again
  }

  /**
   * Add an event at the end.
   * @param {Ticket} ticket
   * @param {EventFrame} event
   * @returns {boolean} false when there is nothing to do: that it is processed is to be said again.
   */
  put(ticket, event) {
    if (this.#ended) return true;
    if (ticket.stream !== this.#stream) {
      this.#stream = ticket.stream;
      this.#known.clear();
      this.#newest = 0;
    }
    const known = this.#known.get(event.seq);
    if (known) {
      known.ticket = ticket;
      return !known.isDone;
    }
    if (event.seq < this.#newest) return false; // from before it was there
    this.#newest = event.seq;
    const entry = { event, ticket, isDone: false };
    this.#known.set(event.seq, entry);
    if (this.#known.size > this.#knownMost) this.#known.delete(/** @type {number} */ (this.#known.keys().next().value));
    this.#waiting.push(entry);
    this.#wake();
    return true;
  }

  /** The event in hand was not finished: it is the first again. */
  putBack() {
    if (this.inHand && !this.inHand.isDone) this.#waiting.unshift(this.inHand);
    this.inHand = null;
  }

  /** No more events: who takes one gets `failure`, or the end. What waits is dropped. @param {Error | null} failure */
  end(failure) {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure = failure;
    this.#waiting = [];
    this.inHand = null;
    this.#wake();
  }

  /** Its iterator is done: one that waits takes nothing any more. */
  leave() {
    this.subscription = null;
    this.#wake();
  }

  #wake() {
    for (const wake of this.#waiters.splice(0)) wake(null);
  }

  /** Wait until `take` need not wait. @param {Subscription | null} taker */
  async ready(taker) {
    while (!this.#waiting.length && !this.#ended && this.subscription === taker) {
      await new Promise((resolve) => this.#waiters.push(resolve));
    }
  }

  /**
   * The next event, held in hand; null at the end, and for who has left. Rejects with what ended the session.
   * @param {Subscription} taker
   * @returns {Promise<Entry | null>}
   */
  async take(taker) {
    await this.ready(taker);
    if (this.subscription !== taker) return null;
    if (this.#failure) throw this.#failure;
    this.inHand = this.#waiting.shift() ?? null;
    return this.inHand;
  }
}

/**
 * @typedef {object} Source Who feeds and hears a subscription: the client.
 * @property {(inbox: Inbox, entry: Entry) => Promise<Event>} makeEvent
 * @property {(inbox: Inbox, entry: Entry) => void} finish The event is processed.
 * @property {(inbox: Inbox) => void} giveUp
 */

/**
 * An iterator of events. With `ack: 'auto'` asking for the next event says that the one before is processed. Leaving
 * the loop by `break` or an exception leaves the event in hand unprocessed: `await event.ack()` before a `break` that
 * means "done".
 * @template [T=any] what `event.data` is.
 * @implements {AsyncIterableIterator<import('./event.js').Event<T>>}
 */
export class Subscription {
  /** Whether a loop runs over it; if none does, its events go to the listeners of `event`. */
  isIterated = false;
  #inbox;
  #source;
  #isTaking = false;
  /** What its loop has; a listener's event is none of it. @type {Entry | null} */
  #entry = null;

  /** @param {Inbox} inbox @param {Source} source @param {AckMode} ack */
  constructor(inbox, source, ack) {
    this.#inbox = inbox;
    this.#source = source;
    this.ack = ack;
    inbox.subscription = this;
  }

  /** The patterns as they were asked for. */
  get patterns() {
    return [...this.#inbox.patterns];
  }

  [Symbol.asyncIterator]() {
    this.isIterated = true;
    return this;
  }

  /** @returns {Promise<IteratorResult<import('./event.js').Event<T>, undefined>>} */
  async next() {
    this.isIterated = true;
    if (this.#isTaking) throw new Error('two loops wait for one subscription; make one subscription for each');
    if (this.#inbox.subscription !== this) return { done: true, value: undefined }; // left before
    if (this.#entry && this.ack === 'auto') this.#source.finish(this.#inbox, this.#entry);
    this.#entry = null;
    this.#isTaking = true;
    try {
      const value = await this.take();
      this.#entry = this.#inbox.inHand;
      return value ? { done: false, value } : { done: true, value: undefined };
    } finally {
      this.#isTaking = false;
    }
  }

  /** The loop was left: what is in hand is not processed, and the next subscription of these patterns goes on. */
  async return() {
    if (this.#inbox.subscription === this) this.#inbox.leave();
    return { done: /** @type {const} */ (true), value: undefined };
  }

  /** Give it up: its patterns end, and its events that wait are not due any more. */
  unsubscribe() {
    if ((this.#inbox.subscription ?? this) === this) this.#source.giveUp(this.#inbox); // else it has a successor
  }

  /** The next event, without finishing the one before; null at the end. */
  async take() {
    const entry = await this.#inbox.take(this);
    return entry && this.#source.makeEvent(this.#inbox, entry);
  }
}
