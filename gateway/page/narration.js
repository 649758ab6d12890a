/** Pure: one sentence on what has just happened, in words for everybody. */

/** @typedef {'start' | 'tunnel' | 'kill' | 'slow' | 'fast' | 'forget' | 'break'} Cause Why the line was gone. */

/** A killed gateway that cuts nobody's line for so long did not hold this one, in seconds. */
export const UNNOTICED_S = 2.5;
/** Fewer replayed events than this need no slow motion. */
const SLOW_MOTION_FROM = 4;

/** Follows one session and finds the sentence for each turn. Every method returns the sentence, or null for no change. */
export class Narration {
  /** @type {Cause} */
  #cause = 'start';
  #isInside = false;
  #isSlow = false;
  #replayed = 0;
  /** Seconds; when the running replay began, or null. @type {number | null} */
  #since = null;
  /** Seconds; when the gateway was killed. @type {number | null} */
  #killed = null;
  /** How many events of a rush are still to come, of how many, since when. */
  #rush = { left: 0, of: 0, since: 0 };
  #isFresh = false;
  #isLive = false;

  /** @param {boolean} isMoving Whether the board shows moves, and so shows a fast replay slowly. */
  constructor(isMoving) {
    this.isMoving = isMoving;
  }

  /** The board was read. @param {number} orders on it. */
  opened(orders) {
    if (this.#cause !== 'start') return null;
    return orders ? 'This is what the phone knew. Asking for what it missed.' : 'Connecting to the gateway.';
  }

  /** Another tab holds the line. */
  elsewhere() {
    return 'Another tab of this browser holds the line of this session for both. Go into the tunnel there.';
  }

  tunnelEntered() {
    this.#cause = 'tunnel';
    this.#killed = this.#since = null;
    this.#isInside = true;
    this.#isLive = false;
    return 'In the tunnel. No signal: the phone shows what it knew. The shop goes on, and every update is kept.';
  }

  tunnelLeft() {
    this.#isInside = false;
    return 'Out of the tunnel. Asking for what was missed.';
  }

  /** @param {number} nowS */
  killed(nowS) {
    this.#killed = nowS;
    if (!this.#isInside && this.#isLive) this.#cause = 'kill';
    return this.#isInside
      ? 'The gateway was killed while you are in the tunnel. What you miss is kept in NATS, not in the gateway.'
      : 'The gateway was killed, without a warning. A new one is being started.';
  }

  /** @param {number} count @param {number} nowS */
  rushed(count, nowS) {
    const { left, of, since } = this.#rush;
    this.#rush = left ? { left: left + count, of: of + count, since } : { left: count, of: count, since: nowS };
    if (this.#isInside) return `The shop is in a rush: ${updates(count)} at once. All of them are kept for this phone.`;
    return null;
  }

  /** @param {boolean} isSlow */
  slowed(isSlow) {
    this.#isSlow = isSlow;
    this.#cause = isSlow ? 'slow' : 'fast';
    this.#killed = this.#since = null;
    this.#isLive = false;
    return isSlow ? 'The phone becomes slow.' : 'The phone becomes quick again.';
  }

  forgot() {
    this.#cause = 'forget';
    this.#killed = null;
    this.#rush.left = 0;
    this.#isLive = false;
    return 'Forgotten: board, position and keys are wiped. A new session begins.';
  }

  /** @param {string} state of the client. @param {number} nowS */
  state(state, nowS) {
    if (this.#isInside) return null;
    if (state === 'replaying') {
      this.#since ??= nowS;
      return null;
    }
    if (state !== 'live') this.#since = null;
    const isKill = this.#killed !== null && nowS - this.#killed < UNNOTICED_S * 4;
    if (state === 'waiting' && isKill) this.#cause = 'kill'; // also of a line that was not live yet
    if (!this.#isLive || (state !== 'waiting' && state !== 'connecting')) return null;
    this.#isLive = false;
    this.#cause = isKill ? 'kill' : 'break';
    return isKill
      ? 'The gateway died and took the line with it. The shop goes on; every update is kept.'
      : 'The line broke. The phone is trying again; every update is kept.';
  }

  /** @param {string} outcome of the welcome. */
  welcomed(outcome) {
    this.#isFresh = outcome === 'fresh';
    this.#replayed = 0;
    return null;
  }

  /** An event was processed. @param {boolean} isReplay @param {number} nowS */
  processed(isReplay, nowS) {
    if (isReplay) this.#replayed += 1;
    const { left, of, since } = this.#rush;
    if (!left) return null;
    this.#rush.left -= 1;
    if (left > 1 || !this.#isLive) return null;
    const pace = this.#isSlow ? 'at the pace of this slow phone' : `in ${span(nowS - since)}`;
    return `The shop was in a rush: all ${of} updates have arrived, ${pace}, in order.`;
  }

  /** The replay is over. @param {number} nowS */
  live(nowS) {
    const tookS = this.#since === null ? 0 : nowS - this.#since;
    const count = this.#replayed;
    const wasLive = this.#isLive;
    const sentence = this.#sentence(count, tookS, nowS);
    this.#since = null;
    this.#replayed = 0;
    if (this.#isInside || wasLive) return null; // a slow phone catches up again and again
    this.#isLive = true;
    if (this.#cause === 'kill') this.#killed = null;
    return sentence;
  }

  /** Some time has passed. @param {number} nowS */
  passed(nowS) {
    if (this.#killed === null || !this.#isLive || nowS - this.#killed < UNNOTICED_S) return null;
    this.#killed = null;
    this.#cause = 'break';
    return 'A gateway was killed. Another one serves this phone, which noticed nothing.';
  }

  /** @param {{ reason: string }} gap */
  gap({ reason }) {
    const why = {
      expired: 'they are older than the stream keeps',
      deleted: 'they were taken out of the stream, or withheld because they were not sealed',
      stream_replaced: 'the stream was replaced by a new one',
    }[reason];
    return `Some updates are gone${why ? `: ${why}` : ''}. The gateway said so instead of hiding it.`;
  }

  /** @param {string} name of the error that ended the session. */
  closed(name) {
    const why = {
      TakenOver: 'This session was opened elsewhere, and the newest connection wins. Reload to take it back.',
      Unauthorized: 'The gateway accepts no token of this page any more. Reload to sign in again.',
      Forbidden: 'The gateway refuses this page.',
      Revoked: 'Access was withdrawn; the keys on this device are no longer used.',
    }[name];
    return why ?? 'The session has ended. Reload to begin again.';
  }

  /** @param {number} count @param {number} tookS @param {number} nowS */
  #sentence(count, tookS, nowS) {
    const slowly = this.isMoving && count >= SLOW_MOTION_FROM && tookS < 1 ? ' (The board shows it slowly.)' : '';
    const replayed = `Replayed in ${span(tookS)}, in order.${slowly}`;
    switch (this.#cause) {
      case 'tunnel':
        return count
          ? `Out of the tunnel. ${updates(count)} ${were(count)} kept. ${replayed}`
          : 'Out of the tunnel. Nothing had happened meanwhile, so nothing was missed.';
      case 'kill': {
        const backS = this.#killed === null ? tookS : nowS - this.#killed;
        return count
          ? `The gateway died. ${updates(count)} ${were(count)} kept. ${replayed}`
          : `The gateway died and a new one was there in ${span(backS)}. Nothing was missed.`;
      }
      case 'slow':
        return 'A slow phone: one update in 0.7 s, five on their way at most. The gateway waits for it; try the rush.';
      case 'fast':
        return count
          ? `Quick again. ${updates(count)} had waited. ${replayed}`
          : 'Quick again, and nothing was missed.';
      case 'forget':
        return 'A new session, as if this phone had never been here. New updates appear as they happen.';
      case 'start':
        if (this.#isFresh) return 'Live. Orders move as the shop works. Now break something.';
        return count
          ? `Welcome back. ${updates(count)} came while this page was shut. ${replayed}`
          : 'Welcome back. Nothing was missed while this page was shut.';
      default:
        return count
          ? `The line is back. ${updates(count)} ${were(count)} kept. ${replayed}`
          : 'The line is back. Nothing was missed.';
    }
  }
}

/** @param {number} count */
function updates(count) {
  return count === 1 ? '1 update' : `${count} updates`;
}

/** @param {number} count */
function were(count) {
  return count === 1 ? 'was' : 'were';
}

/**
 * A span of time for people.
 * @param {number} seconds
 * @returns {string}
 */
export function span(seconds) {
  if (seconds < 0.1) return `${Math.max(1, Math.round(seconds * 1000))} ms`;
  return seconds < 10 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds)} s`;
}
