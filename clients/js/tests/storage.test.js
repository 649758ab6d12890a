/** Where positions are kept: memory, key-value stores, IndexedDB, and whichever of them there is. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IDBFactory } from 'fake-indexeddb';

import { DefaultStorage, IndexedDbStorage, KeyValueStorage, MemoryStorage } from '../src/index.js';
import { Bench, collect } from './fakes/bench.js';
import { event } from './fakes/frames.js';
import { until } from './fakes/settle.js';

const SCOPE = { url: 'wss://g.example', user: 'shop anna', session: 'pixel-7' };
const OTHERS = [
  { ...SCOPE, url: 'wss://g.example/' },
  { ...SCOPE, user: 'shop bert' },
  { ...SCOPE, session: 'pixel-8' },
];
const POSITION = { stream: 'EVENTS:1', seq: 7 };

/** What `localStorage` does. */
function keyValue(rows = new Map()) {
  return {
    rows,
    getItem: (key) => rows.get(key) ?? null,
    setItem: (key, value) => void rows.set(key, value),
    removeItem: (key) => void rows.delete(key),
  };
}

/** Let there be this IndexedDB until the test ends. */
function give(t, indexedDB) {
  const before = Object.getOwnPropertyDescriptor(globalThis, 'indexedDB');
  Object.defineProperty(globalThis, 'indexedDB', { value: indexedDB, configurable: true, writable: true });
  t.after(() => {
    if (before) Object.defineProperty(globalThis, 'indexedDB', before);
    else delete globalThis.indexedDB;
  });
  return indexedDB;
}

/** Put any record in the place of the one that is kept. */
function overwrite(indexedDB, record) {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open('tidewire', 1);
    opening.onerror = reject;
    opening.onsuccess = () => {
      const transaction = opening.result.transaction('positions', 'readwrite');
      const store = transaction.objectStore('positions');
      store.getAllKeys().onsuccess = ({ target }) => store.put(record, target.result[0]);
      transaction.oncomplete = () => {
        opening.result.close();
        resolve(undefined);
      };
    };
  });
}

const promised = () => {
  const { rows, ...store } = keyValue();
  return Object.fromEntries(Object.entries(store).map(([name, call]) => [name, async (...given) => call(...given)]));
};

const KINDS = {
  MemoryStorage: () => new MemoryStorage(),
  'KeyValueStorage over a store without promises': () => new KeyValueStorage(keyValue()),
  'KeyValueStorage over a store with promises': () => new KeyValueStorage(/** @type {any} */ (promised())),
  IndexedDbStorage: (t) => {
    give(t, new IDBFactory());
    return new IndexedDbStorage();
  },
  DefaultStorage: (t) => {
    give(t, new IDBFactory());
    return new DefaultStorage();
  },
};

for (const [name, make] of Object.entries(KINDS)) {
  test(`${name} keeps one position for each scope, and forgets it`, async (t) => {
    const storage = make(t);
    assert.equal(await storage.load(SCOPE), null);
    await storage.save(SCOPE, { stream: 'EVENTS:1', seq: 1 });
    await storage.save(SCOPE, POSITION);
    assert.deepEqual(await storage.load(SCOPE), POSITION);
    for (const scope of OTHERS) assert.equal(await storage.load(scope), null);
    await storage.save(OTHERS[0], { stream: 'EVENTS:2', seq: 0 });
    await storage.save(SCOPE, null);
    assert.equal(await storage.load(SCOPE), null);
    assert.deepEqual(await storage.load(OTHERS[0]), { stream: 'EVENTS:2', seq: 0 });
  });
}

test('what is kept outlives the object that kept it', async (t) => {
  give(t, new IDBFactory());
  const store = keyValue();
  for (const make of [() => new KeyValueStorage(store), () => new IndexedDbStorage(), () => new DefaultStorage()]) {
    await make().save(SCOPE, POSITION);
    assert.deepEqual(await make().load(SCOPE), POSITION);
  }
});

test('two parts of a scope never run into each other', async () => {
  const storage = new KeyValueStorage(keyValue());
  await storage.save({ url: 'a', user: 'b","c', session: 'd' }, POSITION);
  assert.equal(await storage.load({ url: 'a","b', user: 'c', session: 'd' }), null);
});

const BROKEN = [
  '',
  '{',
  '7',
  '"text"',
  '[]',
  '{}',
  '{"stream":"EVENTS:1"}',
  '{"seq":7}',
  '{"stream":"","seq":7}',
  '{"stream":7,"seq":7}',
  '{"stream":"EVENTS:1","seq":"7"}',
  '{"stream":"EVENTS:1","seq":-1}',
  '{"stream":"EVENTS:1","seq":1.5}',
  '{"stream":"EVENTS:1","seq":9007199254740993}',
  '{"stream":"EVENTS:1","seq":null}',
];

test('a record that is no position is refused, also half of one', async () => {
  for (const text of BROKEN) {
    const store = { ...keyValue(), getItem: () => text };
    await assert.rejects(new KeyValueStorage(store).load(SCOPE), { name: 'StateUnavailable' }, text);
  }
});

test('a record in IndexedDB that is no position is refused', async (t) => {
  const indexedDB = give(t, new IDBFactory());
  const storage = new IndexedDbStorage();
  await storage.save(SCOPE, POSITION);
  for (const record of [7, 'text', {}, { stream: 'EVENTS:1' }, { stream: 'EVENTS:1', seq: Number.NaN }]) {
    await overwrite(indexedDB, record);
    await assert.rejects(storage.load(SCOPE), { name: 'StateUnavailable' }, JSON.stringify(record));
  }
});

test('a store that gives undefined for what it has not has nothing', async () => {
  for (const nothing of [undefined, null, 'null']) {
    const store = { ...keyValue(), getItem: async () => nothing };
    assert.equal(await new KeyValueStorage(store).load(SCOPE), null);
  }
});

test('a store that fails is a state that is not available, and its reason is kept', async () => {
  const cause = new Error('quota');
  const fail = () => {
    throw cause;
  };
  const storage = new KeyValueStorage({ getItem: fail, setItem: fail, removeItem: fail });
  await assert.rejects(storage.load(SCOPE), { name: 'StateUnavailable', cause });
  await assert.rejects(storage.save(SCOPE, POSITION), { name: 'StateUnavailable', cause });
  await assert.rejects(storage.save(SCOPE, null), { name: 'StateUnavailable', cause });
});

test('an IndexedDB that fails to open is a state that is not available, and is opened again next time', async (t) => {
  const real = new IDBFactory();
  let fails = 1;
  const open = (...given) => {
    if (fails-- > 0) throw new DOMException('blocked', 'SecurityError');
    return real.open(...given);
  };
  give(t, { open });
  const storage = new IndexedDbStorage();
  await assert.rejects(storage.load(SCOPE), { name: 'StateUnavailable' });
  await storage.save(SCOPE, POSITION);
  assert.deepEqual(await storage.load(SCOPE), POSITION);
});

test('a database that another page deletes is let go, and made anew', async (t) => {
  const indexedDB = give(t, new IDBFactory());
  const storage = new IndexedDbStorage();
  await storage.save(SCOPE, POSITION);
  await new Promise((resolve, reject) => {
    const deleting = indexedDB.deleteDatabase('tidewire');
    deleting.onsuccess = resolve;
    deleting.onerror = deleting.onblocked = reject;
  });
  assert.equal(await storage.load(SCOPE), null);
  await storage.save(SCOPE, POSITION);
  assert.deepEqual(await storage.load(SCOPE), POSITION);
});

test('a database that the browser closed is opened again', async (t) => {
  const indexedDB = give(t, new IDBFactory());
  const opened = [];
  const open = indexedDB.open.bind(indexedDB);
  indexedDB.open = (...given) => {
    const request = open(...given);
    request.addEventListener('success', () => opened.push(request.result));
    return request;
  };
  const storage = new IndexedDbStorage();
  await storage.save(SCOPE, POSITION);
  opened[0].close();
  opened[0].onclose(new Event('close')); // as when its files were cleared
  assert.deepEqual(await storage.load(SCOPE), POSITION);
  assert.equal(opened.length, 2);
});

test('databases of other names are others', async (t) => {
  give(t, new IDBFactory());
  await new IndexedDbStorage('shop').save(SCOPE, POSITION);
  assert.equal(await new IndexedDbStorage().load(SCOPE), null);
  assert.deepEqual(await new IndexedDbStorage('shop').load(SCOPE), POSITION);
});

test('where there is no IndexedDB, localStorage keeps the position', async (t) => {
  give(t, undefined);
  const localStorage = /** @type {any} */ (keyValue());
  await new DefaultStorage({ localStorage }).save(SCOPE, POSITION);
  assert.equal(localStorage.rows.size, 1);
  assert.deepEqual(await new DefaultStorage({ localStorage }).load(SCOPE), POSITION);
});

test('where there is neither, memory keeps it', async (t) => {
  give(t, undefined);
  const storage = new DefaultStorage({});
  await storage.save(SCOPE, POSITION);
  assert.deepEqual(await storage.load(SCOPE), POSITION);
  assert.equal(await new DefaultStorage({}).load(SCOPE), null);
});

test('where looking at localStorage throws, memory keeps it', async (t) => {
  give(t, undefined);
  const blocked = {
    get localStorage() {
      throw new DOMException('cookies are blocked', 'SecurityError');
    },
  };
  const storage = new DefaultStorage(/** @type {any} */ (blocked));
  await storage.save(SCOPE, POSITION);
  assert.deepEqual(await storage.load(SCOPE), POSITION);
});

test('an IndexedDB that fails gives way to localStorage, once and for all', async (t) => {
  let asked = 0;
  give(t, {
    open: () => {
      asked += 1;
      throw new DOMException('private window', 'InvalidStateError');
    },
  });
  const localStorage = /** @type {any} */ (keyValue());
  const storage = new DefaultStorage({ localStorage });
  await Promise.all([storage.load(SCOPE), storage.save(SCOPE, POSITION)]);
  assert.deepEqual(await storage.load(SCOPE), POSITION);
  assert.equal(asked, 1);
});

test('an IndexedDB that hangs gives way after 3 s', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  give(t, { open: () => ({}) });
  const localStorage = /** @type {any} */ (keyValue());
  let loaded = 'waits';
  const loading = new DefaultStorage({ localStorage }).load(SCOPE).then((position) => {
    loaded = String(position);
  });
  t.mock.timers.tick(2999);
  await until(() => true);
  assert.equal(loaded, 'waits');
  t.mock.timers.tick(1);
  await loading;
  assert.equal(loaded, 'null');
});

test('a client that is handed no storage keeps its position in IndexedDB', async (t) => {
  give(t, new IDBFactory());
  const { Client } = await import('../src/index.js');
  const first = new Bench(t);
  const make = () =>
    new Client('wss://g.example', {
      token: 'a.b.c',
      session: 'pixel-7',
      WebSocket: first.net.WebSocket,
      platform: { clock: first.clock, page: first.page },
    });
  const client = make();
  collect(client.subscribe('orders.>'));
  await until(() => first.net.last?.sent.length);
  await first.live(event(7));
  await client.close();
  const next = make();
  next.subscribe('orders.>');
  await until(() => first.net.sockets[1]?.sent.length);
  assert.deepEqual(first.net.sockets[1].sent[0].resume, { stream: 'EVENTS:1', seq: 7 });
  await next.close();
});
