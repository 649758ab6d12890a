/**
 * Pure: the token of a session, and when another one is asked for: at first, before its end, after it was refused.
 *
 * Every asking has a number, and an answer with another number than the newest is ignored: a late token neither opens a
 * second connection nor is used.
 *
 * @import { Waits } from './backoff.js'
 * @import { Effect } from './effects.js'
 * @import { Timers } from './timers.js'
 */

/** A token is refreshed so long before it ends, when the gateway has not said `expiring` earlier. */
export const REFRESH_BEFORE_S = 30;

/** The token in use, and the asking for the next one. */
export class TokenRefresh {
  /** @type {string | null} */
  token = null;
  /**
   * Whose token it is: stays the same for the life of a client.
   *
   * @type {string | null}
   */
  user = null;
  #renewable;
  #waits;
  #timers;
  #askings = 0;
  #isAsking = false;
  #failures = 0; // since a token was taken
  #refusals = 0; // 4501 since the last welcome
  #endsAt = Number.POSITIVE_INFINITY; // monotonic, as far as it is known

  /**
   * @param {boolean} renewable whether asking again can give another token
   * @param {Waits} waits after an asking that failed
   * @param {Timers} timers where `refresh` is set
   */
  constructor(renewable, waits, timers) {
    this.#renewable = renewable;
    this.#waits = waits;
    this.#timers = timers;
  }

  /**
   * Ask for a token, unless that is going on, or can give none but the one in use.
   *
   * @returns {Effect[]}
   */
  ask() {
    this.#timers.stop('refresh');
    if (this.#isAsking || (!this.#renewable && this.token !== null)) return [];
    this.#isAsking = true;
    this.#askings += 1;
    return [{ kind: 'FetchToken', number: this.#askings }];
  }

  /**
   * The asking, or the token that it gave, was no good: ask again after a wait that grows.
   *
   * @param {number} now
   */
  askLater(now) {
    this.#timers.set('refresh', now + this.#waits.delayS(this.#failures));
    this.#failures += 1;
  }

  /**
   * An asking has its answer. False for a late one, which must change nothing.
   *
   * @param {number} number
   */
  answered(number) {
    const isAnswer = this.#isAsking && number === this.#askings;
    if (isAnswer) this.#isAsking = false;
    return isAnswer;
  }

  /**
   * Use a token from now on. False, and nothing taken, when it is another user's.
   *
   * @param {string} token
   * @param {string} user
   */
  take(token, user) {
    if ((this.user ?? user) !== user) return false;
    this.token = token;
    this.user = user;
    this.#endsAt = Number.POSITIVE_INFINITY;
    return true;
  }

  /**
   * Do not send a token that has ended meanwhile: the gateway would refuse it, and the wait after that is one of a long
   * row of failures when the tunnel was long.
   *
   * @param {number} now
   */
  dropEnded(now) {
    if (this.#renewable && now >= this.#endsAt) this.token = null;
  }

  /**
   * The token ended or was refused (P6.7). False when no other one can help: a fixed token, or refused twice.
   *
   * @param {boolean} isRefused
   */
  drop(isRefused) {
    this.token = null;
    if (isRefused) this.#refusals += 1;
    return this.#renewable && this.#refusals <= 1;
  }

  /** The gateway has taken the token, by a welcome or a reply to `refresh`. */
  accepted() {
    this.#refusals = this.#failures = 0;
  }

  /**
   * Refresh in time. A clock that says the token has ended already is wrong: then `expiring` will tell.
   *
   * @param {number | null | undefined} expires
   * @param {number} now
   * @param {number} unixS
   */
  schedule(expires, now, unixS) {
    const leftS = (expires ?? 0) - unixS;
    if (leftS > 0) this.#endsAt = now + leftS;
    if (leftS > REFRESH_BEFORE_S) this.#timers.set('refresh', now + leftS - REFRESH_BEFORE_S);
  }

  /** The answer to an asking that goes on is not wanted any more. */
  stopAsking() {
    this.#isAsking = false;
  }
}
