/** The network goes and comes back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { until } from '../system/until.js';
import { CUT, newDevice } from './device.js';
import { quiet } from './running.js';

const { publisher } = quiet;

// Chromium's emulation lets an open WebSocket stand: what comes is held back, and handed over when the network is back.
test('a network that is away and back delivers what was published meanwhile', async (t) => {
  const device = await newDevice(t, quiet, { device: 'away', expected: CUT });
  const tab = await device.open();
  await device.context.setOffline(true);
  await until(() => tab.page.evaluate(() => !navigator.onLine));
  const seqs = await publisher.publishMany('orders.c42.away', 10, 1);
  await device.context.setOffline(false);
  await tab.hasLogged(seqs);
  await tab.isLive();
});

test('a connection that broke while there was no network is back at once when there is one, and nothing is missing', async (t) => {
  const device = await newDevice(t, quiet, { device: 'cut', expected: CUT });
  await device.context.addInitScript(() => {
    Math.random = () => 0.999; // waits are as long as they can be: 0.25 s, 1.5 s, 2.5 s, 4.5 s
  });
  const tab = await device.open();
  await device.context.setOffline(true);
  await quiet.killWorker(); // of this the browser hears, network or not
  await until(() => device.sockets.length === 4); // three tries failed: the next one would be in 4.5 s
  await tab.is('waiting');
  const seqs = await publisher.publishMany('orders.c42.cut', 10, 1);
  const before = performance.now();
  await device.context.setOffline(false);
  await tab.hasLogged(seqs);
  await tab.isLive();
  const tookMs = performance.now() - before;
  assert.ok(tookMs < 3000, `${tookMs} ms`);
  assert.deepEqual(await tab.ledger(), { processed: 10, repeats: 0, skips: 0, gaps: 0 });
});
