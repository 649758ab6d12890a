/** Loops over events: what is acknowledged when, and what a loop that was left leaves behind. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Bench, collect, take } from './fakes/bench.js';
import { event, events, gap, live, STREAM, welcome } from './fakes/frames.js';
import { settle } from './fakes/settle.js';

test('the first frame is connect, with token, session, patterns, window and name, over the subprotocol asked for', async (t) => {
  const bench = new Bench(t, { token: 'a.b.c', window: { messages: 7 } });
  assert.equal(bench.net.dialled, 0, 'nothing connects before the first subscribe');
  bench.client.subscribe(['orders.>', 'stock.*']);
  const { sent, url, protocols } = await bench.connected();
  assert.equal(url, 'wss://gateway.example/v1/session');
  assert.deepEqual(protocols, ['tidewire.v1.json']);
  assert.deepEqual(sent, [
    {
      type: 'connect',
      token: 'a.b.c',
      session: 'pixel-7',
      subscribe: ['orders.>', 'stock.*'],
      window: { messages: 7, bytes: 1_048_576 },
      client: 'tidewire-client-js',
    },
  ]);
});

test('states, welcome and position can be seen and are told', async (t) => {
  const bench = new Bench(t);
  const { client } = bench;
  assert.deepEqual([client.state, client.position, client.welcome, client.isLeader], ['waiting', null, null, true]);
  client.subscribe('orders.>');
  assert.equal(client.state, 'connecting');
  const socket = await bench.connected();
  socket.say(welcome({ outcome: 'fresh', from: 12, pending: 3 }));
  await settle();
  assert.equal(client.state, 'replaying');
  assert.deepEqual(client.position, { stream: STREAM, seq: 12 });
  assert.equal(client.welcome?.pending, 3);
  socket.say(live(14));
  await settle();
  assert.equal(client.state, 'live');
  assert.deepEqual(client.position, { stream: STREAM, seq: 14 });
  await client.close();
  assert.equal(client.state, 'closed');
  assert.deepEqual(bench.states, ['connecting', 'replaying', 'live', 'closed']);
  assert.deepEqual([bench.welcomes.length, bench.welcomes[0].pending, bench.lives], [1, 3, [14]]);
});

test('an event has the members of its frame', async (t) => {
  const bench = new Bench(t);
  const orders = bench.client.subscribe('orders.>');
  const more = { id: 'm1', headers: { Shop: '7' }, replay: true };
  await bench.live(event(5, 'orders.c42', more), event(6));
  const [first, second] = await take(orders, 2);
  assert.deepEqual([first.seq, first.subject, first.time], [5, 'orders.c42', '2026-11-23T08:00:00Z']);
  assert.deepEqual(
    [first.id, first.headers, first.replay, first.data, first.raw],
    ['m1', { Shop: '7' }, true, { n: 5 }, { n: 5 }],
  );
  assert.deepEqual([second.id, second.headers, second.replay, second.opened, second.sealed], [null, {}, false, [], {}]);
});

test('asking for the next event acknowledges the one before, after 250 ms', async (t) => {
  const bench = new Bench(t);
  const orders = bench.client.subscribe('orders.>');
  const socket = await bench.live(event(5), event(9));
  await orders.next();
  await bench.clock.advance(5);
  assert.deepEqual([socket.acks, bench.storage.position?.seq], [[], 0], 'in hand');
  await orders.next();
  await bench.clock.advance(0.249);
  assert.deepEqual(socket.acks, []);
  await bench.clock.advance(0.001);
  assert.deepEqual([socket.acks, bench.storage.position], [[5], { stream: STREAM, seq: 5 }]);
});

test('many events are acknowledged by one frame, and 50 do not wait for the time', async (t) => {
  const bench = new Bench(t);
  const orders = bench.client.subscribe('orders.>');
  const socket = await bench.live(...events(1, 120));
  await take(orders, 50);
  await settle();
  assert.deepEqual(socket.acks, [], '49 are processed');
  await take(orders, 60);
  await settle();
  assert.deepEqual(socket.acks, [50, 100]);
  await bench.clock.advance(0.25);
  assert.deepEqual(socket.acks, [50, 100, 109]);
});

test('a processed event below one in work is not acknowledged past it', async (t) => {
  const bench = new Bench(t);
  const orders = bench.client.subscribe('orders.>', { ack: 'manual' });
  const socket = await bench.live(event(1), event(2), event(3));
  const [first, second, third] = await take(orders, 3);
  await third.ack();
  await second.ack();
  await bench.clock.advance(1);
  assert.deepEqual(socket.acks, []);
  await first.ack();
  await first.ack();
  await bench.clock.advance(1);
  assert.deepEqual([socket.acks, bench.storage.saves], [[3], [0, 3]]);
});

test('with manual acks asking for the next event acknowledges nothing', async (t) => {
  const bench = new Bench(t);
  const orders = bench.client.subscribe('orders.>', { ack: 'manual' });
  const socket = await bench.live(event(1), event(2));
  await take(orders, 2);
  await bench.clock.advance(1);
  assert.deepEqual([socket.acks, bench.client.position?.seq], [[], 0]);
});

test('a loop left by break leaves its event in hand, and the next subscription begins with it', async (t) => {
  const bench = new Bench(t);
  const left = bench.client.subscribe('orders.>');
  const socket = await bench.live(event(1), event(2), event(3));
  for await (const { seq } of left) if (seq === 2) break;
  await bench.clock.advance(1);
  assert.deepEqual(socket.acks, [1]);
  const next = await take(bench.client.subscribe('orders.>'), 2);
  await bench.clock.advance(1);
  assert.deepEqual(
    [next.map(({ seq }) => seq), socket.acks],
    [
      [2, 3],
      [1, 2],
    ],
  );
  assert.deepEqual(socket.types.slice(1), ['ack', 'ack'], 'the patterns stayed');
});

test('a loop left by an exception leaves its event in hand as well', async (t) => {
  const bench = new Bench(t);
  const orders = bench.client.subscribe('orders.>');
  const socket = await bench.live(event(1), event(2));
  const run = async () => {
    for await (const _ of orders) throw new Error('of the program');
  };
  await assert.rejects(run, /of the program/);
  await bench.clock.advance(1);
  assert.deepEqual(socket.acks, []);
  assert.deepEqual(
    (await take(bench.client.subscribe('orders.>'), 2)).map(({ seq }) => seq),
    [1, 2],
  );
});

test('an event acknowledged before the break does not come again', async (t) => {
  const bench = new Bench(t);
  const orders = bench.client.subscribe('orders.>');
  const socket = await bench.live(event(1), event(2));
  for await (const first of orders) {
    await first.ack();
    break;
  }
  await bench.clock.advance(1);
  assert.deepEqual(socket.acks, [1]);
  assert.deepEqual(
    (await take(bench.client.subscribe('orders.>'), 1)).map(({ seq }) => seq),
    [2],
  );
});

test('an iterator that was left is at its end and takes nothing from its successor', async (t) => {
  const bench = new Bench(t);
  const left = bench.client.subscribe('orders.>');
  await bench.live(event(1), event(2));
  for await (const _ of left) break;
  const next = bench.client.subscribe('orders.>');
  assert.equal((await left.next()).done, true);
  left.unsubscribe();
  assert.deepEqual(
    (await take(next, 2)).map(({ seq }) => seq),
    [1, 2],
  );
});

test('an iterator that is left while it waits takes nothing from its successor', async (t) => {
  const bench = new Bench(t);
  const left = bench.client.subscribe('orders.>');
  const socket = await bench.live();
  const waiting = left.next();
  await left.return();
  const next = take(bench.client.subscribe('orders.>'), 1);
  socket.say(event(1));
  assert.equal((await waiting).done, true);
  assert.deepEqual(
    (await next).map(({ seq }) => seq),
    [1],
  );
});

test('a subscription that is given up ends its loop, tells the gateway and lets the position go on', async (t) => {
  const bench = new Bench(t);
  const stock = collect(bench.client.subscribe('stock.>'));
  const orders = bench.client.subscribe('orders.>');
  const socket = await bench.live(event(1), event(2), event(3, 'stock.s1'));
  const first = await orders.next();
  const rest = [];
  const run = (async () => {
    for await (const { seq } of orders) rest.push(seq);
  })();
  await settle();
  assert.deepEqual([first.value?.seq, rest], [1, [2]]);
  orders.unsubscribe();
  orders.unsubscribe();
  await run;
  await settle();
  assert.deepEqual(socket.sent.slice(1), [
    { type: 'unsubscribe', id: '1', subjects: ['orders.>'] },
    { type: 'ack', seq: 3 },
  ]);
  socket.say(event(4), event(5, 'stock.s1'));
  await settle();
  assert.deepEqual([rest, stock.slice()], [[2], [3, 5]]);
});

test('what waits in a subscription that is given up does not hold the position', async (t) => {
  const bench = new Bench(t);
  const orders = bench.client.subscribe('orders.>');
  collect(bench.client.subscribe('stock.>'));
  const socket = await bench.live(event(1), event(2), event(3, 'stock.s1'));
  await orders.next();
  await bench.clock.advance(1);
  assert.deepEqual(socket.acks, []);
  orders.unsubscribe();
  await settle();
  assert.deepEqual([socket.acks, bench.storage.position?.seq], [[3], 3]);
  assert.equal((await orders.next()).done, true);
});

test('an event of two subscriptions goes to both and is processed when both are done', async (t) => {
  const bench = new Bench(t);
  const all = bench.client.subscribe('orders.>', { ack: 'manual' });
  const some = bench.client.subscribe(['orders.c42', 'orders.c43'], { ack: 'manual' });
  const socket = await bench.live(event(1), event(2, 'orders.c44'), event(3, 'orders.c43'));
  const [one, two, three] = await take(all, 3);
  const [same, last] = await take(some, 2);
  assert.deepEqual([one.seq, two.seq, three.seq, same.seq, last.seq], [1, 2, 3, 1, 3]);
  for (const each of [one, two, three, last]) await each.ack();
  await bench.clock.advance(1);
  assert.deepEqual(socket.acks, []);
  await same.ack();
  await bench.clock.advance(1);
  assert.deepEqual(socket.acks, [3]);
});

test('two subscriptions with the same patterns are two: each gets each event', async (t) => {
  const bench = new Bench(t);
  const seen = [collect(bench.client.subscribe('orders.>')), collect(bench.client.subscribe('orders.>'))];
  const socket = await bench.live(event(1), event(2));
  assert.deepEqual(
    seen.map((each) => each.slice()),
    [
      [1, 2],
      [1, 2],
    ],
  );
  assert.deepEqual(socket.sent[0].subscribe, ['orders.>']);
});

test('one iterator has one waiter', async (t) => {
  const bench = new Bench(t);
  const orders = bench.client.subscribe('orders.>');
  const socket = await bench.live();
  const first = orders.next();
  await assert.rejects(orders.next(), /two loops/);
  socket.say(event(1));
  assert.equal((await first).value?.seq, 1);
});

test('a subscription made while connected is told, and its refusal ends its loop alone', async (t) => {
  const bench = new Bench(t);
  const orders = collect(bench.client.subscribe('orders.>'));
  const socket = await bench.live();
  const secret = collect(bench.client.subscribe('secret.>'));
  await settle();
  const asked = socket.sent.at(-1);
  assert.deepEqual([asked.type, asked.subjects], ['subscribe', ['secret.>']]);
  socket.say({ type: 'reply', id: asked.id, data: { seq: 0, denied: ['secret.>'] } }, event(1));
  const refused = await secret.ended;
  assert.deepEqual([refused.name, refused.subjects], ['Forbidden', ['secret.>']]);
  await settle();
  assert.deepEqual([orders.slice(), bench.client.state, bench.client.failure], [[1], 'live', null]);
  assert.deepEqual(bench.errors, [refused]);
});

test('a pattern refused by the welcome ends its loop, and a new subscription asks again', async (t) => {
  const bench = new Bench(t);
  const secret = collect(bench.client.subscribe('secret.>'));
  bench.client.subscribe('orders.>');
  const socket = await bench.connected();
  socket.say(welcome({ denied: ['secret.>'] }), live());
  assert.equal((await secret.ended).name, 'Forbidden');
  bench.client.subscribe('secret.>');
  await settle();
  assert.deepEqual(socket.sent.at(-1)?.subjects, ['secret.>']);
});

test('flush stores and acknowledges at once', async (t) => {
  const bench = new Bench(t);
  const orders = bench.client.subscribe('orders.>');
  const socket = await bench.live(event(1), event(2));
  await take(orders, 2);
  await bench.client.flush();
  assert.deepEqual([bench.storage.saves, bench.storage.position?.seq], [[0, 1], 1]);
  await settle();
  assert.deepEqual(socket.acks, [1]);
});

test('closing stores and acknowledges what is processed, ends the loops, and leaves no socket and no timer', async (t) => {
  const bench = new Bench(t);
  const seen = collect(bench.client.subscribe('orders.>'));
  const waiting = collect(bench.client.subscribe('stock.>'));
  const held = bench.client.subscribe('orders.c42', { ack: 'manual' });
  const socket = await bench.live(event(1), event(2), event(3));
  const [first] = await take(held, 2);
  await first.ack();
  await bench.client.close();
  await bench.client.close();
  assert.equal(bench.storage.position?.seq, 1);
  await settle();
  assert.deepEqual([await seen.ended, await waiting.ended, (await held.next()).done], ['ended', 'ended', true]);
  assert.deepEqual([seen.slice(), socket.acks, socket.closedWith], [[1, 2, 3], [1], 1000]);
  assert.deepEqual([bench.net.alive.length, bench.clock.armed, bench.client.failure], [0, 0, null]);
  assert.throws(() => bench.client.subscribe('orders.>'), { name: 'ClientClosed' });
  bench.client.wake();
  await bench.client.flush();
  await bench.clock.advance(60);
  assert.equal(bench.net.dialled, 1);
});

test('a client that never connected closes at once', async (t) => {
  const bench = new Bench(t);
  await bench.client.close();
  assert.deepEqual([bench.client.state, bench.net.dialled, bench.clock.armed], ['closed', 0, 0]);
});

test('an event that was acknowledged after its client closed does nothing', async (t) => {
  const bench = new Bench(t);
  const orders = bench.client.subscribe('orders.>', { ack: 'manual' });
  const socket = await bench.live(event(1));
  const [first] = await take(orders, 1);
  await bench.client.close();
  await first.ack();
  await bench.clock.advance(1);
  assert.deepEqual([socket.acks, bench.storage.saves], [[], [0]]);
});

test('a gap that nobody listens for is said on the console, and events go on', async (t) => {
  const warn = t.mock.method(console, 'warn', () => {});
  const bench = new Bench(t);
  const seen = collect(bench.client.subscribe('orders.>'));
  const socket = await bench.connected();
  socket.say(welcome({ outcome: 'gap', from: 10 }), gap(3, 11), event(11), event(12), live(12));
  await bench.clock.advance(1);
  assert.deepEqual([seen.slice(), socket.acks.at(-1)], [[11, 12], 12]);
  assert.match(String(warn.mock.calls[0]?.arguments), /events are lost \(expired\)/);
});
