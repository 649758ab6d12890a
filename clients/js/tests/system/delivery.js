/** What reaches a client: everything in order, what was missed, what is lost and told, what it reads of each event. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { MemoryStorage } from '../../src/index.js';
import { DeviceKeys } from '../../src/keys.js';
import { gateway } from './running.js';
import { clientOf, recording, seqsOf, take, toldBy } from './told.js';
import { until } from './until.js';

const { publisher } = gateway;

test('events come in order, and a client without a stored position goes on after those that were acknowledged', async () => {
  const first = clientOf('order');
  const events = first.subscribe('orders.c42.order.>');
  await until(() => first.state === 'live');
  assert.equal(first.welcome.outcome, 'fresh');
  const seqs = await publisher.publishMany('orders.c42.order.o1', 60);
  const taken = await take(events, 60);
  assert.deepEqual(seqsOf(taken), seqs);
  assert.deepEqual(
    taken.map(({ data }) => data.n),
    seqs.map((_, n) => n),
  );
  await first.close();
  assert.equal(first.position.seq, seqs.at(-1));
  const second = clientOf('order');
  const told = toldBy(second);
  const more = second.subscribe('orders.c42.order.>');
  await until(() => second.state === 'live');
  const [seq] = await publisher.publishMany('orders.c42.order.o1', 1, 60);
  assert.deepEqual(seqsOf(await take(more, 1)), [seq]);
  assert.deepEqual(
    told.welcome.map(({ outcome }) => outcome),
    ['resumed'],
  );
  assert.deepEqual(told.gap, []);
});

test('what was missed comes first, then live, then what is new', async () => {
  const storage = new MemoryStorage();
  const before = clientOf('missed', { storage });
  before.subscribe('orders.c42.missed.>');
  await until(() => before.state === 'live');
  await before.close();
  const missed = await publisher.publishMany('orders.c42.missed.o1', 20);
  const client = clientOf('missed', { storage });
  const told = toldBy(client);
  const events = client.subscribe('orders.c42.missed.>');
  const replayed = await take(events, 20);
  assert.deepEqual(seqsOf(replayed), missed);
  assert.ok(replayed.every(({ replay }) => replay));
  await until(() => told.live.length);
  assert.ok(told.live[0] >= missed.at(-1));
  await publisher.publishMany('orders.c42.missed.o1', 1, 20);
  const [live] = await take(events, 1);
  assert.equal(live.replay, false);
  assert.equal(told.welcome[0].outcome, 'resumed');
  assert.deepEqual(told.state, ['connecting', 'replaying', 'live']);
});

test('a stream that was replaced is told as a gap, and the position waits until the program has dealt with it', async () => {
  const storage = new MemoryStorage();
  storage.load = async () => ({ stream: 'EVENTS:1', seq: 5 });
  const seqs = await publisher.publishMany('orders.c42.replaced.o1', 3);
  const client = clientOf('replaced', { storage });
  const { promise: reloaded, resolve: reload } = Promise.withResolvers();
  const told = toldBy(client);
  client.on('gap', () => reloaded);
  const events = client.subscribe('orders.c42.replaced.>');
  assert.deepEqual(seqsOf(await take(events, 3)), seqs);
  assert.deepEqual([client.welcome.outcome, ...told.gap.map(({ reason }) => reason)], ['gap', 'stream_replaced']);
  assert.equal(client.position, null, 'the gap is before them');
  reload();
  await until(() => client.position?.seq >= seqs.at(-1));
  assert.equal(client.position.stream, client.welcome.stream);
});

test('an event that is withheld because a sealed field is in clear is a gap, and its field reaches nobody', async () => {
  const { WebSocket, received } = recording();
  const client = clientOf('withheld', { WebSocket });
  const told = toldBy(client);
  const events = client.subscribe('orders.c42.withheld.>');
  await until(() => client.state === 'live');
  const seq = await publisher.publish('orders.c42.withheld.o1', { address: 'Harbour Lane 7' });
  const [next] = await publisher.publishMany('orders.c42.withheld.o1', 1);
  assert.deepEqual(seqsOf(await take(events, 1)), [next]);
  const [{ after, before, reason }] = told.gap;
  assert.ok(after < seq && seq < before && before <= next);
  assert.equal(reason, 'deleted');
  assert.ok(!JSON.stringify(received).includes('Harbour'));
});

test('a slow program with a window of 5 falls behind, misses nothing and is live again', async () => {
  const { WebSocket, received } = recording();
  const [slow, quick] = [clientOf('slow', { window: { messages: 5 }, WebSocket }), clientOf('quick')];
  const told = toldBy(slow);
  const [events, all] = [slow, quick].map((client) => client.subscribe('orders.c42.slow.>'));
  await until(() => slow.state === 'live' && quick.state === 'live');
  const seqs = await publisher.publishMany('orders.c42.slow.o1', 60);
  await take(all, 60); // the gateway has had them all, and offered them to both
  const { value: first } = await events.next();
  assert.equal(first.seq, seqs[0]);
  assert.deepEqual(seqsOf(await take(events, 59)), seqs.slice(1));
  await until(() => told.live.length > 1);
  assert.deepEqual(told.state, ['connecting', 'replaying', 'live', 'replaying', 'live']);
  assert.equal(received.filter(({ type }) => type === 'welcome').length, 1, 'on one connection');
});

test('JSON and MessagePack bring the same, bytes and headers too', async () => {
  const clients = ['json', 'msgpack'].map((encoding) => clientOf(encoding, { encoding }));
  const subscriptions = clients.map((client) => client.subscribe('orders.c42.same.>'));
  await until(() => clients.every(({ state }) => state === 'live'));
  const values = [
    {
      text: 'Größe 日本 \u{1f600}',
      list: [1, -1, 0.5, 2 ** 53 - 1, -(2 ** 31), 1e300, null, true, [], {}],
      __proto__: null,
    },
    Uint8Array.of(0xff, 0x00, 0x7b),
    'a text',
  ];
  for (const [n, value] of values.entries()) {
    await publisher.publish('orders.c42.same.o1', value, { 'Nats-Msg-Id': `same-${n}`, Trace: 'a b' });
  }
  const [json, msgpack] = await Promise.all(subscriptions.map((events) => take(events, values.length)));
  assert.deepEqual(
    json.map(({ data }) => data),
    [{ ...values[0] }, ...values.slice(1)],
  );
  assert.ok(json[1].data instanceof Uint8Array);
  for (const [n, { seq, subject, time, data, raw, replay, id, headers, opened, sealed }] of json.entries()) {
    const other = msgpack[n];
    assert.deepEqual({ ...other }, { seq, subject, time, data, raw, replay, id, headers, opened, sealed });
    assert.deepEqual([id, headers], [`same-${n}`, { Trace: 'a b' }]);
  }
});

test('a sealed field is opened by the keys of its person, stays shut elsewhere, and is never in clear on the wire', async () => {
  const { WebSocket, received } = recording();
  const keys = await DeviceKeys.from(await gateway.keys('c42'));
  const clients = [clientOf('with-keys', { keys, WebSocket }), clientOf('without-keys')];
  const [open, shut] = clients.map((client) => client.subscribe('orders.c42.o7'));
  await until(() => clients.every(({ state }) => state === 'live'));
  const order = { order: 'o7', address: 'Harbour Lane 7', phone: '+49 40 5550142' };
  await gateway.tidewire('publish', 'orders.c42.o7', JSON.stringify(order));
  const [event] = await take(open, 1);
  assert.deepEqual([event.data, event.opened, event.sealed], [order, ['contact'], {}]);
  assert.deepEqual(Object.keys(event.raw).sort(), ['$sealed', 'order']);
  assert.ok(!JSON.stringify(received).includes('Harbour'));
  const [closed] = await take(shut, 1);
  assert.deepEqual(
    [closed.data, closed.opened, String(closed.sealed.contact)],
    [{ order: 'o7' }, [], 'Sealed(contact: no_key)'],
  );
});
