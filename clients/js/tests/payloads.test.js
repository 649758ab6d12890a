/** What is in an event: JSON, bytes, sealed fields, both encodings; and what is never shown. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { inspect } from 'node:util';

import { DeviceKeys } from '../src/keys.js';
import { Bench, take } from './fakes/bench.js';
import { event, live, token, welcome } from './fakes/frames.js';
import { settle } from './fakes/settle.js';

const SECRET = 'anna@shop.example';
const SEALED = { order: 'o7', $sealed: { contact: 'eyJ.not.opened', address: 'eyJ' } };

test('without keys a sealed class stays shut with a reason, and raw keeps it as it came', async (t) => {
  const bench = new Bench(t);
  const orders = bench.client.subscribe('orders.>');
  await bench.live(event(1, 'orders.c42', { data: SEALED }));
  const [first] = await take(orders, 1);
  assert.deepEqual(first.data, { order: 'o7' });
  assert.deepEqual(first.raw, SEALED);
  assert.deepEqual(first.opened, []);
  assert.deepEqual(Object.values(first.sealed).map(String), ['Sealed(contact: no_key)', 'Sealed(address: no_key)']);
  assert.deepEqual([first.sealed.contact?.fieldClass, first.sealed.contact?.reason], ['contact', 'no_key']);
});

test('what is no map of classes does not stop an event', async (t) => {
  const bench = new Bench(t);
  const orders = bench.client.subscribe('orders.>');
  const odd = ['text', 7, null, []];
  await bench.live(...odd.map(($sealed, at) => event(at + 1, 'orders.c42', { data: { order: 'o7', $sealed } })));
  for (const { data, sealed } of await take(orders, odd.length)) {
    assert.deepEqual(data, { order: 'o7' });
    assert.ok(Object.keys(sealed).length <= 1);
  }
});

test('data that is no object comes as it is', async (t) => {
  const bench = new Bench(t);
  const orders = bench.client.subscribe('orders.>');
  const values = ['text', 7.5, null, false, [1, { $sealed: 1 }]];
  await bench.live(...values.map((data, at) => event(at + 1, 'orders.c42', { data })));
  assert.deepEqual(
    (await take(orders, values.length)).map(({ data }) => data),
    values,
  );
});

test('keys open what they can, with the subject and the id of the event', async (t) => {
  const asked = [];
  const keys = {
    open: async (data, about) => {
      asked.push([data, about]);
      return { data: { order: 'o7', mail: SECRET }, opened: ['contact'], shut: { address: 'key_scope' } };
    },
    wipe: async () => {},
  };
  const bench = new Bench(t, { keys });
  const orders = bench.client.subscribe('orders.>');
  await bench.live(event(1, 'orders.c42', { data: SEALED, id: 'm1' }), event(2));
  const [first, second] = await take(orders, 2);
  assert.deepEqual(asked, [[SEALED, { subject: 'orders.c42', id: 'm1' }]], 'clear events need no keys');
  assert.deepEqual([first.data, first.raw, first.opened], [{ order: 'o7', mail: SECRET }, SEALED, ['contact']]);
  assert.deepEqual(Object.values(first.sealed).map(String), ['Sealed(address: key_scope)']);
  assert.deepEqual([second.data, second.sealed], [{ n: 2 }, {}]);
});

test('real keys open a real event', async (t) => {
  const file = new URL('../../../tests/vectors/sealed.json', import.meta.url);
  const [vector] = JSON.parse(readFileSync(file, 'utf8')).vectors;
  const bench = new Bench(t, { keys: await DeviceKeys.from(vector.keys) });
  const orders = bench.client.subscribe('orders.>');
  await bench.live(event(1, vector.subject, { data: vector.data, id: vector.message_id }));
  const [first] = await take(orders, 1);
  assert.ok(first.opened.length > 1);
  assert.deepEqual([first.data, first.opened, first.raw], [vector.expect.data, vector.expect.opened, vector.data]);
});

test('a payload that is not JSON comes as bytes', async (t) => {
  const bench = new Bench(t);
  const orders = bench.client.subscribe('orders.>');
  await bench.live(event(1, 'orders.c42', { data: undefined, data_b64: 'AP/+eA==' }));
  const [first] = await take(orders, 1);
  assert.deepEqual(first.data, Uint8Array.of(0, 255, 254, 120));
  assert.deepEqual(first.raw, first.data);
});

test('bytes in a spelling of their own stop neither loop nor listener', async (t) => {
  const bench = new Bench(t);
  const orders = bench.client.subscribe('orders.>');
  const socket = await bench.live(event(1, 'orders.c42', { data_b64: 'not base64!' }), event(2));
  assert.deepEqual(
    (await take(orders, 2)).map(({ seq }) => seq),
    [1, 2],
  );
  await bench.clock.advance(1);
  assert.deepEqual(socket.acks, [1]);
});

test('MessagePack is loaded when asked for, and says the same', async (t) => {
  const bench = new Bench(t, { encoding: 'msgpack' });
  const orders = bench.client.subscribe('orders.>');
  await import('../src/msgpack.js');
  await settle(20);
  const socket = await bench.connected();
  assert.deepEqual(socket.protocols, ['tidewire.v1.msgpack']);
  assert.deepEqual(socket.sent[0].subscribe, ['orders.>']);
  socket.say(welcome(), event(1, 'orders.c42', { data: Uint8Array.of(0, 255) }), event(2), live(2));
  const [first, second] = await take(orders, 2);
  assert.deepEqual([first.data, second.data], [Uint8Array.of(0, 255), { n: 2 }]);
  await bench.clock.advance(1);
  assert.deepEqual(socket.acks, [1]);
});

test('an event, a client, a subscription and errors show neither token nor payload', async (t) => {
  const jwt = token('anna');
  const bench = new Bench(t, { token: jwt });
  const orders = bench.client.subscribe('orders.>');
  const socket = await bench.live(event(1, 'orders.c42', { data: { mail: SECRET } }));
  const [first] = await take(orders, 1);
  assert.equal(String(first), 'Event(seq=1, subject=orders.c42, replay=false)');
  socket.sayRaw(`{"type":"event","mail":"${SECRET}"}`);
  await bench.clock.advance(2);
  (await bench.connected()).sayRaw(`{"mail":"${SECRET}`);
  await settle();
  assert.equal(bench.client.failure?.name, 'ProtocolError');
  for (const shown of [first, bench.client, orders, ...bench.errors, bench.client.failure]) {
    for (const text of [String(shown), inspect(shown, { depth: 9, showHidden: true })]) {
      assert.ok(!text.includes(SECRET) && !text.includes(jwt), text);
    }
  }
});

test('what the console is told shows neither token nor payload', async (t) => {
  const warn = t.mock.method(console, 'warn', () => {});
  const jwt = token('anna');
  const bench = new Bench(t, { token: jwt });
  const { client } = bench;
  const orders = client.subscribe('orders.>');
  const socket = await bench.live(event(1, 'orders.c42', { data: { mail: SECRET } }));
  await take(orders, 1);
  socket.hangUp(4501);
  await settle();
  assert.equal(client.failure?.name, 'Unauthorized');
  const texts = warn.mock.calls.map(({ arguments: said }) => inspect(said, { depth: 9 }));
  assert.ok(
    texts.every((text) => !text.includes(SECRET) && !text.includes(jwt)),
    String(texts),
  );
});
