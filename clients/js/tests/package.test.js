/** What npm would publish: its files, its types, and that programs of every kind can use it as it is installed. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build, transform } from 'esbuild';

import { blocksOf } from './readme-code.js';

const run = promisify(execFile);
const PACKAGE = fileURLToPath(new URL('..', import.meta.url));
const SOURCES = readdirSync(join(PACKAGE, 'src')).map((name) => [
  name,
  readFileSync(join(PACKAGE, 'src', name), 'utf8'),
]);
const TSC = join(PACKAGE, 'node_modules/typescript/bin/tsc');
/** A project of a reader that has installed the package. */
const project = mkdtempSync(join(tmpdir(), 'tidewire-js-'));
/** What `npm pack` says it has packed. @type {{ filename: string, files: { path: string }[] }} */
let packed;

/** What a command prints; what it says when it fails is the message. */
async function output(command, words, cwd) {
  try {
    return (await run(command, words, { cwd })).stdout;
  } catch (error) {
    throw new Error(`${error.stdout}${error.stderr}`, { cause: error });
  }
}

before(async () => {
  const words = ['pack', '--json', '--loglevel=error', '--pack-destination', project];
  [packed] = JSON.parse((await output('npm', words, PACKAGE)).replace(/^[^[]*(?=\[\s*\{)/, ''));
  writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }');
  const quiet = ['--offline', '--no-package-lock', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  await output('npm', ['install', ...quiet, join(project, packed.filename)], project);
});

after(() => rmSync(project, { recursive: true }));

test('the package holds its sources, their types, the README and the licence, and nothing else', () => {
  const wanted = SOURCES.flatMap(([name]) => [`src/${name}`, `types/${name.replace(/\.js$/, '.d.ts')}`]);
  const others = ['LICENSE', 'README.md', 'package.json'];
  assert.deepEqual(packed.files.map(({ path }) => path).sort(), [...wanted, ...others].sort());
});

test('every source runs in a browser as it is: relative imports alone, nothing of Node, no code from text', async () => {
  for (const [name, source] of SOURCES) {
    const { metafile } = await build({
      stdin: { contents: source, resolveDir: join(PACKAGE, 'src'), sourcefile: name },
      ...{ bundle: true, external: ['*'], write: false, metafile: true, format: 'esm' },
    });
    for (const { path } of Object.values(metafile.inputs)[0].imports) {
      assert.ok(
        SOURCES.some(([other]) => path === `./${other}`),
        `${name} imports ${path}`,
      );
    }
    const { code } = await transform(source, { minifyWhitespace: true }); // without its comments
    assert.doesNotMatch(code, /\b(?:Buffer|require|global|eval|Function)\b|(?<!\.)\bprocess[.[]/, name);
  }
});

/** A program that uses what the README tells of, and is wrong where it says so. */
const CONSUMER = `
import { Client, type ClientOptions, Forbidden, type Gap, KeyValueStorage, MemoryStorage, type Position, Sealed,
  type Storage, TakenOver, Unauthorized, type Welcome } from '@tidewire/client';
import { DeviceKeys, WrongKeys } from '@tidewire/client/sealed';
import { Msgpack } from '@tidewire/client/msgpack';

interface Order { order: string; revision: number }

class Kept implements Storage {
  async load({ url, user, session }: { url: string; user: string; session: string }): Promise<Position | null> {
    return url && user && session ? { stream: 'EVENTS:1', seq: 1 } : null;
  }
  async save(): Promise<void> {}
}

const keys = await DeviceKeys.load('c42') ?? await DeviceKeys.from({ keys: [] }, { tenant: 'acme' });
const options: ClientOptions = {
  getToken: async () => { throw new Unauthorized(); },
  session: 'pixel-7', storage: new Kept(), keys, window: { messages: 10 }, encoding: 'msgpack',
  backoff: { maxS: 5 }, tabs: false, WebSocket,
};
const client = new Client('wss://gateway.example/v1/session', options);
new Client('wss://gateway.example/v1/session', { token: 'jwt', session: 'a', storage: new KeyValueStorage(localStorage) });

const remove: () => void = client.on('gap', async ({ after, before, reason, subjects }: Gap) => {
  console.log(after + before, reason.length, subjects?.length);
});
client.on('live', (seq) => seq.toFixed());
client.on('state', (state) => state === 'replaying');
client.on('welcome', (welcome: Welcome) => welcome.outcome === 'resumed' && welcome.pending?.toFixed());
client.on('error', (error) => error instanceof TakenOver && error.code?.toFixed());
client.on('event', async (event) => event.ack());
const position: Position | null = client.position;
const failure: Error | null = client.failure;

const orders = client.subscribe<Order>(['orders.c42.>'], { ack: 'manual' });
for await (const event of orders) {
  const revision: number = event.data.revision;
  const shut: Sealed | undefined = event.sealed['contact'];
  console.log(event.seq + revision, event.id?.length, shut?.reason, event.opened.length, event.headers);
  await event.ack();
  // @ts-expect-error: an order has none
  event.data.address;
}
for await (const { data } of client.subscribe('orders.c42.>')) console.log(data.whatever);
orders.unsubscribe();
remove();
client.wake();
await client.flush();
await client.close();
new MemoryStorage(); Msgpack.subprotocol; new Forbidden('no').subjects.length; WrongKeys.name; position?.seq; failure?.message;

// @ts-expect-error: a session has a name
new Client('wss://gateway.example/v1/session', { token: 'jwt' });
// @ts-expect-error: a token is a text
new Client('wss://gateway.example/v1/session', { session: 'a', getToken: () => 7 });
// @ts-expect-error: there is no such encoding
new Client('wss://gateway.example/v1/session', { session: 'a', token: 'jwt', encoding: 'xml' });
// @ts-expect-error: there is no such option
new Client('wss://gateway.example/v1/session', { session: 'a', token: 'jwt', sesion: 'b' });
// @ts-expect-error: there is no such event
client.on('gone', () => {});
// @ts-expect-error: a sequence is no text
client.on('live', (seq: string) => seq);
// @ts-expect-error: there is no such state
client.state === 'open';
// @ts-expect-error: the state is the client's own
client.state = 'live';
// @ts-expect-error: there is no such way
client.subscribe('orders.>', { ack: 'never' });
// @ts-expect-error: a storage loads and saves
new Client('wss://gateway.example/v1/session', { session: 'a', token: 'jwt', storage: new Map() });
`;

test('its types hold for a strict TypeScript program, with a bundler and in Node, and find what is wrong', async () => {
  writeFileSync(join(project, 'consumer.ts'), CONSUMER);
  const printed = blocksOf('ts').map((code, n) => {
    writeFileSync(join(project, `printed-${n}.ts`), code);
    return `printed-${n}.ts`;
  });
  const strict = [
    '--strict',
    '--noEmit',
    '--target',
    'es2022',
    '--noUncheckedIndexedAccess',
    '--exactOptionalPropertyTypes',
  ];
  for (const [module, moduleResolution] of [
    ['esnext', 'bundler'],
    ['nodenext', 'nodenext'],
  ]) {
    const how = ['--module', module, '--moduleResolution', moduleResolution, '--types', ''];
    await output(process.execPath, [TSC, ...strict, ...how, 'consumer.ts', ...printed], project);
  }
});

test('its types do no harm where there is no DOM, as in React Native', async () => {
  const code = `import { Client } from '@tidewire/client';
    const client = new Client('wss://gateway.example/v1/session', { token: 'jwt', session: 'a' });
    client.on('live', (seq) => seq.toFixed());
    // @ts-expect-error: a session has a name
    new Client('wss://gateway.example/v1/session', { token: 'jwt' });`;
  writeFileSync(join(project, 'native.ts'), code);
  const native = [
    '--lib',
    'es2022',
    '--types',
    '',
    '--skipLibCheck',
    '--module',
    'esnext',
    '--moduleResolution',
    'bundler',
  ];
  await output(process.execPath, [TSC, '--strict', '--noEmit', ...native, 'native.ts'], project);
});

test('a bundler makes a page of it, and leaves on need alone what is needed by some', async () => {
  const contents = "import { Client } from '@tidewire/client'; console.log(Client);";
  const { outputFiles, metafile } = await build({
    stdin: { contents, resolveDir: project },
    ...{ bundle: true, splitting: true, format: 'esm', outdir: 'out', write: false, metafile: true, logLevel: 'error' },
  });
  const entry = Object.entries(metafile.outputs).find(([, { entryPoint }]) => entryPoint === '<stdin>');
  const loaded = new Set();
  const load = ([path, { inputs, imports }]) => {
    for (const input of Object.keys(inputs)) loaded.add(input.split('/').at(-1));
    for (const { path: other, kind } of imports) {
      if (kind === 'import-statement' && other !== path) load([other, metafile.outputs[other]]);
    }
  };
  load(entry);
  assert.ok(loaded.has('core.js') && outputFiles.length > 1);
  for (const name of ['tabs.js', 'msgpack.js', 'keys.js', 'sealed.js']) assert.ok(!loaded.has(name), name);
});

test('Node imports it, each entry by its name', async () => {
  const code = `
    import { Client } from '@tidewire/client';
    import { DeviceKeys } from '@tidewire/client/sealed';
    import { Msgpack } from '@tidewire/client/msgpack';
    import own from '@tidewire/client/package.json' with { type: 'json' };
    console.log(Client.name, DeviceKeys.name, Msgpack.subprotocol, own.name);`;
  const printed = await output(process.execPath, ['--input-type=module', '--eval', code], project);
  assert.equal(printed.trim(), 'Client DeviceKeys tidewire.v1.msgpack @tidewire/client');
});
