/** The patterns of a session: told once, denied alone, given up. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { checkPattern, matches } from '../src/patterns.js';
import { A, Bench, event, live, welcome } from './core-bench.js';

const reply = (id, more) => ({ type: 'reply', id, ...more });

test('an iterator that begins in a loop body does not get the event again', () => {
  const bench = new Bench().live(event(20));
  bench.do(bench.core.subscribe(2, ['orders.>'], bench.now));
  assert.deepEqual(bench.out, [], 'the gateway knows the pattern already');
  assert.deepEqual(bench.get(event(20), event(21)).delivered, [[21, 1, 2]]);
});

test('a pattern added or given up before the welcome is told after it', () => {
  const bench = new Bench().getToken();
  bench.open();
  assert.deepEqual(bench.core.subscribe(2, ['stock.>'], bench.now), []);
  assert.deepEqual(bench.core.unsubscribe(1, bench.now), []);
  assert.deepEqual(bench.get(welcome()).sent, [
    { type: 'subscribe', id: '1', subjects: ['stock.>'] },
    { type: 'unsubscribe', id: '2', subjects: ['orders.>'] },
  ]);
});

test('patterns are announced once, however often live is told', () => {
  const bench = new Bench().live().get(event(20, 'orders.c42', { replay: true }), live(20));
  assert.deepEqual(bench.only('TellLive').seq, 20);
  assert.deepEqual(bench.sent, []);
});

test('giving an iterator up lets its events go and ends only its own patterns', () => {
  const bench = new Bench({ patterns: ['orders.>', 'orders.>', 'stock.>'] }).live(event(20), event(21, 'stock.a'));
  bench.process(20, 1).do(bench.core.unsubscribe(2, bench.now));
  assert.deepEqual(bench.sent, []);
  assert.deepEqual(bench.core.position, { stream: A, seq: 20 });
  bench.do(bench.core.unsubscribe(3, bench.now));
  assert.deepEqual(bench.sent, [{ type: 'unsubscribe', id: '1', subjects: ['stock.>'] }]);
  assert.deepEqual(bench.core.position, { stream: A, seq: 21 });
  assert.deepEqual(bench.core.unsubscribe(3, bench.now), []);
});

test('a client without patterns does not reconnect until it has one', () => {
  const bench = new Bench().live();
  bench.do(bench.core.unsubscribe(1, bench.now)).cut().later(60);
  assert.ok(!bench.has('Open'));
  assert.equal(bench.core.due, Number.POSITIVE_INFINITY);
  assert.ok(bench.do(bench.core.subscribe(2, ['stock.>'], bench.now)).has('Open'));
});

test('refused patterns end their iterators alone', () => {
  const bench = new Bench({ patterns: ['orders.>', 'stock.>'] }).getToken();
  bench.open();
  const deny = (inbox, subject, reason) => ({ kind: 'Deny', inboxes: [inbox], subjects: [subject], reason });
  assert.deepEqual(bench.get(welcome({ denied: ['stock.>'] })).only('Deny'), deny(2, 'stock.>', 'forbidden'));
  assert.deepEqual(bench.sent, []);
  bench.do(bench.core.subscribe(3, ['others.>'], bench.now));
  assert.deepEqual(bench.get(reply('1', { error: { code: 'limit' } })).only('Deny'), deny(3, 'others.>', 'limit'));
  bench.do(bench.core.subscribe(4, ['more.>'], bench.now));
  assert.deepEqual(bench.get(reply('3', { data: { seq: 12 } })).out, []);
  assert.deepEqual(bench.core.patterns, ['orders.>', 'more.>']);
});

test('an iterator of two patterns of which one is refused gives the other up too', () => {
  const bench = new Bench().live();
  bench.do(bench.core.subscribe(2, ['stock.>', 'others.>'], bench.now));
  bench.get(reply('1', { data: { denied: ['stock.>'] } }));
  assert.deepEqual(bench.only('Deny').inboxes, [2]);
  assert.deepEqual(bench.sent, [{ type: 'unsubscribe', id: '2', subjects: ['others.>'] }]);
});

test('events of a refused pattern hold the position no more', () => {
  const bench = new Bench().live();
  bench.do(bench.core.subscribe(2, ['stock.>'], bench.now));
  bench.get(event(20, 'stock.a'), event(21), reply('1', { data: { denied: ['stock.>'] } }));
  assert.deepEqual(bench.only('Deny').inboxes, [2]);
  bench.process(21);
  assert.deepEqual(bench.core.position, { stream: A, seq: 21 });
});

test('a reply of the last connection says nothing of this one', () => {
  const bench = new Bench().live();
  bench
    .do(bench.core.subscribe(2, ['stock.>'], bench.now))
    .cut()
    .again();
  assert.ok(!bench.get(reply('1', { error: { code: 'limit' } })).has('Deny'));
});

test('patterns match as in NATS', () => {
  for (const [pattern, subject, isMatch] of [
    ['orders.c42.o7', 'orders.c42.o7', true],
    ['orders.c42', 'orders.c42.o7', false],
    ['orders.c42.o7', 'orders.c42', false],
    ['orders.>', 'orders.c42.o7', true],
    ['orders.>', 'orders', false],
    ['orders.*', 'orders.c42', true],
    ['orders.*', 'orders.c42.o7', false],
    ['*.c42.>', 'orders.c42.o7', true],
    ['>', 'orders', true],
    ['orders.c*', 'orders.c42', false],
    ['stock.>', 'orders.c42', false],
  ]) {
    assert.equal(matches(pattern, subject), isMatch, `${pattern} ${subject}`);
  }
});

test('what cannot be a pattern is refused at the call', () => {
  const many = Array(17).fill('a').join('.');
  const bad = ['', '.', 'a..b', 'a.', '>.a', 'a b', 'a\n', 'a\x00', 'a\x85', many, 'a'.repeat(257), 'ä'.repeat(129)];
  for (const pattern of bad) assert.throws(() => checkPattern(pattern), { name: 'TypeError', message: /pattern/ });
  for (const pattern of ['a', '>', 'a.*.>', many.slice(2), 'a'.repeat(256)]) checkPattern(pattern);
});
