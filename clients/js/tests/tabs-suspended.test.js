/** A leading tab that its browser has suspended: it keeps the lock and serves nobody, so that another takes the lead. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import '../src/tabs.js'; // else loaded on need, which takes its time
import { Browser, startTab } from './fakes/browser.js';
import { URL } from './fakes/frames.js';
import { FakePage } from './fakes/page.js';
import { until } from './fakes/settle.js';

/** Node 24 may crash where a lock is taken away from another thread; browsers have processes. Tried when asked for. */
const IN_THREADS = { skip: process.env.TIDEWIRE_THREADS ? false : 'Node may crash: TIDEWIRE_THREADS=1 tries it' };

/** A tab in a thread of its own that leads. What it has told: `seen`, `states`, `errors`, `saves`. */
async function leader(t, browser) {
  const worker = startTab(t, { session: browser.session });
  const view = new Int32Array(new SharedArrayBuffer(8));
  let looked = -1;
  const told = { seen: [], states: [], errors: [], saves: [] };
  worker.on('message', ({ seq, state, isLeader, error, scope, position, processed }) => {
    if (seq) told.seen.push(seq);
    if (state) told.states.push([state, isLeader]);
    if (error) told.errors.push(error);
    looked = processed ?? looked;
    if (!scope) return;
    told.saves.push(position.seq);
    browser.storage.kept.set(JSON.stringify(scope), position);
  });
  const tab = {
    ...told,
    ask: (asked) => worker.postMessage(asked),
    /** Resolves when it knows that all tabs have processed this. */
    processed: (seq) =>
      until(() => {
        worker.postMessage({ look: [] });
        return looked === seq;
      }, `processed ${seq}`),
    /** Suspend it. What `then` asks for is done as soon as it runs again, before all that came meanwhile. */
    suspend: async (then = {}) => {
      view.fill(0);
      worker.postMessage({ suspend: [view], ...then });
      // Node rejects in the robbed thread's own heap, which must stand still: it is no more than a test needs
      await until(() => Atomics.load(view, 1) === 1);
    },
    resume: () => {
      Atomics.store(view, 0, 1);
      Atomics.notify(view, 0);
    },
  };
  await until(() => told.states.at(-1)?.[0] === 'live');
  assert.deepEqual(told.states.at(-1), ['live', true]);
  return tab;
}

/** Somebody holds the session's lock and says nothing, as a tab does that was suspended before it led. */
async function silentLeader(t, browser, options = {}, locks = navigator.locks) {
  const name = `tidewire ${JSON.stringify([URL, 'shop anna', browser.session])}`;
  let release = () => {};
  const held = new Promise((resolve) => {
    release = () => resolve(undefined);
  });
  t.after(release);
  await new Promise((resolve) => {
    const work = () => {
      resolve(undefined);
      return held;
    };
    locks.request(name, options, work).catch(() => {});
  });
}

/** A tab that follows, with a loop, as soon as it has asked who leads. */
async function join(browser, options = {}) {
  const tab = browser.tab(options);
  tab.seen = [];
  void (async () => {
    for await (const { seq } of tab.client.subscribe('orders.>')) tab.seen.push(seq);
  })();
  await until(() => browser.clock.armed > 0);
  await browser.quiet();
  return tab;
}

const WAYS = {
  'nothing but the lock tells': [{}, {}],
  'the close code comes first': [{ close: 4509 }, {}],
  'the goodbye comes first': [{ goodbye: 4509, close: 4509 }, {}],
  'the close code comes last': [{}, { close: 4509 }],
};

for (const [way, [first, last]] of Object.entries(WAYS)) {
  test(
    `a leader that is suspended is followed by a tab that is seen, and follows it: ${way}`,
    IN_THREADS,
    async (t) => {
      const browser = new Browser(t);
      const old = await leader(t, browser);
      const tab = await browser.open();
      for (const seq of [5, 10]) old.ask({ publish: ['orders.c1', seq] });
      await old.processed(10);
      old.ask({ flush: [] });
      await until(() => old.saves.includes(10));
      old.ask({ publish: ['orders.c1', 15] });
      await old.processed(15);
      const before = old.saves.length;
      await old.suspend({ flush: [], ...first });
      for (const seq of [5, 10, 15, 20]) browser.gateway.publish('orders.c1', seq);
      tab.page.show();
      await browser.clock.advance(3.9);
      await browser.quiet();
      assert.deepEqual([tab.client.isLeader, browser.net.dialled], [false, 0]);
      await browser.clock.advance(0.2);
      await until(() => tab.client.isLeader && browser.net.dialled === 1);
      await until(() => tab.seen.includes(20));
      await browser.later(() => browser.storage.position?.seq === 20);
      assert.deepEqual(browser.net.last?.sent[0].resume?.seq, 10);
      old.resume();
      await until(() => old.states.some(([state, isLeader]) => state === 'live' && !isLeader));
      await browser.later(() => old.seen.includes(20));
      old.ask(last);
      await browser.later(() => tab.client.state === 'live');
      browser.gateway.publish('orders.c1', 25);
      await browser.later(() => old.seen.includes(25) && browser.storage.position?.seq === 25);
      assert.deepEqual([old.seen, tab.seen.slice()], Array(2).fill([5, 10, 15, 20, 25]));
      assert.deepEqual([old.errors, tab.errors, tab.client.isLeader], [[], [], true]);
      assert.equal(old.saves.length, before, 'what it had to store is older than what is stored');
      assert.deepEqual(browser.gateway.complaints, []);
    },
  );
}

/** Locks as a browser's pages have them: each page is a client, and hears of a theft when it is `told`. */
function locksOf(clientId, holders, told = Promise.resolve()) {
  const { locks } = navigator;
  return {
    request: (name, how, work) => {
      const taken = locks.request(name, how, (lock) => {
        holders.set(name, clientId);
        return work(lock);
      });
      return taken.catch((error) => told.then(() => Promise.reject(error)));
    },
    query: async () => {
      const { held } = await locks.query();
      return { held: held.map((lock) => ({ ...lock, clientId: holders.get(lock.name) })) };
    },
  };
}

for (const how of ['close', 'goodbye']) {
  test(`a robbed leader that is told of it late asks who holds the lock: at its ${how}`, async (t) => {
    const browser = new Browser(t);
    const holders = new Map();
    let tell = () => {};
    const told = new Promise((resolve) => {
      tell = () => resolve(undefined);
    });
    const platform = { locks: locksOf('robbed', holders, told), BroadcastChannel, clock: browser.clock };
    const page = new FakePage();
    const tab = await browser.open('orders.>', { platform: { ...platform, page } });
    const [one] = await browser.publish('orders.c1');
    await browser.later(() => browser.storage.position?.seq === one);
    const [two] = await browser.publish('orders.c1');
    await silentLeader(t, browser, { steal: true }, locksOf('robber', holders));
    await tab.client.flush();
    if (how === 'goodbye') browser.net.last?.say({ type: 'goodbye', code: 4509, reconnect: false });
    browser.net.last?.hangUp(4509);
    await browser.quiet();
    assert.deepEqual([tab.client.isLeader, tab.client.state, tab.errors], [false, 'connecting', []]);
    assert.deepEqual([browser.storage.position?.seq, tab.states.includes('closed')], [one, false]);
    tell();
    await browser.quiet();
    await browser.later(() => tab.client.state === 'live');
    const [three] = await browser.publish('orders.c1');
    await browser.later(() => browser.storage.position?.seq === three);
    assert.deepEqual([tab.seen.slice(), tab.errors], [[one, two, three], []]);
    assert.deepEqual([browser.net.dialled, browser.gateway.complaints], [2, []]);
  });
}

test('a leader that answers after 3 s leads on', IN_THREADS, async (t) => {
  const browser = new Browser(t);
  const slow = await leader(t, browser);
  const tab = await browser.open();
  await slow.suspend();
  tab.page.show();
  await browser.clock.advance(3);
  assert.equal(browser.clock.armed, 1);
  slow.resume();
  await until(() => browser.clock.armed === 0);
  await browser.clock.advance(60);
  await browser.quiet();
  assert.deepEqual([tab.client.isLeader, tab.client.state, browser.net.dialled], [false, 'live', 0]);
  slow.ask({ publish: ['orders.c1', 5] });
  await until(() => tab.seen.length === 1);
});

test('a real takeover stops the leader, which was not robbed, and who follows it', IN_THREADS, async (t) => {
  for (const how of [{ close: 4509 }, { goodbye: 4509, close: 4509 }]) {
    const browser = new Browser(t);
    const first = await leader(t, browser);
    const tab = await browser.open();
    first.ask(how);
    assert.equal((await tab.seen.ended).name, 'TakenOver');
    await until(() => first.errors.length);
    await browser.clock.advance(60);
    await browser.quiet();
    assert.deepEqual([first.errors, browser.net.dialled], [['TakenOver'], 0]);
  }
});

test(
  'the new leader stops all tabs, the robbed one too, when the session is taken over elsewhere',
  IN_THREADS,
  async (t) => {
    const browser = new Browser(t);
    const old = await leader(t, browser);
    const tab = await browser.open();
    await old.suspend();
    tab.page.show();
    await browser.clock.advance(4);
    await browser.later(() => tab.client.isLeader && tab.client.state === 'live');
    old.resume();
    await until(() => old.states.some(([state, isLeader]) => state === 'live' && !isLeader));
    await browser.later(() => tab.client.state === 'live');
    browser.net.last?.hangUp(4509);
    await until(() => old.errors.length && tab.errors.length);
    assert.deepEqual([old.errors, tab.errorNames], [['TakenOver'], ['TakenOver']]);
  },
);

test('a tab that joins while the leader is suspended takes the lead when it is seen, and not when it is hidden', async (t) => {
  const browser = new Browser(t);
  await silentLeader(t, browser);
  const hidden = await join(browser);
  hidden.page.hide();
  await browser.clock.advance(60);
  await browser.quiet();
  assert.deepEqual([hidden.client.isLeader, browser.clock.armed], [false, 0]);
  hidden.page.show();
  await browser.clock.advance(4);
  await browser.later(() => hidden.client.state === 'live');
  const sequences = await browser.publish('orders.c1');
  assert.deepEqual([hidden.client.isLeader, hidden.seen, browser.net.dialled], [true, sequences, 1]);
});

test('where there is no page, a tab counts as seen', async (t) => {
  const browser = new Browser(t);
  await silentLeader(t, browser);
  const tab = await join(browser, { page: {} });
  await browser.clock.advance(4);
  await browser.later(() => tab.client.isLeader && tab.client.state === 'live');
});

test('a tab that was asleep itself asks again before it takes the lead', async (t) => {
  const browser = new Browser(t);
  await silentLeader(t, browser);
  const tab = await join(browser);
  browser.clock.sleep(100);
  await browser.clock.advance(3.9);
  await browser.quiet();
  assert.equal(tab.client.isLeader, false);
  await browser.clock.advance(0.1);
  await browser.later(() => tab.client.isLeader);
});

test('a tab takes the lead once in 30 s, and stands by when it is taken back', async (t) => {
  const browser = new Browser(t);
  await silentLeader(t, browser);
  const tab = await join(browser);
  await browser.clock.advance(4);
  await browser.later(() => tab.client.state === 'live');
  const [one] = await browser.publish('orders.c1');
  await silentLeader(t, browser, { steal: true });
  await until(() => !tab.client.isLeader);
  await browser.quiet();
  assert.deepEqual([tab.client.state, tab.client.failure, browser.net.alive], ['connecting', null, []]);
  await browser.clock.advance(25);
  await browser.quiet();
  assert.equal(tab.client.isLeader, false);
  const [two] = await browser.publish('orders.c1');
  await browser.later(() => tab.client.isLeader && tab.client.state === 'live');
  assert.deepEqual([tab.seen, browser.net.dialled, tab.welcomes.includes(null)], [[one, two], 2, false]);
});

test('what a robbed tab missed is replayed once: who leads later resumes from the stored position', async (t) => {
  const browser = new Browser(t);
  const first = await browser.open();
  const second = await browser.open();
  const [one] = await browser.publish('orders.c1');
  await browser.later(() => browser.storage.position?.seq === one);
  const name = `tidewire ${JSON.stringify([URL, 'shop anna', browser.session])}`;
  await navigator.locks.request(name, { steal: true }, () => {});
  await browser.later(() => second.client.isLeader && second.client.state === 'live');
  await browser.later(() => !first.client.isLeader && first.client.state === 'live');
  const [two] = await browser.publish('orders.c1');
  await browser.later(() => browser.storage.position?.seq === two);
  await second.client.close();
  await browser.later(() => first.client.isLeader && first.client.state === 'live');
  assert.equal(browser.net.last?.sent[0].resume?.seq, two);
  assert.deepEqual([first.seen.slice(), second.seen.slice()], Array(2).fill([one, two]));
});

test('two tabs that take the lead at once end with one that leads, and nothing is missing or comes twice', async (t) => {
  const browser = new Browser(t);
  await silentLeader(t, browser);
  const tabs = [await join(browser), await join(browser)];
  await browser.clock.advance(4);
  const isLive = () => tabs.every(({ client }) => client.state === 'live');
  await browser.later(isLive);
  const sequences = await browser.publish('orders.c1', 'orders.c2');
  await browser.later(() => tabs.every(({ seen }) => seen.length === 2));
  await browser.clock.advance(60);
  await browser.later(isLive);
  assert.deepEqual(
    tabs.map(({ seen }) => seen),
    [sequences, sequences],
  );
  assert.deepEqual([tabs.filter(({ client }) => client.isLeader).length, browser.net.alive.length], [1, 1]);
});

test('a leader that closes with nobody awake but a tab that is seen leaves it the lead', async (t) => {
  const browser = new Browser(t);
  const first = await browser.open();
  void silentLeader(t, browser); // next in the line
  await browser.quiet();
  const tab = await browser.open();
  await first.client.close();
  await browser.quiet();
  assert.equal(tab.client.isLeader, false);
  await browser.clock.advance(4);
  await browser.later(() => tab.client.isLeader && tab.client.state === 'live');
});
