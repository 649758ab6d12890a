/**
 * Bugs of resuming that other clients have had (numbered as in our survey of them), each shown not to be one of ours:
 * through the whole client, with sockets, clocks and storages that fail as real ones do. Those of sleep, hidden pages
 * and half-open links are in `traps-sleep.test.js`.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Bench, collect, take } from './fakes/bench.js';
import { event, gap, goodbye, live, STREAM, token, welcome } from './fakes/frames.js';
import { served } from './fakes/served.js';
import { settle } from './fakes/settle.js';

/** When sockets were dialled, in seconds from now, while `seconds` pass. */
async function dials(bench, seconds) {
  const times = [];
  const start = bench.clock.nowS();
  const { WebSocket } = bench.net;
  for (let before = bench.net.dialled; bench.clock.nowS() - start < seconds; before = bench.net.dialled) {
    await bench.clock.advance(0.05);
    for (let at = before; at < bench.net.dialled; at++) times.push(bench.clock.nowS() - start);
  }
  assert.ok(WebSocket);
  return times;
}

test('trap 17: half a position is none: it is told, and nothing of it is asked for', async (t) => {
  for (const half of [{ stream: STREAM }, { seq: 7 }, { stream: '', seq: 7 }]) {
    const { KeyValueStorage } = await import('../src/index.js');
    const store = { getItem: () => JSON.stringify(half), setItem: () => {}, removeItem: () => {} };
    const bench = new Bench(t, { storage: new KeyValueStorage(store) });
    bench.client.subscribe('orders.>');
    const { sent } = await bench.connected();
    assert.equal('resume' in sent[0], false);
    assert.deepEqual(bench.errorNames, ['StateUnavailable']);
  }
});

test('trap 19: a loop that subscribes again in its body does not get its event twice', async (t) => {
  const { bench, gateway } = await served(t);
  const orders = bench.client.subscribe('orders.c1');
  const second = [];
  const first = [];
  const run = (async () => {
    for await (const { seq } of orders) {
      first.push(seq);
      if (first.length === 1) collect(bench.client.subscribe('orders.*'), second);
      if (first.length === 2) break;
    }
    for await (const { seq } of bench.client.subscribe('orders.c1')) {
      first.push(seq);
      if (first.length === 4) return;
    }
  })();
  await settle();
  const sequences = [gateway.publish('orders.c1')];
  await settle();
  sequences.push(gateway.publish('orders.c1'), gateway.publish('orders.c1'));
  await settle();
  await run;
  assert.deepEqual(
    first,
    [sequences[0], sequences[1], sequences[1], sequences[2]],
    'only what was in hand at the break',
  );
  assert.deepEqual(second.slice(), sequences.slice(1), 'a new subscription begins with what follows');
});

test('trap 19: an event whose loop body loses the connection comes once', async (t) => {
  const { bench, net, gateway } = await served(t);
  const seen = [];
  void (async () => {
    for await (const { seq } of bench.client.subscribe('orders.*')) {
      seen.push(seq);
      if (seen.length === 2) net.last?.hangUp();
      await settle();
    }
  })();
  await settle();
  const sequences = [1, 2, 3, 4].map(() => gateway.publish('orders.c1'));
  await settle(8);
  await bench.clock.advance(5);
  assert.equal(net.dialled, 2);
  assert.deepEqual(seen, sequences);
});

test('trap 20: what a dead connection still brings is not delivered, and the position does not go back', async (t) => {
  const bench = new Bench(t);
  const seen = collect(bench.client.subscribe('orders.>'));
  const old = await bench.live(event(5));
  old.vanish();
  bench.page.online();
  await bench.clock.advance(5);
  const socket = await bench.again(welcome({ from: 5 }), event(6));
  old.onmessage?.({ data: JSON.stringify([event(3), event(7), live(7)]) });
  old.onclose?.({ code: 4509 });
  await bench.clock.advance(1);
  assert.deepEqual([seen.slice(), bench.client.position?.seq, bench.client.state], [[5, 6], 6, 'live']);
  assert.deepEqual(socket.acks, [6]);
});

test('trap 25: a token that comes late opens no second connection and is not used', async (t) => {
  const answers = [];
  const bench = new Bench(t, { getToken: () => new Promise((resolve) => answers.push(resolve)) });
  bench.client.subscribe('orders.>');
  await bench.clock.advance(20);
  assert.equal(answers.length, 2, 'the first answer took too long');
  answers[0](token('anna', 'late'));
  await settle();
  assert.equal(bench.net.dialled, 0);
  answers[1](token('anna', 'new'));
  const { sent } = await bench.connected();
  assert.equal(sent[0].token, token('anna', 'new'));
  await bench.clock.advance(1);
  assert.equal(bench.net.dialled, 1);
});

test('trap 25: the refresh of a connection that is gone goes to no other', async (t) => {
  const answers = [];
  const getToken = () => new Promise((resolve) => answers.push(resolve));
  const bench = new Bench(t, { getToken });
  bench.client.subscribe('orders.>');
  await settle();
  answers.shift()?.(token('anna', 1));
  const first = await bench.live();
  first.say({ type: 'expiring', in: 60 });
  await settle();
  assert.equal(answers.length, 1);
  first.hangUp();
  const second = await bench.again();
  answers.shift()?.(token('anna', 2));
  await bench.clock.advance(1);
  assert.deepEqual([second.types, bench.net.dialled], [['connect'], 2]);
});

test('trap 25: a storage that answers late opens no second connection', async (t) => {
  const answers = [];
  const storage = { load: () => new Promise((resolve) => answers.push(resolve)), save: async () => {} };
  const bench = new Bench(t, { storage });
  bench.client.subscribe('orders.>');
  await bench.clock.advance(20);
  assert.equal(answers.length, 2);
  answers[0](null);
  answers[1](null);
  await bench.connected();
  await bench.clock.advance(1);
  assert.equal(bench.net.dialled, 1);
});

test('trap 26: patterns that come while the token is fetched are in the first frame, once', async (t) => {
  let answer = (_token) => {};
  const bench = new Bench(t, {
    getToken: () =>
      new Promise((resolve) => {
        answer = resolve;
      }),
  });
  bench.client.subscribe('orders.>');
  await settle();
  bench.client.subscribe('stock.>');
  bench.client.subscribe(['orders.>', 'carts.>']);
  const gone = bench.client.subscribe('gone.>');
  gone.unsubscribe();
  answer(token());
  const socket = await bench.live();
  await bench.clock.advance(1);
  assert.deepEqual(socket.sent[0].subscribe, ['orders.>', 'stock.>', 'carts.>']);
  assert.deepEqual(socket.types, ['connect']);
});

test('trap 26: patterns that come between connect and welcome are told after it, once', async (t) => {
  const bench = new Bench(t);
  bench.client.subscribe('orders.>');
  const socket = await bench.connected();
  bench.client.subscribe('stock.>');
  await settle();
  assert.deepEqual(socket.types, ['connect']);
  socket.say(welcome(), live());
  await settle();
  assert.deepEqual(socket.sent.slice(1), [{ type: 'subscribe', id: '1', subjects: ['stock.>'] }]);
});

for (const code of [4004, 4501]) {
  test(`trap 27: a fixed token that ends with ${code} stops the client, and nothing connects without one`, async (t) => {
    const bench = new Bench(t, { token: token() });
    const orders = collect(bench.client.subscribe('orders.>'));
    const socket = await bench.live();
    socket.say({ type: 'expiring', in: 30 });
    await bench.clock.advance(20);
    assert.deepEqual(socket.types, ['connect'], 'there is nothing to refresh it with');
    socket.hangUp(code);
    assert.equal((await orders.ended).name, 'Unauthorized');
    await bench.clock.advance(600);
    assert.deepEqual([bench.net.dialled, bench.clock.armed], [1, 0]);
  });
}

test('trap 27: a fetched token that is refused twice stops the client', async (t) => {
  let asked = 0;
  const bench = new Bench(t, {
    getToken: async () => {
      asked += 1;
      return token('anna', asked);
    },
  });
  const orders = collect(bench.client.subscribe('orders.>'));
  (await bench.connected()).hangUp(4501);
  await bench.clock.advance(5);
  (await bench.connected()).hangUp(4501);
  assert.equal((await orders.ended).name, 'Unauthorized');
  await bench.clock.advance(600);
  assert.deepEqual([asked, bench.net.dialled], [2, 2]);
});

const REFUSALS = {
  'a refusal after opening': (net) => {
    net.onframe = (socket) => socket.hangUp(4006);
  },
  'a close without a code after opening': (net) => {
    net.onframe = (socket) => socket.hangUp(1006);
  },
  'a refused upgrade': (net) => {
    net.fate = 'refuse';
  },
  'a constructor that throws': (net) => {
    net.fate = 'throw';
  },
  'accept-then-close': (net) => {
    net.onframe = (socket) => {
      socket.say(welcome(), live());
      socket.hangUp(4003);
    };
  },
  'a token that is renewed again and again': (net) => {
    net.onframe = (socket) => {
      socket.say(welcome(), live());
      socket.hangUp(4004);
    };
  },
};

for (const [name, set] of Object.entries(REFUSALS)) {
  test(`trap 28, 29: ${name} is tried ever more seldom`, async (t) => {
    const bench = new Bench(t);
    set(bench.net);
    bench.client.subscribe('orders.>');
    const times = await dials(bench, 120);
    const waits = times.slice(1).map((time, at) => time - times[at]);
    assert.ok(waits.length >= 8 && waits.length < 20, `${waits.length} in two minutes`);
    assert.ok(
      waits.slice(1).every((wait) => wait >= 0.5),
      String(waits),
    );
    assert.ok(
      waits.slice(-2).every((wait) => wait > 9),
      'at the cap: half of 0.5 to 20.5 s',
    );
  });
}

test('trap 29: only a connection that stays live for 10 s ends the growth of the waits', async (t) => {
  const bench = new Bench(t);
  bench.client.subscribe('orders.>');
  for (let times = 0; times < 6; times++) {
    await bench.clock.advance(20);
    const socket = await bench.connected();
    socket.say(welcome(), live());
    await bench.clock.advance(9);
    socket.hangUp();
  }
  await bench.clock.advance(2);
  assert.equal(bench.client.state, 'waiting', 'six losses count');
  await bench.clock.advance(20);
  (await bench.connected()).say(welcome(), live());
  await bench.clock.advance(11);
  bench.net.last?.hangUp();
  await bench.clock.advance(0.25);
  assert.equal(bench.client.state, 'connecting');
});

test('trap 30: waits are spread at the cap, and so is the first retry', async (t) => {
  const first = [];
  const capped = [];
  for (const drawn of [0, 0.5, 0.999]) {
    const bench = new Bench(t, { random: () => drawn });
    bench.client.subscribe('orders.>');
    (await bench.live()).hangUp();
    bench.net.fate = 'refuse';
    const times = await dials(bench, 300);
    first.push(times[0]);
    capped.push(times.at(-1) - times.at(-2));
  }
  const rises = (waits) => waits.every((wait, at) => !at || wait > waits[at - 1] + 0.04);
  assert.ok(rises(first) && first[2] <= 0.3, String(first));
  assert.ok(rises(capped) && capped[2] <= 20.1, String(capped));
});

test('trap 39: frames and the end of the old connection are ignored while the next one opens', async (t) => {
  const bench = new Bench(t);
  const seen = collect(bench.client.subscribe('orders.>'));
  const old = await bench.live(event(5));
  const { onmessage, onclose, onopen } = old;
  old.say(goodbye(4001, { after: 0 }));
  bench.net.fates = ['hang'];
  await bench.clock.advance(1);
  assert.equal(bench.client.state, 'connecting');
  for (const frame of [event(6), live(6), welcome(), goodbye(4509), '{']) {
    onmessage?.({ data: JSON.stringify(frame) });
  }
  onopen?.({});
  onclose?.({ code: 4509 });
  await settle();
  bench.net.last?.open();
  const socket = await bench.connected();
  assert.deepEqual(socket.sent[0].resume, { stream: STREAM, seq: 5 });
  assert.deepEqual([seen.slice(), bench.net.dialled], [[5], 2]);
});

test('trap 40: a listener added at every live hears each event once', async (t) => {
  const { bench, net, gateway } = await served(t);
  const heard = [];
  const listener = ({ seq }) => heard.push(seq);
  bench.client.on('live', () => bench.client.on('event', listener));
  bench.client.subscribe('orders.*');
  await settle();
  for (let times = 0; times < 4; times++) {
    net.last?.hangUp();
    await bench.clock.advance(10);
    gateway.publish('orders.c42');
    await settle();
  }
  assert.equal(net.dialled, 5);
  assert.deepEqual(heard, gateway.sequences('orders.>'));
});

test('trap 41: on a loss everything known stays known: it is stale, not empty', async (t) => {
  const bench = new Bench(t);
  collect(bench.client.subscribe('orders.>'));
  (await bench.live(event(5))).hangUp();
  bench.net.fate = 'refuse';
  await bench.clock.advance(60);
  assert.deepEqual(bench.client.position, { stream: STREAM, seq: 5 });
  assert.equal(bench.client.welcome?.stream, STREAM);
  assert.equal(bench.client.failure, null);
});

test('trap 41: a gap that is being dealt with blocks no later event', async (t) => {
  const bench = new Bench(t);
  bench.client.on('gap', () => new Promise(() => {}));
  const orders = bench.client.subscribe('orders.>');
  const socket = await bench.live(event(1));
  socket.say(gap(1, 9), event(9), event(10), live(10));
  assert.deepEqual(
    (await take(orders, 3)).map(({ seq }) => seq),
    [1, 9, 10],
  );
  await bench.clock.advance(60);
  assert.equal(bench.client.position?.seq, 1);
});
