/** A browser with several tabs: real locks and channels, one storage, one gateway. */

import { Worker } from 'node:worker_threads';

import { Bench, collect } from './bench.js';
import { FakeClock } from './clock.js';
import { Gateway } from './gateway.js';
import { Net } from './net.js';
import { settle, until } from './settle.js';
import { FakeStorage } from './storage.js';

let sessions = 0;

export class Browser {
  net = new Net();
  gateway = new Gateway(this.net);
  storage = new FakeStorage();
  clock = new FakeClock();

  /** @param {import('node:test').TestContext} t */
  constructor(t) {
    this.#t = t;
    sessions += 1;
    /** Locks are the whole process's: each test has a session of its own. */
    this.session = `tabs-${process.pid}-${sessions}`;
  }

  #t;

  /** A new tab, which need not have subscribed yet. */
  tab(options = {}) {
    const { net, storage, clock, session } = this;
    const platform = { locks: navigator.locks, BroadcastChannel };
    return new Bench(this.#t, { net, storage, clock, session, platform, ...options });
  }

  /** A tab with a loop over these patterns, once it leads or follows a leader. */
  async open(patterns = 'orders.>', options = {}) {
    const tab = this.tab(options);
    tab.seen = collect(tab.client.subscribe(patterns));
    await until(() => tab.client.welcome !== null, 'a tab knows the welcome');
    await this.quiet();
    return tab;
  }

  /** What tabs have posted to each other has come, and what follows from it. */
  async quiet() {
    await settle(12);
  }

  /** Let time pass until `isSo`. */
  async later(isSo, seconds = 60) {
    for (let passed = 0; passed < seconds; passed += 0.25) {
      await this.quiet();
      if (isSo()) return;
      await this.clock.advance(0.25);
    }
    throw new Error(`not within ${seconds} s: ${isSo}`);
  }

  /** Publish to each of these subjects in turn, and let it come. */
  async publish(...subjects) {
    const sequences = subjects.map((subject) => this.gateway.publish(subject));
    await this.quiet();
    return sequences;
  }
}

/** Start a tab in a thread of its own, which can crash. @param {{ session: string, patterns?: string[] }} workerData */
export function startTab(t, workerData) {
  const worker = new Worker(new URL('./tab-worker.js', import.meta.url), { workerData });
  t.after(() => worker.terminate());
  return worker;
}

/** End a thread as a crash does. Node looks at who waits for its locks when the next request comes, browsers at once. */
export async function crash(worker) {
  await worker.terminate();
  await navigator.locks.request('of nobody', () => {});
}
