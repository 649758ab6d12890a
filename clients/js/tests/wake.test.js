/** A device that wakes up: the link is asked, a wait ends, and what was closed stays closed (P6.9). */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Bench, event, goodbye, live, welcome } from './core-bench.js';

const PROBE = { kind: 'Probe' };

test('a link that does not answer in time is left, and what is processed is said before', () => {
  const bench = new Bench().live(event(20)).later(0.25);
  assert.deepEqual(bench.wake().out, [PROBE]);
  assert.ok(!bench.later(3.875).has('Drop'));
  assert.deepEqual(bench.process(20).later(0.125).sent, [{ type: 'ack', seq: 20 }]);
  assert.equal(bench.only('Drop').code, 1000);
  assert.deepEqual(bench.waitFor('Open').all('Open'), [{ kind: 'Open', connection: 2 }]);
});

test('anything heard saves the link, and its watch begins anew', () => {
  for (const answer of [{ type: 'pong' }, { type: 'ping' }, event(20), live(10)]) {
    const bench = new Bench().live().later(0.25).wake().later(3).get(answer);
    assert.ok(!bench.later(29.9).has('Probe'));
    assert.deepEqual(bench.later(0.2).all('Probe'), [PROBE]);
    assert.equal(bench.core.state, 'live');
  }
});

test('waking often does not put the end off', () => {
  const bench = new Bench().live().later(0.25);
  for (let times = 0; times < 4; times++) bench.wake().later(1);
  assert.equal(bench.core.state, 'waiting');
});

test('a link that is all but dead gets no more time for it', () => {
  const bench = new Bench().live().later(0.25).later(33.75).wake();
  assert.ok(bench.later(1).has('Drop'), '35 s after the last frame, as without waking up');
});

test('a replay is asked too', () => {
  const bench = new Bench().getToken();
  bench.open();
  assert.deepEqual(bench.get(welcome()).wake().out, [PROBE]);
});

test('a step of connecting that hung while the device slept is given up sooner', () => {
  const bench = new Bench().getToken();
  assert.deepEqual(bench.wake().out, []);
  assert.ok(!bench.later(9.875).has('Drop'));
  assert.ok(bench.later(0.125).has('Drop'));
  bench.waitFor('Open').later(14);
  assert.ok(bench.wake().later(1).has('Drop'), 'never later than without waking up');
});

test('a wait ends, and what went wrong still counts', () => {
  const bench = new Bench().getToken();
  bench.open();
  const waits = [];
  for (let times = 0; times < 5; times++) {
    waits.push(bench.cut().waitS);
    bench.wake().open();
  }
  assert.deepEqual(waits, [0.75, 1, 1.5, 2.5, 4.5]);
});

test('two wakes make one connection', () => {
  const bench = new Bench().live().cut();
  assert.deepEqual(bench.wake().all('Open'), [{ kind: 'Open', connection: 2 }]);
  assert.deepEqual(bench.wake().out, []);
  assert.ok(!bench.later(9).has('Open'));
});

test('a wait that the gateway asked for is kept', () => {
  const bench = new Bench().live().get(goodbye(4001, { after: 7000 }));
  const { due } = bench.core;
  assert.deepEqual(bench.wake().out, []);
  assert.equal(bench.core.due, due);
  bench.waitFor('Open').open();
  assert.ok(bench.cut().wake().has('Open'), 'the next wait is the own one');
});

test('with nothing to ask for the next iterator connects', () => {
  const bench = new Bench().live().cut();
  bench.core.unsubscribe(1, bench.now);
  assert.deepEqual(bench.wake().out, []);
  assert.ok(bench.do(bench.core.subscribe(2, ['orders.>'], bench.now)).has('Open'));
});
