/** Tabs that come and go while links break: each one that stays gets each of its events once, in order. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import '../src/tabs.js'; // else loaded on need, which takes its time
import { matches } from '../src/patterns.js';
import { Browser } from './fakes/browser.js';
import { drawing } from './fakes/drawing.js';
import { URL } from './fakes/frames.js';
import { until } from './fakes/settle.js';

const STEPS = 150;
const TABS = 4;
const SUBJECTS = ['orders.c1', 'orders.c2', 'stock.s1', 'carts.k1'];
const PATTERNS = ['orders.>', 'stock.>', ['orders.c1', 'carts.*'], 'orders.c2'];
const CODES = [1001, 1006, 4001, 4003, 4004, 4006];

/** A promise and what resolves it. */
function door() {
  let open = () => {};
  const opened = new Promise((resolve) => {
    open = () => resolve(undefined);
  });
  return { opened, open };
}

/** A slow tab is slow no more. */
function go(tab) {
  tab.waits?.open();
  tab.waits = null;
}

for (let seed = 1; seed <= 40; seed++) {
  const isRobbed = seed > 20;
  const those = isRobbed ? 'and rob each other of the lead' : 'one socket';
  test(`tabs that come and go: ${those}, nothing missing, nothing twice (seed ${seed})`, async (t) => {
    const draw = drawing(seed);
    const any = (list) => list[Math.floor(draw() * list.length)];
    const browser = new Browser(t);
    const { gateway, net, storage, clock } = browser;
    const tabs = [];
    const isLive = () => tabs.every(({ client }) => client.state === 'live');
    /** The link lives, and not only by its looks. */
    const heal = async () => {
      await browser.later(isLive, 120);
      tabs[0].client.wake();
      await browser.quiet();
      await clock.advance(5);
      await browser.later(isLive, 120);
    };
    const open = async () => {
      if (tabs.length) await heal(); // a new pattern begins with what follows
      // a robbed tab that has patterns of its own misses what came meanwhile
      const patterns = isRobbed ? PATTERNS[seed % PATTERNS.length] : any(PATTERNS);
      const tab = Object.assign(browser.tab({ random: draw }), { seen: [], waits: null, patterns: [patterns].flat() });
      const events = tab.client.subscribe(patterns);
      void (async () => {
        for await (const { seq } of events) {
          tab.seen.push(seq);
          await tab.waits?.opened; // slow: its event is in hand, and others wait
        }
      })();
      await until(() => tab.client.welcome !== null, 'a tab knows the welcome');
      await browser.quiet();
      tabs.push(Object.assign(tab, { since: gateway.lastSeq }));
    };
    const due = ({ patterns, since }) =>
      gateway.log
        .filter(({ seq, subject }) => seq > since && patterns.some((pattern) => matches(pattern, subject)))
        .map(({ seq }) => seq);
    await open();
    const actions = {
      publish: () => browser.publish(...Array.from({ length: 5 }, () => any(SUBJECTS))),
      publishUnseen: () => void gateway.publish(any(SUBJECTS)),
      open: () => tabs.length < TABS && open(),
      close: () => tabs.length > 1 && tabs.splice(Math.floor(draw() * tabs.length), 1)[0].client.close(),
      closeUnseen: () => tabs.length > 1 && void tabs.splice(Math.floor(draw() * tabs.length), 1)[0].client.close(),
      closeLeader: () => {
        const at = tabs.findIndex(({ client }) => client.isLeader);
        return tabs.length > 1 && at >= 0 && tabs.splice(at, 1)[0].client.close();
      },
      cut: () => net.last?.hangUp(any(CODES)),
      vanish: () => net.last?.vanish(),
      slowStorage: () => storage.hold(),
      storage: () => storage.release(),
      wake: () => any(tabs).page.show(),
      slowTab: () => {
        any(tabs).waits ??= door();
      },
      quickTab: () => go(any(tabs)),
      hide: () => any(tabs).page.hide(),
      wait: () => clock.advance(any([0.1, 0.3, 2, 40])),
      quiet: () => browser.quiet(),
    };
    if (isRobbed) {
      const { locks } = navigator;
      const name = `tidewire ${JSON.stringify([URL, 'shop anna', browser.session])}`;
      actions.rob = () => locks.request(name, { steal: true }, () => {}).catch(() => {});
    }
    for (let step = 0; step < STEPS; step++) {
      const name = any(Object.keys(actions));
      if (name.startsWith('close') || name === 'open') storage.release(); // closing waits for it
      await actions[name]();
      const place = `step ${step}: ${name}`;
      assert.ok(isRobbed || net.alive.length <= 1, `${place}: ${net.alive.length} sockets`);
      assert.ok(clock.armed <= tabs.length, `${place}: ${clock.armed} timers`);
      for (const { client } of tabs) assert.equal(client.failure, null, `${place}: ${client.failure}`);
    }
    storage.release();
    tabs.forEach(go);
    await heal();
    await browser.publish(...SUBJECTS);
    for (const tab of tabs) {
      const { seen, since, patterns } = tab;
      assert.ok(
        seen.every((seq, at) => !at || seq > seen[at - 1]),
        `in order, once: ${seen}`,
      );
      assert.deepEqual(
        seen.filter((seq) => seq > since),
        due(tab),
        patterns.join(' '),
      );
    }
    assert.deepEqual(tabs.filter(({ client }) => client.isLeader).length, 1);
    const last = Math.max(...tabs.map((tab) => due(tab).at(-1)));
    await browser.later(() => gateway.session.cursor >= last && storage.position?.seq >= last);
    assert.equal(net.alive.length, 1);
    assert.deepEqual(gateway.complaints, []);
  });
}
