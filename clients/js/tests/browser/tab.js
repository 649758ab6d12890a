/** Shell: one tab with the page: what it shows, what it keeps, what goes over its sockets, and what it complains of. */
import { until } from '../system/until.js';

/** Runs in the page before its own code: writes down each state, and what the page's policy forbids. */
export function watch() {
  const seen = { states: [], violations: [] };
  globalThis.seen = seen;
  document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) =>
    seen.violations.push(`${violatedDirective}: ${blockedURI}`),
  );
  document.addEventListener('DOMContentLoaded', () => {
    const state = document.getElementById('state');
    if (!state) return; // another page of the site
    const note = () => seen.states.at(-1) !== state.dataset.state && seen.states.push(state.dataset.state);
    note();
    new MutationObserver(note).observe(state, { attributeFilter: ['data-state'] });
  });
}

/** Runs in the page: everything in its databases, by database and store. */
async function readDatabases() {
  const answer = (request) =>
    new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  const kept = {};
  for (const { name } of await indexedDB.databases()) {
    const database = await answer(indexedDB.open(name));
    const stores = [...database.objectStoreNames];
    kept[name] = {};
    for (const store of stores) {
      const found = database.transaction(store).objectStore(store);
      const [keys, values] = await Promise.all([answer(found.getAllKeys()), answer(found.getAll())]);
      kept[name][store] = keys.map((key, n) => [key, values[n]]);
    }
    database.close();
  }
  return kept;
}

/** One tab. */
export class Tab {
  /** Every WebSocket that it opened. @type {{ isOpen: boolean, sent: (string | Buffer)[], received: (string | Buffer)[] }[]} */
  sockets = [];
  /** Errors, also those of the console, and violations of the page's policy. @type {string[]} */
  complaints = [];
  hasCrashed = false;

  /** @param {import('playwright-core').Page} page that has loaded nothing yet. */
  constructor(page) {
    this.page = page;
    page.on('websocket', (socket) => {
      const kept = { isOpen: true, sent: [], received: [] };
      this.sockets.push(kept);
      socket.on('framesent', ({ payload }) => kept.sent.push(payload));
      socket.on('framereceived', ({ payload }) => kept.received.push(payload));
      socket.on('close', () => {
        kept.isOpen = false;
      });
    });
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) this.complaints.push(message.text());
    });
    page.on('pageerror', (error) => this.complaints.push(String(error.stack)));
    page.on('crash', () => {
      this.hasCrashed = true;
    });
    page.on('dialog', (dialog) => {
      this.complaints.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
  }

  /** Open the page and wait until it is live. @param {string} address */
  async open(address) {
    await this.page.goto(address);
    await this.isLive();
    return this;
  }

  /** Press a button by the id that it has. @param {string} id */
  press(id) {
    return this.page.click(`#${id}`);
  }

  /** @param {string} id @param {string} name of the data attribute. */
  #data(id, name) {
    return this.page.evaluate(([id, name]) => document.getElementById(id).dataset[name], [id, name]);
  }

  /** The page's state: `connecting`, `replaying`, `live`, `waiting`, `closed` or `tunnel`. */
  state() {
    return this.#data('state', 'state');
  }

  /** Wait until the page shows this state. @param {string} state @param {number} [withinS] */
  async is(state, withinS) {
    await until(async () => (await this.state()) === state, withinS);
  }

  isLive() {
    return this.is('live');
  }

  /** Every state that the page has shown since it was loaded. @returns {Promise<string[]>} */
  states() {
    return this.page.evaluate(() => globalThis.seen.states);
  }

  /** What the badge says: events that wait for this session. */
  async waiting() {
    return Number(await this.#data('waiting', 'count'));
  }

  /** The book: processed events, orders that took a step twice, orders that left one out. */
  async ledger() {
    const { processed, repeats, skips, gaps } = await this.page.evaluate(() => ({
      ...document.getElementById('ledger').dataset,
    }));
    return { processed: Number(processed), repeats: Number(repeats), skips: Number(skips), gaps: Number(gaps) };
  }

  /** Wait, in the page itself, until so many events are processed. @param {number} count @param {number} [withinS] */
  async hasProcessed(count, withinS = 60) {
    await this.page.evaluate(
      ([count, withinS]) =>
        new Promise((resolve, reject) => {
          const { dataset } = document.getElementById('ledger');
          const look = () => Number(dataset.processed) >= count && resolve();
          new MutationObserver(look).observe(document.getElementById('ledger'), {
            attributeFilter: ['data-processed'],
          });
          look();
          const late = () => reject(new Error(`${dataset.processed} of ${count} are processed after ${withinS} s`));
          setTimeout(late, withinS * 1000);
        }),
      [count, withinS],
    );
  }

  /** The sequences that the log shows, in its order. @returns {Promise<number[]>} */
  log() {
    return this.page.$$eval('#log li', (lines) => lines.map(({ dataset }) => Number(dataset.seq)));
  }

  /** Wait until the log shows these sequences and no others, in this order. @param {number[]} seqs @param {number} [withinS] */
  async hasLogged(seqs, withinS) {
    let log = [];
    const isAll = async () => {
      log = await this.log();
      return log.join() === seqs.join();
    };
    await until(isAll, withinS).catch(() => {
      throw new Error(`the log shows [${log}] and not [${seqs}]`);
    });
  }

  /**
   * Do something in the page itself the moment that so many events are processed: no time passes in between.
   * @param {number} count
   * @param {string} act id of the button to press, or `reload`.
   */
  async once(count, act) {
    await this.page.evaluate(
      ([count, act]) => {
        const ledger = document.getElementById('ledger');
        const look = () => {
          if (Number(ledger.dataset.processed) < count) return;
          observer.disconnect();
          if (act === 'reload') location.reload();
          else document.getElementById(act).click();
        };
        const observer = new MutationObserver(look);
        observer.observe(ledger, { attributeFilter: ['data-processed'] });
        look();
      },
      [count, act],
    );
  }

  /** The session's log as this device keeps it, in the order of processing: number and sequence of each event. */
  async keptLog() {
    const session = await this.session();
    const databases = await this.databases();
    const [name] = Object.keys(databases).filter((each) => each.includes('board') && each.endsWith(` ${session}`));
    const entries = databases[name].log.map(([, entry]) => entry).sort((one, other) => one.n - other.n);
    return { numbers: entries.map(({ n }) => n), seqs: entries.map(({ seq }) => seq) };
  }

  /** The name of its session. @returns {Promise<string>} */
  session() {
    return this.page.locator('#session').textContent();
  }

  /** Everything in IndexedDB of the page's origin. @returns {Promise<Record<string, Record<string, [any, any][]>>>} */
  databases() {
    return this.page.evaluate(readDatabases);
  }

  /** Frames that went out on its sockets, oldest first, of one type. JSON only. @param {string} type */
  sent(type) {
    return framesIn(this.sockets.flatMap(({ sent }) => sent)).filter((frame) => frame.type === type);
  }

  /** Frames that came in, oldest first, of one type. JSON only. @param {string} type */
  received(type) {
    return framesIn(this.sockets.flatMap(({ received }) => received)).filter((frame) => frame.type === type);
  }
}

/** @param {(string | Buffer)[]} messages */
function framesIn(messages) {
  return messages.flatMap((message) => JSON.parse(String(message)));
}
