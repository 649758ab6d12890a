/**
 * Pure: what a client can throw, and the rule that turns a stopped session into one of these.
 *
 *     ClientError
 *       ClientStopped      the session ended and does not come back by itself; thrown from every iterator
 *         Unauthorized     the token is missing, invalid or ended, and a new one did not help: sign in
 *         Forbidden        what was asked for is not permitted: origin, tenant, or the patterns in `subjects`
 *         TakenOver        the same session is connected elsewhere; the newest connection wins
 *         Revoked          access was withdrawn: wipe keys, sign in
 *         ProtocolError    gateway and client do not understand each other: a bug, twice in a row
 *         UserChanged      `getToken` returned another user's token: make a new client for another user
 *         Refused          any other refusal that must not be retried; `code` says which
 *         HandlerFailed    an event listener threw; the event stays unprocessed, `cause` is what it threw
 *       ClientClosed       the client was closed by its own program
 *       GatewayError       an `error` frame; told to `error` listeners, the client goes on
 *       Unreachable        no connection, or it broke; told to `error` listeners, the client goes on
 *       TokenUnavailable   `getToken` failed; told to `error` listeners, it is asked again later
 *       StateUnavailable   the position could not be read or stored; told to `error` listeners
 *
 * Names are getters, because minifiers rename classes.
 *
 * @import { StopKind } from './effects.js'
 */

/** The root of everything that this package throws on purpose. */
export class ClientError extends Error {
  /** @override */
  get name() {
    return 'ClientError';
  }
}

/** The client is closed. */
export class ClientClosed extends ClientError {
  /** @override */
  get name() {
    return 'ClientClosed';
  }
}

/** The session ended for good. */
export class ClientStopped extends ClientError {
  /**
   * @param {string} text
   * @param {number | null} [code]
   * @param {ErrorOptions} [options]
   */
  constructor(text, code = null, options) {
    super(text, options);
    /** The close code (P3.2), or null when no close said so. */
    this.code = code;
  }

  /** @override */
  get name() {
    return 'ClientStopped';
  }
}

/** No valid token. A `getToken` may throw it too, to say that there is no token to be had. */
export class Unauthorized extends ClientStopped {
  /**
   * @param {string} [text]
   * @param {number | null} [code]
   */
  constructor(text = 'no valid token: sign in again', code) {
    super(text, code);
  }

  /** @override */
  get name() {
    return 'Unauthorized';
  }
}

/** Not permitted. */
export class Forbidden extends ClientStopped {
  /**
   * @param {string} text
   * @param {number | null} [code]
   * @param {string[]} [subjects]
   */
  constructor(text, code, subjects = []) {
    super(text, code);
    /** The refused patterns, empty when the whole connection was refused. */
    this.subjects = subjects;
  }

  /** @override */
  get name() {
    return 'Forbidden';
  }
}

/** The same session was opened elsewhere. Two devices need two session names. */
export class TakenOver extends ClientStopped {
  /** @override */
  get name() {
    return 'TakenOver';
  }
}

/** Access was withdrawn. The client has let go of its keys; delete stored keys and state, and sign in. */
export class Revoked extends ClientStopped {
  /** @override */
  get name() {
    return 'Revoked';
  }
}

/** One side broke the protocol, also on a second try. */
export class ProtocolError extends ClientStopped {
  /** @override */
  get name() {
    return 'ProtocolError';
  }
}

/** A token of another user: positions and keys of one user are never used for another. */
export class UserChanged extends ClientStopped {
  /** @override */
  get name() {
    return 'UserChanged';
  }
}

/** A refusal that must not be retried (4500 to 4999) and has no class of its own. */
export class Refused extends ClientStopped {
  /** @override */
  get name() {
    return 'Refused';
  }
}

/** An event listener threw; the event stays unprocessed and the client has closed; `cause` is what it threw. */
export class HandlerFailed extends ClientStopped {
  /** @override */
  get name() {
    return 'HandlerFailed';
  }
}

/** What an `error` frame said. */
export class GatewayError extends ClientError {
  /**
   * @param {string} code
   * @param {string} [text]
   * @param {boolean} [retry]
   */
  constructor(code, text = '', retry = false) {
    super(`${code}: ${text}`);
    /** What is wrong (P2.43). */
    this.code = code;
    /** Whether trying again can help. */
    this.retry = retry;
  }

  /** @override */
  get name() {
    return 'GatewayError';
  }
}

/** The gateway could not be reached, or the connection broke. The client tries again. */
export class Unreachable extends ClientError {
  /** @override */
  get name() {
    return 'Unreachable';
  }
}

/** `getToken` threw; `cause` is what it threw. The client asks again. */
export class TokenUnavailable extends ClientError {
  /** @override */
  get name() {
    return 'TokenUnavailable';
  }
}

/** The stored position could not be read or written. The gateway's own cursor still stands. */
export class StateUnavailable extends ClientError {
  /** @override */
  get name() {
    return 'StateUnavailable';
  }
}

/** @type {Record<StopKind, [new (text: string, code: number | null) => ClientStopped, string]>} */
const STOPPED = {
  unauthorized: [Unauthorized, 'no token is accepted: sign in again'],
  forbidden: [Forbidden, 'refused: origin, tenant or permissions'],
  taken_over: [TakenOver, 'the same session was opened elsewhere'],
  revoked: [Revoked, 'access was revoked: wipe keys and sign in again'],
  protocol: [ProtocolError, 'gateway and client do not understand each other'],
  user_changed: [UserChanged, "another user's token: make a new client"],
  refused: [Refused, 'the gateway refused this client for good'],
};

/**
 * The error for a `Stop` effect of the core.
 *
 * @param {StopKind} kind
 * @param {number | null} code
 * @returns {ClientStopped}
 */
export function stopped(kind, code) {
  const [Kind, text] = STOPPED[kind];
  return new Kind(code === null ? text : `${text} (${code})`, code);
}
