/** When the tab that leads closes or crashes the next one leads: nothing missing, nothing twice, in every tab that stays. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import '../src/tabs.js'; // else loaded on need, which takes its time
import { collect, take } from './fakes/bench.js';
import { Browser, crash, startTab } from './fakes/browser.js';
import { token, URL } from './fakes/frames.js';
import { until } from './fakes/settle.js';

const same = 'orders.c1 orders.c2 orders.c1 orders.c3'.split(' ');

test('when the leader closes, a tab that followed leads and resumes: nothing missing, nothing twice', async (t) => {
  const browser = new Browser(t);
  const first = await browser.open();
  const second = await browser.open();
  await browser.publish(...same);
  await first.client.close();
  for (const subject of same) browser.gateway.publish(subject);
  await browser.later(() => second.client.isLeader && second.client.state === 'live');
  await browser.publish(...same);
  assert.deepEqual(second.seen.slice(), browser.gateway.sequences('orders.>'));
  assert.deepEqual([browser.net.dialled, browser.net.alive.length], [2, 1]);
  assert.ok(!second.states.includes('closed'), 'its session never was');
  assert.deepEqual(second.states.slice(-3), ['connecting', 'replaying', 'live']);
  const last = browser.gateway.lastSeq;
  await browser.later(() => browser.gateway.session.cursor === last);
  assert.deepEqual([second.client.position?.seq, browser.storage.position?.seq], [last, last]);
  assert.deepEqual(browser.gateway.complaints, []);
});

test('while the leader stores its last position the session is not over for the other tabs', async (t) => {
  const browser = new Browser(t);
  const first = await browser.open();
  const second = await browser.open();
  const [seq] = await browser.publish('orders.c1');
  browser.storage.hold();
  const closing = first.client.close();
  await browser.quiet();
  assert.deepEqual([second.client.isLeader, second.client.state, browser.net.dialled], [false, 'live', 1]);
  browser.storage.release();
  await closing;
  await browser.later(() => second.client.isLeader && second.client.state === 'live');
  assert.deepEqual(browser.net.last?.sent[0].resume, { stream: 'EVENTS:1', seq });
  assert.deepEqual(second.states, ['connecting', 'live', 'connecting', 'replaying', 'live']);
});

test('each welcome is told once in each tab, and the last one can be seen until there is another', async (t) => {
  const browser = new Browser(t);
  const [first, second, third] = [await browser.open(), await browser.open(), await browser.open()];
  await first.client.close();
  browser.net.fate = 'hang';
  await browser.later(() => second.client.isLeader && browser.net.dialled === 2);
  for (const { client, welcomes } of [second, third]) {
    assert.deepEqual([client.state, welcomes.length, client.welcome?.outcome], ['connecting', 1, 'fresh']);
    assert.equal(client.position?.stream, 'EVENTS:1');
  }
  browser.net.last?.open();
  await browser.later(() => third.client.state === 'live');
  for (const { client, welcomes } of [second, third]) {
    assert.deepEqual([welcomes.length, client.welcome?.outcome], [2, 'resumed']);
  }
});

test('events in hand and events that wait in a tab come once, though the new leader is sent them again', async (t) => {
  const browser = new Browser(t);
  const first = await browser.open();
  const second = browser.tab();
  const orders = second.client.subscribe('orders.>');
  await until(() => second.client.welcome);
  await browser.quiet();
  const sequences = await browser.publish(...same);
  const [one, two] = await take(orders, 2); // the second is in hand, two wait
  await first.client.close();
  await browser.later(() => second.client.isLeader && second.client.state === 'live');
  const resent = browser.gateway.session.outstanding;
  assert.ok(resent.length >= 3, 'they were sent again');
  sequences.push(...(await browser.publish('orders.c9')));
  const rest = await take(orders, 3);
  assert.deepEqual(
    [one, two, ...rest].map(({ seq }) => seq),
    sequences,
  );
  void orders.next();
  await browser.later(() => browser.gateway.session.cursor === sequences.at(-1));
});

test('a tab that came later gets nothing from before it after what it had, though the new leader is sent that again', async (t) => {
  const browser = new Browser(t);
  const first = browser.tab();
  const slow = first.client.subscribe('orders.>');
  await until(() => first.client.welcome);
  await browser.quiet();
  const second = await browser.open('stock.>');
  await browser.publish('orders.c1', 'orders.c2');
  await take(slow, 1); // it holds the position of the session
  const third = await browser.open('orders.>');
  const [three] = await browser.publish('orders.c3');
  assert.deepEqual(third.seen.slice(), [three]);
  await first.client.close();
  await browser.later(() => second.client.isLeader && second.client.state === 'live');
  assert.ok(browser.net.last?.sent[0].resume.seq < browser.gateway.log[0].seq, 'all is sent again');
  const [four] = await browser.publish('orders.c4');
  assert.deepEqual(third.seen.slice(), [three, four]);
  await browser.later(() => browser.gateway.session.cursor === four);
});

test('events that were not acknowledged by hand may be so after the leader has changed', async (t) => {
  const browser = new Browser(t);
  const first = await browser.open();
  const second = browser.tab();
  const orders = second.client.subscribe('orders.>', { ack: 'manual' });
  await until(() => second.client.welcome);
  await browser.quiet();
  const sequences = await browser.publish(...same);
  const [one, two, three, four] = await take(orders, 4);
  await two.ack(); // to the old leader
  await browser.quiet();
  await first.client.close();
  await three.ack(); // to nobody
  await browser.later(() => second.client.isLeader && second.client.state === 'live');
  await browser.clock.advance(2);
  assert.ok(browser.gateway.session.cursor < sequences[0]);
  await one.ack(); // to itself, for an event that was brought by the old leader
  await browser.later(() => browser.gateway.session.cursor === sequences[2]);
  await four.ack();
  await browser.later(() => browser.gateway.session.cursor === sequences[3]);
  const next = orders.next();
  const [fifth] = await browser.publish('orders.c9');
  assert.equal((await next).value?.seq, fifth, 'none came twice');
});

test('of three tabs the next one leads, and the third follows it: nothing missing in any, whatever its patterns', async (t) => {
  const browser = new Browser(t);
  const first = await browser.open('carts.>');
  const second = await browser.open('orders.>');
  const third = await browser.open(['stock.>', 'orders.c1']);
  await browser.publish('orders.c1', 'stock.s1', 'orders.c2');
  await first.client.close();
  for (const subject of ['stock.s2', 'orders.c1', 'stock.s3', 'orders.c3']) browser.gateway.publish(subject);
  await browser.later(() => second.client.isLeader && second.client.state === 'live');
  await browser.publish('stock.s4', 'orders.c1');
  const ofThird = [...browser.gateway.sequences('stock.>'), ...browser.gateway.sequences('orders.c1')];
  assert.deepEqual(second.seen.slice(), browser.gateway.sequences('orders.>'));
  assert.deepEqual(
    third.seen.slice(),
    ofThird.sort((a, b) => a - b),
  );
  assert.equal(third.client.isLeader, false);
  await second.client.close();
  browser.gateway.publish('stock.s5');
  await browser.later(() => third.client.isLeader && third.client.state === 'live');
  assert.equal(third.seen.at(-1), browser.gateway.lastSeq);
  assert.equal(browser.net.dialled, 3);
  assert.deepEqual(browser.gateway.complaints, []);
});

test('a new leader waits 2 s for the patterns of a tab that does not answer, and no longer', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const browser = new Browser(t);
  const first = await browser.open();
  const second = browser.tab();
  const seen = collect(second.client.subscribe('orders.>'));
  await until(() => second.client.welcome);
  const { held } = await navigator.locks.query();
  const own = held?.find(({ name }) => name?.includes(browser.session) && name.includes(' tab '))?.name ?? '';
  const hangs = own.replace(/ tab .*/, ' tab of-a-debugger');
  let leave = () => {};
  void navigator.locks.request(hangs, () => new Promise((resolve) => (leave = () => resolve(undefined))));
  await first.client.close();
  await until(() => second.client.state === 'connecting');
  await browser.quiet();
  t.mock.timers.tick(1999);
  await browser.quiet();
  assert.equal(browser.net.dialled, 1);
  t.mock.timers.tick(1);
  await until(() => browser.net.dialled === 2);
  await browser.quiet();
  const sequences = await browser.publish('orders.c1');
  assert.deepEqual(seen.slice(), sequences);
  leave();
});

test('a tab whose patterns a new leader knows already is not waited for', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] }); // nothing is waited for in vain
  const browser = new Browser(t);
  const first = await browser.open();
  let look = () => {};
  const isTime = new Promise((resolve) => {
    look = () => resolve(undefined);
  });
  const locks = {
    request: navigator.locks.request.bind(navigator.locks),
    query: () => isTime.then(() => navigator.locks.query()),
  };
  const second = await browser.open('orders.>', { platform: { locks, BroadcastChannel } });
  const third = await browser.open('stock.>');
  await first.client.close();
  await until(() => second.client.isLeader || second.client.state === 'connecting');
  await browser.quiet(); // the third has heard who leads, and has told its patterns
  look();
  await until(() => browser.net.dialled === 2);
  await browser.quiet();
  const [seq] = await browser.publish('stock.s1');
  assert.deepEqual(third.seen.slice(), [seq]);
});

test('what an older leader still says is not heard', async (t) => {
  const browser = new Browser(t);
  await browser.open();
  const second = await browser.open();
  const older = new BroadcastChannel(`tidewire ${JSON.stringify([URL, 'shop anna', browser.session])}`);
  t.after(() => older.close());
  const late = { from: 'older', term: 1 };
  const event = { type: 'event', seq: 9, subject: 'orders.c1', time: '', data: 1, data_b64: null };
  older.postMessage({ ...late, state: 'waiting', position: { stream: 'EVENTS:0', seq: 3 } });
  older.postMessage({ ...late, deliver: [1], ticket: { term: 1, epoch: 1, stream: 'EVENTS:1' }, event });
  older.postMessage({ ...late, stop: { kind: 'taken_over', code: 4509 } });
  older.postMessage({ ...late, leads: true });
  await browser.quiet();
  const sequences = await browser.publish('orders.c1');
  assert.deepEqual([second.seen.slice(), second.client.state, second.client.position?.seq], [sequences, 'live', 0]);
});

test('what expired while the leader changed is told in every tab', async (t) => {
  const browser = new Browser(t);
  const tabs = [await browser.open(), await browser.open(), await browser.open()];
  const [, second, third] = tabs;
  const told = [];
  for (const { client } of [second, third]) client.on('gap', ({ after, before }) => told.push([after, before]));
  await tabs[0].client.close();
  for (let seq = 1; seq <= 9; seq++) browser.gateway.publish('orders.c1', seq);
  browser.gateway.expire(5);
  await browser.later(() => third.client.state === 'live' && told.length === 2);
  assert.deepEqual(told, [
    [0, 5],
    [0, 5],
  ]);
  await browser.quiet();
  assert.deepEqual([second.seen.slice(), third.seen.slice()], Array(2).fill([5, 6, 7, 8, 9]));
  await browser.later(() => browser.gateway.session.cursor === 9);
});

test('a tab that waits to lead fetches its token again before it uses it', async (t) => {
  const browser = new Browser(t);
  let fetched = 0;
  const first = await browser.open();
  await browser.open('orders.>', {
    getToken: async () => {
      fetched += 1;
      return token('anna', fetched);
    },
  });
  await browser.clock.advance(3600);
  await first.client.close();
  await until(() => browser.net.dialled === 2);
  await browser.quiet();
  assert.equal(browser.net.last?.sent[0].token, token('anna', 2));
});

test('a slow token makes a tab neither lead twice nor connect without leading', async (t) => {
  const browser = new Browser(t);
  const first = await browser.open();
  const answers = [];
  const second = browser.tab({ getToken: () => new Promise((resolve) => answers.push(resolve)) });
  const seen = collect(second.client.subscribe('orders.>'));
  await browser.clock.advance(20);
  assert.equal(answers.length, 2);
  for (const answer of answers) answer(token());
  await until(() => second.client.welcome);
  await browser.quiet();
  assert.deepEqual([browser.net.dialled, second.client.isLeader], [1, false]);
  await first.client.close();
  await until(() => answers.length > 2 || browser.net.dialled === 2);
  for (const answer of answers) answer(token());
  await browser.later(() => second.client.state === 'live');
  const sequences = await browser.publish('orders.c1');
  assert.deepEqual([seen.slice(), browser.net.dialled], [sequences, 2]);
  await second.client.close();
  const third = await browser.open();
  assert.equal(third.client.isLeader, true, 'no lock was left');
});

test('a leader that crashes is followed by the next tab, which resumes: nothing missing, nothing twice', async (t) => {
  const browser = new Browser(t);
  const heard = [];
  const worker = startTab(t, { session: browser.session });
  worker.on('message', ({ scope, position, state, isLeader }) => {
    if (scope) browser.storage.kept.set(JSON.stringify(scope), position);
    else heard.push([state, isLeader]);
  });
  await until(() => heard.at(-1)?.[0] === 'live');
  const second = browser.tab();
  const orders = second.client.subscribe('orders.>');
  await until(() => second.client.welcome);
  assert.deepEqual([heard.at(-1), second.client.isLeader, browser.net.dialled], [['live', true], false, 0]);
  const [one, two, three, four] = [1, 2, 3, 4].map((at) => ['orders.c1', at * 5]);
  for (const publish of [one, two, three]) worker.postMessage({ publish });
  const before = await take(orders, 2); // the second is in hand, and the third waits or is under way
  await crash(worker);
  for (const publish of [one, two, three, four]) browser.gateway.publish(...publish);
  await until(() => second.client.isLeader && browser.net.dialled === 1);
  await browser.later(() => second.client.state === 'live');
  const after = await take(orders, 2);
  assert.deepEqual(
    [...before, ...after].map(({ seq }) => seq),
    [5, 10, 15, 20],
  );
  void orders.next();
  await browser.later(() => browser.gateway.session.cursor === 20);
});
