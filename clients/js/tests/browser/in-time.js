/** What takes real seconds: a token ends, which is refreshed before, or replaced after; a phone is slow. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { until } from '../system/until.js';
import { newDevice } from './device.js';
import { quiet } from './running.js';

const { publisher } = quiet;
const QUERY = { ttl: '15' }; // the least that the site gives

/** When a token ends, in seconds since 1970. @param {{ token: string }} frame */
const endOf = ({ token }) => JSON.parse(String(Buffer.from(token.split('.')[1], 'base64url'))).exp;
/** Wait until a token has ended for certain. @param {number} endS */
const isOver = (endS) => until(() => Date.now() / 1000 > endS + 1, 30);

test('a token is refreshed on the connection, which stays over its end', async (t) => {
  const device = await newDevice(t, quiet, { customer: 'c43', device: 'refresh', query: QUERY });
  const tab = await device.open();
  const [connect] = tab.sent('connect');
  await until(() => tab.sent('refresh').length > 0);
  const [refresh] = tab.sent('refresh');
  assert.ok(endOf(refresh) > endOf(connect));
  await isOver(endOf(connect));
  const seqs = await publisher.publishMany('orders.c43.refresh', 3, 1);
  await tab.hasLogged(seqs);
  assert.deepEqual(await tab.states(), ['connecting', 'replaying', 'live']);
  assert.equal(device.sockets.length, 1);
  assert.ok(!(await tab.page.content()).includes(connect.token.slice(0, 20)), 'no token is shown on the page');
});

test('after a tunnel longer than a token lives the page comes back with a new one', async (t) => {
  const device = await newDevice(t, quiet, { customer: 'c44', device: 'long-tunnel', query: QUERY });
  const tab = await device.open();
  await tab.press('tunnel');
  await tab.is('tunnel');
  const [connect] = tab.sent('connect');
  const seqs = await publisher.publishMany('orders.c44.tunnel', 5, 1);
  await isOver(endOf(connect));
  await tab.press('back');
  await tab.hasLogged(seqs);
  await tab.isLive();
  const [, again, ...more] = tab.sent('connect');
  assert.ok(endOf(again) > endOf(connect) && !more.length, 'the old one is not tried');
});

test('a slow phone takes five at a time, falls behind, is live again, and has lost nothing', async (t) => {
  const device = await newDevice(t, quiet, { device: 'slow' });
  const tab = await device.open();
  await tab.press('slow');
  await until(() => tab.sent('connect').length === 2);
  await tab.isLive();
  assert.equal(tab.sent('connect')[1].window.messages, 5);
  assert.equal(await tab.page.getAttribute('#slow', 'aria-pressed'), 'true');
  const seqs = await publisher.publishMany('orders.c42.slow', 9, 1);
  await tab.is('replaying'); // the gateway reads for it at its pace
  await tab.hasLogged(seqs, 30);
  await tab.isLive();
  assert.equal(tab.received('live').length, 3, 'after each connect, and when it had caught up');
  await tab.press('slow');
  await until(() => tab.sent('connect').length === 3);
  assert.equal(tab.sent('connect')[2].window.messages, 1000);
  await tab.isLive();
  assert.deepEqual(await tab.ledger(), { processed: 9, repeats: 0, skips: 0, gaps: 0 });
});
