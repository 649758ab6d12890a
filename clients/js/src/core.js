/**
 * Pure: one session of a client: frames, answers, time in; effects out.
 *
 * The states: **connecting** (token, position, socket, welcome), **replaying**, **live**, **waiting** (for the next try,
 * or for a first pattern), **closed**. Two numbers keep old things from reaching new ones: every connection and every
 * asking for a token has its own, and an answer with another number than the current one is ignored. There is one retry
 * timer and it is armed in one place (`#lost`), so there are never two chains of reconnects.
 *
 * What each part knows is beside it: `acks` the events in work and the position, `interest` the patterns,
 * `token-refresh` the token, `reconnect` the waits. Here they are put in order.
 *
 * `now` is monotonic seconds. `due` says when `tick` wants to be called. Randomness is drawn for waits alone.
 *
 * @import { Backoff } from './backoff.js'
 * @import { Verdict } from './closing.js'
 * @import { Effect, Position, State, StopKind } from './effects.js'
 * @import { EventFrame, Frame, Goodbye, Live, Reply, Welcome, WindowSize } from './frames.js'
 * @import { Timer } from './timers.js'
 */

import { Acks } from './acks.js';
import { Waits } from './backoff.js';
import { verdictOfClose, verdictOfStatus } from './closing.js';
import { Interest } from './interest.js';
import { Reconnect } from './reconnect.js';
import { Timers } from './timers.js';
import { TokenRefresh } from './token-refresh.js';

/** The longest for each step of connecting: token, socket, welcome. */
export const CONNECT_WITHIN_S = 15;
/** So long after the gateway's ping was due a silent link is dead. */
export const DEAD_AFTER_S = 10;
/** So long after the gateway's ping was due the client asks by itself whether the link lives. */
export const PROBE_AFTER_S = 5;
/** So long a link has to answer when it is asked after a sleep or a change of the network. */
export const PROBE_WITHIN_S = 4;
/** A tick later than this was slept through: the link is asked again before it is called dead. */
export const LATE_S = 2;

const CLOSED_BY_CLIENT = 1000;

/**
 * What stays the same for the life of a client. `window`: default 1,000 messages and 1 MiB. `renewable`: whether asking
 * for a token again can give another one, default true. `client` names the program to the gateway.
 *
 * @typedef {{
 *   session: string, window?: Partial<WindowSize>, backoff?: Backoff, renewable?: boolean, client?: string,
 * }} Settings
 */

/** A client's session. Every method returns the effects to perform, in order; none throws for what a peer does. */
export class Core {
  /** @type {State} */
  state = 'waiting';
  /**
   * Of the current or the last connection.
   *
   * @type {Welcome | null}
   */
  welcome = null;
  /** Number of the current or the last connection. */
  connection = 0;
  #settings;
  #window;
  #timers = new Timers();
  #frameIds = 0;
  #interest = new Interest(() => this.#nextId());
  #acks;
  #token;
  #reconnect;
  #isLoaded = false;
  #silenceS = 25;
  #isAsked = false; // the link was asked late, and has said nothing since

  /**
   * @param {Settings} settings
   * @param {() => number} random for waits; gives numbers from 0 to below 1
   */
  constructor(settings, random) {
    const { window, backoff = {}, renewable = true } = settings;
    const waits = new Waits(backoff, random);
    this.#settings = settings;
    this.#window = { messages: 1000, bytes: 1_048_576, ...window };
    this.#acks = new Acks(this.#window, this.#timers);
    this.#token = new TokenRefresh(renewable, waits, this.#timers);
    this.#reconnect = new Reconnect(waits, this.#timers);
  }

  /** When `tick` must be called; Infinity when nothing is waited for. */
  get due() {
    return this.#timers.due;
  }

  /** Up to where everything is processed; null before it is known. */
  get position() {
    return this.#acks.position;
  }

  /** The number of the current stream's events in work, as `Deliver` has it. */
  get epoch() {
    return this.#acks.epoch;
  }

  /** What the iterators want, each pattern once, in the order of asking. */
  get patterns() {
    return this.#interest.patterns;
  }

  // --- what the program does ---

  /**
   * A new iterator. The first one connects; later ones are told to the gateway and begin with what follows.
   *
   * @param {number} inbox any whole number but 0, never used before
   * @param {string[]} patterns
   * @param {number} now
   * @returns {Effect[]}
   */
  subscribe(inbox, patterns, now) {
    if (this.state === 'closed') return [];
    this.#interest.add(inbox, patterns);
    return this.state === 'waiting' && !this.#timers.isSet('retry') ? this.#begin(now) : this.#announce();
  }

  /**
   * An iterator is given up: its events are not due any more, and its patterns end unless another holds them.
   *
   * @param {number} inbox
   * @param {number} now
   * @returns {Effect[]}
   */
  unsubscribe(inbox, now) {
    if (!this.#interest.remove(inbox) || this.state === 'closed') return [];
    return [...this.#announce(), ...this.#acks.giveUp(inbox, now)];
  }

  /**
   * An iterator is done with an event.
   *
   * @param {number} inbox
   * @param {number} epoch
   * @param {number} seq
   * @param {number} now
   * @returns {Effect[]}
   */
  processed(inbox, epoch, seq, now) {
    return this.state === 'closed' ? [] : this.#acks.process(inbox, epoch, seq, now);
  }

  /**
   * The `gap` listeners have returned: the position may pass the gap.
   *
   * @param {number} number
   * @param {number} now
   * @returns {Effect[]}
   */
  gapHandled(number, now) {
    return this.state === 'closed' ? [] : this.#acks.closeGap(number, now);
  }

  /**
   * Store and acknowledge what is processed, now.
   *
   * @returns {Effect[]}
   */
  flush() {
    return this.state === 'closed' ? [] : this.#acks.flush();
  }

  /**
   * The program is done.
   *
   * @returns {Effect[]}
   */
  close() {
    return this.state === 'closed' ? [] : [...this.#acks.flush(), ...this.#end()];
  }

  /**
   * The device woke up, its page is seen again, or its network came back: ask whether the link lives, or end the wait
   * unless the gateway wished it (P6.9).
   *
   * @param {number} now
   * @returns {Effect[]}
   */
  wake(now) {
    switch (this.state) {
      case 'closed':
        return [];
      case 'waiting':
        if (!this.#timers.isSet('retry') || this.#reconnect.isWished) return [];
        this.#timers.stop('retry');
        return this.#begin(now);
      case 'connecting':
        // a step that hung meanwhile is begun anew at once
        if (this.#timers.isDue('silence', now)) return [...this.#lost('resume', null, now), ...this.wake(now)];
        this.#timers.hasten('silence', now, DEAD_AFTER_S);
        this.#reconnect.isWoken = true;
        return [];
      default:
        this.#timers.stop('probe');
        this.#timers.hasten('silence', now, PROBE_WITHIN_S);
        return [{ kind: 'Probe' }];
    }
  }

  // --- answers of the shell ---

  /**
   * `getToken` has answered. `user`: whose token it is, for the scope of the position.
   *
   * @param {number} number
   * @param {string} token
   * @param {string} user
   * @param {number} now
   * @returns {Effect[]}
   */
  tokenFetched(number, token, user, now) {
    if (this.state === 'closed' || !this.#token.answered(number)) return [];
    if (!this.#token.take(token, user)) return this.#stop('user_changed', null);
    if (this.state === 'connecting') return this.#loadOrOpen(now);
    return [{ kind: 'Send', frame: { type: 'refresh', id: this.#nextId(), token } }];
  }

  /**
   * `getToken` failed. `final`: there is no token to be had, ever.
   *
   * @param {number} number
   * @param {number} now
   * @param {boolean} [final]
   * @returns {Effect[]}
   */
  tokenFailed(number, now, final = false) {
    if (this.state === 'closed' || !this.#token.answered(number)) return [];
    if (final) return this.#stop('unauthorized', null);
    if (this.state === 'connecting') return this.#lost('backoff', null, now);
    this.#token.askLater(now);
    return [];
  }

  /**
   * The stored position, or null when there is none.
   *
   * @param {number} connection
   * @param {Position | null} position
   * @param {number} now
   * @returns {Effect[]}
   */
  loaded(connection, position, now) {
    if (!this.#isCurrent(connection) || this.#isLoaded) return [];
    this.#isLoaded = true;
    this.#acks.load(position);
    return this.#loadOrOpen(now);
  }

  /**
   * The WebSocket is open: the first frame goes out.
   *
   * @param {number} connection
   * @param {number} now
   * @returns {Effect[]}
   */
  opened(connection, now) {
    const { token } = this.#token;
    if (!this.#isCurrent(connection) || token === null) return [];
    this.#reconnect.isWoken = false;
    this.#timers.set('silence', now + CONNECT_WITHIN_S);
    const { session, client } = this.#settings;
    const { resume } = this.#acks;
    return [
      {
        kind: 'Send',
        frame: {
          type: 'connect',
          token,
          session,
          subscribe: this.#interest.connect(),
          window: this.#window,
          ...(resume && { resume }),
          ...(client && { client }),
        },
      },
    ];
  }

  /**
   * The socket ended (`code`), was refused with an HTTP status, or could not be opened (neither).
   *
   * @param {number} connection
   * @param {number} now
   * @param {{ code?: number | null, status?: number | null }} [why]
   * @returns {Effect[]}
   */
  broken(connection, now, { code = null, status } = {}) {
    if (!this.#isCurrent(connection)) return [];
    return this.#lost(status == null ? verdictOfClose(code) : verdictOfStatus(status), code, now);
  }

  /**
   * The gateway sent something that is not a frame.
   *
   * @param {number} connection
   * @param {number} now
   * @returns {Effect[]}
   */
  misread(connection, now) {
    return this.#isCurrent(connection) ? this.#bug(now) : [];
  }

  /**
   * A WebSocket pong came: the link lives.
   *
   * @param {number} connection
   * @param {number} now
   * @returns {Effect[]}
   */
  heard(connection, now) {
    return this.received(connection, [], now, 0);
  }

  /**
   * The frames of one message. `unixS`: the time of day, to know how long a token has.
   *
   * @param {number} connection
   * @param {Frame[]} frames
   * @param {number} now
   * @param {number} unixS
   * @returns {Effect[]}
   */
  received(connection, frames, now, unixS) {
    /** @type {Effect[]} */
    const effects = [];
    for (const frame of frames) {
      if (!this.#isCurrent(connection)) break;
      effects.push(...this.#frame(frame, now, unixS));
    }
    if (this.#isCurrent(connection)) this.#hear(now);
    return effects;
  }

  /**
   * Do what is due.
   *
   * @param {number} now
   * @returns {Effect[]}
   */
  tick(now) {
    /** @type {Effect[]} */
    const effects = [];
    for (const [timer, at] of this.#timers.take(now)) effects.push(...this.#timeout(timer, now, now - at > LATE_S));
    return effects;
  }

  // --- frames ---

  /**
   * @param {Frame} frame
   * @param {number} now
   * @param {number} unixS
   * @returns {Effect[]}
   */
  #frame(frame, now, unixS) {
    if (this.state === 'connecting' && !FIRST.has(frame.type)) return this.#bug(now);
    switch (frame.type) {
      case 'event':
        return this.#event(frame, now);
      case 'live':
        return this.#live(frame, now);
      case 'welcome':
        return this.#welcomed(frame, now, unixS);
      case 'gap':
        return this.#acks.gap(frame);
      case 'reply':
        return this.#reply(frame, now, unixS);
      case 'ping':
        return [{ kind: 'Send', frame: { type: 'pong' } }];
      case 'expiring':
        return this.#token.ask();
      case 'error':
        this.#reconnect.wish(frame.after);
        return [{ kind: 'TellError', error: frame }];
      case 'goodbye':
        return this.#goodbye(frame, now);
      default: // a pong: to be heard is all it is for
        return [];
    }
  }

  /**
   * @param {Welcome} frame
   * @param {number} now
   * @param {number} unixS
   * @returns {Effect[]}
   */
  #welcomed(frame, now, unixS) {
    this.welcome = frame;
    this.#silenceS = Math.min(300, Math.max(1, frame.ping));
    this.#token.accepted();
    this.#token.schedule(frame.expires, now, unixS);
    return [
      ...this.#enter('replaying'),
      ...this.#acks.begin(frame, now),
      ...this.#deny(frame.denied),
      ...this.#announce(),
    ];
  }

  /**
   * @param {EventFrame} frame
   * @param {number} now
   * @returns {Effect[]}
   */
  #event(frame, now) {
    // lagging: the window was full, the gateway replays
    const effects = frame.replay && this.state === 'live' ? this.#enter('replaying') : [];
    const received = this.#acks.receive(frame, this.#interest.matching(frame.subject), now);
    return [...effects, ...(received ?? this.#bug(now))];
  }

  /**
   * @param {Live} frame
   * @param {number} now
   * @returns {Effect[]}
   */
  #live({ seq }, now) {
    this.#reconnect.live(now);
    const reached = this.#acks.reach(seq, now);
    return [...this.#enter('live'), { kind: 'TellLive', seq }, ...reached];
  }

  /**
   * @param {Reply} frame
   * @param {number} now
   * @param {number} unixS
   * @returns {Effect[]}
   */
  #reply({ id, data, error }, now, unixS) {
    const subjects = this.#interest.answered(String(id));
    if (data) this.#token.schedule(data.expires, now, unixS);
    if (subjects) return error ? this.#deny(subjects, error.code) : this.#deny(data?.denied);
    if (!error) {
      this.#token.accepted(); // to refresh; to unsubscribe it changes nothing
      return [];
    }
    this.#token.askLater(now);
    return [{ kind: 'TellError', error }];
  }

  /**
   * @param {Goodbye} frame
   * @param {number} now
   * @returns {Effect[]}
   */
  #goodbye({ code, reconnect, after }, now) {
    this.#reconnect.wish(after);
    const verdict = verdictOfClose(code);
    const isFinal = !reconnect && (verdict === 'resume' || verdict === 'backoff' || verdict === 'renew');
    return [...this.#acks.flush(), ...this.#lost(isFinal ? 'refused' : verdict, code, now)];
  }

  // --- connecting and losing ---

  /**
   * @param {number} now
   * @returns {Effect[]}
   */
  #begin(now) {
    if (!this.patterns.length) return []; // nothing to ask for; the next iterator connects
    this.connection += 1;
    this.#reconnect.begin();
    const effects = this.#enter('connecting');
    this.#token.dropEnded(now);
    if (this.#token.token !== null) return [...effects, ...this.#loadOrOpen(now)];
    this.#timers.set('silence', now + CONNECT_WITHIN_S);
    return [...effects, ...this.#token.ask()];
  }

  /**
   * @param {number} now
   * @returns {Effect[]}
   */
  #loadOrOpen(now) {
    const { connection } = this;
    this.#timers.set('silence', now + CONNECT_WITHIN_S);
    if (this.#isLoaded) return [{ kind: 'Open', connection }];
    return [{ kind: 'Load', connection, user: this.#token.user ?? '' }];
  }

  /**
   * The one way out of a connection: stop, or wait and try again.
   *
   * @param {Verdict} verdict
   * @param {number | null} code
   * @param {number} now
   * @returns {Effect[]}
   */
  #lost(verdict, code, now) {
    if (verdict === 'renew' || verdict === 'unauthorized') {
      if (!this.#token.drop(verdict === 'unauthorized')) return this.#stop('unauthorized', code);
    }
    const stop = this.#reconnect.stopKind(verdict);
    if (stop) return this.#stop(stop, code);
    // Nothing of a connection survives it but the position, which is stored also without one, and the events in work.
    this.#timers.stopAll('ack');
    this.#timers.set('retry', now + this.#reconnect.delayS(verdict));
    this.#token.stopAsking();
    this.#acks.endConnection();
    this.#interest.endConnection();
    return [{ kind: 'Drop', code: CLOSED_BY_CLIENT }, ...this.#enter('waiting')];
  }

  /**
   * @param {number} now
   * @returns {Effect[]}
   */
  #bug(now) {
    return this.#lost('protocol', null, now);
  }

  /**
   * @param {StopKind} stop
   * @param {number | null} code
   * @returns {Effect[]}
   */
  #stop(stop, code) {
    return [...this.#acks.store(), ...this.#end(), { kind: 'Stop', stop, code }];
  }

  /** @returns {Effect[]} */
  #end() {
    this.#timers.stopAll();
    this.#token.stopAsking();
    return [{ kind: 'Drop', code: CLOSED_BY_CLIENT }, ...this.#enter('closed')];
  }

  /**
   * @param {State} state
   * @returns {Effect[]}
   */
  #enter(state) {
    if (state === this.state) return [];
    this.state = state;
    return [{ kind: 'TellState', state }];
  }

  /** @param {number} connection */
  #isCurrent(connection) {
    return connection === this.connection && this.state !== 'waiting' && this.state !== 'closed';
  }

  // --- patterns ---

  /**
   * Tell the gateway which patterns came and went; before its welcome, nothing.
   *
   * @returns {Effect[]}
   */
  #announce() {
    return this.state === 'replaying' || this.state === 'live' ? this.#interest.announce() : [];
  }

  /**
   * End the iterators that hold a refused pattern. What they had not processed is not permitted any more.
   *
   * @param {string[] | null | undefined} subjects
   * @param {string} [reason]
   * @returns {Effect[]}
   */
  #deny(subjects, reason = 'forbidden') {
    if (!subjects) return [];
    const inboxes = this.#interest.deny(subjects);
    if (!inboxes.length) return [];
    for (const inbox of inboxes) this.#acks.release(inbox);
    return [{ kind: 'Deny', inboxes, subjects, reason }, ...this.#announce()];
  }

  #nextId() {
    this.#frameIds += 1;
    return String(this.#frameIds);
  }

  // --- time ---

  /** @param {number} now */
  #hear(now) {
    this.#isAsked = false;
    if (this.state === 'connecting') {
      this.#timers.set('silence', now + CONNECT_WITHIN_S);
      return;
    }
    this.#timers.set('probe', now + this.#silenceS + PROBE_AFTER_S);
    this.#timers.set('silence', now + this.#silenceS + DEAD_AFTER_S);
  }

  /**
   * @param {Timer} timer
   * @param {number} now
   * @param {boolean} isLate
   * @returns {Effect[]}
   */
  #timeout(timer, now, isLate) {
    switch (timer) {
      case 'retry':
        return this.#begin(now);
      case 'ack':
        return this.#acks.flush();
      case 'refresh':
        return this.#token.ask();
      case 'calm':
        this.#reconnect.calm();
        return [];
      case 'probe':
        return [{ kind: 'Probe' }];
      case 'silence':
        if (!isLate || this.#isAsked || this.state === 'connecting') {
          return [...this.#acks.flush(), ...this.#lost('resume', null, now)];
        }
        // The machine slept: what has come meanwhile may not have been read yet. Ask before judging, once.
        this.#isAsked = true;
        this.#timers.set('silence', now + PROBE_WITHIN_S);
        return [{ kind: 'Probe' }];
    }
  }
}

/** What may come before a welcome. */
const FIRST = new Set(['welcome', 'error', 'goodbye', 'ping', 'pong']);
