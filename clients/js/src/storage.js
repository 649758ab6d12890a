/**
 * Shell: where a client keeps its position between runs.
 *
 * A storage keeps one position for each scope (gateway, user, session), and never gives out one scope's for another. A
 * position is written after its events were processed, so one that is lost or old costs repeats of the gateway's
 * replay, never an event.
 */
import { StateUnavailable } from './errors.js';

/** @typedef {{ stream: string, seq: number }} Position Everything up to `seq` of the stream is processed. */
/** @typedef {{ url: string, user: string, session: string }} Scope Whose position it is; `user`: `iss` and `sub`. */
/**
 * @typedef {object} Storage
 * @property {(scope: Scope) => Promise<Position | null>} load The stored position; null when there is none. Rejects
 *   with StateUnavailable when it cannot be read.
 * @property {(scope: Scope, position: Position | null) => Promise<void>} save Keep it, or forget it (null). Resolves
 *   when it is kept; rejects with StateUnavailable.
 */

/** The longest that a browser's storage may take before the next kind is tried, in seconds. */
const OPEN_WITHIN_S = 3;

/** Keeps positions as long as the object lives. @implements {Storage} */
export class MemoryStorage {
  /** @type {Map<string, Position>} */
  #positions = new Map();

  /** @param {Scope} scope */
  async load(scope) {
    return this.#positions.get(keyOf(scope)) ?? null;
  }

  /** @param {Scope} scope @param {Position | null} position */
  async save(scope, position) {
    if (position) this.#positions.set(keyOf(scope), position);
    else this.#positions.delete(keyOf(scope));
  }
}

/**
 * Keeps positions in whatever has `getItem`, `setItem` and `removeItem`, with or without promises: `localStorage`, React
 * Native's AsyncStorage. @implements {Storage}
 */
export class KeyValueStorage {
  #store;

  /**
   * @param {{ getItem(key: string): unknown, setItem(key: string, value: string): unknown, removeItem(key: string): unknown }} store
   */
  constructor(store) {
    this.#store = store;
  }

  /** @param {Scope} scope */
  async load(scope) {
    return guarded(async () => positionOf(JSON.parse(String((await this.#store.getItem(keyOf(scope))) ?? null))));
  }

  /** @param {Scope} scope @param {Position | null} position */
  async save(scope, position) {
    await guarded(async () => {
      if (position) await this.#store.setItem(keyOf(scope), JSON.stringify(position));
      else await this.#store.removeItem(keyOf(scope));
    });
  }
}

/** Keeps positions in IndexedDB. @implements {Storage} */
export class IndexedDbStorage {
  /** @type {Promise<IDBDatabase> | null} */
  #opening = null;
  #name;

  /** @param {string} name of the database. */
  constructor(name = 'tidewire') {
    this.#name = name;
  }

  /** @param {Scope} scope */
  async load(scope) {
    return guarded(async () => positionOf(await this.#run('readonly', (store) => store.get(keyOf(scope)))));
  }

  /** @param {Scope} scope @param {Position | null} position */
  async save(scope, position) {
    await guarded(() =>
      this.#run('readwrite', (store) => (position ? store.put(position, keyOf(scope)) : store.delete(keyOf(scope)))),
    );
  }

  /**
   * @param {IDBTransactionMode} mode
   * @param {(store: IDBObjectStore) => IDBRequest} work
   * @returns {Promise<unknown>}
   */
  async #run(mode, work) {
    this.#opening ??= openDatabase(this.#name, 'positions', () => {
      this.#opening = null;
    });
    try {
      const transaction = (await this.#opening).transaction('positions', mode);
      const request = work(transaction.objectStore('positions'));
      return await new Promise((resolve, reject) => {
        transaction.oncomplete = () => resolve(request.result);
        transaction.onabort = transaction.onerror = () => reject(transaction.error);
      });
    } catch (error) {
      this.#opening = null; // a database that the browser closed is opened again next time
      throw error;
    }
  }
}

/** What a client uses that was handed none: IndexedDB, else `localStorage`, else memory. @implements {Storage} */
export class DefaultStorage {
  /** @type {Promise<Storage> | null} */
  #chosen = null;
  #platform;

  /** @param {{ indexedDB?: unknown, localStorage?: globalThis.Storage }} platform where to look for them. */
  constructor(platform = globalThis) {
    this.#platform = platform;
  }

  /** @param {Scope} scope */
  async load(scope) {
    this.#chosen ??= this.#choose(scope);
    return (await this.#chosen).load(scope);
  }

  /** @param {Scope} scope @param {Position | null} position */
  async save(scope, position) {
    this.#chosen ??= this.#choose(scope);
    return (await this.#chosen).save(scope, position);
  }

  /** @param {Scope} scope @returns {Promise<Storage>} */
  async #choose(scope) {
    for (const kind of [() => new IndexedDbStorage(), () => new KeyValueStorage(this.#localStorage)]) {
      try {
        const storage = kind();
        await within(OPEN_WITHIN_S, storage.load(scope));
        return storage;
      } catch {} // the next kind is tried; the gateway's cursor still stands
    }
    return new MemoryStorage();
  }

  /** Looking at it throws where cookies are blocked. */
  get #localStorage() {
    return /** @type {globalThis.Storage} */ (this.#platform.localStorage);
  }
}

/**
 * Open a database with one store.
 * @param {string} name
 * @param {string} store
 * @param {() => void} ended called when the browser closed it.
 * @returns {Promise<IDBDatabase>}
 */
export function openDatabase(name, store, ended) {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(store);
    request.onerror = () => reject(request.error);
    request.onsuccess = () => {
      const database = request.result;
      database.onclose = ended;
      database.onversionchange = () => {
        database.close(); // another page wants to delete it
        ended();
      };
      resolve(database);
    };
  });
}

/** @param {Scope} scope */
function keyOf({ url, user, session }) {
  return `tidewire ${JSON.stringify([url, user, session])}`;
}

/**
 * @param {unknown} value
 * @returns {Position | null}
 */
function positionOf(value) {
  if (value === undefined || value === null) return null;
  const { stream, seq } = /** @type {Position} */ (value);
  if (typeof stream !== 'string' || !stream || !Number.isSafeInteger(seq) || seq < 0) {
    throw new TypeError('not a position'); // an identity without its sequence, or the reverse, is none
  }
  return { stream, seq };
}

/**
 * Do `work`; whatever it fails with, it is rejected with StateUnavailable.
 * @template T
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function guarded(work) {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof StateUnavailable) throw cause;
    throw new StateUnavailable('the position could not be read or stored', { cause });
  }
}

/**
 * @template T
 * @param {number} seconds
 * @param {Promise<T>} work
 * @returns {Promise<T>}
 */
function within(seconds, work) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(reject, seconds * 1000);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
