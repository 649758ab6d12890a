/** The position of a session: what it follows, what holds it, when it is stored and acknowledged. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { decodeFrames } from '../src/frames.js';
import { Ledger } from '../src/ledger.js';
import { A, B, Bench, event, gap, goodbye, live, welcome } from './core-bench.js';

const store = (stream, seq) => ({ kind: 'Store', position: { stream, seq } });
const ack = (seq) => ({ kind: 'Send', frame: { type: 'ack', seq } });
const handled = (bench) => bench.do(bench.core.gapHandled(bench.only('TellGap').number, bench.now));
const seqs = (first, last) => Array.from({ length: last - first + 1 }, (_, at) => first + at);

test('a fresh session stores its start before any event', () => {
  const bench = new Bench().getToken();
  assert.equal('resume' in bench.open(), false);
  bench.get(welcome({ outcome: 'fresh' }));
  assert.deepEqual(bench.only('Store'), store(A, 10));
  assert.deepEqual(bench.cut().waitFor('Open').open().resume, { stream: A, seq: 10 });
});

test('a new stream without a gap frame is told all the same', () => {
  const bench = new Bench({ position: { stream: A, seq: 500 } }).getToken();
  bench.open();
  bench.get(welcome({ stream: B, outcome: 'fresh', from: 3 }));
  assert.deepEqual(bench.only('TellGap').gap, { after: 500, before: 4, reason: 'stream_replaced' });
  assert.equal(bench.core.position, null, 'a crash now must tell the gap again');
  bench.do(bench.core.gapHandled(1, bench.now));
  assert.deepEqual(bench.core.position, { stream: B, seq: 3 });
});

test('a session that the gateway forgot and began at the newest is told as a gap', () => {
  const bench = new Bench({ position: { stream: A, seq: 500 } }).getToken();
  bench.open();
  bench.get(welcome({ outcome: 'fresh', from: 800 }));
  assert.deepEqual(bench.only('TellGap').gap, { after: 500, before: 801, reason: 'expired' });
});

test('what a gateway that forgot the session leaves out is told also while the gap of a new stream is open', () => {
  for (const [stream, lost] of [
    [B, { after: 4, before: 51, reason: 'expired' }],
    ['EVENTS:3', { after: 4, before: 51, reason: 'stream_replaced' }],
  ]) {
    const bench = new Bench({ position: { stream: A, seq: 500 } }).getToken();
    bench.open();
    bench.get(welcome({ stream: B, outcome: 'gap', from: 3 }), gap(0, 4, 'stream_replaced'), event(4), live(4));
    bench.process(4).cut().waitFor('Open');
    assert.deepEqual(bench.open().resume, { stream: A, seq: 500 }, 'what is stored: the gap is told again');
    bench.get(welcome({ stream, outcome: 'fresh', from: 50 }), live(50));
    assert.deepEqual(bench.only('TellGap').gap, lost);
    bench.do(bench.core.gapHandled(1, bench.now));
    assert.notEqual(bench.core.position?.seq, 50);
    assert.deepEqual(bench.do(bench.core.gapHandled(2, bench.now)).only('Store'), store(stream, 50));
  }
});

test('a start beyond the position is no loss when the gateway resumed, nor one at it when it forgot', () => {
  for (const more of [
    { outcome: 'resumed', from: 800 },
    { outcome: 'fresh', from: 500 },
  ]) {
    const bench = new Bench({ position: { stream: A, seq: 500 } }).getToken();
    bench.open();
    assert.ok(!bench.get(welcome(more)).has('TellGap'));
  }
});

test('a stream replaced while connected forgets the position', () => {
  const bench = new Bench().live(event(20));
  const { epoch } = bench.core;
  bench.get(gap(20, 1, 'stream_replaced'), event(1));
  assert.deepEqual(bench.only('Store').position, null);
  assert.equal(bench.core.position, null);
  assert.deepEqual(bench.core.processed(1, epoch, 20, bench.now), [], 'an old ack says nothing of the new stream');
  assert.equal('resume' in bench.cut().waitFor('Open').open(), false);
});

test('a gap that was announced and never came is asked for again', () => {
  const bench = new Bench({ position: { stream: A, seq: 500 } }).getToken();
  bench.open();
  bench.get(welcome({ stream: B, outcome: 'gap', from: 3 })).cut();
  assert.deepEqual(bench.waitFor('Open').open().resume, { stream: A, seq: 500 });
  const fresh = new Bench().getToken();
  fresh.open();
  fresh.get(welcome({ outcome: 'gap' })).cut();
  assert.equal('resume' in fresh.waitFor('Open').open(), false);
  assert.deepEqual(fresh.get(welcome({ outcome: 'fresh' })).only('Store'), store(A, 10));
});

test('what was in work survives a gap that was announced for the same stream and never came', () => {
  const bench = new Bench({ position: { stream: A, seq: 10 } }).live(event(20)).cut().waitFor('Open');
  const { epoch } = bench.core;
  bench.open();
  bench
    .get(welcome({ outcome: 'gap', from: 15 }))
    .cut()
    .waitFor('Open');
  assert.deepEqual(bench.open().resume, { stream: A, seq: 10 });
  assert.deepEqual(bench.welcome(event(20)).delivered, []);
  assert.equal(bench.core.epoch, epoch);
});

test('an ack of the old stream does not count for the same sequence of the new', () => {
  const bench = new Bench().live(event(20));
  const { epoch } = bench.core;
  bench.cut().waitFor('Open').open();
  handled(bench.get(welcome({ stream: B, outcome: 'gap', from: 19 }), gap(10, 20, 'stream_replaced')));
  bench.get(event(20));
  bench.do(bench.core.processed(1, epoch, 20, bench.now));
  assert.deepEqual(bench.core.position, { stream: B, seq: 19 });
  bench.process(20);
  assert.deepEqual(bench.core.position, { stream: B, seq: 20 });
});

test('a gap is handled once, and one that nobody told not at all', () => {
  const bench = new Bench().live(event(20));
  bench
    .get(gap(20, 30, 'expired'), event(31))
    .process(20)
    .process(31);
  assert.deepEqual(bench.do(bench.core.gapHandled(7, bench.now)).all('Store'), [store(A, 20)]);
  assert.deepEqual(bench.do(bench.core.gapHandled(1, bench.now)).all('Store'), [store(A, 31)]);
  assert.deepEqual(bench.core.gapHandled(1, bench.now), []);
});

test('giving up an iterator does not stand for dealing with a gap', () => {
  const bench = new Bench().live(event(20));
  bench.get(gap(20, 30, 'expired'));
  for (const inbox of [-1, 0, 1]) bench.do(bench.core.unsubscribe(inbox, bench.now));
  assert.deepEqual(bench.core.position, { stream: A, seq: 20 });
  bench.do(bench.core.subscribe(-1, ['orders.>'], bench.now)).get(event(31));
  bench.do(bench.core.unsubscribe(-1, bench.now));
  assert.deepEqual(bench.core.position, { stream: A, seq: 20 });
  bench.do(bench.core.gapHandled(1, bench.now));
  assert.deepEqual(bench.core.position, { stream: A, seq: 31 });
});

test('nothing is acknowledged that this connection has not brought', () => {
  const bench = new Bench().live(event(20), event(30)).cut().waitFor('Open');
  bench.open();
  bench.process(20).process(30).get(welcome());
  assert.deepEqual(bench.do(bench.core.flush()).sent, [ack(10).frame], 'where this connection began');
  bench.get(event(20));
  assert.deepEqual(bench.do(bench.core.flush()).sent, [ack(20).frame]);
  assert.deepEqual(bench.get(event(30)).delivered, []);
  assert.deepEqual(bench.wait().sent, [ack(30).frame]);
});

test('acks are coalesced by time and by count, stored first', () => {
  const bench = new Bench().live(...seqs(11, 110).map((seq) => event(seq)));
  assert.deepEqual(bench.process(11).out, []);
  assert.equal(bench.waitS, 0.25);
  assert.deepEqual(bench.wait().out, [store(A, 11), ack(11)]);
  bench.get(event(11));
  assert.equal(bench.waitS, 9.75, 'the calm: a repeat of what is acknowledged is not acknowledged again');
  bench.process(12);
  assert.equal(bench.waitS, 0.25);
  for (const seq of seqs(13, 60)) assert.deepEqual(bench.process(seq).out, []);
  assert.deepEqual(bench.process(61).out, [store(A, 61), ack(61)]);
});

test('a small window is acknowledged at half', () => {
  const bench = new Bench().getToken();
  bench.open();
  bench.get(welcome({ window: { messages: 4, bytes: 1000 } }), event(11), event(12));
  assert.deepEqual(bench.process(11).out, []);
  assert.deepEqual(bench.process(12).sent, [ack(12).frame]);
});

test('half a window of bytes is acknowledged at once', () => {
  const bench = new Bench().getToken();
  bench.open();
  bench.get(welcome({ window: { bytes: 1000 } }));
  const frames = decodeFrames([event(11), event(12)], 500); // the message's size, shared by its events
  bench.do(bench.core.received(1, frames, bench.now, 0));
  assert.deepEqual(bench.process(11).out, []);
  assert.deepEqual(bench.process(12).sent, [ack(12).frame]);
});

test('the lowest unprocessed event of all iterators holds the position', () => {
  const bench = new Bench({ patterns: ['orders.>', '*.c42'] }).live(event(20), event(21));
  assert.deepEqual(bench.delivered, [
    [20, 1, 2],
    [21, 1, 2],
  ]);
  bench.process(20, 1).process(21, 1).process(21, 2);
  assert.deepEqual(bench.core.position, { stream: A, seq: 10 });
  bench.process(20, 2);
  assert.deepEqual(bench.core.position, { stream: A, seq: 21 });
});

test('more than two windows of unprocessed events are a bug of the gateway', () => {
  const bench = new Bench({ window: { messages: 3, bytes: 1000 } }).live(...seqs(11, 16).map((seq) => event(seq)));
  assert.equal(bench.delivered.length, 6);
  assert.ok(bench.has('TellLive'));
  assert.equal(bench.get(event(17)).core.state, 'waiting');
});

test('without a connection the position is stored and nothing is sent', () => {
  const bench = new Bench().live(event(20)).process(20).cut(1011);
  assert.deepEqual(bench.wait().out, [store(A, 20)]);
  assert.equal(bench.core.state, 'waiting');
});

test('what is processed is said before a goodbye is followed', () => {
  const bench = new Bench().live(event(20)).process(20).get(goodbye(4001));
  assert.deepEqual(bench.out.slice(0, 2), [store(A, 20), ack(20)]);
});

test('a welcome alone is acknowledged: the last ack of the connection before may have been lost', () => {
  const bench = new Bench({ position: { stream: A, seq: 10 } }).getToken();
  bench.open();
  assert.deepEqual(bench.get(welcome()).wait().out, [ack(10)]);
});

test('live is acknowledged once everything before it is processed', () => {
  const bench = new Bench().live(event(20));
  bench.get(live(40)).wait();
  assert.deepEqual(bench.sent, [ack(10).frame]);
  bench.process(20).wait();
  assert.deepEqual(bench.out, [store(A, 40), ack(40)]);
});

test('the ledger moves over finished events only', () => {
  const ledger = new Ledger(10);
  ledger.receive(11, [1], 5);
  ledger.receive(13, [1, 2], 5);
  ledger.receive(14, [], 5);
  ledger.reach(20);
  ledger.process(13, 1);
  ledger.process(99, 1);
  assert.deepEqual([ledger.settle(), ledger.processed, ledger.received], [{ count: 0, sizeBytes: 0 }, 10, 20]);
  ledger.process(11, 1);
  ledger.process(11, 1);
  assert.deepEqual([ledger.settle(), ledger.processed], [{ count: 1, sizeBytes: 5 }, 11]);
  ledger.release(2);
  assert.deepEqual([ledger.settle(), ledger.processed, ledger.events], [{ count: 3, sizeBytes: 10 }, 20, 0]);
  ledger.reach(15);
  assert.deepEqual(ledger.settle(), { count: 0, sizeBytes: 0 });
});
