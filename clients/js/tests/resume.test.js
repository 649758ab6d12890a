/** From one run of a program to the next: the position, where it is kept, and whose it is. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { MemoryStorage } from '../src/index.js';
import { Bench, collect, take } from './fakes/bench.js';
import { event, events, live, OTHER_STREAM, STREAM, token, URL, welcome } from './fakes/frames.js';
import { Gateway } from './fakes/gateway.js';
import { Net } from './fakes/net.js';
import { settle } from './fakes/settle.js';

test('a position is stored before it is acknowledged, and events and answers do not wait for a slow storage', async (t) => {
  const bench = new Bench(t);
  const seen = collect(bench.client.subscribe('orders.>'));
  const socket = await bench.live();
  bench.storage.hold();
  socket.say(event(1), event(2));
  await bench.clock.advance(1);
  assert.deepEqual([bench.storage.saves, socket.acks, bench.storage.position?.seq], [[0, 2], [], 0]);
  socket.say({ type: 'ping' }, event(3));
  await bench.clock.advance(1);
  assert.deepEqual([seen.slice(), socket.types.at(-1), socket.acks], [[1, 2, 3], 'pong', []]);
  bench.storage.release();
  await settle();
  assert.deepEqual([bench.storage.saves, bench.storage.position?.seq], [[0, 2, 3], 3]);
  assert.deepEqual(socket.acks, [2, 3]);
});

test('a position is stored when its events are processed, never when they are received', async (t) => {
  const bench = new Bench(t);
  const orders = bench.client.subscribe('orders.>');
  await bench.live(...events(1, 9));
  await take(orders, 4);
  await bench.clock.advance(10);
  assert.deepEqual(bench.storage.saves, [0, 3]);
});

test('a closing client sends the acknowledgement that waits for the storage, then closes', async (t) => {
  const bench = new Bench(t);
  const orders = bench.client.subscribe('orders.>');
  const socket = await bench.live(event(1), event(2));
  await take(orders, 2);
  bench.storage.hold();
  const closing = bench.client.close();
  await settle();
  assert.deepEqual([socket.acks, socket.closedWith], [[], null]);
  bench.storage.release();
  await closing;
  await settle();
  assert.deepEqual([socket.acks, socket.closedWith], [[1], 1000]);
});

test('a storage that never answers keeps no socket open for longer than 3 s', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const bench = new Bench(t);
  const orders = bench.client.subscribe('orders.>');
  const socket = await bench.live(event(1), event(2));
  await take(orders, 2);
  bench.storage.hold();
  void bench.client.close();
  await settle();
  t.mock.timers.tick(2999);
  assert.equal(socket.closedWith, null);
  t.mock.timers.tick(1);
  assert.deepEqual([socket.closedWith, socket.acks], [1000, []]);
  bench.storage.release();
});

test('a storage that cannot be read or written is told, and stops nothing', async (t) => {
  const bench = new Bench(t);
  bench.storage.isFailing = true;
  const seen = collect(bench.client.subscribe('orders.>'));
  const socket = await bench.live(event(1), event(2));
  await bench.clock.advance(1);
  assert.deepEqual([seen.slice(), socket.acks, bench.client.state], [[1, 2], [2], 'live']);
  assert.deepEqual(bench.errorNames, ['StateUnavailable', 'StateUnavailable', 'StateUnavailable']);
  assert.equal(bench.errors[0].cause.message, 'disk of the device');
  bench.storage.isFailing = false;
  socket.say(event(3));
  await bench.clock.advance(1);
  assert.deepEqual([bench.storage.position?.seq, bench.errors.length], [3, 3]);
});

test('a storage that throws at once is told as well', async (t) => {
  const storage = {
    load: () => {
      throw new Error('blocked');
    },
    save: () => {
      throw new Error('blocked');
    },
  };
  const bench = new Bench(t, { storage });
  bench.client.subscribe('orders.>');
  await bench.live();
  assert.deepEqual(bench.errorNames, ['StateUnavailable', 'StateUnavailable']);
  assert.equal(bench.client.state, 'live');
});

test('a new run resumes from the stored position; a new session stores where it began', async (t) => {
  const first = new Bench(t);
  first.client.subscribe('orders.>');
  const socket = await first.connected();
  assert.equal('resume' in socket.sent[0], false);
  socket.say(welcome({ outcome: 'fresh', from: 41 }));
  await settle();
  assert.deepEqual(first.storage.position, { stream: STREAM, seq: 41 });
  const second = new Bench(t, { storage: first.storage });
  second.client.subscribe('orders.>');
  const { sent } = await second.connected();
  assert.deepEqual(sent[0].resume, { stream: STREAM, seq: 41 });
  assert.deepEqual(second.client.position, { stream: STREAM, seq: 41 });
});

test('a run that was killed loses nothing and repeats nothing that it has stored', async (t) => {
  const net = new Net();
  const gateway = new Gateway(net);
  const processed = [];
  const killed = new Bench(t, { net });
  const loop = async (client) => {
    for await (const { seq } of client.subscribe('orders.>')) {
      processed.push(seq);
      if (processed.length === 7) await new Promise(() => {}); // the power fails
    }
  };
  void loop(killed.client);
  await settle();
  for (let at = 0; at < 10; at++) gateway.publish(at % 4 ? 'orders.c42' : 'stock.s1');
  await killed.clock.advance(1);
  net.last?.vanish();
  const first = processed.slice();
  const run = new Bench(t, { net, storage: killed.storage });
  collect(run.client.subscribe('orders.>'), processed);
  await settle();
  for (let at = 0; at < 5; at++) gateway.publish('orders.c43');
  await settle();
  assert.equal(first.length, 7);
  assert.equal(first.at(-1), processed[7], 'the one in hand was not processed: it comes again');
  assert.deepEqual([...first.slice(0, 6), ...processed.slice(7)], gateway.sequences('orders.>'));
  assert.deepEqual(gateway.complaints, []);
});

test('what was processed and not stored when it was killed comes again: at least once', async (t) => {
  const net = new Net();
  const gateway = new Gateway(net);
  const killed = new Bench(t, { net });
  const seen = collect(killed.client.subscribe('orders.>'));
  await settle();
  for (let at = 0; at < 4; at++) gateway.publish('orders.c42');
  await settle();
  assert.equal(seen.length, 4);
  net.last?.vanish();
  const again = collect(new Bench(t, { net, storage: killed.storage }).client.subscribe('orders.>'));
  await settle();
  assert.deepEqual(again.slice(), gateway.sequences('orders.>'));
});

test('a client without a stored position gets what follows the cursor of its session', async (t) => {
  const net = new Net();
  const gateway = new Gateway(net);
  const first = new Bench(t, { net });
  collect(first.client.subscribe('orders.>'));
  await settle();
  gateway.publish('orders.c42');
  await first.clock.advance(1);
  await first.client.close();
  gateway.publish('orders.c42');
  const seen = collect(new Bench(t, { net }).client.subscribe('orders.>'));
  await settle();
  assert.deepEqual(seen.slice(), gateway.sequences('orders.>').slice(1));
});

test('a small window never stands still', async (t) => {
  const net = new Net();
  const gateway = new Gateway(net);
  for (const messages of [1, 2, 3]) {
    const bench = new Bench(t, { net, session: `w${messages}`, window: { messages } });
    const seen = collect(bench.client.subscribe('orders.>'));
    await settle();
    const before = gateway.log.length;
    for (let at = 0; at < 20; at++) gateway.publish('orders.c42');
    await bench.clock.advance(10);
    assert.deepEqual(seen.slice(), gateway.sequences('orders.>').slice(before));
    await bench.client.close();
  }
  assert.deepEqual(gateway.complaints, []);
});

test('a position is given to no other gateway, user or session', async (t) => {
  const storage = new MemoryStorage();
  const of = (user) => ({ getToken: async () => token(user) });
  const first = new Bench(t, { storage, ...of('anna') });
  collect(first.client.subscribe('orders.>'));
  await first.live(event(7));
  await first.clock.advance(1);
  await first.client.close();
  const resumes = async (options) => {
    const bench = new Bench(t, { storage, ...options });
    bench.client.subscribe('orders.>');
    const { sent } = await bench.connected();
    await bench.client.close();
    return sent[0].resume;
  };
  assert.deepEqual(await resumes(of('anna')), { stream: STREAM, seq: 7 });
  assert.equal(await resumes(of('bert')), undefined);
  assert.equal(await resumes({ ...of('anna'), session: 'pixel-8' }), undefined);
  assert.equal(await resumes({ ...of('anna'), url: `${URL}/other` }), undefined);
  assert.deepEqual(await resumes(of('anna')), { stream: STREAM, seq: 7 });
});

test('after another stream its own position is stored, and events of small sequences are new', async (t) => {
  const bench = new Bench(t);
  const seen = collect(bench.client.subscribe('orders.>'));
  bench.client.on('gap', () => {});
  (await bench.live(event(3), event(500))).hangUp();
  await bench.clock.advance(1);
  const socket = await bench.connected();
  socket.say(welcome({ stream: OTHER_STREAM, outcome: 'resumed', from: 2 }), event(3), live(3));
  await bench.clock.advance(1);
  assert.deepEqual([seen.slice(), bench.storage.position], [[3, 500, 3], { stream: OTHER_STREAM, seq: 3 }]);
});

test('a page that is about to go stores and acknowledges at once', async (t) => {
  for (const go of [(page) => page.hide(), (page) => page.tell('pagehide')]) {
    const bench = new Bench(t);
    collect(bench.client.subscribe('orders.>'));
    const socket = await bench.live();
    socket.say(event(1));
    await settle();
    assert.deepEqual(socket.acks, []);
    go(bench.page);
    await settle();
    assert.deepEqual([socket.acks, bench.storage.position?.seq], [[1], 1]);
    assert.equal(bench.client.state, 'live', 'a hidden page stays connected');
  }
});
