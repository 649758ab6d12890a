/**
 * Bugs that other clients have had with sleeping machines, hidden pages, throttled timers and half-open links (numbered
 * as in our survey of them), each shown not to be one of ours: through the whole client.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Bench, collect } from './fakes/bench.js';
import { FakeClock } from './fakes/clock.js';
import { event, goodbye, live, token, welcome } from './fakes/frames.js';
import { served } from './fakes/served.js';
import { settle } from './fakes/settle.js';

for (const isMonotonicStill of [false, true]) {
  const clock = `a clock that ${isMonotonicStill ? 'stands still' : 'goes on'} in sleep`;

  test(`trap 31: what came while the machine slept is read before an overdue timer judges: ${clock}`, async (t) => {
    const { bench, gateway, net, seen } = await served(t);
    bench.clock.sleep(3600, { isMonotonicStill });
    gateway.publish('orders.c42'); // in the socket, read first
    await bench.clock.advance(30);
    assert.deepEqual([net.dialled, bench.client.state, seen.length], [1, 'live', 1]);
  });

  test(`trap 31: an overdue timer that comes before the data asks, and judges after 4 s: ${clock}`, async (t) => {
    const { bench, gateway, net, seen } = await served(t);
    bench.clock.sleep(3600, { isMonotonicStill });
    await bench.clock.advance(10);
    assert.equal(net.last?.types.at(-1), 'ping');
    gateway.publish('orders.c42');
    await bench.clock.advance(10);
    assert.deepEqual([net.dialled, bench.client.state, seen.length], [1, 'live', 1]);
  });

  test(`trap 33: a socket that died in sleep is left within 14 s, though nothing says so: ${clock}`, async (t) => {
    const { bench, net, gateway, seen } = await served(t);
    await bench.clock.advance(12); // now nothing is due before the link falls silent
    const dead = net.last;
    dead?.vanish();
    gateway.publish('orders.c42');
    bench.clock.sleep(3600, { isMonotonicStill });
    await bench.clock.advance(14.5);
    assert.deepEqual([net.dialled, bench.client.state, seen.length], [2, 'live', 1]);
    assert.equal(dead?.closedWith, 1000);
  });
}

test('trap 32: nothing of the watch over an old link ends the next one', async (t) => {
  const bench = new Bench(t);
  bench.client.subscribe('orders.>');
  const first = await bench.live();
  await bench.clock.advance(20);
  first.hangUp();
  const second = await bench.again();
  for (let times = 0; times < 8; times++) {
    await bench.clock.advance(24);
    second.say({ type: 'ping' });
  }
  await bench.clock.advance(29);
  assert.deepEqual([bench.net.dialled, bench.client.state], [2, 'live']);
  assert.deepEqual(new Set(second.types.slice(1)), new Set(['pong']), 'it was never asked');
});

const RETURNS = {
  'the network comes back': (page) => page.online(),
  'the page is seen again': (page) => page.show(),
  'the page comes back from memory': (page) => page.tell('pageshow'),
  'a frozen page goes on': (page) => page.tell('resume'),
};

for (const [name, returns] of Object.entries(RETURNS)) {
  test(`trap 33: when ${name} an open socket is asked, and left when it does not answer in 4 s`, async (t) => {
    const { bench, net } = await served(t);
    await bench.clock.advance(3);
    returns(bench.page);
    assert.equal(net.last?.types.at(-1), 'ping');
    await bench.clock.advance(30);
    assert.equal(net.dialled, 1, 'it answered');
    net.last?.vanish();
    returns(bench.page);
    await bench.clock.advance(3.9);
    assert.equal(net.dialled, 1);
    await bench.clock.advance(0.5);
    assert.deepEqual([net.dialled, bench.client.state], [2, 'live']);
  });

  test(`trap 34: when ${name} a client that was closed, stopped or never subscribed stays so`, async (t) => {
    const closed = new Bench(t);
    closed.client.subscribe('orders.>');
    await closed.live();
    await closed.client.close();
    const stopped = new Bench(t);
    stopped.client.subscribe('orders.>');
    (await stopped.live()).hangUp(4509);
    await settle();
    const unused = new Bench(t);
    for (const [bench, dialled] of [
      [closed, 1],
      [stopped, 1],
      [unused, 0],
    ]) {
      returns(bench.page);
      bench.client.wake();
      await bench.clock.advance(60);
      assert.deepEqual([bench.net.dialled, bench.clock.armed], [dialled, 0]);
    }
  });

  test(`trap 35: when ${name} a wait ends at once, unless the gateway asked for it`, async (t) => {
    const bench = new Bench(t);
    bench.net.fate = 'refuse';
    bench.client.subscribe('orders.>');
    await bench.clock.advance(60);
    const before = bench.net.dialled;
    bench.net.fate = 'open';
    returns(bench.page);
    returns(bench.page);
    await settle();
    assert.equal(bench.net.dialled, before + 1);
    const socket = await bench.live();
    socket.say(goodbye(4001, { after: 7000 }));
    await bench.clock.advance(1);
    returns(bench.page);
    await bench.clock.advance(5.9);
    assert.equal(bench.net.dialled, before + 1);
    await bench.clock.advance(4.5);
    assert.equal(bench.net.dialled, before + 2);
  });
}

test('trap 35: a socket that hangs while it opens is left 10 s after the return, not later', async (t) => {
  const bench = new Bench(t);
  bench.net.fates = ['hang'];
  bench.client.subscribe('orders.>');
  await bench.clock.advance(2);
  bench.page.show();
  await bench.clock.advance(9.9);
  assert.deepEqual([bench.net.dialled, bench.client.state], [1, 'connecting']);
  await bench.clock.advance(1);
  assert.deepEqual([bench.net.dialled, bench.net.sockets[0].closedWith], [2, 1000]);
  await bench.connected();
});

test('trap 35: without a return, a socket that never opens and a gateway that never answers are left after 15 s', async (t) => {
  const bench = new Bench(t);
  bench.net.fates = ['hang', 'open', 'open'];
  bench.client.subscribe('orders.>');
  await bench.clock.advance(16);
  assert.equal(bench.net.dialled, 2);
  await bench.clock.advance(17);
  assert.deepEqual([bench.net.dialled, bench.net.alive.length], [3, 1]);
});

test('trap 36: the own close 1000 of a silent link is followed by a new connection, whatever its close event says', async (t) => {
  const { bench, net, gateway, seen } = await served(t);
  net.last?.vanish();
  await bench.clock.advance(36);
  net.sockets[0].onclose?.({ code: 1000 });
  await bench.clock.advance(1);
  assert.deepEqual([net.sockets[0].closedWith, net.dialled, bench.client.state], [1000, 2, 'live']);
  gateway.publish('orders.c42');
  await settle();
  assert.equal(seen.length, 1);
});

for (const code of [1000, 1001, 1005, 1006, 1012, 4001, 4002, 4003, 4429]) {
  test(`trap 36: a close with ${code} from the other side is followed by a new connection`, async (t) => {
    const { bench, net } = await served(t);
    net.last?.hangUp(code);
    await bench.clock.advance(2);
    assert.deepEqual([net.dialled, bench.client.state], [2, 'live']);
  });
}

/** A page in the background: timers are called once a minute. */
class HeldBackClock extends FakeClock {
  constructor() {
    super();
    const { setTimeout } = this;
    this.setTimeout = (call, ms) => {
      const atMs = this.nowS() * 1000 + ms;
      return setTimeout(call, Math.ceil(atMs / 60_000) * 60_000 - this.nowS() * 1000);
    };
  }
}

test('trap 37: with timers once a minute pings are answered, events acknowledged, and the token is fetched once', async (t) => {
  let fetched = 0;
  const clock = new HeldBackClock();
  const getToken = async () => {
    fetched += 1;
    return token('anna', fetched);
  };
  const bench = new Bench(t, { clock, getToken });
  const seen = collect(bench.client.subscribe('orders.>'));
  const socket = await bench.connected();
  socket.say(welcome({ expires: clock.unixS() + 400 }), live());
  for (let at = 1; at <= 40; at++) {
    await clock.advance(12.5);
    socket.say(at % 2 ? event(at) : { type: 'ping' });
  }
  await clock.advance(60);
  assert.deepEqual([bench.net.dialled, bench.client.state, seen.length], [1, 'live', 20]);
  assert.equal(socket.types.filter((type) => type === 'pong').length, 20);
  assert.ok(socket.acks.length > 15, 'what is overdue is done with the next frame');
  assert.equal(socket.acks.at(-1), 39);
  assert.equal(socket.types.filter((type) => type === 'refresh').length, 1);
  assert.equal(fetched, 2);
  assert.ok(clock.armed <= 1);
});

test('trap 38: flight mode without a close event is noticed when the network comes back, or after 35 s', async (t) => {
  for (const [leave, withinS] of [
    [(page) => page.online(), 4.5],
    [() => {}, 35.5],
  ]) {
    const { bench, net, gateway, seen } = await served(t);
    net.last?.vanish();
    net.fate = 'hang';
    gateway.publish('orders.c42');
    net.fate = 'open';
    leave(bench.page);
    await bench.clock.advance(withinS);
    assert.deepEqual([net.dialled, bench.client.state, seen.length], [2, 'live', 1]);
  }
});
