/**
 * Pure: what an event says of an order, and whether an order's step follows on the step before.
 *
 * Anybody may publish anything on the customer's subjects. What is not an order of the shop is kept and shown too, as
 * far as it can be read; it never stops the page.
 */

/** The steps of an order of the shop, in their order. */
export const STEPS = /** @type {const} */ (['placed', 'paid', 'packed', 'shipped', 'delivered']);

/** The longest text taken from an event, in characters. */
const TEXT_CHARS = 80;
/** A price from here on is no price. */
const MOST_CENTS = 1e11;

/**
 * @typedef {object} Order The newest that is known of an order; what the board keeps, sealed fields still sealed.
 * @property {string} order its name.
 * @property {string} status as published; empty when no event said one.
 * @property {string} item
 * @property {number | null} total_cents
 * @property {boolean} isShop Whether it has the shape of the shop's own orders.
 * @property {number} seq of its newest event.
 * @property {string} time of its newest event, RFC 3339.
 * @property {unknown} raw data of the event that moved it, sealed fields still sealed.
 * @property {string} subject of that event.
 * @property {string | undefined} id of that event.
 * @property {number} gaps How many gaps had been told when it moved.
 */

/** @typedef {{ seq: number, subject: string, time: string, raw: unknown, id?: string | undefined }} Fact One event. */

/**
 * @typedef {object} Contact Whom the order is for.
 * @property {string} address empty: none, or shut.
 * @property {string} phone empty: none, or shut.
 * @property {'open' | 'shut' | null} seal Whether it was sealed and opened here, stays shut, or never was sealed.
 */

/**
 * What is known of an order after an event.
 * @param {Fact} fact
 * @param {Order | null} before what was known of the order with this name.
 * @param {number} gaps told so far.
 * @returns {Order}
 */
export function orderAfter(fact, before, gaps) {
  const { seq, subject, time, raw, id } = fact;
  const data = objectOf(raw);
  const status = textOf(data?.status);
  if (before && !status) return { ...before, seq, time }; // a remark on an order moves it nowhere
  const item = data ? textOf(data.item) : textOf(raw);
  const cents = data?.total_cents;
  const total = typeof cents === 'number' && Math.abs(cents) < MOST_CENTS ? cents : null;
  return {
    order: nameOf(fact),
    status,
    item: item || (before?.item ?? ''),
    total_cents: total ?? before?.total_cents ?? null,
    isShop: Boolean(data && item && total !== null && stepOf(status) >= 0),
    seq,
    time,
    raw,
    subject,
    id,
    gaps,
  };
}

/**
 * The order that an event is about: as it says itself, else by the end of its subject.
 * @param {{ subject: string, raw: unknown }} fact
 * @returns {string} never empty.
 */
export function nameOf({ subject, raw }) {
  return textOf(objectOf(raw)?.order) || subject.split('.').slice(2).join('.').slice(0, TEXT_CHARS) || subject;
}

/**
 * Where a status stands among the steps: 0 to 4, or -1 when it is none of them.
 * @param {string} status
 */
export function stepOf(status) {
  return STEPS.indexOf(/** @type {any} */ (status));
}

/**
 * What a move of an order says about loss and doubling: steps left out, and whether a step came twice.
 *
 * Only orders of the shop are judged, which never leaves out a step; and none across a gap, which was told.
 * @param {Order | null} before
 * @param {Order} after
 * @returns {{ skipped: number, repeated: boolean }}
 */
export function judge(before, after) {
  if (!before?.isShop || !after.isShop || before.gaps !== after.gaps || after.seq === before.seq) {
    return { skipped: 0, repeated: false };
  }
  const moved = stepOf(after.status) - stepOf(before.status);
  return { skipped: Math.max(0, moved - 1), repeated: moved <= 0 && after.raw !== before.raw };
}

/**
 * Whom an order is for, from data whose sealed fields were opened as far as they could be.
 * @param {unknown} data
 * @param {boolean} isOpened Whether a sealed field was opened.
 * @param {boolean} isShut Whether one stays shut.
 * @returns {Contact}
 */
export function contactOf(data, isOpened, isShut) {
  const { address, phone } = objectOf(data) ?? {};
  const seal = isShut ? 'shut' : isOpened ? 'open' : null;
  return { address: textOf(address), phone: textOf(phone), seal };
}

/**
 * The sealed text of an order's first sealed class, as it went over the wire; empty when nothing was sealed.
 * @param {unknown} raw
 * @returns {string}
 */
export function sealedText(raw) {
  const sealed = objectOf(objectOf(raw)?.$sealed);
  const texts = sealed ? Object.values(sealed).filter((text) => typeof text === 'string') : [];
  return texts[0] ?? '';
}

/**
 * @param {unknown} value
 * @returns {Record<string, any> | null}
 */
function objectOf(value) {
  const isMap = typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
  return isMap ? /** @type {Record<string, any>} */ (value) : null;
}

/**
 * A value as a short text.
 * @param {unknown} value
 * @returns {string}
 */
function textOf(value) {
  if (value === undefined || value === null) return '';
  if (ArrayBuffer.isView(value)) return `${value.byteLength} bytes`;
  const text = typeof value === 'object' ? JSON.stringify(value, withoutBigInt) : String(value);
  return text.length > TEXT_CHARS ? `${text.slice(0, TEXT_CHARS - 1)}…` : text;
}

/** MessagePack has integers that JSON.stringify refuses. @param {string} _ @param {unknown} value */
function withoutBigInt(_, value) {
  return typeof value === 'bigint' ? String(value) : value;
}
