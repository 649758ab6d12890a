/** Shell: one event as the program sees it. */

/** A class of sealed fields that stays shut here. */
export class Sealed {
  /** @param {string} fieldClass @param {string} reason `no_key` when this device does not hold its key. */
  constructor(fieldClass, reason) {
    this.fieldClass = fieldClass;
    this.reason = reason;
  }

  toString() {
    return `Sealed(${this.fieldClass}: ${this.reason})`;
  }
}

/**
 * An event of a subscription.
 * @template [T=any]
 */
export class Event {
  #ack;

  /**
   * @param {Pick<import('./frames.js').EventFrame, 'seq' | 'subject' | 'time' | 'replay' | 'id' | 'headers'>} frame
   * @param {unknown} raw
   * @param {{ data: unknown, opened: string[], shut: Record<string, string> }} opened
   * @param {() => Promise<void>} ack
   */
  constructor(frame, raw, { data, opened, shut }, ack) {
    /** The stream sequence, from 1; rises within one stream, not contiguous. */
    this.seq = frame.seq;
    /** The literal subject. */
    this.subject = frame.subject;
    /** When it was stored, RFC 3339 UTC with up to nine decimals. */
    this.time = frame.time;
    /** The published value, sealed fields put back where this device has their key; bytes for what is not JSON. */
    this.data = /** @type {T} */ (data);
    /** The value as it came, sealed fields still sealed: what may be kept where `data` may not. */
    this.raw = raw;
    /** Whether it was missed and comes now. */
    this.replay = frame.replay ?? false;
    /** The publisher's message id, or null. */
    this.id = frame.id ?? null;
    /** The publisher's headers. @type {Record<string, unknown>} */
    this.headers = frame.headers ?? {};
    /** Classes of sealed fields that are open in `data`. */
    this.opened = opened;
    /** Classes that stay shut here, each with its reason. @type {Record<string, Sealed>} */
    this.sealed = Object.fromEntries(Object.entries(shut).map(([name, reason]) => [name, new Sealed(name, reason)]));
    this.#ack = ack;
  }

  /** Say that it is processed. Saying so twice is harmless; resolves at once, the gateway hears of it in 250 ms. */
  ack() {
    return this.#ack();
  }

  /** Without its data, which may be sensitive. */
  toString() {
    return `Event(seq=${this.seq}, subject=${this.subject}, replay=${this.replay})`;
  }

  [Symbol.for('nodejs.util.inspect.custom')]() {
    return this.toString();
  }
}
