/** How tabs end: all at once when the session does, and without leaving a lock. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import '../src/tabs.js'; // else loaded on need, which takes its time
import { Browser, crash, startTab } from './fakes/browser.js';
import { token } from './fakes/frames.js';
import { until } from './fakes/settle.js';

test("a tab whose user has changed while it followed does not lead the other user's session", async (t) => {
  const browser = new Browser(t);
  const users = ['anna', 'bert'];
  const first = await browser.open();
  const second = await browser.open('orders.>', { getToken: async () => token(users.shift()) });
  const third = await browser.open();
  await browser.clock.advance(30); // the token is fetched again
  await first.client.close();
  await until(() => second.client.failure);
  assert.equal(second.client.failure?.name, 'UserChanged');
  await browser.later(() => third.client.isLeader && third.client.state === 'live');
  assert.equal(third.client.failure, null);
  assert.deepEqual([...browser.gateway.sessions.keys()], [`anna ${browser.session}`]);
});

test('a session that is taken over elsewhere stops in every tab, and none connects again', async (t) => {
  const browser = new Browser(t);
  const tabs = [await browser.open(), await browser.open(), await browser.open()];
  browser.net.last?.hangUp(4509);
  const ends = await Promise.all(tabs.map(({ seen }) => seen.ended));
  assert.deepEqual(
    ends.map(({ name, code }) => [name, code]),
    Array(3).fill(['TakenOver', 4509]),
  );
  await browser.quiet();
  for (const { client, errors, states } of tabs) {
    assert.deepEqual([client.state, client.failure?.name, states.at(-1)], ['closed', 'TakenOver', 'closed']);
    assert.deepEqual(errors, [client.failure]);
  }
  await browser.clock.advance(600);
  await browser.quiet();
  assert.deepEqual([browser.net.dialled, browser.clock.armed], [1, 0]);
});

test('a tab that is closed at once when its session stops does not let another connect again', async (t) => {
  const browser = new Browser(t);
  const first = await browser.open();
  const second = await browser.open();
  first.client.on('error', () => first.client.close());
  browser.net.last?.hangUp(4509);
  assert.equal((await second.seen.ended).name, 'TakenOver');
  await browser.clock.advance(60);
  await browser.quiet();
  assert.equal(browser.net.dialled, 1);
});

test('a revocation wipes the keys in every tab', async (t) => {
  const browser = new Browser(t);
  const wiped = [];
  const keys = (name) => ({ open: async () => {}, wipe: async () => void wiped.push(name) });
  await browser.open('orders.>', { keys: keys('first') });
  await browser.open('orders.>', { keys: keys('second') });
  browser.net.last?.hangUp(4510);
  await browser.quiet();
  assert.deepEqual(wiped.sort(), ['first', 'second']);
});

test('a tab that is closed before it leads or knows a leader leaves no lock', async (t) => {
  const browser = new Browser(t);
  const hasty = browser.tab();
  hasty.client.subscribe('orders.>');
  await hasty.client.close();
  await browser.quiet();
  const { held, pending } = await navigator.locks.query();
  const ours = [...(held ?? []), ...(pending ?? [])].filter(({ name }) => name?.includes(browser.session));
  assert.deepEqual(ours, []);
  assert.equal((await browser.open()).client.isLeader, true);
});

test('tabs that close leave no lock', async (t) => {
  const browser = new Browser(t);
  const locks = async () => {
    const { held = [] } = await navigator.locks.query();
    return held.filter(({ name }) => name?.includes(browser.session)).length;
  };
  const first = await browser.open();
  assert.equal(await locks(), 2, 'that of the session, and its own');
  const second = await browser.open();
  assert.equal(await locks(), 3);
  await second.client.close();
  await browser.quiet();
  assert.equal(await locks(), 2);
  await first.client.close();
  await browser.quiet();
  assert.equal(await locks(), 0);
});

test('a tab that follows and crashes is given up', async (t) => {
  const browser = new Browser(t);
  const first = await browser.open();
  const worker = startTab(t, { session: browser.session, patterns: ['stock.>'] });
  await until(() => browser.gateway.session.patterns.has('stock.>'));
  await crash(worker);
  await until(() => !browser.gateway.session.patterns.has('stock.>'));
  assert.equal(first.client.state, 'live');
});
