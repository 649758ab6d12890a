/** The keys of a device: taken over, kept in IndexedDB, wiped, and never shown. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { beforeEach, test } from 'node:test';
import { inspect } from 'node:util';
import { IDBFactory } from 'fake-indexeddb';

import { ClientError } from '../src/errors.js';
import { DeviceKeys, WrongKeys } from '../src/keys.js';
import { openDatabase } from '../src/storage.js';

const VECTORS = new URL('../../../tests/vectors/sealed.json', import.meta.url);
const [{ data: DATA, expect: EXPECT, keys: JWKS, subject, message_id: id }] = JSON.parse(
  readFileSync(VECTORS, 'utf8'),
).vectors;
const [KEY] = JWKS.keys;
const { subtle } = globalThis.crypto;
const SHUT = { contact: 'no_key', health: 'no_key' };

beforeEach(() => {
  globalThis.indexedDB = new IDBFactory();
});

const open = (keys) => keys.open(DATA, { subject, id });

/** What IndexedDB keeps under a name. */
async function kept(store) {
  const database = await openDatabase('tidewire-keys', 'keys', () => {});
  const request = database.transaction('keys').objectStore('keys').get(store);
  await new Promise((resolve) => {
    request.onsuccess = resolve;
  });
  database.close();
  return request.result;
}

/** Run with another value of a global; undefined takes it away. */
async function withGlobal(name, value, work) {
  const own = Object.getOwnPropertyDescriptor(globalThis, name);
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  try {
    await work();
  } finally {
    Object.defineProperty(globalThis, name, own);
  }
}

test('keys are taken over from a JWK Set, parsed or as text', async () => {
  for (const jwks of [JWKS, JSON.stringify(JWKS)]) {
    const keys = await DeviceKeys.from(jwks);
    assert.equal(keys.size, JWKS.keys.length);
    assert.deepEqual(await open(keys), EXPECT);
  }
});

test('keys of another tenant than the given one do not count', async () => {
  const keys = await DeviceKeys.from(JWKS, { tenant: 'globex' });
  assert.deepEqual((await open(keys)).shut, { contact: 'key_scope', health: 'key_scope' });
});

for (const [jwks, text] of [
  ['[', 'keys: is no JSON in UTF-8'],
  [`{"keys":[{"k":"${KEY.k}"`, 'keys: is no JSON in UTF-8'],
  [null, 'keys: is no JWK Set: it has no list of keys'],
  ['[]', 'keys: is no JWK Set: it has no list of keys'],
  [{ keys: {} }, 'keys: is no JWK Set: it has no list of keys'],
  [{ keys: [1] }, 'keys: keys[0]: is no oct key with "alg": "A256GCM"'],
  [{ keys: [null] }, 'keys: keys[0]: is no oct key with "alg": "A256GCM"'],
  [{ keys: [{ ...KEY, alg: 'A128GCM' }] }, 'keys: keys[0]: is no oct key with "alg": "A256GCM"'],
  [{ keys: [KEY, { ...KEY, kty: 'RSA' }] }, 'keys: keys[1]: is no oct key with "alg": "A256GCM"'],
  [{ keys: [{ ...KEY, kid: 'a b' }] }, 'keys: keys[0].kid: is not 1 to 128 of A-Za-z0-9_-'],
  [{ keys: [{ ...KEY, kid: 'x'.repeat(129) }] }, 'keys: keys[0].kid: is not 1 to 128 of A-Za-z0-9_-'],
  [{ keys: [{ ...KEY, kid: 'x\n' }] }, 'keys: keys[0].kid: is not 1 to 128 of A-Za-z0-9_-'],
  [{ keys: [{ ...KEY, tidewire_class: 1 }] }, 'keys: keys[0].tidewire_class: is not 1 to 128 of A-Za-z0-9_-'],
  [{ keys: [{ ...KEY, tidewire_tenant: '' }] }, 'keys: keys[0].tidewire_tenant: is not 1 to 128 of A-Za-z0-9_-'],
  [{ keys: [{ ...KEY, k: 'AAAA' }] }, 'keys: keys[0].k: is not 32 bytes in base64url'],
  [{ keys: [{ ...KEY, k: `${KEY.k}=` }] }, 'keys: keys[0].k: is not 32 bytes in base64url'],
  [{ keys: [{ ...KEY, k: `${KEY.k.slice(0, -1)}B` }] }, 'keys: keys[0].k: is not 32 bytes in base64url'],
  [{ keys: [{ ...KEY, k: undefined }] }, 'keys: keys[0].k: is not 32 bytes in base64url'],
  [{ keys: [KEY, KEY] }, 'keys: a kid is there twice'],
]) {
  test(`wrong keys are refused by place and never quoted: ${text} (${JSON.stringify(jwks).slice(0, 24)})`, async () => {
    await assert.rejects(DeviceKeys.from(jwks), (error) => {
      assert.ok(error instanceof WrongKeys && error instanceof ClientError);
      assert.deepEqual([error.name, error.message], ['WrongKeys', text]);
      return !inspect(error).includes(KEY.k);
    });
  });
}

test('a key can only decrypt, cannot leave WebCrypto, and its bytes are cleared at once', async () => {
  const taken = [];
  const spy = {
    importKey: async (...args) => {
      const key = await subtle.importKey(...args);
      taken.push({ args, key });
      return key;
    },
    decrypt: (...args) => subtle.decrypt(...args),
  };
  assert.deepEqual(await open(await DeviceKeys.from(JWKS, { subtle: spy })), EXPECT);
  assert.equal(taken.length, JWKS.keys.length);
  for (const { args, key } of taken) {
    assert.deepEqual(args.slice(2), ['AES-GCM', false, ['decrypt']]);
    assert.deepEqual([...args[1]], Array(32).fill(0));
    assert.deepEqual([key.extractable, key.usages], [false, ['decrypt']]);
    for (const format of ['raw', 'jwk']) await assert.rejects(subtle.exportKey(format, key), /not extractable/);
    await assert.rejects(subtle.encrypt({ name: 'AES-GCM', iv: new Uint8Array(12) }, key, new Uint8Array(1)));
  }
});

test('where there is no crypto.subtle one can be handed in, else this is said', async () => {
  await DeviceKeys.import(JWKS, { store: 'me' });
  await withGlobal('crypto', undefined, async () => {
    const said = { name: 'WrongKeys', message: /no crypto\.subtle here/ };
    await assert.rejects(DeviceKeys.from(JWKS), said);
    await assert.rejects(DeviceKeys.load('me'), said);
    assert.deepEqual(await open(await DeviceKeys.from(JWKS, { subtle })), EXPECT);
    assert.deepEqual(await open(await DeviceKeys.load('me', { subtle })), EXPECT);
  });
});

test('what WebCrypto refuses to take is said as wrong keys', async () => {
  const refusing = { importKey: () => Promise.reject(new Error('no AES here')), decrypt: subtle.decrypt };
  await assert.rejects(DeviceKeys.from(JWKS, { subtle: refusing }), { name: 'WrongKeys' });
});

test('imported keys come back in the next run, with their tenant', async () => {
  assert.deepEqual(await open(await DeviceKeys.import(JWKS, { store: 'me', tenant: 'acme' })), EXPECT);
  const loaded = await DeviceKeys.load('me');
  assert.equal(loaded.size, JWKS.keys.length);
  assert.deepEqual(await open(loaded), EXPECT);
  await DeviceKeys.import(JWKS, { store: 'other', tenant: 'globex' });
  assert.deepEqual((await open(await DeviceKeys.load('other'))).opened, []);
});

test('nothing is loaded where nothing was kept', async () => {
  assert.equal(await DeviceKeys.load('nobody'), null);
});

test('an import takes the place of the one before, and a wrong one of nothing', async () => {
  await DeviceKeys.import(JWKS, { store: 'me' });
  await DeviceKeys.import({ keys: [KEY] }, { store: 'me' });
  await assert.rejects(DeviceKeys.import({ keys: [1] }, { store: 'me' }), WrongKeys);
  const loaded = await DeviceKeys.load('me');
  assert.deepEqual([loaded.size, (await open(loaded)).opened], [1, ['contact']]);
});

test('what is kept can be used, and not be read out', async () => {
  await DeviceKeys.import(JWKS, { store: 'me' });
  const record = await kept('me');
  assert.equal(record.keys.length, JWKS.keys.length);
  const { key, ...names } = record.keys[0];
  assert.deepEqual(names, { kid: KEY.kid, tenant: 'acme', dataSubject: 'c42', fieldClass: 'contact' });
  assert.ok(key instanceof CryptoKey);
  for (const format of ['raw', 'jwk']) await assert.rejects(subtle.exportKey(format, key), /not extractable/);
  assert.ok(!inspect(record, { depth: 9, showHidden: true }).includes(KEY.k));
});

test('wiped keys open nothing and are gone from IndexedDB, others stay', async () => {
  const keys = await DeviceKeys.import(JWKS, { store: 'me' });
  await DeviceKeys.import(JWKS, { store: 'you' });
  await keys.wipe();
  assert.equal(keys.size, 0);
  assert.deepEqual((await open(keys)).shut, SHUT);
  assert.deepEqual([await DeviceKeys.load('me'), (await DeviceKeys.load('you')).size], [null, JWKS.keys.length]);
  await keys.wipe();
});

test('loaded keys are wiped as imported ones are', async () => {
  await DeviceKeys.import(JWKS, { store: 'me' });
  await (await DeviceKeys.load('me')).wipe();
  assert.equal(await kept('me'), undefined);
});

test('keys that were not kept are wiped without IndexedDB', async () => {
  const keys = await DeviceKeys.from(JWKS);
  await withGlobal('indexedDB', undefined, () => keys.wipe());
  assert.deepEqual((await open(keys)).shut, SHUT);
});

test('what is being opened while the keys are wiped stays shut', async () => {
  const keys = await DeviceKeys.from(JWKS);
  const opening = open(keys);
  void keys.wipe();
  assert.deepEqual((await opening).shut, SHUT);
});

test('without IndexedDB keys can be used and not be kept, and memory is wiped all the same', async () => {
  const keys = await DeviceKeys.import(JWKS, { store: 'me' });
  await withGlobal('indexedDB', undefined, async () => {
    const said = { name: 'WrongKeys', message: 'keys: IndexedDB cannot keep or give them here' };
    await assert.rejects(DeviceKeys.import(JWKS, { store: 'me' }), said);
    await assert.rejects(DeviceKeys.load('me'), said);
    assert.deepEqual(await open(await DeviceKeys.from(JWKS)), EXPECT);
    await assert.rejects(keys.wipe(), said);
    assert.equal(keys.size, 0);
  });
});

test('a store needs a name', async () => {
  await assert.rejects(DeviceKeys.import(JWKS, {}), WrongKeys);
});

test('keys never show themselves', async () => {
  const keys = await DeviceKeys.from(JWKS);
  const shown = [
    String(keys),
    JSON.stringify({ keys }),
    inspect(keys, { depth: 9, showHidden: true }),
    Object.keys(keys),
  ];
  assert.equal(shown[0], `DeviceKeys(${JWKS.keys.length} keys)`);
  for (const key of JWKS.keys) assert.ok(!shown.join().includes(key.k) && !shown.join().includes(key.kid));
  assert.deepEqual(structuredClone(keys), {}, 'a copy to another page or worker holds nothing');
});
