/** A tab in a thread of its own, with a gateway of its own, so that it can crash: its locks are let go by no code. */

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
client.on('event', () => {});
client.on('state', (state) => parentPort?.postMessage({ state, isLeader: client.isLeader }));
client.subscribe(workerData.patterns ?? 'orders.>');
parentPort?.on('message', ({ publish }) => gateway.publish(...publish));
