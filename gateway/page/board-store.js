/**
 * Shell: where a session's board is kept on this device: orders, book and log, in IndexedDB.
 *
 * One transaction for each event. The position is stored by the SDK after that, so a crash in between brings the event
 * again, and the log says that it was processed: never lost, never twice.
 */
import { EMPTY, entered } from './ledger.js';

/** @typedef {import('./ledger.js').Ledger} Ledger */
/** @typedef {import('./ledger.js').Entry} Entry */
/** @typedef {import('./order.js').Order} Order */
/** @typedef {import('./order.js').Fact} Fact */

/**
 * @typedef {object} Recorded
 * @property {boolean} isNew Whether the event was not in the log before.
 * @property {Order} order
 * @property {Ledger} ledger
 * @property {Entry} entry
 */

/** Entries that the log keeps at least. */
const LOG_ENTRIES = 1000;
/** Entries of the log that are shown. */
export const SHOWN_ENTRIES = 500;
/** The log is cut each time that so many events have been processed. */
const CUT_EVERY = 500;

/** The board of one session. */
export class BoardStore {
  #database;

  /** @param {IDBDatabase} database */
  constructor(database) {
    this.#database = database;
    database.onversionchange = () => database.close(); // another page deletes it
  }

  /**
   * Open, or begin, the board of a session.
   * @param {string} name of the database.
   * @returns {Promise<BoardStore>}
   */
  static async open(name) {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore('orders', { keyPath: 'order' });
      request.result.createObjectStore('book');
      request.result.createObjectStore('log', { keyPath: ['stream', 'seq'] }).createIndex('n', 'n');
    };
    return new BoardStore(await answer(request));
  }

  /**
   * Everything there is: orders, book, and the log's newest entries in order.
   * @returns {Promise<{ orders: Order[], ledger: Ledger, log: Entry[] }>}
   */
  async read() {
    const { orders, book, log } = this.#stores('readonly');
    const [kept, ledger] = await Promise.all([answer(orders.getAll()), answer(book.get('ledger'))]);
    const from = (ledger?.processed ?? 0) - SHOWN_ENTRIES;
    return {
      orders: kept,
      ledger: { ...EMPTY, ...ledger },
      log: await answer(log.index('n').getAll(IDBKeyRange.lowerBound(from, true))),
    };
  }

  /**
   * Process an event: once, however often it comes. Resolves when it is stored.
   * @param {Fact} fact
   * @param {string} stream identity of the event's stream.
   * @returns {Promise<Recorded>}
   */
  async record(fact, stream) {
    const stores = this.#stores('readwrite');
    const { orders, book, log, stored } = stores;
    const [known, kept] = await Promise.all([answer(log.get([stream, fact.seq])), answer(book.get('ledger'))]);
    const ledger = { ...EMPTY, ...kept };
    if (known) return { isNew: false, ledger, entry: known, order: await answer(orders.get(known.order)) };
    const { order: name } = entered(ledger, null, fact, stream).entry;
    const before = (await answer(orders.get(name))) ?? null;
    const after = entered(ledger, before, fact, stream);
    orders.put(after.order);
    log.put(after.entry);
    book.put(after.ledger, 'ledger');
    if (after.ledger.processed % CUT_EVERY === 0) cutLog(log, after.ledger.processed - LOG_ENTRIES);
    await stored;
    return { isNew: true, ...after };
  }

  /** A gap was told. @returns {Promise<Ledger>} */
  async gapTold() {
    const { book, stored } = this.#stores('readwrite');
    const kept = { ...EMPTY, ...(await answer(book.get('ledger'))) };
    const ledger = { ...kept, gaps: kept.gaps + 1 };
    book.put(ledger, 'ledger');
    await stored;
    return ledger;
  }

  /** Delete the board from this device. */
  async wipe() {
    this.#database.close();
    await answer(indexedDB.deleteDatabase(this.#database.name)).catch(() => {}); // another tab still shows it
  }

  /** @param {IDBTransactionMode} mode */
  #stores(mode) {
    const transaction = this.#database.transaction(['orders', 'book', 'log'], mode);
    /** @type {Promise<void>} */
    const stored = new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error ?? new Error('the board could not be stored'));
    });
    stored.catch(() => {}); // told to whom awaits it
    const [orders, book, log] = ['orders', 'book', 'log'].map((name) => transaction.objectStore(name));
    return /** @type {Record<'orders' | 'book' | 'log', IDBObjectStore> & { stored: Promise<void> }} */ (
      /** @type {unknown} */ ({ orders, book, log, stored })
    );
  }
}

/**
 * Take the oldest entries out of the log.
 * @param {IDBObjectStore} log
 * @param {number} upTo number of the last that goes.
 */
function cutLog(log, upTo) {
  const request = log.index('n').openKeyCursor(IDBKeyRange.upperBound(upTo));
  request.onsuccess = () => {
    if (!request.result) return;
    log.delete(request.result.primaryKey);
    request.result.continue();
  };
}

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function answer(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    if (request instanceof IDBOpenDBRequest) request.onblocked = () => reject(new Error('another page holds it'));
  });
}
