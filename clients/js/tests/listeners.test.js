/** Listeners instead of loops, and what holds the position. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Bench, collect, take } from './fakes/bench.js';
import { event, gap, live, OTHER_STREAM, STREAM, welcome } from './fakes/frames.js';
import { settle } from './fakes/settle.js';

/** A promise and what resolves it. */
function door() {
  let open = () => {};
  const opened = new Promise((resolve) => {
    open = () => resolve(undefined);
  });
  return { opened, open };
}

test('an event is acknowledged when the promises of all its listeners have resolved, and the next one waits for it', async (t) => {
  const bench = new Bench(t);
  const [slow, slower] = [door(), door()];
  const seen = [];
  bench.client.on('event', async ({ seq }) => {
    seen.push(seq);
    await slow.opened;
  });
  bench.client.on('event', () => slower.opened);
  bench.client.subscribe('orders.>');
  const socket = await bench.live(event(1), event(2));
  slow.open();
  await bench.clock.advance(1);
  assert.deepEqual([seen, socket.acks], [[1], []]);
  slower.open();
  await bench.clock.advance(1);
  assert.deepEqual([seen, socket.acks], [[1, 2], [2]]);
});

test('listeners get the events of every subscription that no loop runs over', async (t) => {
  const bench = new Bench(t);
  const heard = [];
  bench.client.on('event', ({ seq }) => heard.push(seq));
  bench.client.subscribe('orders.>');
  const looped = collect(bench.client.subscribe('stock.>'));
  bench.client.subscribe('carts.>');
  const socket = await bench.live(event(1), event(2, 'stock.s1'), event(3, 'carts.k1'));
  await bench.clock.advance(1);
  assert.deepEqual([heard, looped.slice(), socket.acks], [[1, 3], [2], [3]]);
});

test('a listener that came later gets what waits, and one that was removed gets nothing more', async (t) => {
  const bench = new Bench(t);
  bench.client.subscribe('orders.>');
  const socket = await bench.live(event(1));
  const heard = [];
  const remove = bench.client.on('event', ({ seq }) => heard.push(seq));
  await settle();
  remove();
  socket.say(event(2));
  await bench.clock.advance(1);
  assert.deepEqual([heard, socket.acks], [[1], [1]]);
  bench.client.on('event', ({ seq }) => heard.push(seq));
  await bench.clock.advance(1);
  assert.deepEqual(
    [heard, socket.acks],
    [
      [1, 2],
      [1, 2],
    ],
  );
});

test('a loop that begins while a listener works does not acknowledge its event', async (t) => {
  const bench = new Bench(t);
  const work = door();
  bench.client.on('event', () => work.opened);
  const orders = bench.client.subscribe('orders.>');
  const socket = await bench.live(event(1), event(2), event(3));
  assert.deepEqual(
    (await take(orders, 2)).map(({ seq }) => seq),
    [2, 3],
  );
  await bench.clock.advance(1);
  assert.deepEqual(socket.acks, []);
  work.open();
  await bench.clock.advance(1);
  assert.deepEqual(socket.acks, [2], 'the third is in hand');
});

test('with manual acks the listener says when an event is processed', async (t) => {
  const bench = new Bench(t);
  const heard = [];
  bench.client.on('event', (each) => heard.push(each));
  bench.client.subscribe('orders.>', { ack: 'manual' });
  const socket = await bench.live(event(1), event(2));
  await bench.clock.advance(1);
  assert.deepEqual([heard.length, socket.acks], [2, []]);
  await heard[0].ack();
  await bench.clock.advance(1);
  assert.deepEqual(socket.acks, [1]);
});

test('a listener that fails ends the client, and its event and the next stay unacknowledged', async (t) => {
  const bench = new Bench(t);
  const cause = new Error('the page could not be drawn');
  bench.client.on('event', ({ seq }) => {
    if (seq === 2) throw cause;
  });
  bench.client.subscribe('orders.>');
  const looped = collect(bench.client.subscribe('stock.>'));
  const socket = await bench.live(event(1), event(2), event(3));
  const failed = await looped.ended;
  await settle();
  assert.deepEqual([failed.name, failed.cause, bench.client.failure], ['HandlerFailed', cause, failed]);
  assert.deepEqual([bench.client.state, bench.errors, bench.net.alive], ['closed', [failed], []]);
  assert.deepEqual([bench.storage.position?.seq, socket.acks], [1, [1]]);
  assert.throws(() => bench.client.subscribe('orders.>'), failed);
  await bench.clock.advance(100);
  assert.deepEqual([bench.net.dialled, bench.clock.armed], [1, 0]);
});

test('a listener of state, live or error that throws keeps no other from hearing, and changes nothing', async (t) => {
  const bench = new Bench(t);
  const thrown = [];
  const report = (error) => thrown.push(error.message);
  const listeners = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', report);
  t.after(() => {
    process.off('uncaughtException', report);
    for (const listener of listeners) process.on('uncaughtException', listener);
  });
  bench.client.on('live', () => {
    throw new Error('of the program');
  });
  const after = [];
  bench.client.on('live', (seq) => after.push(seq));
  const orders = bench.client.subscribe('orders.>');
  await bench.live(event(1));
  assert.deepEqual([thrown, after, bench.client.state], [['of the program'], [1], 'live']);
  assert.equal((await orders.next()).value?.seq, 1);
});

test('what is listened for must exist', (t) => {
  const { client } = new Bench(t);
  for (const name of ['gaps', 'events']) {
    assert.throws(() => client.on(name, () => {}), { name: 'TypeError', message: `there is no event ${name}` });
  }
});

test('the position waits for the listeners of a gap, and passes it when they are done', async (t) => {
  const bench = new Bench(t);
  const reload = door();
  const told = [];
  bench.client.on('gap', async (lost) => {
    told.push(lost);
    await reload.opened;
  });
  const seen = collect(bench.client.subscribe('orders.>'));
  const socket = await bench.connected();
  socket.say(welcome({ outcome: 'gap', from: 10 }), gap(3, 11, { subjects: ['orders.>'] }), event(12), live(12));
  await bench.clock.advance(5);
  assert.deepEqual(told, [{ after: 3, before: 11, reason: 'expired', subjects: ['orders.>'] }]);
  assert.deepEqual(seen.slice(), [12], 'events go on');
  assert.deepEqual([socket.acks, bench.storage.saves.at(-1) ?? 0], [[], 0]);
  reload.open();
  await settle();
  assert.deepEqual([socket.acks, bench.storage.position], [[12], { stream: STREAM, seq: 12 }]);
});

test('a client that ends before a gap was dealt with is told of it again', async (t) => {
  const first = new Bench(t);
  first.client.on('gap', () => door().opened);
  collect(first.client.subscribe('orders.>'));
  const socket = await first.connected();
  socket.say(welcome({ outcome: 'gap', from: 10 }), gap(3, 11), event(12), live(12));
  await first.clock.advance(5);
  await first.client.close();
  const second = new Bench(t, { storage: first.storage });
  second.client.subscribe('orders.>');
  const { sent } = await second.connected();
  assert.ok(!sent[0].resume || sent[0].resume.seq < 10, 'it asks from before the gap');
});

test('a listener of gap that fails ends the client, and the position stays before the gap', async (t) => {
  const bench = new Bench(t);
  bench.client.on('gap', async () => {
    throw new Error('the shop is closed');
  });
  const seen = collect(bench.client.subscribe('orders.>'));
  const socket = await bench.live(event(1), event(2));
  socket.say(gap(2, 9), event(9));
  const failed = await seen.ended;
  await bench.clock.advance(5);
  assert.deepEqual([failed.name, failed.cause.message], ['HandlerFailed', 'the shop is closed']);
  assert.deepEqual([bench.client.failure, bench.net.alive, bench.storage.position?.seq], [failed, [], 2]);
  assert.deepEqual(socket.acks, [2]);
});

test('another stream is a gap, and what its program has not dealt with is not stored', async (t) => {
  const bench = new Bench(t);
  const reload = door();
  bench.client.on('gap', () => reload.opened);
  const seen = collect(bench.client.subscribe('orders.>'));
  const first = await bench.live(event(50));
  await bench.clock.advance(1);
  first.hangUp();
  await bench.clock.advance(1);
  const socket = await bench.connected();
  assert.deepEqual(socket.sent[0].resume, { stream: STREAM, seq: 50 });
  socket.say(
    welcome({ stream: OTHER_STREAM, outcome: 'gap' }),
    gap(0, 1, { reason: 'stream_replaced' }),
    event(3),
    live(3),
  );
  await bench.clock.advance(1);
  assert.deepEqual([seen.slice(), socket.acks, bench.storage.position], [[50, 3], [], { stream: STREAM, seq: 50 }]);
  reload.open();
  await settle();
  assert.deepEqual([socket.acks, bench.storage.position], [[3], { stream: OTHER_STREAM, seq: 3 }]);
});
