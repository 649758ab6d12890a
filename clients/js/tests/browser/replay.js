/** What a phone misses comes later, in order, nothing lost and nothing twice, whatever ends in the midst of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { until } from '../system/until.js';
import { CUT, newDevice } from './device.js';
import { quiet } from './running.js';

const { publisher } = quiet;
/** Numbers of the log's entries when nothing was processed twice. @param {number} count */
const upTo = (count) => Array.from({ length: count }, (_, n) => n + 1);

/** Every event once and in order, in the page's book and in what the device keeps. @param {import('./tab.js').Tab} tab @param {number[]} seqs */
async function hasAllOnce(tab, seqs) {
  await tab.hasProcessed(seqs.length);
  await tab.isLive();
  assert.deepEqual(await tab.ledger(), { processed: seqs.length, repeats: 0, skips: 0, gaps: 0 });
  assert.deepEqual(await tab.keptLog(), { numbers: upTo(seqs.length), seqs });
  assert.deepEqual(await tab.log(), seqs.slice(-500));
}

/** A page in the tunnel for which so many events wait. @param {import('./device.js').Device} device @param {number} count */
async function withWaiting(device, count) {
  const tab = await device.open();
  await tab.press('tunnel');
  await tab.is('tunnel');
  const seqs = await publisher.publishMany('orders.c42.many', count, 1);
  await until(async () => (await tab.waiting()) === count);
  return { tab, seqs };
}

test('25 updates in the tunnel are counted by the badge, and come in order on the way out', async (t) => {
  const device = await newDevice(t, quiet, { device: 'tunnel' });
  const tab = await device.open();
  await tab.press('tunnel');
  await tab.is('tunnel');
  const seqs = await publisher.publishMany('orders.c42.tunnel', 25, 1);
  await until(async () => (await tab.waiting()) === 25);
  assert.equal(await tab.page.locator('#waiting').isVisible(), true);
  assert.deepEqual(await tab.log(), []);
  await tab.press('back');
  await hasAllOnce(tab, seqs);
  await until(async () => (await tab.waiting()) === 0);
  assert.deepEqual(
    tab.received('welcome').map(({ outcome }) => outcome),
    ['fresh', 'resumed'],
  );
  const [next] = await publisher.publishMany('orders.c42.tunnel', 1, 26);
  await tab.hasLogged([...seqs, next]);
});

test('a page that is reloaded twice in the midst of a replay goes on where it was', async (t) => {
  const device = await newDevice(t, quiet, { device: 'reload' });
  const { tab, seqs } = await withWaiting(device, 400);
  await tab.once(100, 'reload');
  let loaded = tab.page.waitForEvent('load');
  await tab.press('back');
  await loaded;
  loaded = tab.page.waitForEvent('load');
  await tab.once(200, 'reload');
  await loaded;
  await hasAllOnce(tab, seqs);
  const pending = tab.received('welcome').map((welcome) => welcome.pending);
  assert.ok(pending.length === 4 && pending[1] === 400 && pending[2] > pending[3] && pending[3] > 0, `${pending}`);
});

test('a tab that crashes in the midst of a replay has lost nothing, and a new one does nothing twice', async (t) => {
  const device = await newDevice(t, quiet, { device: 'crash' });
  const { tab, seqs } = await withWaiting(device, 400);
  const session = await device.context.newCDPSession(tab.page);
  await tab.press('back');
  await tab.hasProcessed(100);
  const crashed = tab.page.waitForEvent('crash');
  session.send('Page.crash').catch(() => {}); // nobody is left to answer
  await crashed;
  const next = await device.open();
  await hasAllOnce(next, seqs);
  const [{ outcome, pending }] = next.received('welcome');
  assert.ok(outcome === 'resumed' && pending > 0, `it was in the midst: ${pending}`);
});

test('a gateway that is killed in the midst of a replay is followed by another, which goes on', async (t) => {
  const device = await newDevice(t, quiet, { device: 'kill', expected: CUT });
  const { tab, seqs } = await withWaiting(device, 1100); // the window holds 1,000: the gateway has not sent all of it
  await tab.once(40, 'kill');
  await tab.press('back');
  await hasAllOnce(tab, seqs);
  const pending = tab.received('welcome').map((welcome) => welcome.pending);
  assert.ok(pending.length === 3 && pending[1] === 1100 && pending[2] > 0, `${pending}`);
  assert.deepEqual((await tab.states()).slice(-3), ['connecting', 'replaying', 'live']);
});
