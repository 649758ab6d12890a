/** Shell: what a client tells and brings, written down. */
import { afterEach } from 'node:test';

import { Client, MemoryStorage } from '../../src/index.js';
import { gateway } from './running.js';

/** Short waits, so that tests are; the wait before the first reconnect is as short as any. */
const BACKOFF = { leastS: 0.02, maxS: 0.5, quickS: 0.02 };

/** @type {Client[]} Those of the test that runs. */
const clients = [];

afterEach(() => Promise.all(clients.splice(0).map((client) => client.close())));

/**
 * A client of user c42 with a memory of its own. It is closed at the end of the test.
 * @param {string} session
 * @param {Partial<import('../../src/client.js').ClientOptions> & { url?: string }} [options]
 */
export function clientOf(session, { url = gateway.url, ...options } = {}) {
  const token = options.token ? {} : { getToken: () => gateway.token('c42') };
  const client = new Client(url, { session, storage: new MemoryStorage(), backoff: BACKOFF, ...token, ...options });
  clients.push(client);
  return client;
}

/** Every telling of a client, in order. @param {Client} client */
export function toldBy(client) {
  const told = { state: [], live: [], welcome: [], gap: [], error: [] };
  for (const [name, values] of Object.entries(told)) client.on(name, (value) => void values.push(value));
  return told;
}

/**
 * The next events of a subscription, each processed.
 * @param {import('../../src/index.js').Subscription} subscription
 * @param {number} count
 */
export async function take(subscription, count) {
  const events = [];
  while (events.length < count) {
    const { done, value } = await subscription.next();
    if (done) throw new Error('it ended');
    events.push(value);
    await value.ack();
  }
  return events;
}

/** Their sequences. @param {{ seq: number }[]} events */
export const seqsOf = (events) => events.map(({ seq }) => seq);

/** The WebSocket of the platform, or another one, that writes down what it sends and gets. @param {typeof WebSocket} Kind */
export function recording(Kind = WebSocket) {
  const sent = [];
  const received = [];
  class Recording extends Kind {
    constructor(url, protocols) {
      super(url, protocols);
      this.addEventListener('message', ({ data }) => received.push(...[JSON.parse(data)].flat()));
    }

    send(text) {
      sent.push(JSON.parse(text));
      super.send(text);
    }
  }
  return { WebSocket: Recording, sent, received };
}
