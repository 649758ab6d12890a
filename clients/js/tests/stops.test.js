/** How a session ends for good, and how a client is closed. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Unauthorized } from '../src/index.js';
import { Bench, collect, take } from './fakes/bench.js';
import { event, goodbye, live, token, welcome } from './fakes/frames.js';
import { settle } from './fakes/settle.js';

const FINAL = { 4503: 'Forbidden', 4509: 'TakenOver', 4510: 'Revoked', 4599: 'Refused' };

for (const [code, name] of Object.entries(FINAL)) {
  test(`a close with ${code} is ${name}, thrown from every loop, and nothing connects again`, async (t) => {
    const bench = new Bench(t);
    const loops = [collect(bench.client.subscribe('orders.>')), collect(bench.client.subscribe('stock.>'))];
    const socket = await bench.live(event(1));
    socket.hangUp(Number(code));
    const [failed, same] = await Promise.all(loops.map(({ ended }) => ended));
    assert.equal(failed, same);
    assert.deepEqual([failed.name, failed.code, bench.client.failure], [name, Number(code), failed]);
    assert.match(failed.message, new RegExp(`\\(${code}\\)$`));
    assert.deepEqual(bench.errors, [failed], 'told once, and nothing of trying again');
    assert.deepEqual([bench.client.state, bench.states.at(-1)], ['closed', 'closed']);
    assert.throws(() => bench.client.subscribe('orders.>'), failed);
    assert.equal(bench.storage.position?.seq, 1, 'what was processed is stored');
    bench.page.online();
    await bench.clock.advance(3600);
    assert.deepEqual([bench.net.dialled, bench.clock.armed], [1, 0]);
  });
}

test('a goodbye is obeyed without waiting for its close', async (t) => {
  const bench = new Bench(t);
  const orders = collect(bench.client.subscribe('orders.>'));
  const socket = await bench.live(event(1));
  socket.say(goodbye(4503, { reconnect: false }));
  assert.equal((await orders.ended).name, 'Forbidden');
  assert.equal(socket.closedWith, 1000);
  socket.hangUp(4503);
  await settle();
  assert.equal(bench.errors.length, 1);
});

test('a revocation wipes the keys', async (t) => {
  let wiped = 0;
  const keys = {
    open: async (data) => ({ data, opened: [], shut: {} }),
    wipe: async () => {
      wiped += 1;
    },
  };
  for (const [code, times] of [
    [4509, 0],
    [4510, 1],
  ]) {
    const bench = new Bench(t, { keys });
    bench.client.subscribe('orders.>');
    (await bench.live()).hangUp(code);
    await settle();
    assert.equal(wiped, times, `${code}`);
  }
});

test('keys that cannot be wiped are told', async (t) => {
  const failed = new Error('no disk');
  const bench = new Bench(t, { keys: { open: async () => {}, wipe: async () => Promise.reject(failed) } });
  bench.client.subscribe('orders.>');
  (await bench.live()).hangUp(4510);
  await settle();
  assert.deepEqual(bench.errors, [bench.client.failure, failed]);
});

test('a program that has no token says so and stops the client', async (t) => {
  const signedOut = new Unauthorized();
  const bench = new Bench(t, { getToken: () => Promise.reject(signedOut) });
  const orders = collect(bench.client.subscribe('orders.>'));
  assert.equal((await orders.ended).name, 'Unauthorized');
  await bench.clock.advance(100);
  assert.equal(bench.net.dialled, 0);
});

test("another user's token stops the client: positions and keys are one user's", async (t) => {
  const users = ['anna', 'bert'];
  const bench = new Bench(t, { getToken: async () => token(users.shift()) });
  const orders = collect(bench.client.subscribe('orders.>'));
  const socket = await bench.live(event(1));
  socket.hangUp(4004);
  await bench.clock.advance(1);
  assert.equal((await orders.ended).name, 'UserChanged');
  assert.equal(bench.net.dialled, 1);
});

test('a token that cannot be had for a while is asked for again', async (t) => {
  const cause = new Error('the sign-in service is down');
  const answers = [() => Promise.reject(cause), () => undefined, async () => token()];
  const bench = new Bench(t, { getToken: () => answers.shift()?.() });
  const orders = collect(bench.client.subscribe('orders.>'));
  await settle();
  assert.deepEqual(
    [bench.client.state, bench.errorNames, bench.errors[0].cause],
    ['waiting', ['TokenUnavailable'], cause],
  );
  await bench.clock.advance(3);
  (await bench.connected()).say(welcome(), event(1), live(1));
  await settle();
  assert.deepEqual(bench.errorNames, ['TokenUnavailable', 'TokenUnavailable']);
  assert.deepEqual(orders.slice(), [1]);
});

test('what is not a frame is forgiven once', async (t) => {
  const bench = new Bench(t);
  const orders = collect(bench.client.subscribe('orders.>'));
  (await bench.connected()).sayRaw('{');
  await bench.clock.advance(2);
  (await bench.connected()).sayRaw('[]');
  assert.equal((await orders.ended).name, 'ProtocolError');
});

for (const message of [
  '{',
  '[]',
  '7',
  'null',
  '{"type":"live"}',
  '{"type":"live","seq":9007199254740993}',
  new ArrayBuffer(3),
]) {
  test(`a message ${message} ends its connection`, async (t) => {
    const bench = new Bench(t);
    bench.client.subscribe('orders.>');
    const socket = await bench.live();
    socket.sayRaw(message);
    await settle();
    assert.deepEqual([bench.client.state, socket.closedWith], ['waiting', 1000]);
    await bench.again();
    assert.equal(bench.client.state, 'live');
  });
}

test('a server that takes no subprotocol of ours is a protocol error', async (t) => {
  const bench = new Bench(t);
  bench.net.chooses = () => '';
  const orders = collect(bench.client.subscribe('orders.>'));
  await bench.clock.advance(10);
  assert.equal((await orders.ended).name, 'ProtocolError');
  assert.ok(
    bench.net.sockets.every(({ sent }) => sent.length === 0),
    'no token goes there',
  );
});

test('an encoding that cannot be loaded is a connection that cannot be had', async (t) => {
  // the module is loaded on need: a page that is newer than what the browser has stored may not find it
  const { Session } = await import('../src/session.js');
  const bench = new Bench(t);
  const told = [];
  const session = new Session(
    {
      url: 'wss://g.example',
      session: 'pixel-7',
      window: { messages: 10, bytes: 10 },
      backoff: {},
      renewable: true,
      codec: () => Promise.reject(new Error('404')),
      storage: bench.storage,
      getToken: async () => token(),
      WebSocket: bench.net.WebSocket,
      tabs: null,
      clock: bench.clock,
      random: () => 0.5,
    },
    { deliver: () => {}, gap: async () => {}, tell: (...what) => told.push(what), deny: () => {}, stop: () => {} },
  );
  session.subscribe(1, ['orders.>']);
  await settle();
  assert.deepEqual(
    [session.state, String(told.at(-2)?.[1]), bench.net.dialled],
    ['waiting', 'Unreachable: no connection', 0],
  );
  await session.close();
});

test('errors of the gateway are told, and the session goes on', async (t) => {
  const bench = new Bench(t);
  bench.client.subscribe('orders.>');
  const socket = await bench.live();
  socket.say({ type: 'error', code: 'unknown_type', message: 'no such type', retry: false });
  await settle();
  assert.deepEqual(bench.errors.map(String), ['GatewayError: unknown_type: no such type']);
  assert.deepEqual([bench.errors[0].code, bench.errors[0].retry, bench.client.state], ['unknown_type', false, 'live']);
});

test('a cut is told as an error, and the client goes on', async (t) => {
  const warn = t.mock.method(console, 'warn', () => {});
  const bench = new Bench(t);
  bench.client.subscribe('orders.>');
  (await bench.live()).hangUp();
  await bench.again();
  bench.net.last?.hangUp(4003);
  await settle();
  assert.deepEqual(bench.errors.map(String), ['Unreachable: no connection', 'Unreachable: closed with 4003']);
  assert.equal(warn.mock.callCount(), 0, 'there is a listener');
});

test('an error that nobody listens for is said on the console', async (t) => {
  const warn = t.mock.method(console, 'warn', () => {});
  const bench = new Bench(t, { getToken: () => Promise.reject(new Error('down')) });
  const { Client } = await import('../src/index.js');
  const client = new Client('wss://g.example', {
    session: 'a',
    getToken: () => Promise.reject(new Error('down')),
    WebSocket: bench.net.WebSocket,
    storage: bench.storage,
    platform: { clock: bench.clock, locks: undefined, page: bench.page },
  });
  client.subscribe('orders.>');
  await settle();
  await client.close();
  assert.match(String(warn.mock.calls[0]?.arguments), /tidewire: TokenUnavailable: no token/);
});

test('closing twice waits for the same position to be stored', async (t) => {
  const bench = new Bench(t);
  const orders = bench.client.subscribe('orders.>');
  await bench.live(event(1), event(2));
  await take(orders, 2);
  bench.storage.hold();
  const done = [];
  void bench.client.close().then(() => done.push(1));
  void bench.client.close().then(() => done.push(2));
  await settle();
  assert.deepEqual(done, []);
  bench.storage.release();
  await settle();
  assert.deepEqual([done.sort(), bench.storage.position?.seq], [[1, 2], 1]);
});

test('closing after the session has stopped waits for its position too', async (t) => {
  const bench = new Bench(t);
  const orders = bench.client.subscribe('orders.>');
  const socket = await bench.live(event(1), event(2));
  await take(orders, 2);
  bench.storage.hold();
  socket.hangUp(4509);
  await settle();
  let isClosed = false;
  void bench.client.close().then(() => {
    isClosed = true;
  });
  await settle();
  assert.equal(isClosed, false);
  bench.storage.release();
  await settle();
  assert.deepEqual([isClosed, bench.storage.position?.seq, bench.client.failure?.name], [true, 1, 'TakenOver']);
});

test('the page is not listened to after the end', async (t) => {
  const bench = new Bench(t);
  bench.client.subscribe('orders.>');
  await bench.live();
  await bench.client.close();
  const told = t.mock.method(bench.client, 'wake');
  bench.page.online();
  bench.page.show();
  bench.page.tell('pageshow');
  bench.page.tell('resume');
  assert.equal(told.mock.callCount(), 0);
});
