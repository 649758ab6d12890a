/** Pure: the book that shows that nothing was lost and nothing doubled, one entry for each event. */
import { judge, orderAfter } from './order.js';

/** @typedef {import('./order.js').Order} Order */
/** @typedef {import('./order.js').Fact} Fact */

/**
 * @typedef {object} Ledger
 * @property {number} processed events.
 * @property {number} repeats steps that an order of the shop took twice.
 * @property {number} skips steps that an order of the shop left out.
 * @property {number} gaps told by the gateway.
 */

/** @typedef {{ stream: string, seq: number, n: number, order: string, status: string, time: string }} Entry */

/** @type {Ledger} */
export const EMPTY = { processed: 0, repeats: 0, skips: 0, gaps: 0 };

/**
 * Write an event into the book.
 * @param {Ledger} ledger
 * @param {Order | null} before what was known of the order.
 * @param {Fact} fact
 * @param {string} stream identity of the stream that `seq` belongs to.
 * @returns {{ ledger: Ledger, order: Order, entry: Entry }}
 */
export function entered(ledger, before, fact, stream) {
  const order = orderAfter(fact, before, ledger.gaps);
  const { skipped, repeated } = judge(before, order);
  const processed = ledger.processed + 1;
  return {
    order,
    ledger: { ...ledger, processed, skips: ledger.skips + skipped, repeats: ledger.repeats + Number(repeated) },
    entry: { stream, seq: fact.seq, n: processed, order: order.order, status: order.status, time: fact.time },
  };
}
