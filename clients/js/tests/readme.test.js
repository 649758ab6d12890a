/** The README says what is so, as far as a program can tell. Its recipes are run in tests/system/recipes.js. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { transform } from 'esbuild';

import * as client from '../src/index.js';
import { WrongKeys } from '../src/keys.js';
import { blocksOf, README } from './readme-code.js';

/** What stands under a heading. @param {string} heading */
const section = (heading) => README.split(`\n## ${heading}\n`)[1].split('\n## ')[0];

test('every piece of code is JavaScript, JSX or TypeScript', async () => {
  const pages = blocksOf('html').map((page) => /<script type="module">(.*)<\/script>/s.exec(page)[1]);
  assert.deepEqual([blocksOf('js').length, blocksOf('jsx').length, blocksOf('ts').length, pages.length], [4, 1, 1, 1]);
  for (const loader of ['js', 'jsx', 'ts']) {
    for (const code of blocksOf(loader)) await transform(code, { loader, format: 'esm', jsx: 'automatic' });
  }
  for (const code of pages) await transform(code, { loader: 'js', format: 'esm' });
});

test('every error that a program can meet is told of', () => {
  const errors = Object.entries({ ...client, WrongKeys }).filter(([, value]) => value.prototype instanceof Error);
  const roots = ['ClientError', 'ClientStopped', 'ClientClosed']; // the last is the program's own doing
  const named = new Set(section('What is thrown, what is told').match(/`[A-Z]\w+`/g));
  for (const [name] of errors) assert.equal(named.has(`\`${name}\``), !roots.includes(name), name);
});

test('every option, listener and member of a client is told of', () => {
  const source = readFileSync(new URL('../src/client.js', import.meta.url), 'utf8');
  const options = [
    ...source
      .split('ClientOptions\n')[1]
      .split('*/')[0]
      .matchAll(/@property .*? \[?(\w+)\]? [A-Z`]/g),
  ];
  const names = options.map(([, name]) => name).filter((name) => name !== 'platform');
  assert.ok(names.includes('getToken') && names.includes('tabs') && names.length > 8, String(names));
  const listeners = ['event', 'gap', 'live', 'welcome', 'state', 'error'];
  const text = section('What there is');
  for (const name of [...names, ...listeners]) assert.match(text, new RegExp(`\`${name}\``), name);
  for (const name of Object.getOwnPropertyNames(client.Client.prototype)) {
    if (name !== 'constructor') assert.match(text, new RegExp(`client\\.${name}\\b`), name);
  }
});

test('every module is told of, and no other', () => {
  const built = README.split('\n## How it is built\n')[1];
  const named = new Set([...built.matchAll(/`([\w-]+\.js)`/g)].map(([, name]) => name));
  for (const name of named) assert.ok(existsSync(new URL(`../src/${name}`, import.meta.url)), name);
  // what others stand on, and what is only types
  const small = ['base64.js', 'effects.js', 'index.js', 'timers.js'];
  for (const name of readdirSync(new URL('../src', import.meta.url))) {
    assert.equal(named.has(name), !small.includes(name), name);
  }
});

test('the sizes that are promised are those that are checked', () => {
  const checked = readFileSync(new URL('../scripts/size.js', import.meta.url), 'utf8');
  const most = [...checked.matchAll(/\b(\d\d)_(\d{3}),/g)].map(([, thousands, rest]) => {
    const bytes = Number(thousands + rest);
    return bytes % 1024 ? `${bytes / 1000} kB` : `${bytes / 1024} KiB`;
  });
  assert.equal(most.length, 3);
  const promised = section('Limits and sizes').match(/\d+ (kB|KiB)/g);
  assert.deepEqual(promised, most);
  assert.ok(README.split('\n```')[0].includes(`at most ${most[0]}`));
});
