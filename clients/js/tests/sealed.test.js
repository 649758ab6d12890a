/** Opening sealed fields on the device: known answers, the tamper list, and what is made by WebCrypto and by `jose`. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { CompactEncrypt, compactDecrypt } from 'jose';

import { DeviceKeys } from '../src/keys.js';
import { decodeBase64Url } from '../src/sealed.js';
import { isDeeper, outsideStrings, strictJson } from '../src/strict-json.js';

const vectorsOf = (name) =>
  JSON.parse(readFileSync(new URL(`../../../tests/vectors/${name}.json`, import.meta.url), 'utf8')).vectors;
const KNOWN = vectorsOf('sealed');
const MADE_HERE = vectorsOf('sealed_js');
const [FIRST] = KNOWN;
const SUBJECT = FIRST.subject;
const ID = FIRST.message_id;
const { $sealed: GOOD, ...CLEAR } = FIRST.data;
const [CONTACT_KEY, HEALTH_KEY] = FIRST.keys.keys;
const bytes = (text) => new TextEncoder().encode(text);
const secret = (key) => Buffer.from(key.k, 'base64url');
const header = (field, changes = {}) => ({
  alg: 'dir',
  enc: 'A256GCM',
  kid: field === 'contact' ? CONTACT_KEY.kid : HEALTH_KEY.kid,
  sub: SUBJECT,
  mid: ID,
  cls: field,
  iat: 1795420800,
  ...changes,
});

/** Seal one class with `jose`; `plaintext` is text as it is, or a value. */
function seal(plaintext, members = header('contact'), key = CONTACT_KEY) {
  const text = typeof plaintext === 'string' ? plaintext : JSON.stringify(plaintext);
  return new CompactEncrypt(bytes(text)).setProtectedHeader(members).encrypt(secret(key));
}

async function open(data, event = {}) {
  const keys = await DeviceKeys.from(FIRST.keys, { tenant: 'acme' });
  return keys.open(data, { subject: SUBJECT, id: ID, ...event });
}

for (const vector of [...KNOWN, ...MADE_HERE]) {
  test(`each client gives the same answer: ${vector.name}`, async () => {
    const before = structuredClone(vector.data);
    const keys = await DeviceKeys.from(vector.keys, { tenant: vector.tenant });
    const event = { subject: vector.subject, id: vector.message_id, expected: vector.expected ?? undefined };
    assert.deepEqual(await keys.open(vector.data, event), vector.expect);
    assert.deepEqual(vector.data, before, 'the own data of the event does not change');
    assert.equal({}.polluted, undefined);
  });
}

test('the vectors name every row of the tamper list but the grants', () => {
  const rows = new Set(KNOWN.map(({ name }) => name.split(' ')[0]));
  const wanted = Array.from({ length: 26 }, (_, row) => String(row + 1)).filter((row) => row < 17 || row > 19);
  assert.deepEqual(
    wanted.filter((row) => !rows.has(row)),
    [],
  );
});

test('what jose seals opens, up to the last byte of the limit', async () => {
  const plaintext = JSON.stringify({ '/note': '' });
  for (const [length, reason] of [
    [49_152, undefined],
    [49_153, 'limit'],
  ]) {
    const note = 'x'.repeat(length - plaintext.length);
    const contact = await seal({ '/note': note });
    const { data, shut } = await open({ ...CLEAR, $sealed: { contact } });
    assert.deepEqual([data.note, shut.contact], [reason ? undefined : note, reason]);
  }
});

test('jose opens what Python sealed, and finds the header that the device checks', async () => {
  const { plaintext, protectedHeader } = await compactDecrypt(GOOD.contact, secret(CONTACT_KEY));
  assert.deepEqual(protectedHeader, header('contact'));
  assert.deepEqual(JSON.parse(Buffer.from(plaintext).toString()), {
    '/contact/mail': 'ada@example.com',
    '/contact/phone': '+49 30 1234567',
  });
});

test('one changed letter anywhere opens nothing', async () => {
  const keys = await DeviceKeys.from(FIRST.keys);
  for (let at = 0; at < GOOD.contact.length; at++) {
    for (const letter of ['A', '_', '.', '=', ' ', 'ä']) {
      if (GOOD.contact[at] === letter) continue;
      const contact = GOOD.contact.slice(0, at) + letter + GOOD.contact.slice(at + 1);
      const { opened } = await keys.open({ ...CLEAR, $sealed: { contact } }, { subject: SUBJECT, id: ID });
      assert.deepEqual(opened, [], `letter ${at} changed to ${letter}`);
    }
  }
});

test('any data opens or stays shut, and nothing is thrown', async () => {
  const odd = [undefined, null, true, 7, 'x', [], {}, bytes('x'), new Date(0), Object.create(null)];
  for (const value of odd) {
    for (const data of [value, { $sealed: value }, { $sealed: { contact: value } }]) {
      const { opened } = await open(data, { expected: { contact: ['/contact/phone'] } });
      assert.deepEqual(opened, []);
    }
  }
});

test('a field of the plaintext is not shared with the event', async () => {
  const source = structuredClone({ ...CLEAR, $sealed: GOOD });
  const { data } = await open(source);
  data.contact.phone = 'changed';
  assert.deepEqual(source, { ...CLEAR, $sealed: GOOD });
});

test('declared fields one above the other are both taken away', async () => {
  const expected = { x: ['/a', '/a/b'], y: ['/a/b'] };
  const { data, shut } = await open({ a: { b: 1 } }, { expected });
  assert.deepEqual([data, shut], [{}, { x: 'in_clear', y: 'missing' }]);
});

test('a pointer to a prototype reaches none, whether it opens or not', async () => {
  const reach = { '/__proto__/polluted': 1, '/constructor/prototype/polluted': 1 };
  for (const [pointer, value] of Object.entries(reach)) {
    const { shut } = await open({ $sealed: { contact: await seal({ [pointer]: value }) } });
    assert.deepEqual(shut, { contact: 'parent' });
  }
  const text = '{"/__proto__":{"polluted":1},"/a":{"__proto__":{"polluted":2}}}';
  const { data, opened } = await open({ $sealed: { contact: await seal(text) } });
  assert.deepEqual(opened, ['contact']);
  assert.equal(Object.getPrototypeOf(data), Object.prototype);
  assert.equal(Object.getPrototypeOf(data.a), Object.prototype);
  assert.equal(data.polluted, undefined);
  assert.deepEqual(Object.getOwnPropertyDescriptor(data, '__proto__').value, { polluted: 1 });
  assert.equal({}.polluted, undefined);
});

test('a class by the name of a prototype is told as any other', async () => {
  const { shut } = await open(JSON.parse('{"$sealed":{"__proto__":"x","constructor":"y"}}'));
  assert.deepEqual(Object.entries(shut), [
    ['__proto__', 'form'],
    ['constructor', 'form'],
  ]);
});

test('base64url has one spelling', () => {
  for (let length = 1; length < 70; length++) {
    const text = Buffer.from(Array.from({ length }, (_, at) => (at * 37 + length) % 256)).toString('base64url');
    assert.equal(Buffer.from(decodeBase64Url(text)).toString('base64url'), text);
    const last = text.at(-1);
    for (const letter of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_') {
      const other = text.slice(0, -1) + letter;
      const isOne = Buffer.from(other, 'base64url').toString('base64url') === other;
      assert.equal(decodeBase64Url(other) !== null, isOne, `${last} as ${letter}`);
    }
  }
  for (const text of ['', 'A', 'AAAAA', 'AA==', 'AAA=', 'AA\n', ' AA', 'AAA+', 'AAA/', 'AAAä', 'AB', 'AAB']) {
    assert.equal(decodeBase64Url(text), null, JSON.stringify(text));
  }
});

test('strict JSON is what JSON.parse gives, of one text for one value', () => {
  const good = ['{}', ' {"a":[1,{"b":null}],"c":"\\ud83d\\ude00%41ä😀"} ', '7', '"x:y"', '[{"a":1},{"a":1}]', '1e-999'];
  for (const text of good) assert.deepEqual(strictJson(bytes(text), 4), JSON.parse(text), text);
  const wrong = [
    '{"a":1,"a":1}',
    '{"a":{"a":1},"a":{"a":1}}',
    '{"a":1,"\\u0061":1}',
    '["\\ud800"]',
    '[1e999]',
    '',
    '\ufeff1',
  ];
  for (const text of [...wrong, '{"a":"\\ud800"}', '{"\\udc00":1}', '[NaN]', '[-1e999]', '[[[[[1]]]]]']) {
    assert.equal(strictJson(bytes(text), 4), undefined, text);
  }
  for (const sequence of [[0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xe2, 0x82], [0xf4, 0x90, 0x80, 0x80], [0x80]]) {
    assert.equal(strictJson(Uint8Array.of(34, ...sequence, 34), 4), undefined, String(sequence));
  }
});

test('nesting is counted outside of strings only, and a string without an end ends with the text', () => {
  assert.equal(outsideStrings(bytes('{"[":"\\"[\\\\",[]:"[[')), '{:,[]:');
  assert.equal(isDeeper('[{}]', 2), false);
  assert.equal(isDeeper('[{}]', 1), true);
  assert.equal(isDeeper('[][][]', 1), false);
});
