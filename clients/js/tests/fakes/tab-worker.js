/**
 * A tab in a thread of its own, with a gateway of its own, so that it can crash: its locks are let go by no code. It can
 * also be suspended: its thread stands still, and what comes meanwhile waits.
 */

import { parentPort, workerData } from 'node:worker_threads';

import { Client } from '../../src/index.js';
import { FakeClock } from './clock.js';
import { token, URL } from './frames.js';
import { Gateway } from './gateway.js';
import { Net } from './net.js';

const net = new Net();
const gateway = new Gateway(net);
const client = new Client(URL, {
  session: workerData.session,
  token: token(),
  WebSocket: net.WebSocket,
  storage: {
    load: async () => null,
    save: async (scope, position) => parentPort?.postMessage({ scope, position }),
  },
  platform: { clock: new FakeClock(), locks: navigator.locks, BroadcastChannel, page: {} },
});
client.on('event', ({ seq }) => parentPort?.postMessage({ seq }));
client.on('error', ({ name }) => parentPort?.postMessage({ error: name }));
client.on('state', (state) => parentPort?.postMessage({ state, isLeader: client.isLeader }));
client.subscribe(workerData.patterns ?? 'orders.>');

const actions = {
  publish: (...event) => gateway.publish(...event),
  /** Until another thread wakes it. */
  suspend: (view) => {
    Atomics.store(view, 1, 1);
    Atomics.wait(view, 0, 0);
  },
  flush: () => client.flush(),
  close: (code) => net.last?.hangUp(code),
  goodbye: (code) => net.last?.say({ type: 'goodbye', code, reconnect: false }),
  look: () => parentPort?.postMessage({ processed: client.position?.seq }),
};
// what one message asks for is done in one turn: nothing else comes in between
parentPort?.on('message', (asked) => {
  for (const [name, values] of Object.entries(asked)) actions[name](...[values].flat());
});
