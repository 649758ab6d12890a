/**
 * Bugs of resuming that other clients have had (numbered as in our survey of them), each shown not to be one of ours: as
 * far as the pure core decides. What sockets, storage and browsers decide is tested where they are.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Waits } from '../src/backoff.js';
import { BadFrame, decodeFrames } from '../src/frames.js';
import { A, B, Bench, event, gap, goodbye, live, UNIX_S, welcome } from './core-bench.js';

const resumed = (bench) => bench.waitFor('Open').open().resume;
const handled = (bench) => bench.do(bench.core.gapHandled(bench.only('TellGap').number, bench.now));

test("trap 17: a sequence never goes with another stream's identity, and never without one", () => {
  const bench = new Bench({ position: { stream: A, seq: 500 } }).getToken();
  assert.deepEqual(bench.open().resume, { stream: A, seq: 500 });
  bench.get(welcome({ stream: B, outcome: 'gap', from: 3 }), gap(0, 4, 'stream_replaced'), event(4));
  assert.equal(bench.core.position, null, 'a crash now must tell the gap again');
  assert.ok(!bench.has('Store'), 'told first, stored when the program has dealt with it');
  assert.deepEqual(handled(bench).only('Store').position, { stream: B, seq: 3 });
  bench.do(bench.core.processed(1, 1, 500, bench.now));
  assert.deepEqual(resumed(bench.cut()), { stream: B, seq: 3 });
});

test('trap 17: while a stream is replaced under a connection no position is told at all', () => {
  const bench = new Bench().live(event(20)).process(20);
  bench.get(gap(20, 1, 'stream_replaced'), event(1)).process(1);
  assert.equal(bench.core.position, null);
  assert.equal(resumed(bench.cut()), undefined);
});

test('trap 18: a replaced stream restarts every iterator, whatever it wants', () => {
  const bench = new Bench({ patterns: ['orders.>', 'stock.*'] }).live(event(20), event(21, 'stock.a')).cut();
  bench.waitFor('Open').open();
  bench.get(welcome({ stream: B, outcome: 'gap', from: 0 }), gap(0, 1, 'stream_replaced'));
  bench.get(event(1), event(2, 'stock.a'));
  assert.deepEqual(bench.delivered, [
    [1, 1],
    [2, 2],
  ]);
});

test('trap 19: a handler that subscribes again, or loses its connection, does not get its event again', () => {
  const bench = new Bench().live(event(20));
  bench.do(bench.core.subscribe(2, ['orders.>'], bench.now));
  assert.deepEqual(bench.get(event(20), event(21)).delivered, [[21, 1, 2]]);
  assert.deepEqual(bench.cut().again(event(20), event(21), event(22)).delivered, [[22, 1, 2]]);
});

test('trap 20: what a dead connection still brings is not delivered and moves nothing back', () => {
  const bench = new Bench().live(event(20)).cut().again(event(20), event(21));
  bench.process(20).process(21);
  const { due } = bench.core;
  for (const stale of [[event(22)], [event(15), live(15)], [welcome({ from: 5 })]]) {
    assert.deepEqual(bench.core.received(1, stale, bench.now, UNIX_S), []);
  }
  assert.deepEqual(bench.core.position, { stream: A, seq: 21 });
  assert.equal(bench.core.due, due, 'it is no sign of life either');
});

test('trap 20: what was in work when a connection died is processed once, for the next one', () => {
  const bench = new Bench().live(event(20)).cut().again(event(20));
  assert.deepEqual(bench.delivered, []);
  bench.process(20).wait();
  assert.deepEqual(bench.sent, [{ type: 'ack', seq: 20 }]);
});

test('trap 21: the position moves on every path', () => {
  const bench = new Bench({ patterns: ['orders.>', 'stock.>'] }).live(event(20, 'others.x'));
  const at = () => bench.core.position.seq;
  assert.equal(at(), 20, 'an event for nobody');
  bench.get(live(30));
  assert.equal(at(), 30, 'live');
  bench.get(event(40)).process(40);
  assert.equal(at(), 40, 'an event processed');
  bench.get(event(50, 'stock.a')).do(bench.core.unsubscribe(2, bench.now));
  assert.equal(at(), 50, 'an iterator given up');
  handled(bench.get(event(60, 'others.x'), gap(60, 70, 'deleted'), live(80)));
  assert.equal(at(), 80, 'a gap dealt with');
  bench.get(event(90)).cut().process(90);
  assert.equal(at(), 90, 'processed without a connection');
  assert.deepEqual(resumed(bench), { stream: A, seq: 90 });
});

test('trap 22: sequences stay exact numbers to the last that a number can hold, and none beyond is taken', () => {
  const most = Number.MAX_SAFE_INTEGER;
  const bench = new Bench()
    .live(event(most - 1), event(most))
    .process(most - 1)
    .process(most)
    .cut();
  const { resume } = bench.waitFor('Open').open();
  assert.equal(JSON.stringify(resume), '{"stream":"EVENTS:1","seq":9007199254740991}');
  for (const seq of [2 ** 53, 10n, '10', {}, Number.NaN, 1.5]) assert.throws(() => decodeFrames(live(seq)), BadFrame);
});

test('trap 23: refusals and faults do not touch the position', () => {
  const position = { stream: A, seq: 500 };
  const bench = new Bench({ position }).getToken();
  bench.open();
  bench.cut(4501).waitFor('FetchToken').getToken('t2');
  for (const why of [{ status: 503 }, { status: 401 }]) {
    bench.do(bench.core.broken(bench.core.connection, bench.now, why));
    assert.ok(!bench.has('Store'));
    if (!bench.has('Stop')) bench.waitFor('Open');
  }
  assert.equal(bench.only('Stop').stop, 'unauthorized');
  assert.deepEqual(bench.core.position, position);
  const other = new Bench({ position }).getToken();
  other.open();
  other.get({ type: 'error', code: 'unavailable', retry: true }).cut(4006);
  assert.deepEqual(resumed(other), position);
});

test('trap 24: after a failed resume the new start counts', () => {
  const bench = new Bench({ position: { stream: A, seq: 500 } }).getToken();
  bench.open();
  handled(bench.get(welcome({ outcome: 'gap', from: 900 }), gap(500, 901, 'expired')));
  assert.deepEqual(resumed(bench.get(live(950)).cut()), { stream: A, seq: 950 });
});

test('trap 25: no answer to an old question starts a second chain of connections', () => {
  const bench = new Bench().live().get({ type: 'expiring', in: 60 });
  const late = bench.only('FetchToken').number;
  bench.cut();
  const { core, now } = bench;
  const { due } = core;
  const inputs = [
    core.tokenFetched(late, 'late', 'u', now),
    core.tokenFailed(late, now),
    core.loaded(1, null, now),
    core.opened(1, now),
    core.broken(1, now, { code: 4501 }),
    core.misread(1, now),
    core.received(1, [goodbye(4001)], now, UNIX_S),
    core.subscribe(2, ['stock.>'], now),
    core.tick(now),
  ];
  assert.deepEqual(inputs.flat(), []);
  assert.equal(core.due, due);
  assert.deepEqual(bench.wake().all('Open'), [{ kind: 'Open', connection: 2 }]);
  assert.deepEqual(bench.wake().out, []);
  assert.deepEqual(core.tick(due), [], 'the wait that waking up ended is over');
});

test('trap 26: a pattern added while the token is fetched is asked for, once, and holds', () => {
  const bench = new Bench();
  assert.deepEqual(bench.core.subscribe(2, ['stock.>'], bench.now), []);
  assert.deepEqual(bench.core.subscribe(3, ['orders.>'], bench.now), []);
  bench.getToken();
  assert.deepEqual(bench.open().subscribe, ['orders.>', 'stock.>']);
  assert.deepEqual(bench.welcome(event(20, 'stock.a')).sent, []);
  assert.deepEqual(bench.delivered, [[20, 2]]);
});

test('trap 27: a fixed token that was refused or ended stops the client', () => {
  for (const code of [4501, 4004]) {
    const bench = new Bench({ renewable: false }).live().cut(code);
    assert.deepEqual(bench.only('Stop'), { kind: 'Stop', stop: 'unauthorized', code });
    assert.equal(bench.core.due, Number.POSITIVE_INFINITY);
  }
  const told = new Bench({ renewable: false }).live().get({ type: 'expiring', in: 60 });
  assert.deepEqual(told.out, [], 'asking again would give the same one');
});

test('trap 27: without a token nothing is opened and nothing is sent', () => {
  const bench = new Bench();
  for (let times = 0; times < 5; times++) {
    assert.deepEqual(bench.core.opened(bench.core.connection, bench.now), []);
    bench.do(bench.core.tokenFailed(bench.only('FetchToken').number, bench.now));
    for (const kind of ['Load', 'Open', 'Send']) assert.ok(!bench.has(kind));
    bench.waitFor('FetchToken');
  }
  assert.equal(bench.getToken().open().token, 't1');
});

test('trap 28: a refusal after opening waits longer and longer', () => {
  const bench = new Bench().getToken();
  bench.open();
  const waits = [];
  for (let times = 0; times < 9; times++) {
    waits.push(bench.cut(4006).waitS);
    bench.waitFor('Open').open();
  }
  assert.deepEqual(waits, [0.75, 1, 1.5, 2.5, 4.5, 8.5, 10.5, 10.5, 10.5]);
});

test('trap 29: accept-then-close does not reset the backoff', () => {
  const bench = new Bench().live();
  const waits = [];
  for (let times = 0; times < 4; times++) {
    waits.push(bench.later(0.25).cut().waitS);
    bench.again().later(9.5);
  }
  assert.deepEqual(waits, [0.125, 1, 1.5, 2.5]);
  assert.equal(bench.later(0.6).cut().waitS, 0.125, 'after 10 s of live it is at once again');
});

test('trap 30: there is jitter at the cap, and at the first retry', () => {
  const draws = [0, 0.1, 0.5, 0.9];
  const atCap = draws.map((draw) => new Waits({}, () => draw).delayS(1000));
  assert.equal(new Set(atCap).size, 4);
  assert.ok(Math.max(...atCap) <= 20);
  assert.equal(new Waits({}, () => 0.999).delayS(30), 20);
  assert.deepEqual(
    draws.map((draw) => new Bench({ draw }).live().later(0.25).cut().waitS),
    [0, 0.025, 0.125, 0.225],
  );
});

test('trap 31: what came while the machine slept is read before an overdue timer judges', () => {
  const bench = new Bench().live().later(3600);
  assert.deepEqual([bench.has('Probe'), bench.has('Drop')], [true, false]);
  assert.deepEqual(bench.get(event(20), live(20)).delivered, [[20, 1]]);
  bench.later(34);
  assert.equal(bench.core.state, 'live');
  const read = new Bench().live().later(0.25);
  read.now += 3600;
  assert.deepEqual(read.get(event(20)).delivered, [[20, 1]], 'or read first: then nothing is overdue');
  assert.ok(!read.do(read.core.tick(read.now)).has('Drop'));
});

test('trap 31: a link that does not answer after the sleep is left all the same', () => {
  const bench = new Bench().live().later(3600);
  assert.ok(bench.later(4).has('Drop'));
});

test('trap 32: nothing of the watch over a link survives it', () => {
  const bench = new Bench().live().wake().cut().waitFor('Open');
  bench.open();
  bench.get(welcome(), live(10));
  const since = bench.now;
  while (bench.now + 5 < since + 30) assert.ok(!bench.later(5).has('Probe'));
  assert.equal(bench.core.state, 'live');
  assert.ok(bench.do(bench.core.tick(since + 30)).has('Probe'), '30 s after the welcome, and not before');
});

test('trap 33: after a sleep or a change of the network an open socket is asked, and left within 4 s', () => {
  const bench = new Bench().live().later(0.25).wake();
  assert.deepEqual(bench.out, [{ kind: 'Probe' }]);
  assert.equal(bench.later(3.9).core.state, 'live');
  assert.ok(bench.later(0.1).has('Drop'));
  assert.equal(bench.waitS, 0.125, 'and the next one comes at once');
});

test('trap 34: waking up revives nothing that was closed, stopped or never opened', () => {
  const closed = new Bench().live();
  closed.do(closed.core.close());
  const stopped = new Bench().live().cut(4509);
  const never = new Bench({ patterns: [] });
  const givenUp = new Bench().live();
  givenUp.do(givenUp.core.unsubscribe(1, givenUp.now)).cut();
  for (const bench of [closed, stopped, never, givenUp]) {
    assert.deepEqual(bench.wake().out, []);
    assert.ok(!bench.later(3600).has('Open'));
  }
});

test('trap 35: on return neither a wait nor a step that hangs is waited out', () => {
  const bench = new Bench().getToken();
  for (let times = 0; times < 7; times++) bench.cut().waitFor('Open');
  assert.equal(bench.cut().waitS, 10.5);
  assert.deepEqual(bench.wake().all('Open'), [{ kind: 'Open', connection: 9 }]);
  bench.later(1).wake();
  assert.ok(bench.later(10).has('Drop'), 'a step of connecting that hangs');
  assert.ok(bench.wake().has('Open'));
});

test('trap 36: the own close 1000 of a silent link is followed by a new connection', () => {
  const bench = new Bench().live().later(0.25).later(34.75);
  assert.equal(bench.only('Drop').code, 1000);
  assert.deepEqual(bench.core.broken(1, bench.now, { code: 1000 }), [], 'its echo says nothing');
  assert.deepEqual(bench.wait().all('Open'), [{ kind: 'Open', connection: 2 }]);
  assert.equal(new Bench().live().cut(1000).core.state, 'waiting', "nor does the gateway's 1000 stop it");
});

test('trap 37: with timers once a minute a living link is kept, by what comes and not by timers', () => {
  const bench = new Bench().live();
  for (let minute = 0; minute < 10; minute++) {
    bench.now += 25;
    assert.deepEqual(bench.get({ type: 'ping' }).sent.at(-1), { type: 'pong' });
    bench.now += 25;
    bench.get({ type: 'ping' });
    bench.later(10);
    assert.equal(bench.core.state, 'live');
  }
});

test('trap 37: a timer that comes late does its work once', () => {
  const bench = new Bench().getToken();
  bench.open();
  bench.get(welcome({ expires: UNIX_S + 85 }), live(10)).later(60);
  assert.equal(bench.all('FetchToken').length, 1);
  assert.equal(bench.all('Probe').length, 2, 'one for each of the two timers of the link');
  assert.equal(bench.core.state, 'live');
  bench.get({ type: 'expiring', in: 10 });
  assert.deepEqual(bench.out, [], 'the asking goes on already');
  bench.cut().later(20);
  assert.deepEqual(bench.all('Open'), [{ kind: 'Open', connection: 2 }]);
  assert.ok(!bench.later(0).has('Open'));
});

test('trap 39: frames of the old connection are ignored while the next one opens and when it is open', () => {
  const bench = new Bench().live(event(20)).cut().waitFor('Open');
  const old = () => bench.core.received(1, [event(30), live(30), goodbye(4509)], bench.now, UNIX_S);
  assert.deepEqual(old(), []);
  bench.open();
  assert.deepEqual(old(), []);
  assert.deepEqual(bench.core.broken(1, bench.now, { code: 4509 }), []);
  assert.equal(bench.core.state, 'connecting');
  bench.welcome();
  assert.deepEqual(old(), []);
  assert.equal(bench.core.state, 'live');
});

test('trap 40: an iterator is given each event once, however many connections there have been', () => {
  const bench = new Bench().live();
  for (let seq = 20; seq < 25; seq++) {
    const { subscribe } = bench.cut().waitFor('Open').open();
    assert.deepEqual(subscribe, ['orders.>']);
    assert.deepEqual(bench.welcome(event(seq)).delivered, [[seq, 1]]);
  }
});

test('trap 40: subscribing at every live to what is held already tells the gateway nothing', () => {
  const bench = new Bench().live();
  for (let inbox = 2; inbox < 6; inbox++) {
    bench.cut().again();
    assert.deepEqual(bench.core.subscribe(inbox, ['orders.>'], bench.now), []);
    bench.do(bench.core.unsubscribe(inbox - 1, bench.now));
    assert.deepEqual(bench.sent, []);
  }
  assert.deepEqual(bench.get(event(20)).delivered, [[20, 5]]);
});

test('trap 41: a loss is told, what is known stays known, and later events are not blocked', () => {
  const bench = new Bench().live(event(20)).process(20).cut();
  assert.deepEqual(bench.only('TellState').state, 'waiting');
  assert.deepEqual(bench.core.position, { stream: A, seq: 20 });
  assert.equal(bench.core.welcome.stream, A);
  bench.waitFor('Open').open();
  bench.get(welcome({ from: 20 }), gap(20, 25, 'deleted'), event(26), live(26));
  assert.deepEqual(bench.delivered, [[26, 1]]);
  const { number } = bench.only('TellGap');
  bench.process(26);
  assert.deepEqual(bench.core.position, { stream: A, seq: 20 }, 'not past what the program has not dealt with');
  bench.do(bench.core.gapHandled(number, bench.now));
  assert.deepEqual(bench.out, [
    { kind: 'Store', position: { stream: A, seq: 26 } },
    { kind: 'Send', frame: { type: 'ack', seq: 26 } },
  ]);
});
