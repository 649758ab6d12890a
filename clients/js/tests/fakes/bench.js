/** A client with everything around it faked, and what it has told so far. */

import assert from 'node:assert/strict';

import { Client } from '../../src/index.js';
import { FakeClock } from './clock.js';
import { live, token, URL, welcome } from './frames.js';
import { Net } from './net.js';
import { FakePage } from './page.js';
import { settle } from './settle.js';
import { FakeStorage } from './storage.js';

export class Bench {
  states = [];
  errors = [];
  welcomes = [];
  lives = [];

  /**
   * @param {import('node:test').TestContext} t The client is closed at its end.
   * @param {object} options Those of the client; `clock`, `net`, `page` and `storage` may be another bench's.
   */
  constructor(t, { url = URL, net = new Net(), clock = new FakeClock(), page = new FakePage(), ...options } = {}) {
    const { storage = new FakeStorage(), random = () => 0.5, platform = {}, ...others } = options;
    Object.assign(this, { net, clock, page, storage });
    const needed = others.token || others.getToken ? {} : { getToken: async () => token() };
    this.client = new Client(url, {
      session: 'pixel-7',
      storage,
      WebSocket: net.WebSocket,
      platform: { clock, random, locks: undefined, page, ...platform },
      ...needed,
      ...others,
    });
    this.client.on('state', (state) => this.states.push(state));
    this.client.on('error', (error) => this.errors.push(error));
    this.client.on('welcome', (frame) => this.welcomes.push(frame));
    this.client.on('live', (seq) => this.lives.push(seq));
    t.after(() => {
      storage.release?.();
      return this.client.close();
    });
  }

  /** The newest socket, on which the client has just sent `connect`. */
  async connected() {
    await settle();
    const socket = this.net.last;
    assert.deepEqual(socket?.types, ['connect'], 'a socket that waits for its welcome');
    return socket;
  }

  /** The newest socket, welcomed and live, with these events on the way. */
  async live(...events) {
    const socket = await this.connected();
    const last = Math.max(0, ...events.map(({ seq }) => seq));
    socket.say(welcome(), ...events, live(last));
    await settle();
    return socket;
  }

  /** The newest socket, after the wait for it: welcomed and live. */
  async again(frame = welcome(), ...events) {
    await this.clock.advance(1);
    const socket = await this.connected();
    socket.say(frame, ...events, live(Math.max(frame.from, ...events.map(({ seq }) => seq))));
    await settle();
    return socket;
  }

  /** The names of the errors told. */
  get errorNames() {
    return this.errors.map(({ name }) => name);
  }
}

/** Take what an iterator has, until `count` events have come. */
export async function take(subscription, count) {
  const taken = [];
  while (taken.length < count) {
    const { done, value } = await subscription.next();
    if (done) break;
    taken.push(value);
  }
  return taken;
}

/** Run a loop over a subscription; what it was given so far stands in the array. */
export function collect(subscription, into = []) {
  const run = async () => {
    for await (const event of subscription) into.push(event.seq);
  };
  const ended = run().then(
    () => 'ended',
    (error) => error,
  );
  return Object.assign(into, { ended });
}
