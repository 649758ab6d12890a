/**
 * Shell: the client: what a program uses.
 *
 * One client is one session: one connection at a time, one position. Several subscriptions share it: the position is the
 * lowest that all of them have processed, and an event that matches two of them goes to both.
 */
import { systemClock } from './clock.js';
import { ClientClosed, ClientError, Forbidden, HandlerFailed, Revoked } from './errors.js';
import { Event } from './event.js';
import { dataOf, JsonCodec } from './frames.js';
import { watchPage } from './lifecycle.js';
import { checkPattern } from './patterns.js';
import { Session } from './session.js';
import { DefaultStorage } from './storage.js';
import { Inbox, Subscription } from './subscription.js';

/** @typedef {import('./effects.js').Gap} Gap */
/** @typedef {import('./frames.js').Welcome} Welcome */
/** @typedef {import('./session.js').State} State */
/** @typedef {import('./session.js').Ticket} Ticket */
/** @typedef {import('./subscription.js').AckMode} AckMode */
/** @typedef {import('./subscription.js').Entry} Entry */

/**
 * @typedef {object} Keys What opens sealed fields: a `DeviceKeys` of `@tidewire/client/sealed`.
 * @property {(data: object, event: { subject: string, id: string | null }) => Promise<{ data: unknown, opened: string[], shut: Record<string, string> }>} open
 * @property {() => Promise<void>} wipe
 */

/**
 * @typedef {object} ClientOptions
 * @property {() => string | Promise<string>} [getToken] Gives the JWT; called again when it ends or is refused. Throw
 *   `Unauthorized` in it to stop the client. Needed unless there is `token`.
 * @property {string} [token] A fixed JWT: the client stops when it ends.
 * @property {string} session The name of this device's session: 1 to 64 of `A-Za-z0-9_-`, the same in every run.
 * @property {import('./storage.js').Storage} [storage] Keeps the position between runs. IndexedDB when absent, where
 *   there is none `localStorage`, else memory.
 * @property {Keys} [keys] Opens sealed fields.
 * @property {{ messages?: number, bytes?: number }} [window] The most unprocessed events, 1,000 and 1 MiB when absent.
 * @property {'json' | 'msgpack'} [encoding] `json` when absent.
 * @property {Partial<import('./backoff.js').Backoff>} [backoff] Waits between connections, in seconds.
 * @property {boolean} [tabs] Whether tabs of one browser, user and session share one connection; true when absent. It
 *   takes Web Locks and BroadcastChannel; without them the newest tab wins, and the others stop with `TakenOver`.
 * @property {typeof globalThis.WebSocket} [WebSocket] Where the platform has none, or another is wanted.
 * @property {Partial<Platform>} [platform] For tests: other clocks, randomness, page.
 */

/**
 * @typedef {object} Platform
 * @property {import('./clock.js').Clock} clock
 * @property {() => number} random From 0 to below 1; for waits alone.
 * @property {LockManager | undefined} locks
 * @property {typeof BroadcastChannel | undefined} BroadcastChannel
 * @property {Parameters<typeof watchPage>[1]} page
 */

/**
 * @typedef {object} Listeners
 * @property {(event: Event) => unknown} event An event of a subscription that no loop runs over. It is acknowledged when
 *   every listener's promise has resolved; one that fails ends the client with `HandlerFailed`.
 * @property {(seq: number) => unknown} live Everything missed has been received.
 * @property {(gap: Gap) => unknown} gap Events between `after` and `before` are lost for good: reload. The position
 *   does not pass the gap before every listener's promise has resolved.
 * @property {(state: State) => unknown} state
 * @property {(welcome: Welcome) => unknown} welcome The gateway has answered: `outcome`, and how much is `pending`.
 * @property {(error: ClientError) => unknown} error What went wrong; the client goes on unless `failure` is set.
 */

const WINDOW = { messages: 1000, bytes: 1_048_576 };
const WINDOW_MOST = { messages: 10_000, bytes: 8 * 1_048_576 };
/** Plain `ws://` goes to these hosts only: it carries tokens in clear. */
const URL_FORM = /^(wss:\/\/[^/?#@]+|ws:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d+)?)(\/[^?#]*)?$/;

/** A session with a gateway, kept over any number of connections. It connects at the first `subscribe`. */
export class Client {
  #session;
  #keys;
  #window;
  /** @type {Map<number, Inbox>} */
  #inboxes = new Map();
  #numbers = 0;
  /** @type {Record<keyof Listeners, Set<(value: any) => unknown>>} */
  #listeners = {
    event: new Set(),
    live: new Set(),
    gap: new Set(),
    state: new Set(),
    welcome: new Set(),
    error: new Set(),
  };
  /** @type {Set<Inbox>} Those whose events go to listeners. */
  #pumped = new Set();
  /** @type {ClientError | null} */
  #failure = null;
  #isClosed = false;
  #unwatch;

  /**
   * @param {string} url `wss://HOST/v1/session`; `ws://` for loopback only.
   * @param {ClientOptions} options
   * @throws {TypeError} for an option that is wrong.
   */
  constructor(url, options) {
    const { token, getToken = () => /** @type {string} */ (token), session, keys, platform = {} } = options;
    const WebSocket = options.WebSocket ?? globalThis.WebSocket;
    if (!URL_FORM.test(url)) throw new TypeError('url is wss://HOST[:PORT]/v1/session, without query or user');
    if (typeof session !== 'string' || !/^[\w-]{1,64}$/.test(session))
      throw new TypeError('session is 1 to 64 of A-Z a-z 0-9 _ -');
    if (!token === !options.getToken) throw new TypeError('give getToken or token');
    if (!WebSocket) throw new TypeError('this platform has no WebSocket: hand one in');
    const { backoff = {} } = options;
    if (Object.values(backoff).some((seconds) => !Number.isFinite(seconds) || seconds < 0)) {
      throw new TypeError('backoff is in seconds'); // a wait of NaN would be none
    }
    this.#keys = keys;
    this.#window = { ...WINDOW, ...options.window };
    for (const name of /** @type {const} */ (['messages', 'bytes'])) {
      const size = this.#window[name];
      if (!Number.isSafeInteger(size) || size < 1 || size > WINDOW_MOST[name]) {
        throw new TypeError(`window.${name} is 1 to ${WINDOW_MOST[name]}`);
      }
    }
    this.#session = new Session(
      {
        url,
        session,
        WebSocket,
        getToken,
        window: this.#window,
        backoff,
        renewable: !token,
        codec: codecOf(options.encoding ?? 'json'),
        storage: options.storage ?? new DefaultStorage(),
        tabs: options.tabs === false ? null : tabPlatform(platform),
        clock: platform.clock ?? systemClock,
        random: platform.random ?? Math.random,
      },
      {
        deliver: (inboxes, ticket, event) => this.#deliver(inboxes, ticket, event),
        gap: (gap) => this.#gap(gap),
        tell: (name, value) => this.#tell(name, value),
        deny: (inboxes, subjects, reason) => this.#deny(inboxes, subjects, reason),
        stop: (error) => this.#fail(error),
      },
    );
    this.#unwatch = watchPage({ wake: () => this.wake(), hide: () => void this.flush() }, platform.page);
  }

  /** @returns {State} */
  get state() {
    return this.#isClosed ? 'closed' : this.#session.state;
  }

  /** Up to where everything is processed; null before the first welcome of a new session. */
  get position() {
    return this.#session.position;
  }

  /** The gateway's last `welcome`; null before the first one. */
  get welcome() {
    return this.#session.welcome;
  }

  /** Why the session ended for good; null while it has not. */
  get failure() {
    return this.#failure;
  }

  /** Whether this tab holds the connection. */
  get isLeader() {
    return this.#session.isLeader;
  }

  /**
   * Subscribe to some patterns (`orders.c42.>`): iterate over what it returns, or listen with `on('event', ...)`.
   *
   * Make the subscriptions of a program before its first pause: the connection asks for the patterns known when it
   * opens, and a pattern that comes later begins with what follows its coming. After a loop was left, the same patterns
   * go on where it was left.
   * @template [T=any] what `event.data` is; nobody checks it.
   * @param {string | string[]} patterns
   * @param {{ ack?: AckMode }} [options] With `manual` an event is processed when `event.ack()` says so, in any order.
   * @returns {Subscription<T>}
   * @throws {TypeError} for a pattern that is none.
   * @throws {ClientClosed} when the client is closed; what made it stop, when it has stopped.
   */
  subscribe(patterns, { ack = 'auto' } = {}) {
    const wanted = [patterns].flat();
    if (!wanted.length) throw new TypeError('subscribe to at least one pattern');
    if (ack !== 'auto' && ack !== 'manual') throw new TypeError('ack is auto or manual');
    wanted.forEach(checkPattern);
    if (this.#failure) throw this.#failure;
    if (this.#isClosed) throw new ClientClosed('the client is closed');
    let inbox = [...this.#inboxes.values()].find((i) => !i.subscription && String(i.patterns) === String(wanted));
    if (inbox) {
      inbox.putBack();
    } else {
      this.#numbers += 1;
      inbox = new Inbox(this.#numbers, wanted, this.#window.messages);
      this.#inboxes.set(inbox.number, inbox);
      this.#session.subscribe(inbox.number, wanted);
    }
    const subscription = new Subscription(inbox, this.#source, ack);
    this.#pumpLater();
    return subscription;
  }

  /**
   * Listen. Listeners of `gap` and `event` may return promises, which are waited for.
   * @template {keyof Listeners} N
   * @param {N} name
   * @param {Listeners[N]} listener
   * @returns {() => void} ends it.
   */
  on(name, listener) {
    const listeners = this.#listeners[name];
    if (!listeners) throw new TypeError(`there is no event ${name}`);
    listeners.add(listener);
    if (name === 'event') this.#pumpLater();
    return () => void listeners.delete(listener);
  }

  /** Store and acknowledge now what is processed; resolves when the position is stored. */
  flush() {
    return this.#session.flush();
  }

  /**
   * The device woke up, or its network came back: ask whether the link lives, and do not wait for the next try. In
   * browsers this is called by itself; in React Native call it when `AppState` becomes active.
   */
  wake() {
    if (!this.#isClosed) this.#session.wake();
  }

  /** Store and acknowledge what is processed, and end. Loops end. Safe to call twice. */
  async close() {
    this.#end(null);
    await this.#session.close();
  }

  // --- events ---

  /** @param {number[]} inboxes @param {Ticket} ticket @param {import('./frames.js').EventFrame} event */
  #deliver(inboxes, ticket, event) {
    for (const number of inboxes) {
      if (this.#inboxes.get(number)?.put(ticket, event) === false) this.#session.processed(number, ticket, event.seq);
    }
  }

  /** @type {import('./subscription.js').Source} */
  #source = {
    makeEvent: async (inbox, entry) => {
      const { event: frame } = entry;
      const raw = payloadOf(frame);
      const opened = await this.#open(raw, frame.subject, frame.id ?? null);
      return new Event(frame, raw, opened, async () => this.#finish(inbox, entry));
    },
    finish: (inbox, entry) => this.#finish(inbox, entry),
    giveUp: (inbox) => this.#giveUp(inbox),
  };

  /** @param {unknown} raw @param {string} subject @param {string | null} id */
  async #open(raw, subject, id) {
    if (raw === null || typeof raw !== 'object' || !Object.hasOwn(raw, '$sealed')) {
      return { data: raw, opened: [], shut: {} };
    }
    if (this.#keys) return this.#keys.open(raw, { subject, id });
    const { $sealed, ...data } = /** @type {Record<string, unknown>} */ (raw);
    const classes = $sealed && typeof $sealed === 'object' ? Object.keys($sealed) : ['$sealed'];
    return { data, opened: [], shut: Object.fromEntries(classes.map((name) => [name, 'no_key'])) };
  }

  /** @param {Inbox} inbox @param {Entry} entry */
  #finish(inbox, entry) {
    if (entry.isDone) return;
    entry.isDone = true;
    this.#session.processed(inbox.number, entry.ticket, entry.event.seq);
  }

  /** @param {Inbox} inbox */
  #giveUp(inbox) {
    if (this.#inboxes.delete(inbox.number)) this.#session.unsubscribe(inbox.number);
    inbox.end(null);
  }

  /** @param {number[]} inboxes @param {string[]} subjects @param {string} reason */
  #deny(inboxes, subjects, reason) {
    const refused = new Forbidden(`not permitted: ${reason}`, null, subjects);
    for (const number of inboxes) {
      this.#inboxes.get(number)?.end(refused);
      this.#inboxes.delete(number);
    }
    this.#tell('error', refused);
  }

  // --- listeners ---

  /** Give events to listeners; not before a loop over what `subscribe` returned can have begun. */
  #pumpLater() {
    queueMicrotask(() => {
      for (const inbox of this.#inboxes.values()) {
        if (!this.#pumped.has(inbox)) void this.#pump(inbox);
      }
    });
  }

  /** @param {Inbox} inbox */
  async #pump(inbox) {
    this.#pumped.add(inbox);
    const { event: listeners } = this.#listeners;
    const isOurs = () => listeners.size && inbox.subscription && !inbox.subscription.isIterated;
    try {
      while (isOurs()) {
        await inbox.ready(inbox.subscription);
        const { subscription } = inbox;
        if (!isOurs() || !subscription) break;
        const event = await subscription.take().catch(() => null); // what ended it is told to error listeners
        if (!event) break;
        await Promise.all([...listeners].map(async (listener) => listener(event)));
        if (subscription.ack === 'auto') void event.ack();
      }
    } catch (cause) {
      if (!this.#failure) {
        this.#fail(new HandlerFailed('a listener of event failed', null, { cause }));
        await this.#session.close();
      }
    } finally {
      this.#pumped.delete(inbox);
    }
  }

  /** @param {Gap} gap */
  #gap(gap) {
    const { gap: listeners } = this.#listeners;
    if (!listeners.size) console.warn(`tidewire: events are lost (${gap.reason}), and nothing listens for gap`);
    return Promise.all([...listeners].map(async (listener) => listener(gap))).catch((cause) => {
      this.#fail(new HandlerFailed('a listener of gap failed', null, { cause }));
      void this.#session.close(); // so that the gap stays before the position
    });
  }

  /** @param {keyof Listeners} name @param {any} value */
  #tell(name, value) {
    const listeners = [...this.#listeners[name]];
    if (name === 'error' && !listeners.length) console.warn(`tidewire: ${value}`);
    for (const listener of listeners) {
      // each on its own: one that throws is the program's bug and keeps none from hearing
      queueMicrotask(() => listener(value));
    }
  }

  /** @param {ClientError} failure */
  #fail(failure) {
    this.#failure ??= failure;
    if (failure instanceof Revoked) this.#keys?.wipe().catch((error) => this.#tell('error', error));
    this.#end(this.#failure);
    this.#tell('error', this.#failure);
  }

  /** @param {ClientError | null} failure */
  #end(failure) {
    this.#isClosed = true;
    this.#unwatch();
    for (const inbox of this.#inboxes.values()) inbox.end(failure);
  }
}

/** A payload that is not base64 after all is shown as it came: it harms only itself. @param {import('./frames.js').EventFrame} frame */
function payloadOf(frame) {
  try {
    return dataOf(frame);
  } catch {
    return frame.data_b64;
  }
}

/**
 * @param {string} encoding
 * @returns {() => Promise<import('./connection.js').Codec>}
 */
function codecOf(encoding) {
  if (encoding === 'json') return async () => JsonCodec;
  if (encoding === 'msgpack') return async () => (await import('./msgpack.js')).Msgpack; // no weight on JSON users
  throw new TypeError('encoding is json or msgpack');
}

/**
 * @param {Partial<Platform>} platform
 * @returns {import('./tabs.js').TabPlatform | null}
 */
function tabPlatform(platform) {
  const isPage = typeof document !== 'undefined';
  const locks = 'locks' in platform ? platform.locks : isPage ? globalThis.navigator?.locks : undefined;
  const Channel = 'BroadcastChannel' in platform ? platform.BroadcastChannel : globalThis.BroadcastChannel;
  if (!locks || !Channel) return null;
  const { clock = systemClock, page = globalThis } = platform;
  const isSeen = () => page.document?.visibilityState !== 'hidden';
  return { locks, BroadcastChannel: Channel, newId: () => crypto.randomUUID(), unixMs: Date.now, clock, isSeen };
}
