/** Tabs of one browser are one session: one connection and one position for all of them. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import '../src/tabs.js'; // else loaded on need, which takes its time
import { collect, take } from './fakes/bench.js';
import { Browser } from './fakes/browser.js';
import { token } from './fakes/frames.js';
import { until } from './fakes/settle.js';

const same = 'orders.c1 orders.c2 orders.c1 orders.c3'.split(' ');

test('two tabs share one connection, and both get every event, in order', async (t) => {
  const browser = new Browser(t);
  const first = await browser.open();
  const second = await browser.open();
  assert.deepEqual([first.client.isLeader, second.client.isLeader], [true, false]);
  const sequences = await browser.publish(...same, ...same);
  assert.deepEqual([first.seen.slice(), second.seen.slice()], [sequences, sequences]);
  assert.equal(browser.net.dialled, 1);
  assert.equal(browser.clock.armed, 1, 'a tab that follows has no timer');
});

test('a tab that follows sees state, welcome and position, and hears of them', async (t) => {
  const browser = new Browser(t);
  const first = await browser.open();
  const second = await browser.open();
  assert.equal(second.client.state, 'live');
  assert.deepEqual(second.client.welcome, first.client.welcome);
  assert.deepEqual(second.client.position, first.client.position);
  const [seq] = await browser.publish('orders.c1');
  await browser.later(() => browser.storage.position?.seq === seq);
  await browser.quiet();
  assert.equal(second.client.position?.seq, seq);
  browser.net.last?.hangUp();
  await browser.quiet();
  assert.equal(second.client.state, 'waiting');
  await browser.later(() => second.client.state === 'live');
  assert.deepEqual(second.states, ['connecting', 'live', 'waiting', 'connecting', 'replaying', 'live']);
  // of what was before it came, too: a program that waits for `live` before it loads its state goes on here as well
  assert.deepEqual([second.welcomes.length, second.lives], [2, [0, seq]]);
});

test('each tab gets the events of its own patterns alone, and a pattern of its own is asked for', async (t) => {
  const browser = new Browser(t);
  const first = await browser.open('orders.>');
  const second = await browser.open(['stock.>', 'orders.c1']);
  assert.deepEqual(browser.net.last?.sent.at(-1)?.subjects, ['stock.>', 'orders.c1']);
  const [a, b, c] = await browser.publish('orders.c1', 'orders.c2', 'stock.s1');
  assert.deepEqual(
    [first.seen.slice(), second.seen.slice()],
    [
      [a, b],
      [a, c],
    ],
  );
});

test('a tab that follows may subscribe, give up, and be refused, alone', async (t) => {
  const browser = new Browser(t);
  browser.gateway.denied.add('secret.>');
  const first = await browser.open();
  const second = await browser.open();
  const stock = second.client.subscribe('stock.>');
  const seen = collect(stock);
  await browser.quiet();
  const [seq] = await browser.publish('stock.s1');
  assert.deepEqual(seen.slice(), [seq]);
  stock.unsubscribe();
  await browser.quiet();
  assert.deepEqual(browser.net.last?.sent.findLast(({ type }) => type === 'unsubscribe')?.subjects, ['stock.>']);
  assert.equal(await seen.ended, 'ended');
  const refused = await collect(second.client.subscribe('secret.>')).ended;
  assert.deepEqual([refused.name, refused.subjects], ['Forbidden', ['secret.>']]);
  await browser.quiet();
  assert.deepEqual([first.errors, second.errors], [[], [refused]]);
  const again = await browser.publish('orders.c1');
  assert.deepEqual([first.seen.slice(), second.seen.slice()], [again, again]);
});

test('a pattern that the leader is refused ends nothing in the other tabs', async (t) => {
  const browser = new Browser(t);
  browser.gateway.denied.add('secret.>');
  const first = await browser.open();
  const second = await browser.open();
  assert.equal((await collect(first.client.subscribe('secret.>')).ended).name, 'Forbidden');
  await browser.quiet();
  assert.deepEqual(second.errors, []);
  const sequences = await browser.publish('orders.c1');
  assert.deepEqual(second.seen.slice(), sequences);
});

test('the position waits for the slowest tab', async (t) => {
  const browser = new Browser(t);
  await browser.open();
  const slow = browser.tab();
  const orders = slow.client.subscribe('orders.>');
  await until(() => slow.client.welcome);
  await browser.quiet();
  const [one, two] = await browser.publish('orders.c1', 'orders.c2');
  assert.equal((await orders.next()).value?.seq, one);
  await browser.clock.advance(5);
  await browser.quiet();
  assert.ok(browser.gateway.session.cursor < one, 'in hand in the slow tab');
  await orders.next();
  await browser.later(() => browser.gateway.session.cursor === one);
  void orders.next();
  await browser.later(() => browser.gateway.session.cursor === two);
  assert.equal(browser.storage.position?.seq, two);
});

test('a tab that follows acknowledges by hand, in any order', async (t) => {
  const browser = new Browser(t);
  await browser.open();
  const second = browser.tab();
  const orders = second.client.subscribe('orders.>', { ack: 'manual' });
  await until(() => second.client.welcome);
  await browser.quiet();
  const sequences = await browser.publish('orders.c1', 'orders.c2');
  const [one, two] = await take(orders, 2);
  await two.ack();
  await browser.clock.advance(2);
  await browser.quiet();
  assert.ok(browser.gateway.session.cursor < sequences[0]);
  await one.ack();
  await browser.later(() => browser.gateway.session.cursor === sequences[1]);
});

test('a tab that follows and closes is given up: it holds the position no longer', async (t) => {
  const browser = new Browser(t);
  const first = await browser.open();
  const slow = browser.tab();
  const orders = slow.client.subscribe(['orders.>', 'stock.>']);
  await until(() => slow.client.welcome);
  await browser.quiet();
  const [one] = await browser.publish('orders.c1', 'stock.s1');
  await orders.next();
  await slow.client.close();
  await browser.later(() => browser.gateway.session.cursor >= one);
  assert.deepEqual(first.seen.slice(), [one]);
  assert.deepEqual([...browser.gateway.session.patterns.keys()], ['orders.>']);
  assert.equal(first.client.state, 'live');
});

test('another session name or another user shares nothing', async (t) => {
  const browser = new Browser(t);
  const anna = await browser.open();
  const other = await browser.open('orders.>', { session: `${browser.session}-b` });
  const bert = await browser.open('orders.>', { getToken: async () => token('bert') });
  assert.deepEqual(
    [anna, other, bert].map(({ client }) => client.isLeader),
    [true, true, true],
  );
  assert.equal(browser.net.alive.length, 3);
  const only = browser.net.alive[2];
  only?.say({ type: 'event', seq: 99, subject: 'orders.c1', time: '2026-11-23T08:00:00Z', data: 'of bert' });
  await browser.quiet();
  assert.deepEqual([anna.seen.slice(), other.seen.slice(), bert.seen.slice()], [[], [], [99]]);
  await bert.client.close();
  await browser.quiet();
  assert.deepEqual([anna.client.state, other.client.state], ['live', 'live']);
});

test('a gap is told in every tab, and the position waits for all of them', async (t) => {
  const browser = new Browser(t);
  const tabs = [await browser.open(), await browser.open(), await browser.open()];
  const doors = [];
  for (const { client } of tabs) client.on('gap', (gap) => new Promise((resolve) => doors.push([gap, resolve])));
  const seq = 50;
  browser.net.last?.say({ type: 'gap', after: 0, before: seq, reason: 'expired' });
  browser.gateway.publish('orders.c1', seq);
  await browser.clock.advance(5);
  await browser.quiet();
  assert.deepEqual(
    doors.map(([gap]) => gap),
    Array(3).fill({ after: 0, before: seq, reason: 'expired' }),
  );
  assert.deepEqual(
    tabs.map(({ seen }) => seen.slice()),
    [[seq], [seq], [seq]],
  );
  for (const [, done] of doors.slice(0, 2)) done();
  await browser.clock.advance(5);
  await browser.quiet();
  assert.ok(browser.gateway.session.cursor < seq);
  doors[2][1]();
  await browser.later(() => browser.gateway.session.cursor === seq);
});

test('a gap does not wait for a tab that closes', async (t) => {
  t.mock.method(console, 'warn', () => {}); // nobody listens in the first tab
  const browser = new Browser(t);
  await browser.open();
  const second = await browser.open();
  second.client.on('gap', () => new Promise(() => {}));
  browser.net.last?.say({ type: 'gap', after: 0, before: 50, reason: 'expired' });
  browser.gateway.publish('orders.c1', 50);
  await browser.clock.advance(5);
  await browser.quiet();
  assert.ok(browser.gateway.session.cursor < 50);
  await second.client.close();
  await browser.later(() => browser.gateway.session.cursor === 50);
});

test('a listener that fails in a tab ends that tab alone', async (t) => {
  const browser = new Browser(t);
  const first = await browser.open();
  const second = browser.tab();
  second.client.subscribe('orders.*');
  second.client.on('event', () => {
    throw new Error('of this page');
  });
  await until(() => second.client.welcome);
  await browser.quiet();
  const [seq] = await browser.publish('orders.c1');
  assert.equal(second.client.failure?.name, 'HandlerFailed');
  await browser.later(() => browser.gateway.session.cursor === seq);
  assert.deepEqual([first.client.state, first.seen.slice()], ['live', [seq]]);
});

test('a tab in the front asks for the whole session whether the link lives', async (t) => {
  const browser = new Browser(t);
  await browser.open();
  const second = await browser.open();
  await browser.clock.advance(1);
  second.page.show();
  await browser.quiet();
  assert.equal(browser.net.last?.types.at(-1), 'ping');
  browser.net.last?.vanish();
  second.client.wake();
  await browser.later(() => browser.net.dialled === 2, 5);
  await browser.later(() => second.client.state === 'live');
});

test('a tab that follows and is hidden has its session stored and acknowledged', async (t) => {
  const browser = new Browser(t);
  await browser.open();
  const second = await browser.open();
  const [seq] = await browser.publish('orders.c1');
  assert.ok(browser.gateway.session.cursor < seq);
  second.page.hide();
  await browser.quiet();
  assert.equal(browser.gateway.session.cursor, seq);
});

test('without tabs the newest client wins, and the older one stops', async (t) => {
  for (const alone of [{ tabs: false }, { platform: { locks: undefined } }]) {
    const browser = new Browser(t);
    const first = await browser.open('orders.>', alone);
    const second = await browser.open('orders.>', alone);
    assert.equal((await first.seen.ended).name, 'TakenOver');
    await browser.clock.advance(60);
    assert.deepEqual([browser.net.dialled, second.client.state, second.client.isLeader], [2, 'live', true]);
    const sequences = await browser.publish('orders.c1');
    assert.deepEqual(second.seen.slice(), sequences);
  }
});
