/** Coming back after a lost connection, and staying away. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Waits } from '../src/backoff.js';
import { verdictOfClose, verdictOfStatus } from '../src/closing.js';
import { A, Bench, event, goodbye, live, welcome } from './core-bench.js';

test('codes that must not come back stop the client', () => {
  for (const [code, stop] of [
    [4503, 'forbidden'],
    [4509, 'taken_over'],
    [4510, 'revoked'],
    [4777, 'refused'],
  ]) {
    const bench = new Bench().live(event(20)).process(20).cut(code);
    assert.deepEqual(bench.only('Stop'), { kind: 'Stop', stop, code });
    assert.deepEqual(bench.only('Store').position, { stream: A, seq: 20 });
    assert.deepEqual([bench.core.state, bench.core.due], ['closed', Number.POSITIVE_INFINITY]);
  }
});

test('a goodbye that says not to come back is obeyed, whatever its code', () => {
  for (const code of [4001, 1011, 4004]) {
    const bench = new Bench().live().get(goodbye(code, { reconnect: false }));
    assert.deepEqual(bench.only('Stop'), { kind: 'Stop', stop: 'refused', code });
  }
  const bug = new Bench().live().get(goodbye(4400, { reconnect: false }));
  assert.equal(bug.core.state, 'waiting', 'a bug may happen once');
});

test('every code of the protocol has its verdict', () => {
  const comeBack = new Set(['resume', 'backoff', 'renew', 'protocol']);
  for (const code of [null, undefined, 1000, 1001, 1006, 1011]) assert.ok(comeBack.has(verdictOfClose(code)));
  for (let code = 4000; code < 4500; code++) assert.ok(comeBack.has(verdictOfClose(code)), String(code));
  for (let code = 4500; code < 5000; code++) assert.ok(!comeBack.has(verdictOfClose(code)), String(code));
  assert.deepEqual([1011, 4004, 4413, 4429, 4501].map(verdictOfClose), [
    'backoff',
    'renew',
    'protocol',
    'resume',
    'unauthorized',
  ]);
  assert.deepEqual([400, 401, 403, 404, 502].map(verdictOfStatus), [
    'protocol',
    'unauthorized',
    'forbidden',
    'backoff',
    'backoff',
  ]);
});

test('an upgrade that was refused is judged by its status', () => {
  const refused = (status) => {
    const bench = new Bench().getToken();
    return bench.do(bench.core.broken(1, bench.now, { status }));
  };
  assert.deepEqual(refused(403).only('Stop'), { kind: 'Stop', stop: 'forbidden', code: null });
  assert.equal(refused(503).waitS, 0.75);
  assert.ok(refused(401).waitFor('FetchToken'));
  const nothing = new Bench().getToken();
  assert.equal(nothing.do(nothing.core.broken(1, nothing.now)).waitS, 0.75, 'no status: it could not be opened');
});

test('a bug is retried once, then the client stops', () => {
  const bench = new Bench().live().cut(4413);
  assert.equal(bench.core.state, 'waiting');
  bench.waitFor('Open').open();
  assert.deepEqual(bench.do(bench.core.misread(2, bench.now)).only('Stop'), {
    kind: 'Stop',
    stop: 'protocol',
    code: null,
  });
});

test('a bug is forgiven after a calm time', () => {
  const bench = new Bench().live().cut(4413).again().later(10.1).cut(4413);
  assert.equal(bench.core.state, 'waiting');
});

test("the gateway's wish to wait is obeyed", () => {
  const bench = new Bench().live(event(20)).get(goodbye(4001, { reason: 'draining', after: 7000 }));
  assert.equal(bench.waitS, 8.75);
  bench.waitFor('Open').open();
  bench.get({ type: 'error', code: 'rate_limited', retry: true, after: 3000 });
  assert.equal(bench.only('TellError').error.code, 'rate_limited');
  assert.equal(bench.cut(4429).waitS, 3.75);
});

test('a wish to wait holds for one loss only', () => {
  const bench = new Bench()
    .live()
    .get(goodbye(4001, { after: 7000 }))
    .waitFor('Open');
  bench.open();
  assert.equal(bench.cut().waitS, 1);
});

test('one loss makes one reconnect, whatever else is told about it', () => {
  const bench = new Bench().live().get(goodbye(4001, { after: 1000 }));
  const { due } = bench.core;
  assert.deepEqual(bench.cut(4001).out, []);
  assert.equal(bench.core.due, due);
  assert.deepEqual(bench.wait().all('Open'), [{ kind: 'Open', connection: 2 }]);
  assert.ok(!bench.later(3).has('Open'));
});

test('the waits grow to their limit, and the limits are those asked for', () => {
  const waits = new Waits({ leastS: 1, maxS: 4, quickS: 0 }, () => 0.5);
  assert.deepEqual(
    [0, 1, 2, 3, 5000].map((attempt) => waits.delayS(attempt)),
    [1.5, 2, 3, 3, 3],
  );
  assert.equal(waits.quickDelayS(), 0);
  const bench = new Bench({ backoff: { leastS: 2 } }).getToken();
  bench.open();
  assert.equal(bench.cut(4006).waitS, 3);
});

test('a wish below zero is none', () => {
  assert.equal(new Waits({}, () => 0).toldDelayS(-5), 0);
  assert.equal(new Waits({}, () => 0.5).toldDelayS(-5), 0.125);
});

test('live told again does not put the calm off', () => {
  const bench = new Bench().live().cut().again().later(6);
  bench.get(live(11)).later(4.1).cut();
  assert.equal(bench.waitS, 0.125);
});

test('a gateway that has a fault is not met at once, also after a good connection', () => {
  assert.equal(new Bench().live().later(0.25).cut(1011).waitS, 0.75);
  assert.equal(new Bench().live().later(0.25).cut(4006).waitS, 0.75);
  const replaying = new Bench().getToken();
  replaying.open();
  assert.equal(replaying.get(welcome()).later(0.25).cut().waitS, 0.75, 'it was never live');
});
