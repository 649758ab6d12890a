/**
 * Shell: runs one session: performs what the core asks for, with sockets, storage, tokens and one timer.
 *
 * With tabs, it stands by after its first token until this tab holds the lock: its core waits, its timer is stopped, and
 * events come from the tab that leads. When the lock was taken away from it, it begins anew with another core, and stands
 * by again; what an older core's answers lead to is not done.
 */
import { Connection } from './connection.js';
import { Core } from './core.js';
import { GatewayError, stopped, TokenUnavailable, Unauthorized, Unreachable } from './errors.js';
import { guarded } from './storage.js';
import { userOf } from './user.js';

/** @typedef {import('./connection.js').Codec} Codec */
/** @typedef {import('./effects.js').Effect} Effect */
/** @typedef {import('./errors.js').ClientError} ClientError */
/** @typedef {import('./frames.js').Frame} Frame */
/** @typedef {import('./frames.js').EventFrame} EventFrame */
/** @typedef {import('./effects.js').Gap} Gap */
/** @typedef {import('./frames.js').Welcome} Welcome */
/** @typedef {import('./storage.js').Position} Position */
/** @typedef {import('./storage.js').Scope} Scope */
/** @typedef {'connecting' | 'replaying' | 'live' | 'waiting' | 'closed'} State */

/**
 * @typedef {object} Ticket Says which delivery an answer is about: in which leader's term, of which of its streams.
 * @property {number} term
 * @property {number} epoch
 * @property {string} stream
 */

/**
 * @typedef {object} Told What a session tells its client.
 * @property {(inboxes: number[], ticket: Ticket, event: EventFrame) => void} deliver
 * @property {(gap: Gap) => Promise<unknown>} gap The position passes the gap when this has resolved.
 * @property {(name: 'live' | 'state' | 'welcome' | 'error', value: unknown) => void} tell
 * @property {(inboxes: number[], subjects: string[], reason: string) => void} deny
 * @property {(error: ClientError) => void} stop
 */

/**
 * @typedef {object} SessionOptions
 * @property {string} url
 * @property {string} session
 * @property {{ messages: number, bytes: number }} window
 * @property {import('./backoff.js').Backoff} backoff
 * @property {boolean} renewable
 * @property {() => Promise<Codec>} codec
 * @property {import('./storage.js').Storage} storage
 * @property {() => string | Promise<string>} getToken
 * @property {typeof WebSocket} WebSocket
 * @property {import('./tabs.js').TabPlatform | null} tabs What tabs need, or null: this program is alone.
 * @property {import('./clock.js').Clock} clock
 * @property {() => number} random
 */

/** A timer never sleeps longer than this, so that a machine's sleep is noticed after it, in seconds. */
const LOOK_EVERY_S = 10;
/** The wall clock ran so far ahead of the monotonic one: the machine slept, in seconds. */
const SLEPT_S = 3;
/** A token fetched longer ago than this, while standing by, is fetched again before it is used, in seconds. */
const TOKEN_FRESH_S = 10;

/** One session, whose events a client takes. */
export class Session {
  #options;
  #core;
  #clock;
  /** @type {Connection | null} */
  #connection = null;
  /** @type {import('./tabs.js').Tabs | null} */
  #tabs = null;
  /** @type {unknown} */
  #timer;
  /** The last write of a position, and all before it. @type {Promise<void>} */
  #stored = Promise.resolve();
  #standsBy = false;
  /** Whose session, and whose tabs, these are. */
  #user = '';
  /** Where a tab stopped that was robbed of the lead: what follows must come again. @type {Position | null} */
  since = null;
  /** When this tab took the lead from one that was asleep. */
  stoleS = Number.NEGATIVE_INFINITY;
  /** Resolves when this tab leads. @type {Promise<void> | null} */
  #leading = null;
  /** All inboxes, each with its patterns. @type {Map<number, string[]>} */
  #wanted = new Map();
  #isClosed = false;
  /** The last that was told. @type {Welcome | null} */
  #welcome = null;
  /** How far the wall clock is ahead of the monotonic one. */
  #ahead = 0;

  /** @param {SessionOptions} options @param {Told} told */
  constructor(options, told) {
    this.#options = options;
    /** Who takes the events: the client. */
    this.told = told;
    this.#clock = options.clock;
    this.#hasSlept(); // notes how the clocks are to each other
    this.#core = this.#newCore();
  }

  #newCore() {
    const { session, window, backoff, renewable, random } = this.#options;
    return new Core({ session, window, backoff, renewable, client: 'tidewire-client-js' }, random);
  }

  /** @returns {State} */
  get state() {
    return this.#standsBy && this.#tabs ? this.#tabs.state : this.#core.state;
  }

  /** @returns {Position | null} */
  get position() {
    return this.#standsBy && this.#tabs ? this.#tabs.position : this.#core.position;
  }

  /** @returns {Welcome | null} */
  get welcome() {
    return (this.#standsBy ? null : this.#core.welcome) ?? this.#tabs?.welcome ?? null;
  }

  /** Whether this tab holds, or would hold, the connection. */
  get isLeader() {
    return !this.#standsBy;
  }

  /** This tab's own inboxes, each with its patterns. */
  get inboxes() {
    return [...this.#wanted].filter(([inbox]) => inbox > 0);
  }

  // --- what client and tabs ask for; inboxes are numbered from 1 by the client, from -1 down by the tabs ---

  /** @param {number} inbox @param {string[]} patterns */
  subscribe(inbox, patterns) {
    this.#wanted.set(inbox, patterns);
    this.#perform(this.#core.subscribe(inbox, patterns, this.#clock.nowS()));
    if (this.#standsBy) this.#tabs?.subscribe(inbox, patterns);
  }

  /** @param {number} inbox */
  unsubscribe(inbox) {
    this.#wanted.delete(inbox);
    if (this.#standsBy) this.#tabs?.unsubscribe(inbox);
    this.#perform(this.#core.unsubscribe(inbox, this.#clock.nowS()));
    if (!this.#standsBy) this.#perform(this.#core.flush());
  }

  /** @param {number} inbox @param {Ticket} ticket @param {number} seq */
  processed(inbox, ticket, seq) {
    if (ticket.term !== this.#term) return; // of an older leader: the new one delivers it again
    if (this.#standsBy) this.#tabs?.processed(inbox, ticket, seq);
    else this.#perform(this.#core.processed(inbox, ticket.epoch, seq, this.#clock.nowS()));
  }

  /** Store and acknowledge what is processed; resolves when the position is stored. */
  async flush() {
    if (this.#standsBy) this.#tabs?.flush();
    else this.#perform(this.#core.flush());
    await this.#stored;
  }

  /** The device woke up, its page is seen again, or its network came back. */
  wake() {
    if (this.#standsBy) this.#tabs?.wake();
    else this.#perform(this.#core.wake(this.#clock.nowS()));
  }

  /** Store and acknowledge what is processed, and end. Safe to call twice. */
  async close() {
    this.end();
    await this.#stored;
    this.#tabs?.close();
  }

  /** The same, without waiting: the session ended in the leading tab, and so here. */
  end() {
    this.#perform(this.#core.close());
    this.#end();
  }

  /** Another tab has taken the lead: stand by behind it. */
  stepBack() {
    if (this.#isClosed) return;
    for (const inbox of this.#wanted.keys()) if (inbox < 0) this.#wanted.delete(inbox);
    this.#restart();
    this.#leading = this.#lead(this.#user);
  }

  /** A tab that was robbed of the lead follows: begin again `since` there. */
  rewind() {
    if (!this.#isClosed && !this.#standsBy) this.#restart();
  }

  /** Begin anew from the stored position. */
  #restart() {
    this.#connection?.end();
    this.#core = this.#newCore();
    for (const [inbox, patterns] of this.#wanted) {
      this.#perform(this.#core.subscribe(inbox, patterns, this.#clock.nowS()));
    }
  }

  /** Patterns are refused. @param {number[]} inboxes @param {string[]} subjects @param {string} reason */
  deny(inboxes, subjects, reason) {
    for (const inbox of inboxes) {
      this.#wanted.delete(inbox);
      if (this.#standsBy) this.#core.unsubscribe(inbox, this.#clock.nowS()); // else the core has forgotten it itself
    }
    this.told.deny(inboxes, subjects, reason);
  }

  get #term() {
    return this.#tabs?.term ?? 0;
  }

  // --- effects ---

  /** @param {Effect[]} effects @param {Core} core whose they are */
  #perform(effects, core = this.#core) {
    if (core !== this.#core) return;
    for (const effect of effects) this.#performOne(effect);
    this.#arm();
  }

  /**
   * What came of the connection: it may have been taken over by another tab, which had robbed this one of the lead.
   * @param {Effect[]} effects
   */
  #performTaken(effects) {
    const core = this.#core;
    const perform = () => this.#perform(effects, core);
    if (!this.#tabs?.doubts(effects, perform)) perform();
  }

  /** @param {Effect} effect */
  #performOne(effect) {
    switch (effect.kind) {
      case 'Deliver': {
        const stream = this.#core.welcome?.stream ?? '';
        const ticket = { term: this.#term, epoch: effect.epoch, stream };
        this.#tabs?.deliver(effect.inboxes, ticket, effect.event); // each takes what is for its inboxes
        this.told.deliver(effect.inboxes, ticket, effect.event);
        break;
      }
      case 'Send':
        // what is acknowledged must be stored; a slow storage holds up nothing else
        this.#connection?.send(effect.frame, effect.frame.type === 'ack' ? this.#stored : null);
        break;
      case 'Store':
        this.#store(effect.position);
        break;
      case 'Open':
        void this.#open(effect.connection);
        break;
      case 'Drop':
        this.#connection?.end();
        break;
      case 'Probe':
        this.#connection?.send({ type: 'ping' }, null); // a browser cannot send RFC 6455 pings (P2.25)
        break;
      case 'FetchToken':
        void this.#fetch(effect.number);
        break;
      case 'Load':
        void this.#load(effect.connection, effect.user);
        break;
      case 'TellGap':
        void this.#tellGap(effect.number, effect.gap);
        break;
      case 'TellLive':
        this.#tabs?.tell({ live: effect.seq });
        this.told.tell('live', effect.seq);
        break;
      case 'TellState':
        this.#tellState(effect.state);
        break;
      case 'TellError':
        this.#report(new GatewayError(effect.error.code, effect.error.message ?? '', effect.error.retry ?? false));
        break;
      case 'Deny': {
        this.#tabs?.deny(effect.inboxes, effect.subjects, effect.reason);
        for (const inbox of effect.inboxes) this.#wanted.delete(inbox);
        const own = effect.inboxes.filter((inbox) => inbox > 0);
        if (own.length) this.deny(own, effect.subjects, effect.reason);
        break;
      }
      case 'Stop':
        this.#stop(effect.stop, effect.code);
        break;
    }
  }

  /** One timer, for the earliest of all that the core waits for. */
  #arm() {
    this.#clock.clearTimeout(this.#timer);
    const { due } = this.#core;
    if (this.#standsBy || this.#isClosed || due === Number.POSITIVE_INFINITY) return;
    const delayS = Math.min(Math.max(0, due - this.#clock.nowS()), LOOK_EVERY_S);
    this.#timer = this.#clock.setTimeout(() => this.#tick(), Math.ceil(delayS * 1000));
  }

  #tick() {
    if (this.#hasSlept()) this.#perform(this.#core.wake(this.#clock.nowS()));
    this.#perform(this.#core.tick(this.#clock.nowS()));
  }

  /** Some monotonic clocks stand still while a machine sleeps; the wall clock never does. */
  #hasSlept() {
    const ahead = this.#clock.unixS() - this.#clock.nowS();
    const hasSlept = ahead - this.#ahead > SLEPT_S;
    this.#ahead = ahead;
    return hasSlept;
  }

  /** @param {State} state */
  #tellState(state) {
    if (this.#standsBy && state !== 'closed') return; // the leader's counts
    const { welcome } = this.#core;
    const isNew = welcome && welcome !== this.#welcome; // a session that fell behind replays again under the same one
    this.#welcome = welcome;
    this.#tabs?.tell(isNew ? { state, welcome } : { state });
    if (isNew) this.told.tell('welcome', welcome);
    this.told.tell('state', state);
  }

  /** @param {number} number @param {Gap} gap */
  async #tellGap(number, gap) {
    const core = this.#core;
    await Promise.all([this.told.gap(gap), this.#tabs?.gap(number, gap)]);
    this.#perform(core.gapHandled(number, this.#clock.nowS()), core);
  }

  /** @param {import('./effects.js').StopKind} kind @param {number | null} code */
  #stop(kind, code) {
    void this.#tabs?.stop(kind, code);
    this.#end();
    this.told.stop(stopped(kind, code));
  }

  #end() {
    this.#isClosed = true;
    this.#arm();
  }

  /** @param {ClientError} error */
  #report(error) {
    if (!this.#isClosed) this.told.tell('error', error);
  }

  // --- connection ---

  /** @param {number} number */
  async #open(number) {
    const core = this.#core;
    const codec = await this.#options.codec().catch(() => null); // an encoding that is loaded on need may not come
    if (core !== this.#core || core.connection !== number || core.state !== 'connecting') return;
    if (!codec) return this.#broken(number, null);
    const { url, WebSocket } = this.#options;
    this.#connection?.end(); // never two
    this.#connection = new Connection(number, url, codec, WebSocket, {
      opened: (n) => this.#perform(this.#core.opened(n, this.#clock.nowS())),
      misread: (n) => this.#perform(this.#core.misread(n, this.#clock.nowS())),
      received: (n, frames) => this.#received(n, frames),
      broken: (n, code) => this.#broken(n, code),
    });
  }

  /** @param {number} number @param {Frame[]} frames */
  #received(number, frames) {
    const nowS = this.#clock.nowS();
    this.#hasSlept(); // if so, the link lives all the same
    this.#performTaken(this.#core.received(number, frames, nowS, this.#clock.unixS()));
    // a page in the background has its timers held back: what is overdue is done with what comes
    if (this.#core.due <= nowS) this.#perform(this.#core.tick(nowS));
  }

  /** @param {number} number @param {number | null} code */
  #broken(number, code) {
    const effects = this.#core.broken(number, this.#clock.nowS(), { code });
    if (this.#core.state === 'waiting') this.#report(new Unreachable(code ? `closed with ${code}` : 'no connection'));
    this.#performTaken(effects);
  }

  // --- token and position ---

  /** @param {number} number */
  async #fetch(number) {
    const core = this.#core;
    let token;
    try {
      token = await this.#options.getToken();
      const user = userOf(token);
      const sinceS = this.#clock.nowS();
      this.#leading ??= this.#lead(user);
      await this.#leading;
      if (this.#clock.nowS() - sinceS > TOKEN_FRESH_S) token = await this.#options.getToken();
    } catch (cause) {
      const isFinal = cause instanceof Unauthorized;
      if (!isFinal) this.#report(new TokenUnavailable('no token; it will be asked for again', { cause }));
      this.#perform(core.tokenFailed(number, this.#clock.nowS(), isFinal), core);
      return;
    }
    if (core !== this.#core) return;
    const user = userOf(token);
    if (this.#tabs && user !== this.#user) {
      this.end();
      this.#tabs.close(); // the others go on as the user whose tabs these are, or find out by themselves
      this.#stop('user_changed', null);
      return;
    }
    this.#perform(core.tokenFetched(number, token, user, this.#clock.nowS()));
  }

  /** Stand by until this tab leads; it may never. Without tabs, it leads at once. @param {string} user */
  async #lead(user) {
    const { url, session, tabs } = this.#options;
    if (!tabs || this.#isClosed) return;
    this.#user = user;
    this.#standsBy = true;
    this.#arm();
    // on need, since neither Node nor React Native has tabs; where it cannot be had, the newest tab wins
    const loaded = await import('./tabs.js').catch(() => null);
    if (loaded && !this.#isClosed) {
      this.#tabs = new loaded.Tabs(JSON.stringify([url, user, session]), tabs, this);
      await this.#tabs.lead();
    }
    this.#standsBy = false;
    this.#arm(); // a token may have failed meanwhile
  }

  /** @returns {Scope} */
  get #scope() {
    const { url, session } = this.#options;
    return { url, user: this.#user, session };
  }

  /** @param {number} connection @param {string} user */
  async #load(connection, user) {
    const core = this.#core;
    this.#user = user;
    let position = null;
    try {
      await this.#stored;
      position = await guarded(() => this.#options.storage.load(this.#scope));
    } catch (error) {
      this.#report(/** @type {ClientError} */ (error));
    }
    if (core !== this.#core) return;
    if (this.#tabs && this.since) {
      position = this.#tabs.rewound(position);
      this.#store(position); // the tab that was robbed may lead next
    }
    this.#perform(core.loaded(connection, position, this.#clock.nowS()));
  }

  /** @param {Position | null} position */
  #store(position) {
    const scope = this.#scope;
    const save = () => guarded(() => this.#options.storage.save(scope, position));
    const robbed = this.#tabs?.isRobbed(); // then another tab's is newer
    this.#stored = this.#stored
      .then(() => (robbed ? robbed.then((isRobbed) => (isRobbed ? undefined : save())) : save()))
      .catch((error) => this.#report(error));
    this.#tabs?.tell({ position });
  }
}
