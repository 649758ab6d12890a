/** The recipes of the README, run as they are printed there. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { createContext, runInContext } from 'node:vm';
import { build } from 'esbuild';

import { HOUSE, recipeOf, replaced } from '../readme-code.js';
import { Program } from './program.js';
import { gateway } from './running.js';
import { clientOf } from './told.js';
import { until } from './until.js';

const { publisher } = gateway;
const URL_THERE = "'wss://gateway.example/v1/session'";
/** What the recipes leave to the reader's program. */
const READER = `
  const fetchToken = () => process.env.TOKEN;
  const reloadEverything = (gap) => { throw new Error(gap.reason); };
  const fetchOrders = async () => (await fetch(process.env.API)).json();
  const fetchKeys = async () => JSON.parse(process.env.KEYS);
  const show = (value) => console.log(JSON.stringify(value instanceof Map ? [...value.values()] : value));
  const keep = show;
`;

/**
 * Start a recipe as a program.
 * @param {string} recipe
 * @param {Record<string, string>} [environment]
 */
async function started(recipe, environment = {}) {
  const code = READER + replaced(recipe, URL_THERE, JSON.stringify(gateway.url));
  return new Program(code, { TOKEN: await gateway.token('c42'), ...environment });
}

/** Bundle code as an app's bundler does; modules of others come from `globalThis.modules`. @param {string} code */
async function bundled(code, options) {
  const foreign = {
    name: 'foreign',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^[^.]/ }, ({ path, kind }) =>
        kind === 'entry-point' || path.startsWith('@tidewire/') ? null : { path, namespace: 'foreign' },
      );
      onLoad({ filter: /.*/, namespace: 'foreign' }, ({ path }) => ({
        contents: `module.exports = globalThis.modules[${JSON.stringify(path)}]`,
      }));
    },
  };
  const stdin = { contents: code, loader: 'jsx', resolveDir: import.meta.dirname };
  const { outputFiles } = await build({ stdin, bundle: true, write: false, plugins: [foreign], ...options });
  return outputFiles[0].text;
}

test('the example in the README of the house runs', async () => {
  const example = replaced(recipeOf('A client', HOUSE), "'pixel-7'", "'house'");
  const program = await started(replaced(example, 'Client(url', `Client(${URL_THERE}`));
  try {
    await program.brings(async () => (await gateway.session('house'))?.phase === 'connected');
    await publisher.publishMany('orders.c42.o7', 2);
    await program.brings(() => program.lines.length === 2);
    assert.deepEqual(program.lines, ['{"n":0}', '{"n":1}']);
  } finally {
    await program.kill();
  }
});

test('the first recipe runs, and after a crash goes on where it was', async () => {
  const recipe = replaced(recipeOf('@tidewire/client'), "'pixel-7'", "'first-recipe'");
  let program = await started(recipe);
  try {
    await program.brings(async () => (await gateway.session('first-recipe'))?.phase === 'connected');
    const seqs = await publisher.publishMany('orders.c42.o7', 3);
    await program.brings(async () => (await gateway.session('first-recipe')).cursor === seqs.at(-1));
    await program.kill();
    const missed = await publisher.publishMany('orders.c42.o7', 2, 3);
    const { lines } = program;
    program = await started(recipe);
    await program.brings(() => program.lines.length === 2);
    assert.deepEqual(
      [...lines, ...program.lines],
      [...seqs, ...missed].map((seq, n) => `${seq} orders.c42.o7 { n: ${n} }`),
    );
  } finally {
    await program.kill();
  }
});

test('the recipe that loads a state and follows it has no hole, whatever happens while it loads', async () => {
  const orders = new Map([1, 2, 3].map((id) => [id, { id, revision: 1 }]));
  const move = async (id) => {
    orders.get(id).revision += 1; // write first, then publish
    await publisher.publish(`orders.c42.state.${id}`, orders.get(id));
  };
  const api = createServer(async (_, response) => {
    await move(1); // in the state that is loaded, and an event
    response.end(JSON.stringify([...orders.values()]));
    await move(2); // an event alone
    await move(1);
  }).listen(0, '127.0.0.1');
  await until(() => api.listening);
  await move(3); // in the state alone
  const program = await started(
    replaced(recipeOf('Load the state, then follow it'), 'orders.c42.>', 'orders.c42.state.>'),
    {
      API: `http://127.0.0.1:${api.address().port}/`,
    },
  );
  try {
    const wanted = [3, 2, 2];
    const revisions = () => program.lines.map((line) => JSON.parse(line).map(({ revision }) => revision));
    await program.brings(() => revisions().at(-1)?.join() === wanted.join());
    assert.deepEqual(revisions()[0], [2, 1, 2]);
    for (const [n, now] of revisions().slice(1).entries()) {
      assert.ok(
        now.every((revision, order) => revision >= revisions()[n][order]),
        'nothing goes back',
      );
    }
  } finally {
    await program.kill();
    api.close();
  }
});

test('the recipe with keys opens a sealed field, and what it keeps is sealed', async () => {
  const keys = JSON.stringify(await gateway.keys('c42'));
  const recipe = `import 'fake-indexeddb/auto';\n${replaced(recipeOf('Sealed fields'), "'pixel-7'", "'keys-recipe'")}`;
  const program = await started(replaced(recipe, 'orders.c42.>', 'orders.c42.o9'), { KEYS: keys });
  try {
    await program.brings(async () => (await gateway.session('keys-recipe'))?.phase === 'connected');
    await gateway.tidewire('publish', 'orders.c42.o9', '{"order": "o9", "address": "Mill Street 12"}');
    await program.brings(() => program.lines.length === 2);
    const [shown, kept] = program.lines.map((line) => JSON.parse(line));
    assert.equal(shown, 'Mill Street 12');
    assert.deepEqual(Object.keys(kept), ['order', '$sealed']);
  } finally {
    await program.kill();
  }
});

test('the recipe for React shows each event once, however often a component is mounted', async () => {
  const rendered = (type, props, ...children) => ({ type, props, children });
  const react = { useSyncExternalStore: (subscribe, snapshot) => subscribe && snapshot(), rendered };
  globalThis.modules = { react };
  const code = await bundled(`import { rendered } from 'react';\n${recipeOf('React')}`, {
    format: 'esm',
    jsx: 'transform',
    jsxFactory: 'rendered',
  });
  const { storeOf, Orders } = await import(`data:text/javascript,${encodeURIComponent(code)}`);
  const client = clientOf('react');
  const reduce = (orders, { data }) => ({ ...orders, [data.order]: data });
  const store = storeOf(client, 'orders.c42.react.>', reduce, {});
  let count = 0;
  const mount = () =>
    store.subscribe(() => {
      count += 1;
    });
  mount()(); // StrictMode mounts, unmounts and mounts again
  const unmount = mount();
  await until(() => client.state === 'live');
  for (const status of ['placed', 'paid']) {
    await publisher.publish('orders.c42.react.o1', { order: 'o1', status });
  }
  await until(() => count === 2);
  assert.deepEqual(Orders({ store }), [rendered('li', { key: 'o1' }, 'o1: paid')]);
  unmount();
  await publisher.publish('orders.c42.react.o2', { order: 'o2', status: 'placed' });
  await until(() => Orders({ store }).length === 2); // seen when it is mounted again
  assert.equal(count, 2);
});

/** An app in an engine that has what Hermes has. @param {Map<string, string>} kept what AsyncStorage holds. */
async function phoneApp(kept) {
  const code = replaced(recipeOf('React Native'), URL_THERE, JSON.stringify(gateway.url));
  const events = {};
  const addEventListener = (name, listener) => {
    events[typeof name === 'string' ? name : 'network'] = listener ?? name;
  };
  const AsyncStorage = {
    getItem: async (key) => kept.get(key) ?? null,
    setItem: async (key, value) => void kept.set(key, value),
    removeItem: async (key) => void kept.delete(key),
  };
  const sent = [];
  class Recording extends WebSocket {
    send(text) {
      sent.push(JSON.parse(text).type);
      super.send(text);
    }
  }
  const shown = [];
  const token = await gateway.token('c42');
  const modules = {
    '@react-native-async-storage/async-storage': AsyncStorage,
    '@react-native-community/netinfo': { addEventListener },
    'react-native': { AppState: { addEventListener } },
  };
  const app = createContext({
    ...{ setTimeout, clearTimeout, performance, atob, TextEncoder, console, queueMicrotask, WebSocket: Recording },
    ...{ modules, fetchToken: () => token, deviceName: 'phone', show: async ({ n }) => shown.push(n) },
  });
  const define = { 'Symbol.asyncIterator': 'undefined' };
  runInContext(await bundled(`${code}\nglobalThis.client = client;`, { format: 'iife', define }), app);
  return { client: app.client, events, shown, sent };
}

test('the recipe for React Native runs with what Hermes has, keeps its position, and wakes up', async () => {
  const kept = new Map();
  let app = await phoneApp(kept);
  try {
    await until(() => app.client.state === 'live');
    await publisher.publishMany('orders.c42.phone.o1', 2);
    await until(() => app.shown.length === 2);
    app.events.change('background');
    await until(() => kept.size);
    const [position] = [...kept.values()].map((text) => JSON.parse(text));
    assert.deepEqual(position, { ...app.client.position });
    app.events.change('active');
    app.events.network({ isConnected: true });
    assert.deepEqual(app.sent.slice(-2), ['ping', 'ping']);
    await app.client.close();
    await publisher.publishMany('orders.c42.phone.o1', 1, 2);
    app = await phoneApp(kept);
    await until(() => app.shown.length);
    assert.deepEqual(app.shown, [2]);
    assert.equal(app.client.welcome.outcome, 'resumed');
  } finally {
    await app.client.close();
  }
});
