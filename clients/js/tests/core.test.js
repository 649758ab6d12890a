/** A session's connection: its steps, its watch over the link, and its end. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { A, Bench, event, gap, goodbye, live, UNIX_S, welcome } from './core-bench.js';

const PROBE = { kind: 'Probe' };

test('the first frame holds what the session is, and nothing undefined', () => {
  const bench = new Bench({ window: { messages: 5 }, client: 'shop 1.2' }).getToken();
  assert.deepEqual(bench.open(), {
    type: 'connect',
    token: 't1',
    session: 'pixel-7',
    subscribe: ['orders.>'],
    window: { messages: 5, bytes: 1_048_576 },
    client: 'shop 1.2',
  });
  assert.deepEqual(Object.keys(new Bench().getToken().open()), ['type', 'token', 'session', 'subscribe', 'window']);
});

test('the welcome can be read, also after its connection has ended', () => {
  const bench = new Bench();
  assert.equal(bench.core.welcome, null);
  bench.getToken().open();
  bench.get(welcome({ pending: 3 })).cut();
  assert.equal(bench.core.welcome.pending, 3);
});

test('a timer that was slept through asks before it judges', () => {
  const bench = new Bench().live();
  bench.later(3600);
  assert.ok(bench.has('Probe'));
  assert.equal(bench.core.state, 'live');
  assert.equal(bench.waitS, 4);
  bench.get({ type: 'ping' }).later(25);
  assert.equal(bench.core.state, 'live');
});

test('a silent link is asked, then left and reconnected', () => {
  const bench = new Bench().live().later(0.25);
  assert.deepEqual(bench.get({ type: 'ping' }).sent, [{ type: 'pong' }]);
  assert.deepEqual(bench.later(30).out, [PROBE]);
  bench.later(5);
  assert.equal(bench.core.state, 'waiting');
  assert.equal(bench.only('Drop').code, 1000);
  bench.waitFor('Open');
});

test('a pong, as a frame or of the WebSocket, keeps a quiet link', () => {
  for (const answer of [(b) => b.get({ type: 'pong' }), (b) => b.do(b.core.heard(1, b.now))]) {
    const bench = new Bench().live().later(30);
    assert.ok(bench.has('Probe'));
    assert.deepEqual(answer(bench).out, []);
    bench.later(20);
    assert.equal(bench.core.state, 'live');
  }
});

test('the gateway says how often it pings, within reason', () => {
  for (const [ping, silentS] of [
    [60, 70],
    [0.1, 11],
    [100_000, 310],
  ]) {
    const bench = new Bench().getToken();
    bench.open();
    bench.get(welcome({ ping })).later(silentS - 1);
    assert.equal(bench.core.state, 'replaying');
    assert.equal(bench.later(1).core.state, 'waiting');
  }
});

test('steps of connecting do not hang', () => {
  const bench = new Bench();
  assert.ok(bench.later(16).has('Drop'), 'the token did not come');
  bench.waitFor('FetchToken').getToken();
  assert.ok(bench.later(16).has('Drop'), 'the socket did not open');
  bench.waitFor('Open').open();
  assert.ok(bench.later(16).has('Drop'), 'the welcome did not come');
});

test('each step of connecting has its own time', () => {
  const bench = new Bench();
  bench.now += 14;
  bench.do(bench.core.tokenFetched(1, 't1', 'u', bench.now));
  bench.now += 14;
  bench.do(bench.core.loaded(1, null, bench.now)).later(14);
  bench.do(bench.core.opened(1, bench.now)).later(14);
  bench.get({ type: 'ping' }).later(14);
  assert.equal(bench.core.state, 'connecting');
  assert.ok(bench.later(1).has('Drop'));
});

test('a first frame that is no welcome is a bug', () => {
  const bench = new Bench().getToken();
  bench.open();
  assert.ok(!bench.get(event(20)).has('Deliver'));
  assert.equal(bench.core.state, 'waiting');
});

test('a ping, a pong or an error before the welcome is none', () => {
  const bench = new Bench().getToken();
  bench.open();
  bench.get({ type: 'ping' }, { type: 'pong' }, { type: 'error', code: 'unavailable' });
  assert.equal(bench.core.state, 'connecting');
  assert.equal(bench.get(welcome()).core.state, 'replaying');
});

test('an error frame alone changes nothing and is told', () => {
  const bench = new Bench().live().get({ type: 'error', code: 'unknown_type' });
  assert.equal(bench.only('TellError').error.code, 'unknown_type');
  assert.equal(bench.core.state, 'live');
});

test('an unknown kind of loss is a gap, with the patterns when they are named', () => {
  const bench = new Bench().live();
  assert.deepEqual(bench.get(gap(10, 15, 'new_reason')).only('TellGap').gap, {
    after: 10,
    before: 15,
    reason: 'new_reason',
  });
  assert.deepEqual(bench.get(gap(10, 15, 'expired', { subjects: ['orders.>'] })).only('TellGap').gap.subjects, [
    'orders.>',
  ]);
});

test('a session that fell behind replays and says so', () => {
  const bench = new Bench().live();
  bench.get(event(20, 'orders.c42', { replay: true }), event(21, 'orders.c42', { replay: true }), live(21));
  assert.deepEqual(
    bench.all('TellState').map(({ state }) => state),
    ['replaying', 'live'],
  );
});

test('a state is told when it changes, and not again', () => {
  const bench = new Bench().live().get(live(11), event(12, 'orders.c42', { replay: false }), live(12));
  assert.deepEqual([bench.all('TellLive').length, bench.all('TellState')], [2, []]);
});

test('closing stores and acknowledges, and nothing follows', () => {
  const bench = new Bench().live(event(20)).process(20);
  bench.do(bench.core.close());
  assert.deepEqual(bench.all('Store'), [{ kind: 'Store', position: { stream: A, seq: 20 } }]);
  assert.deepEqual(bench.sent, [{ type: 'ack', seq: 20 }]);
  const { core, now } = bench;
  assert.equal(core.due, Number.POSITIVE_INFINITY);
  const inputs = [
    core.close(),
    core.flush(),
    core.wake(now),
    core.tick(now + 100),
    core.subscribe(2, ['stock.>'], now),
    core.unsubscribe(1, now),
    core.processed(1, 1, 20, now),
    core.gapHandled(1, now),
    core.tokenFetched(1, 't2', 'u', now),
    core.tokenFailed(1, now, true),
    core.opened(1, now),
    core.broken(1, now, { code: 4503 }),
    core.misread(1, now),
    core.received(1, [{ type: 'ping' }], now, UNIX_S),
  ];
  assert.deepEqual(inputs.flat(), []);
  assert.equal(core.due, Number.POSITIVE_INFINITY);
});

test('frames after a goodbye in one message are not looked at', () => {
  const bench = new Bench().live().get(goodbye(4001), event(20), goodbye(4503));
  assert.deepEqual(bench.delivered, []);
  assert.equal(bench.core.state, 'waiting');
});
