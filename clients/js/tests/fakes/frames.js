/** Frames of a gateway, and tokens. */

export const STREAM = 'EVENTS:1';
export const OTHER_STREAM = 'EVENTS:2';
export const URL = 'wss://gateway.example/v1/session';

/** Resumed after 0, unless told otherwise. */
export function welcome(more = {}) {
  return { type: 'welcome', session: 'pixel-7', stream: STREAM, outcome: 'resumed', from: 0, ping: 25, ...more };
}

/** Its data says its sequence. */
export function event(seq, subject = 'orders.c42', more = {}) {
  return { type: 'event', seq, subject, time: '2026-11-23T08:00:00Z', data: { n: seq }, ...more };
}

/** Events of these sequences. */
export function events(from, to, subject) {
  return Array.from({ length: to - from + 1 }, (_, at) => event(from + at, subject));
}

export function live(seq = 0) {
  return { type: 'live', seq };
}

export function gap(after, before, more = {}) {
  return { type: 'gap', after, before, reason: 'expired', ...more };
}

export function goodbye(code, more = {}) {
  return { type: 'goodbye', code, ...more };
}

/** A JWT of this user, signed by nobody; `mark` makes it another one. */
export function token(user = 'anna', mark = 1) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'EdDSA' })}.${part({ iss: 'shop', sub: user, mark })}.c2ln`;
}
