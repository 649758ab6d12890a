/** What a client is made of: options that are wrong are refused at once, with a text that says what is right. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Client } from '../src/index.js';
import { Bench } from './fakes/bench.js';
import { token, URL } from './fakes/frames.js';
import { Net } from './fakes/net.js';

const { WebSocket } = new Net();
const GOOD = { token: 'a.b.c', session: 'pixel-7', WebSocket };

/** Make a client, which is closed at once. */
function make(options, url = URL) {
  const client = new Client(url, options);
  void client.close();
  return client;
}

test('a URL is wss, or ws to this machine, and holds neither query nor user', () => {
  for (const url of [
    URL,
    'wss://g.example:8443',
    'ws://localhost:1/v1/session',
    'ws://127.0.0.1/',
    'ws://[::1]:80/x',
  ]) {
    make(GOOD, url);
  }
  const wrong = [
    'ws://gateway.example/v1/session',
    'https://gateway.example/v1/session',
    'wss://gateway.example/v1/session?token=a.b.c',
    'wss://gateway.example/v1/session#a.b.c',
    'wss://anna:secret@gateway.example/v1/session',
    'ws://localhost.evil.example/v1/session',
    'ws://localhost@evil.example/v1/session',
    '',
    undefined,
  ];
  for (const url of wrong) {
    assert.throws(
      () => make(GOOD, url ?? /** @type {any} */ (null)),
      { name: 'TypeError', message: /wss:\/\/HOST/ },
      url,
    );
  }
});

test('a URL that is wrong is not quoted: it may hold a token', () => {
  assert.throws(
    () => make(GOOD, `${URL}?jwt=s3cret`),
    ({ message }) => !message.includes('s3cret'),
  );
});

test('a session has a name', () => {
  for (const session of ['a', 'A_b-9', 'x'.repeat(64)]) make({ ...GOOD, session });
  for (const session of ['', 'x'.repeat(65), 'a b', 'ä', 'a\n', 'a.b', undefined, null, 12345]) {
    assert.throws(
      () => make({ ...GOOD, session }),
      { name: 'TypeError', message: /session is 1 to 64 of/ },
      String(session),
    );
  }
});

test('a token is fixed or fetched: one of both', () => {
  const getToken = async () => token();
  make({ ...GOOD, token: undefined, getToken });
  for (const wrong of [{ token: undefined }, { token: '' }, { getToken }]) {
    assert.throws(() => make({ ...GOOD, ...wrong }), { name: 'TypeError', message: /getToken or token/ });
  }
});

test('a window is as large as a gateway may grant', () => {
  make({ ...GOOD, window: { messages: 10_000, bytes: 8_388_608 } });
  make({ ...GOOD, window: { messages: 1, bytes: 1 } });
  const wrong = [
    ['messages', 0],
    ['messages', 10_001],
    ['messages', 1.5],
    ['messages', '5'],
    ['messages', Number.NaN],
    ['bytes', -1],
    ['bytes', 8_388_609],
  ];
  for (const [name, size] of wrong) {
    const text = new RegExp(`window.${name} is 1 to`);
    assert.throws(() => make({ ...GOOD, window: { [name]: size } }), { name: 'TypeError', message: text });
  }
});

test('waits are seconds', () => {
  make({ ...GOOD, backoff: { leastS: 0, maxS: 1.5, quickS: 0 } });
  for (const wrong of [-1, Number.NaN, Number.POSITIVE_INFINITY, '1', null]) {
    for (const name of ['leastS', 'maxS', 'quickS']) {
      assert.throws(() => make({ ...GOOD, backoff: { [name]: wrong } }), { name: 'TypeError', message: /backoff/ });
    }
  }
});

test('an encoding is json or msgpack', () => {
  make({ ...GOOD, encoding: 'msgpack' });
  assert.throws(() => make({ ...GOOD, encoding: 'cbor' }), {
    name: 'TypeError',
    message: 'encoding is json or msgpack',
  });
});

test('where there is no WebSocket, the text says so', (t) => {
  const original = globalThis.WebSocket;
  t.after(() => {
    globalThis.WebSocket = original;
  });
  globalThis.WebSocket = /** @type {any} */ (undefined);
  assert.throws(() => make({ ...GOOD, WebSocket: undefined }), { name: 'TypeError', message: /no WebSocket/ });
  globalThis.WebSocket = /** @type {any} */ (WebSocket);
  make({ ...GOOD, WebSocket: undefined });
});

test('patterns are checked before anything is asked', (t) => {
  const { client, net } = new Bench(t);
  assert.throws(() => client.subscribe([]), { name: 'TypeError', message: /at least one pattern/ });
  for (const wrong of ['', 'a..b', 'a.>.b', 'a b', '.a', Array(18).join('a.'), 'a'.repeat(257)]) {
    assert.throws(() => client.subscribe(['orders.>', wrong]), { name: 'TypeError', message: /^pattern/ }, wrong);
  }
  assert.equal(client.state, 'waiting');
  assert.equal(net.dialled, 0);
});

test('a way to acknowledge is auto or manual', (t) => {
  const { client } = new Bench(t);
  const wrong = { ack: /** @type {any} */ ('manuel') };
  assert.throws(() => client.subscribe('orders.>', wrong), { name: 'TypeError', message: 'ack is auto or manual' });
  client.subscribe('orders.>', { ack: 'manual' });
  client.subscribe('orders.>', {});
});
