/**
 * Writes tests/vectors/sealed_js.json: sealed fields made by WebCrypto and by `jose`, which every client must open. Its
 * form is that of sealed.json beside it, from whose first vector it takes the keys. IVs are random, so each run differs.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { CompactEncrypt } from 'jose';

const { subtle } = globalThis.crypto;
const folder = new URL('../../../tests/vectors/', import.meta.url);
const known = JSON.parse(readFileSync(new URL('sealed.json', folder), 'utf8'));
const [first] = known.vectors;
/** @type {{ kid: string, k: string, tidewire_class: string }[]} */
const keys = first.keys.keys.slice(0, 2);
const subject = 'orders.c42.ö-😀';

/**
 * @param {string} field
 * @param {boolean} isReversed the order of members is free.
 */
function headerOf(field, isReversed) {
  const kid = keys.find((key) => key.tidewire_class === field)?.kid ?? '';
  const members = { alg: 'dir', enc: 'A256GCM', kid, sub: subject, mid: 'm-1/ä', cls: field, iat: 1795420800 };
  return isReversed ? Object.fromEntries(Object.entries(members).reverse()) : members;
}

/** @param {string} field */
function secretOf(field) {
  return Buffer.from(keys.find((key) => key.tidewire_class === field)?.k ?? '', 'base64url');
}

/** @param {ArrayBuffer | Uint8Array | string} data */
function base64url(data) {
  return Buffer.from(/** @type {Uint8Array} */ (data)).toString('base64url');
}

/** @typedef {(field: string, plaintext: string, isReversed: boolean) => Promise<string>} Seal */

/** @type {Record<string, Seal>} */
const makers = {
  WebCrypto: async (field, plaintext, isReversed) => {
    const aad = base64url(JSON.stringify(headerOf(field, isReversed)));
    const iv = globalThis.crypto.getRandomValues(new Uint8Array(12));
    const key = await subtle.importKey('raw', secretOf(field), 'AES-GCM', false, ['encrypt']);
    const gcm = { name: 'AES-GCM', iv, additionalData: Buffer.from(aad), tagLength: 128 };
    const sealed = new Uint8Array(await subtle.encrypt(gcm, key, Buffer.from(plaintext)));
    return [aad, '', base64url(iv), base64url(sealed.slice(0, -16)), base64url(sealed.slice(-16))].join('.');
  },
  jose: (field, plaintext, isReversed) =>
    new CompactEncrypt(new TextEncoder().encode(plaintext))
      .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', ...headerOf(field, isReversed) })
      .encrypt(secretOf(field)),
};

const numbers = [0, -1.5, 1e21, 5e-324, Number.MAX_VALUE, Number.MAX_SAFE_INTEGER, 0.1 + 0.2];
const texts = ['', '"\\/\b\f\n\r\t\0\u2028\u2029', '😀 ä \u{10ffff}', '{"[:', '~0~1'];
const deep = Array.from({ length: 30 }).reduce((inner) => [inner], /** @type {unknown} */ ({ end: null }));
const many = Object.fromEntries(Array.from({ length: 64 }, (_, at) => [`p${at}`, at]));

/** @type {[string, Record<string, unknown>, Record<string, unknown>][]} What is sealed goes to the top of the clear part. */
const cases = [
  ['text of every kind', { texts }, { order: 'o7' }],
  ['numbers of every kind', { numbers }, { order: 'o7' }],
  ['32 levels', { deep }, {}],
  ['64 fields', many, {}],
  ['names that are escaped', { 'a/b': 1, 'c~d': 2, '~1': 3, '/': 4, ä: 5, '😀': 6, '': 7, ' ': 8, 7: 9 }, { ab: null }],
  ['names of prototypes', JSON.parse('{"__proto__":{"constructor":1},"toString":[{"__proto__":null}]}'), {}],
  ['long text', { long: 'ä'.repeat(3000) }, {}],
];

/** @param {string} name */
const pointerTo = (name) => `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;

/** @returns {AsyncGenerator<object>} */
async function* vectors() {
  const event = { subject, message_id: 'm-1/ä', tenant: 'acme', expected: null, keys: { keys } };
  for (const [maker, seal] of Object.entries(makers)) {
    for (const [at, [name, fields, clear]] of cases.entries()) {
      const members = Object.fromEntries(Object.entries(fields).map(([field, value]) => [pointerTo(field), value]));
      const indent = at % 3; // spaces between and after are free too
      const contact = await seal('contact', JSON.stringify(members, null, indent) + ' '.repeat(indent), at % 2 === 1);
      const health = await seal('health', '{"/note":["nuts",{"severe":true}]}', at % 2 === 0);
      const data = { ...clear, ...fields, note: ['nuts', { severe: true }] };
      const expect = { data, opened: ['contact', 'health'], shut: {} };
      yield { name: `${maker}: ${name}`, ...event, data: { ...clear, $sealed: { contact, health } }, expect };
    }
  }
}

const lines = [];
for await (const vector of vectors()) lines.push(JSON.stringify(vector));
const about = 'Sealed fields made by WebCrypto and by jose. The fields are those of sealed.json.';
writeFileSync(
  new URL('sealed_js.json', folder),
  `{\n "about": ${JSON.stringify(about)},\n "vectors": [\n${lines.join(',\n')}\n ]\n}\n`,
);
