/**
 * Pure: whether a session comes back after a lost connection, and after what wait (P3.1, P6.6).
 *
 * @import { Waits } from './backoff.js'
 * @import { Verdict } from './closing.js'
 * @import { StopKind } from './effects.js'
 * @import { Timers } from './timers.js'
 */

/** After so long in `live` the backoff begins anew: accept-then-close must not be hammered. */
export const CALM_AFTER_S = 10;

/** What the next wait depends on: how the connection was, what the gateway wished, how often it went wrong. */
export class Reconnect {
  /** The device woke up since this try began, and its socket is not open: if it fails, the next is at once. */
  isWoken = false;
  #waits;
  #timers;
  #attempt = 0; // losses since the last calm
  #bugs = 0; // of either side, since the last calm
  #wasLive = false;
  /** @type {number | null} */
  #afterMs = null;

  /**
   * @param {Waits} waits
   * @param {Timers} timers
   */
  constructor(waits, timers) {
    this.#waits = waits;
    this.#timers = timers;
  }

  /** Whether the wait for the next connection is the gateway's own wish: nothing may shorten it. */
  get isWished() {
    return this.#afterMs !== null;
  }

  /** A new connection: nothing is known of it yet. */
  begin() {
    this.#afterMs = null;
    this.#wasLive = this.isWoken = false;
  }

  /**
   * The connection is live. It must stay so for a while before losses count from none again.
   *
   * @param {number} now
   */
  live(now) {
    this.#wasLive = true;
    this.#timers.setUnlessSet('calm', now + CALM_AFTER_S);
  }

  /** The connection has been live for `CALM_AFTER_S`: what went wrong before does not count any more. */
  calm() {
    this.#attempt = this.#bugs = 0;
  }

  /**
   * The gateway's wish how long to stay away, in ms; null: it has none.
   *
   * @param {number | null | undefined} afterMs
   */
  wish(afterMs) {
    this.#afterMs = afterMs ?? null;
  }

  /**
   * Why the session must not come back; null when it may. A bug may happen once.
   *
   * @param {Verdict} verdict
   * @returns {StopKind | null}
   */
  stopKind(verdict) {
    switch (verdict) {
      case 'protocol':
        this.#bugs += 1;
        return this.#bugs > 1 ? verdict : null;
      case 'forbidden':
      case 'taken_over':
      case 'revoked':
      case 'refused':
        return verdict;
      default:
        return null;
    }
  }

  /**
   * Count a loss: how long to wait now. At once after a good connection, unless the gateway has a fault.
   *
   * @param {Verdict} verdict
   */
  delayS(verdict) {
    const attempt = this.#attempt++;
    if (this.#afterMs !== null) return this.#waits.toldDelayS(this.#afterMs);
    const isQuick = this.#wasLive && !attempt && (verdict === 'resume' || verdict === 'renew');
    return isQuick || (this.isWoken && verdict === 'resume') ? this.#waits.quickDelayS() : this.#waits.delayS(attempt);
  }
}
