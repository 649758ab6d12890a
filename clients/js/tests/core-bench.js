/** A core, a clock, and what came out of the last input. */

import assert from 'node:assert/strict';

import { Core } from '../src/core.js';
import { decodeFrames } from '../src/frames.js';

export const A = 'EVENTS:1';
export const B = 'EVENTS:2';
export const UNIX_S = 1_000_000;

export class Bench {
  now = 100;
  /** The effects of the last input. */
  out = [];
  #position;

  constructor({ patterns = ['orders.>'], position = null, draw = 0.5, ...settings } = {}) {
    this.#position = position;
    this.core = new Core({ session: 'pixel-7', ...settings }, () => draw);
    for (const [at, pattern] of patterns.entries()) this.out.push(...this.core.subscribe(at + 1, [pattern], this.now));
  }

  /** Remember what an input gave. */
  do(effects) {
    this.out = effects;
    return this;
  }

  /** The effects of this kind. */
  all(kind) {
    return this.out.filter((effect) => effect.kind === kind);
  }

  /** The one effect of this kind. */
  only(kind) {
    const found = this.all(kind);
    assert.equal(found.length, 1, `one ${kind}: ${JSON.stringify(this.out)}`);
    return found[0];
  }

  /** Whether there is an effect of this kind. */
  has(kind) {
    return this.all(kind).length > 0;
  }

  /** The frames sent. */
  get sent() {
    return this.all('Send').map(({ frame }) => frame);
  }

  /** What was delivered: sequence and iterators. */
  get delivered() {
    return this.all('Deliver').map(({ event, inboxes }) => [event.seq, ...inboxes]);
  }

  /** How long until something is due. */
  get waitS() {
    return Number((this.core.due - this.now).toFixed(3));
  }

  /** Answer the asking for a token, and for the position when asked. */
  getToken(token = 't1', user = 'u') {
    const { number } = this.only('FetchToken');
    this.do(this.core.tokenFetched(number, token, user, this.now));
    return this.has('Open') ? this : this.do(this.core.loaded(this.core.connection, this.#position, this.now));
  }

  /** Open the socket; returns the connect frame. */
  open() {
    this.only('Open');
    this.do(this.core.opened(this.core.connection, this.now));
    const [frame] = this.sent;
    assert.equal(frame.type, 'connect');
    return frame;
  }

  /** Frames from the gateway, in one message, as the decoder gives them. */
  get(...frames) {
    return this.do(this.core.received(this.core.connection, decodeFrames(frames), this.now, UNIX_S));
  }

  /** An iterator is done with an event. */
  process(seq, inbox = 1) {
    return this.do(this.core.processed(inbox, this.core.epoch, seq, this.now));
  }

  /** The connection ends. */
  cut(code = null) {
    return this.do(this.core.broken(this.core.connection, this.now, { code }));
  }

  /** Time passes. */
  later(seconds) {
    this.now += seconds;
    return this.do(this.core.tick(this.now));
  }

  /** Until the next thing is due. */
  wait() {
    assert.ok(this.core.due < Number.POSITIVE_INFINITY, 'nothing is waited for');
    this.now = Math.max(this.now, this.core.due);
    return this.do(this.core.tick(this.now));
  }

  /** What is due, until such an effect comes. */
  waitFor(kind) {
    for (let at = 0; at < 10; at++) if (this.wait().has(kind)) return this;
    return assert.fail(`no ${kind}`);
  }

  /** The device woke up. */
  wake() {
    return this.do(this.core.wake(this.now));
  }

  /** Through token, socket and welcome to live, with these events on the way. */
  live(...events) {
    this.getToken().open();
    return this.welcome(...events);
  }

  /** Through the wait, the socket and the welcome to live again. */
  again(...events) {
    this.waitFor('Open').open();
    return this.welcome(...events);
  }

  /** Welcome, events and live. */
  welcome(...events) {
    return this.get(welcome(), ...events, live(Math.max(10, ...events.map(({ seq }) => seq))));
  }
}

/** A welcome frame: resumed after 10, unless told otherwise. */
export function welcome(more = {}) {
  return { type: 'welcome', session: 'pixel-7', stream: A, outcome: 'resumed', from: 10, ...more };
}

export function event(seq, subject = 'orders.c42', more = {}) {
  return { type: 'event', seq, subject, time: '2026-11-23T08:00:00Z', data: 1, ...more };
}

export function live(seq) {
  return { type: 'live', seq };
}

export function gap(after, before, reason, more = {}) {
  return { type: 'gap', after, before, reason, ...more };
}

export function goodbye(code, more = {}) {
  return { type: 'goodbye', code, ...more };
}
