/** Shell: the board of a session in a browser that keeps nothing: it lasts as long as the page. */
import { EMPTY, entered } from './ledger.js';

/** @typedef {import('./board-store.js').Recorded} Recorded */

/** Does what `BoardStore` does, in memory. @implements {Pick<import('./board-store.js').BoardStore, keyof import('./board-store.js').BoardStore>} */
export class MemoryBoard {
  #ledger = EMPTY;
  /** @type {Map<string, import('./order.js').Order>} */
  #orders = new Map();
  /** @type {Map<string, import('./ledger.js').Entry>} */
  #log = new Map();

  async read() {
    return { orders: [...this.#orders.values()], ledger: this.#ledger, log: [...this.#log.values()] };
  }

  /**
   * @param {import('./order.js').Fact} fact
   * @param {string} stream
   * @returns {Promise<Recorded>}
   */
  async record(fact, stream) {
    const place = `${stream} ${fact.seq}`;
    const known = this.#log.get(place);
    const { order: name } = entered(this.#ledger, null, fact, stream).entry;
    const before = this.#orders.get(known?.order ?? name) ?? null;
    if (known && before) return { isNew: false, ledger: this.#ledger, entry: known, order: before };
    const after = entered(this.#ledger, before, fact, stream);
    this.#ledger = after.ledger;
    this.#orders.set(name, after.order);
    this.#log.set(place, after.entry);
    return { isNew: true, ...after };
  }

  async gapTold() {
    this.#ledger = { ...this.#ledger, gaps: this.#ledger.gaps + 1 };
    return this.#ledger;
  }

  async wipe() {}
}
