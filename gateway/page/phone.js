/**
 * Shell: the phone: one session of one customer, with its board, its keys and its client.
 *
 * This is all that a program needs of the SDK. An event is processed when its board is stored; only then does the loop
 * ask for the next one, by which the SDK stores the position and acknowledges.
 */
import { Client, ClientStopped, IndexedDbStorage, MemoryStorage } from '/client/index.js';
import { DeviceKeys } from '/client/keys.js';
import { BoardStore } from './board-store.js';
import { MemoryBoard } from './memory-board.js';
import { contactOf, sealedText } from './order.js';

/** @typedef {import('./board-store.js').Recorded} Recorded */
/** @typedef {import('./order.js').Order} Order */
/** @typedef {import('./order.js').Contact} Contact */

/**
 * @typedef {object} PhoneOptions
 * @property {string} url of the gateway.
 * @property {import('./site.js').Site} site
 * @property {string} session
 * @property {import('./tunnel.js').Tunnel} tunnel
 * @property {number} ttlS of tokens.
 * @property {'json' | 'msgpack'} encoding
 * @property {boolean} hasKeys Whether this device is given keys.
 */

/**
 * @typedef {object} PhoneListener
 * @property {(recorded: Recorded, contact: Contact, event: { replay: boolean, time: string }) => void} recorded
 * @property {(state: string) => void} state
 * @property {(welcome: import('/client/frames.js').Welcome) => void} welcome
 * @property {(seq: number) => void} live Everything up to there has come; it may not be processed yet.
 * @property {(gap: { reason: string }, ledger: import('./ledger.js').Ledger) => void} gap
 * @property {(error: Error) => void} failed The session ended for good.
 */

/** What a slow phone takes: so many events at once, and so long for each, in ms. */
const SLOW_WINDOW = { messages: 5 };
const SLOW_MS = 700;
/** Keys are fetched again at most so often, in ms. */
const RENEW_MS = 60_000;

/** One session. */
export class Phone {
  #options;
  #told;
  /** @type {Client | null} */
  #client = null;
  /** @type {BoardStore | MemoryBoard} */
  #board = new MemoryBoard();
  /** @type {DeviceKeys | null} */
  #keys = null;
  /** @type {IndexedDbStorage | MemoryStorage} */
  #storage = new MemoryStorage();
  #isSlow = false;
  #renewableAtMs = 0;

  /** @param {PhoneOptions} options @param {PhoneListener} told */
  constructor(options, told) {
    this.#options = options;
    this.#told = told;
  }

  get session() {
    return this.#options.session;
  }

  /** The SDK's client; null before `connect`. */
  get client() {
    return this.#client;
  }

  /** Open what this device knows of the session: it is shown before, and without, any connection. */
  async open() {
    const { site, session, hasKeys } = this.#options;
    const names = databases(site.customer, session);
    try {
      this.#board = await BoardStore.open(names.board);
      this.#storage = new IndexedDbStorage(names.position);
    } catch {} // a position without its board would lose events, so both stay in memory
    if (hasKeys) this.#keys = await loadKeys(names.keys, site).catch(() => null); // what is sealed stays shut
    return this.#board.read();
  }

  /** Connect, and process events until `forget`. @param {boolean} isSlow Whether the phone takes them slowly. */
  connect(isSlow) {
    this.#isSlow = isSlow;
    const { url, site, session, tunnel, ttlS, encoding } = this.#options;
    const client = new Client(url, {
      getToken: () => {
        if (tunnel.isInside) throw new Error('no signal');
        return site.token(ttlS);
      },
      session,
      storage: this.#storage,
      keys: this.#keys ? this.#keyring : undefined,
      window: this.#isSlow ? SLOW_WINDOW : {},
      encoding,
      WebSocket: tunnel.WebSocket,
    });
    this.#client = client;
    const isOurs = () => client === this.#client; // what an older one still says is of no interest
    client.on('state', (state) => isOurs() && this.#told.state(state));
    client.on('welcome', (welcome) => isOurs() && this.#told.welcome(welcome));
    client.on('live', (seq) => isOurs() && this.#told.live(seq));
    client.on('gap', async (gap) => this.#told.gap(gap, await this.#board.gapTold()));
    client.on('error', (error) => isOurs() && error === client.failure && this.#told.failed(error));
    void this.#process(client);
  }

  /** @param {Client} client */
  async #process(client) {
    try {
      for await (const event of client.subscribe(`orders.${this.#options.site.customer}.>`)) {
        const { seq, subject, time, raw, id, replay } = event;
        const fact = { seq, subject, time, raw, id: id ?? undefined };
        const recorded = await this.#board.record(fact, client.welcome?.stream ?? '');
        const contact = await this.contact(recorded.order);
        if (client === this.#client) this.#told.recorded(recorded, contact, { replay, time });
        if (this.#isSlow) await new Promise((resolve) => setTimeout(resolve, SLOW_MS));
      }
    } catch (error) {
      if (!(error instanceof ClientStopped)) this.#told.failed(/** @type {Error} */ (error)); // else told already
    }
  }

  /**
   * Whom an order is for: what is kept is sealed, and opened again each time.
   * @param {Order} order
   * @returns {Promise<Contact>}
   */
  async contact({ raw, subject, id }) {
    if (!this.#keys) return contactOf(raw, false, sealedText(raw) !== '');
    const event = { subject, id: id ?? null };
    let { data, opened, shut } = await this.#keys.open(raw, event);
    if (Object.values(shut).includes('no_key') && (await this.#renewKeys())) {
      ({ data, opened, shut } = await this.#keys.open(raw, event));
    }
    return contactOf(data, opened.length > 0, Object.keys(shut).length > 0);
  }

  /** The keys that the SDK opens with: those of now. */
  #keyring = {
    /** @param {object} data @param {{ subject: string, id: string | null }} event */
    open: (data, event) => /** @type {DeviceKeys} */ (this.#keys).open(data, event),
    wipe: async () => this.#keys?.wipe(),
  };

  /** Keys have epochs, and a new shop has new keys: fetch them again, now and then. @returns {Promise<boolean>} */
  async #renewKeys() {
    const { tunnel, site, session } = this.#options;
    if (tunnel.isInside || performance.now() < this.#renewableAtMs) return false;
    this.#renewableAtMs = performance.now() + RENEW_MS;
    const keys = await fetchKeys(databases(site.customer, session).keys, site).catch(() => null);
    this.#keys = keys ?? this.#keys;
    return keys !== null;
  }

  /** Reconnect as a phone that takes events slowly, or as a quick one. @param {boolean} isSlow */
  async slow(isSlow) {
    await this.#hangUp();
    this.connect(isSlow);
  }

  async #hangUp() {
    const client = this.#client;
    this.#client = null;
    await client?.close();
  }

  /** Stop, and delete all that this device keeps of the session. */
  async forget() {
    await this.#hangUp();
    await this.#keys?.wipe().catch(() => {}); // of a browser that keeps nothing
    await this.#board.wipe();
    indexedDB.deleteDatabase(databases(this.#options.site.customer, this.session).position);
  }
}

/** @param {string} customer @param {string} session */
function databases(customer, session) {
  const end = `${customer} ${session}`;
  const keys = `demo-${customer}-${session}`.slice(0, 128);
  return { board: `tidewire-demo board ${end}`, position: `tidewire-demo position ${end}`, keys };
}

/** @param {string} store @param {import('./site.js').Site} site */
async function loadKeys(store, site) {
  return (await DeviceKeys.load(store).catch(() => null)) ?? fetchKeys(store, site);
}

/** @param {string} store @param {import('./site.js').Site} site */
async function fetchKeys(store, site) {
  const jwks = await site.keys();
  return DeviceKeys.import(jwks, { store }).catch(() => DeviceKeys.from(jwks)); // of a browser that keeps nothing
}
