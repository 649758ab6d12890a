/** Trap 25: whatever happens, in whatever order, there is one chain of connections: at most one socket and one timer. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Bench, collect } from './fakes/bench.js';
import { drawing } from './fakes/drawing.js';
import { token } from './fakes/frames.js';
import { Gateway } from './fakes/gateway.js';
import { Net } from './fakes/net.js';
import { settle } from './fakes/settle.js';

const STEPS = 600;
const CODES = [1000, 1001, 1006, 1011, 4001, 4002, 4003, 4004, 4005, 4006, 4429];

for (const seed of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]) {
  test(`trap 25: never two sockets, never two timers, nothing missing and nothing twice (seed ${seed})`, async (t) => {
    const draw = drawing(seed);
    const any = (list) => list[Math.floor(draw() * list.length)];
    const net = new Net();
    const gateway = new Gateway(net);
    const slow = [];
    let isSlow = false;
    const getToken = async () => {
      if (isSlow) await new Promise((resolve) => slow.push(resolve));
      if (draw() < 0.1) throw new Error('the sign-in service is down');
      return token('anna', draw());
    };
    const bench = new Bench(t, { net, getToken, random: draw });
    const { client, clock, page, storage } = bench;
    const seen = collect(client.subscribe('orders.>'));
    while (client.state !== 'live') await clock.advance(1); // a session begins when it is first welcomed
    const extras = [];
    const actions = {
      publish: () => gateway.publish(any(['orders.c1', 'orders.c2', 'stock.s1'])),
      publishMany: () => Array.from({ length: 80 }, () => gateway.publish('orders.c1')),
      cut: () => net.last?.hangUp(any(CODES)),
      goodbye: () => net.last?.say({ type: 'goodbye', code: any([4001, 4003]), after: any([0, 500, 3000]) }),
      vanish: () => net.last?.vanish(),
      sleep: () => clock.sleep(any([5, 60, 3600]), { isMonotonicStill: draw() < 0.5 }),
      wake: () => any([() => page.online(), () => page.show(), () => page.tell('pageshow'), () => client.wake()])(),
      wakeTwice: () => [page.online(), page.show(), client.wake()],
      hide: () => page.hide(),
      expiring: () => client.state === 'live' && net.last?.say({ type: 'expiring', in: 60 }),
      refuse: () => net.fates.push(any(['refuse', 'hang', 'throw', 'refuse'])),
      slowToken: () => {
        isSlow = true;
      },
      tokens: () => {
        isSlow = false;
        for (const go of slow.splice(0).reverse()) go();
      },
      slowStorage: () => storage.hold(),
      storage: () => {
        storage.isFailing = false;
        storage.release();
      },
      failingStorage: () => {
        storage.isFailing = true;
      },
      subscribe: () => extras.length < 3 && extras.push(client.subscribe(any(['stock.>', 'orders.c1', 'carts.>']))),
      unsubscribe: () => extras.shift()?.unsubscribe(),
      flush: () => void client.flush(),
      wait: () => clock.advance(any([0.1, 0.3, 1, 5, 20, 40])),
      waitMore: () => clock.advance(any([0.1, 0.3, 1, 5])),
    };
    for (let step = 0; step < STEPS; step++) {
      const name = any(Object.keys(actions));
      await actions[name]();
      if (draw() < 0.7) await settle();
      const place = `step ${step}: ${name}`;
      assert.equal(client.failure, null, `${place}: ${client.failure}`);
      assert.ok(net.alive.length <= 1, `${place}: ${net.alive.length} sockets`);
      assert.ok(clock.armed <= 1, `${place}: ${clock.armed} timers`);
      assert.ok(net.alive.length + clock.armed >= 1 || slow.length, `${place}: nothing goes on`);
    }
    for (const extra of extras) extra.unsubscribe();
    actions.tokens();
    actions.storage();
    net.fates = [];
    await clock.advance(120);
    gateway.publish('orders.c1');
    await clock.advance(1);
    assert.equal(client.state, 'live');
    assert.ok(net.dialled > 20, `${net.dialled} connections`);
    assert.deepEqual(seen.slice(), gateway.sequences('orders.>'));
    assert.deepEqual(gateway.complaints, []);
    await client.flush();
    await settle();
    const last = gateway.sequences('orders.>').at(-1);
    assert.ok(gateway.session.cursor >= last, `${gateway.session.cursor} of ${last} acknowledged`);
    assert.ok(storage.position?.seq >= last, `${storage.position?.seq} of ${last} stored`);
    await client.close();
    await settle();
    assert.deepEqual([net.alive.length, clock.armed], [0, 0]);
  });
}
