/** Tabs that are one session share one connection; another device is a session of its own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { until } from '../system/until.js';
import { newDevice } from './device.js';
import { quiet } from './running.js';

const { publisher } = quiet;

test('two tabs are one connection and show the same; when the one that holds it is closed, the other goes on', async (t) => {
  const device = await newDevice(t, quiet, { device: 'tabs' });
  const first = await device.open();
  const second = await device.open();
  const seqs = await publisher.publishMany('orders.c42.tabs', 30, 1);
  await Promise.all([first.hasLogged(seqs), second.hasLogged(seqs)]);
  assert.equal(device.sockets.length, 1);
  assert.equal(await second.page.locator('#phase').textContent(), 'live, through another tab');
  await first.page.close();
  seqs.push(...(await publisher.publishMany('orders.c42.tabs', 30, 31)));
  await second.hasLogged(seqs);
  await until(async () => (await second.page.locator('#phase').textContent()) === 'live');
  assert.deepEqual(await second.ledger(), { processed: 60, repeats: 0, skips: 0, gaps: 0 });
  assert.deepEqual((await second.keptLog()).seqs, seqs);
  assert.deepEqual([first.sockets.length, second.sockets.length], [1, 1]);
});

/** Runs in a page: the client alone, and the sequence of each event that its loop has got. @param {string} session */
async function listen(session) {
  const { Client } = await import('/client/index.js');
  const { gateway_port, path } = await (await fetch('/demo/settings')).json();
  const asked = {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ customer: 'c42' }),
  };
  const getToken = async () => (await (await fetch('/demo/token', asked)).json()).token;
  const client = new Client(`wss://localhost:${gateway_port}${path}`, { session, getToken });
  globalThis.client = client;
  globalThis.seqs = [];
  const events = client.subscribe('orders.c42.>');
  void (async () => {
    for await (const { seq } of events) globalThis.seqs.push(seq);
  })();
  while (client.state !== 'live') await new Promise((resolve) => setTimeout(resolve, 5));
  return client.isLeader;
}

test('the tab that leads may be closed in the midst of a stream of events: the other has each of them once, in order', async (t) => {
  const device = await newDevice(t, quiet, { device: 'alone', expected: /404/ }); // a drawing alone has no icon
  const [first, second] = [await device.tab(), await device.tab()];
  const leads = [];
  for (const { page } of [first, second]) {
    await page.goto(new URL('/page/icon.svg', quiet.page).href); // of the page's origin, and nothing runs there
    leads.push(await page.evaluate(listen, 'alone'));
  }
  assert.deepEqual(leads, [true, false]);
  const publishing = publisher.publishMany('orders.c42.alone', 1500, 1);
  await until(() => first.page.evaluate(() => globalThis.seqs.length >= 200));
  await first.page.close();
  const seqs = [...(await publishing), ...(await publisher.publishMany('orders.c42.alone', 10, 1501))];
  await until(() => second.page.evaluate((last) => globalThis.seqs.at(-1) === last, seqs.at(-1)));
  assert.deepEqual(await second.page.evaluate(() => globalThis.seqs), seqs);
  assert.equal(await second.page.evaluate(() => globalThis.client.isLeader), true);
  await until(() => second.page.evaluate((last) => globalThis.client.position.seq === last, seqs.at(-1)));
  assert.deepEqual([first.sockets.length, second.sockets.length], [1, 1]);
});

test('a second device is a session of its own, and gets everything too', async (t) => {
  const device = await newDevice(t, quiet, { device: 'one-of-two' });
  const first = await device.open();
  await first.press('second');
  await until(() => device.tabs.length === 2);
  const [, second] = device.tabs;
  await second.page.waitForLoadState();
  await second.isLive();
  const seqs = await publisher.publishMany('orders.c42.two', 20, 1);
  await Promise.all([first.hasLogged(seqs), second.hasLogged(seqs)]);
  const sessions = await Promise.all([first.session(), second.session()]);
  assert.notEqual(...sessions);
  assert.ok(await first.page.evaluate(() => document.getElementById('phase').textContent === 'live'));
});
