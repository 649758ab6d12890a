/** Shell: the keys of this device, in WebCrypto and, when wished, in IndexedDB. Nothing gives their bytes out again. */
import { ClientError } from './errors.js';
import { decodeBase64Url, examine, restore } from './sealed.js';
import { openDatabase } from './storage.js';

/** @typedef {import('./sealed.js').Opened} Opened */
/** @typedef {import('./sealed.js').Reason} Reason */
/** @typedef {Pick<SubtleCrypto, 'importKey' | 'decrypt'>} Subtle */
/**
 * @typedef {object} DeviceKey One key: it opens one class of one person of one tenant.
 * @property {string} kid
 * @property {string} tenant
 * @property {string} dataSubject
 * @property {string} fieldClass
 * @property {CryptoKey} key It decrypts and nothing else, and cannot be exported.
 */
/**
 * @typedef {object} KeyOptions
 * @property {string | null} [tenant] When given, keys of other tenants do not count.
 * @property {Subtle} [subtle] Default: the platform's `crypto.subtle`. React Native has none; hand one in there.
 */

const DATABASE = 'tidewire-keys';
const STORE = 'keys';
const NAME = /^[\w-]{1,128}$/;
const NAMES = ['kid', 'tidewire_tenant', 'tidewire_subject', 'tidewire_class'];
const KEY_BYTES = 32;

/** Keys are wrong, or cannot be used or kept here. The message names the place and the remedy, and no key. */
export class WrongKeys extends ClientError {
  /** @override */
  get name() {
    return 'WrongKeys';
  }
}

/** The keys that this device holds, by key id. It never shows their bytes. */
export class DeviceKeys {
  /** @type {Map<string, DeviceKey>} */
  #byKid;
  #tenant;
  #subtle;
  /** @type {string | null} */
  #store = null;

  /**
   * Programs call `from`, `import` or `load`.
   * @param {DeviceKey[]} keys
   * @param {KeyOptions} options
   */
  constructor(keys, { tenant = null, subtle = platformSubtle() }) {
    this.#byKid = new Map(keys.map((key) => [key.kid, key]));
    this.#tenant = tenant;
    this.#subtle = subtle;
  }

  /**
   * Take keys over into WebCrypto, for as long as the object lives.
   * @param {unknown} jwks a JWK Set (RFC 7517) of `oct` keys, parsed or as text: what the operator of the sealed fields
   *   hands to the devices of one person.
   * @param {KeyOptions} [options]
   * @returns {Promise<DeviceKeys>} rejects with WrongKeys that names the place; a `kid` that is there twice too.
   */
  static async from(jwks, { tenant, subtle = platformSubtle() } = {}) {
    const rows = rowsOf(jwks).map((row, place) => checked(row, `keys: keys[${place}]`));
    if (new Set(rows.map(({ kid }) => kid)).size !== rows.length) throw new WrongKeys('keys: a kid is there twice');
    try {
      const keys = rows.map(async ({ secret, ...names }) => {
        const key = await subtle.importKey('raw', secret, 'AES-GCM', false, ['decrypt']);
        secret.fill(0);
        return { ...names, key };
      });
      return new DeviceKeys(await Promise.all(keys), { tenant, subtle });
    } catch (cause) {
      throw new WrongKeys('keys: WebCrypto does not take them here', { cause });
    }
  }

  /**
   * The same, and keep them in IndexedDB in place of what was kept there under this name. What is kept cannot be read
   * out, only used, and only by pages of this origin.
   * @param {unknown} jwks
   * @param {KeyOptions & { store: string }} options `store`: the name that `load` gives them back by.
   * @returns {Promise<DeviceKeys>} rejects with WrongKeys, also where there is no IndexedDB.
   */
  static async import(jwks, { store, ...options }) {
    const keys = await DeviceKeys.from(jwks, options);
    await inStore('readwrite', (kept) => kept.put({ tenant: keys.#tenant, keys: [...keys.#byKid.values()] }, store));
    keys.#store = store;
    return keys;
  }

  /**
   * Give the keys that `import` kept.
   * @param {string} store
   * @param {{ subtle?: Subtle }} [options]
   * @returns {Promise<DeviceKeys | null>} null when there are none; rejects with WrongKeys when they cannot be read.
   */
  static async load(store, { subtle } = {}) {
    const kept = await inStore('readonly', (all) => all.get(store));
    if (!kept) return null;
    const keys = new DeviceKeys(kept.keys, { tenant: kept.tenant, subtle });
    keys.#store = store;
    return keys;
  }

  /** How many keys there are. */
  get size() {
    return this.#byKid.size;
  }

  /**
   * Open every class of an event's data that this device can, all or nothing per class. `data` itself does not change.
   * @param {unknown} data
   * @param {{ subject: string, id?: string | null, expected?: Record<string, string[]> }} event its subject and message
   *   id; `expected`: class to pointers that must be sealed in it, as the program knows.
   * @returns {Promise<Opened>} never rejects for what a sender wrote.
   */
  async open(data, { subject, id, expected }) {
    const examined = examine(data, { subject, id, expected, tenant: this.#tenant }, this.#byKid);
    return restore(examined, await Promise.all(examined.locked.map((locked) => this.#decrypt(locked))));
  }

  /**
   * Let go of every key, as after a revocation, also in IndexedDB. From the call on nothing opens any more.
   * @returns {Promise<void>} resolves when they are gone from IndexedDB too; rejects with WrongKeys when that failed.
   */
  async wipe() {
    this.#byKid.clear();
    const store = this.#store;
    if (store !== null) await inStore('readwrite', (kept) => kept.delete(store));
  }

  toString() {
    return `DeviceKeys(${this.size} keys)`;
  }

  /**
   * @param {import('./sealed.js').Locked<DeviceKey>} locked
   * @returns {Promise<Uint8Array | Reason>}
   */
  async #decrypt({ kid, key, iv, aad, ciphertext }) {
    const gcm = { name: 'AES-GCM', iv, additionalData: aad, tagLength: 128 };
    try {
      const plaintext = new Uint8Array(await this.#subtle.decrypt(gcm, key.key, ciphertext));
      return this.#byKid.has(kid) ? plaintext : 'no_key'; // wiped meanwhile
    } catch {
      return 'decrypt';
    }
  }
}

/** @returns {Subtle} */
function platformSubtle() {
  const subtle = globalThis.crypto?.subtle;
  if (!subtle) {
    throw new WrongKeys('keys: there is no crypto.subtle here: browsers have it on https pages, others need `subtle`');
  }
  return subtle;
}

/**
 * @param {unknown} jwks
 * @returns {unknown[]}
 */
function rowsOf(jwks) {
  let document = jwks;
  if (typeof jwks === 'string') {
    try {
      document = JSON.parse(jwks);
    } catch {
      throw new WrongKeys('keys: is no JSON in UTF-8'); // without the cause, whose text quotes the keys
    }
  }
  const rows = /** @type {any} */ (document)?.keys;
  if (!Array.isArray(rows)) throw new WrongKeys('keys: is no JWK Set: it has no list of keys');
  return rows;
}

/**
 * @param {any} row
 * @param {string} place
 */
function checked(row, place) {
  if (row?.kty !== 'oct' || row.alg !== 'A256GCM') {
    throw new WrongKeys(`${place}: is no oct key with "alg": "A256GCM"`);
  }
  const wrong = NAMES.find((name) => typeof row[name] !== 'string' || !NAME.test(row[name]));
  if (wrong) throw new WrongKeys(`${place}.${wrong}: is not 1 to 128 of A-Za-z0-9_-`);
  const secret = typeof row.k === 'string' ? decodeBase64Url(row.k) : null;
  if (secret?.length !== KEY_BYTES) throw new WrongKeys(`${place}.k: is not 32 bytes in base64url`);
  const { kid, tidewire_tenant: tenant, tidewire_subject: dataSubject, tidewire_class: fieldClass } = row;
  return { kid, tenant, dataSubject, fieldClass, secret };
}

/**
 * Do one request in IndexedDB.
 * @param {IDBTransactionMode} mode
 * @param {(store: IDBObjectStore) => IDBRequest} work
 * @returns {Promise<any>} its result, when the transaction is complete.
 */
async function inStore(mode, work) {
  try {
    const database = await openDatabase(DATABASE, STORE, () => {});
    try {
      const transaction = database.transaction(STORE, mode);
      const request = work(transaction.objectStore(STORE));
      return await new Promise((resolve, reject) => {
        transaction.oncomplete = () => resolve(request.result);
        transaction.onabort = transaction.onerror = () => reject(transaction.error);
      });
    } finally {
      database.close();
    }
  } catch (cause) {
    throw new WrongKeys('keys: IndexedDB cannot keep or give them here', { cause });
  }
}
