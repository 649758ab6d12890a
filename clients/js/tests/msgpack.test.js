/** MessagePack, as msgspec writes and reads it (tests/vectors/msgpack.json). */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { runInNewContext } from 'node:vm';

import { BadFrame } from '../src/frames.js';
import { Msgpack } from '../src/msgpack.js';

const VECTORS = JSON.parse(readFileSync(new URL('../../../tests/vectors/msgpack.json', import.meta.url), 'utf8'));
const FLOATS = { inf: Number.POSITIVE_INFINITY, '-inf': Number.NEGATIVE_INFINITY, nan: Number.NaN };

/** The bytes that a `msgpack` member stands for. */
function unfolded(parts) {
  const found = parts.split(' ').map((part) => {
    const [hex, times = '1'] = part.split('*');
    return Buffer.from(hex.repeat(Number(times)), 'hex');
  });
  return new Uint8Array(Buffer.concat(found));
}

/** The value that a `value` member stands for. */
function meant(value) {
  if (typeof value?.bytes === 'string') return new Uint8Array(Buffer.from(value.bytes, 'hex'));
  if (typeof value?.integer === 'string') return BigInt(value.integer);
  if (typeof value?.float === 'string') return FLOATS[value.float];
  if (value?.times === undefined) return value;
  const { times, of } = value;
  if (typeof of === 'string') return of.repeat(times);
  return of === null ? Array(times).fill(null) : new Uint8Array(times).fill(meant(of)[0]);
}

/** The codec as it is where there is no TextDecoder, or one that cannot be strict. */
async function withoutTextDecoder() {
  const { TextDecoder } = globalThis;
  globalThis.TextDecoder = class {
    constructor() {
      throw new RangeError('fatal is not supported');
    }
  };
  try {
    return (await import('../src/msgpack.js?without-text-decoder')).Msgpack;
  } finally {
    globalThis.TextDecoder = TextDecoder;
  }
}

const CODECS = { 'with TextDecoder': Msgpack, 'without TextDecoder': await withoutTextDecoder() };
assert.notEqual(CODECS['without TextDecoder'], Msgpack);

for (const [name, codec] of Object.entries(CODECS)) {
  test(`values around every edge of the format are written and read as msgspec does, ${name}`, () => {
    for (const { value, msgpack } of VECTORS.values) {
      assert.deepEqual(codec.encode(meant(value)), unfolded(msgpack), msgpack);
      assert.deepEqual(codec.decode(unfolded(msgpack)), meant(value), msgpack);
    }
  });

  test(`other spellings are read, and integers beyond 2^53 as BigInt, ${name}`, () => {
    for (const { value, msgpack } of VECTORS.read) {
      assert.deepEqual(codec.decode(unfolded(msgpack)), meant(value), msgpack);
    }
  });

  test(`what the protocol does not have is refused, ${name}`, () => {
    for (const { why, msgpack } of VECTORS.bad) {
      assert.throws(() => codec.decode(unfolded(msgpack)), { name: 'BadFrame', message: 'not decodable' }, why);
    }
  });
}

test('128 arrays in one another are read', () => {
  let value = Msgpack.decode(unfolded('91*127 90'));
  for (let left = 127; left > 0; left--) [value] = value;
  assert.deepEqual(value, []);
});

test('every beginning of a message is refused, and nothing is read past its end', () => {
  const message = Msgpack.encode({ a: [1, -500, 70_000, 0.5, 'é'.repeat(20), new Uint8Array(3), null], b: 2 ** 40 });
  for (let size = 0; size < message.length; size++) {
    assert.throws(() => Msgpack.decode(message.subarray(0, size)), BadFrame, `${size} bytes`);
    assert.throws(() => Msgpack.decode(message.slice(0, size).buffer), BadFrame, `${size} bytes`);
  }
});

test('an ArrayBuffer is read, also of another realm, and any view of a part of one', () => {
  const message = Msgpack.encode({ type: 'ping' });
  const foreign = runInNewContext('new ArrayBuffer(1)');
  assert.ok(!(foreign instanceof ArrayBuffer));
  new Uint8Array(foreign)[0] = 0xc3;
  assert.equal(Msgpack.decode(foreign), true);
  assert.deepEqual(Msgpack.decode(message.buffer), { type: 'ping' });
  const larger = new Uint8Array([0xff, ...message, 0xff]);
  assert.deepEqual(Msgpack.decode(larger.subarray(1, -1)), { type: 'ping' });
  assert.deepEqual(Msgpack.decode(Buffer.from(larger).subarray(1, -1)), { type: 'ping' });
});

test('bytes are a copy: they neither hold the message nor change with it', () => {
  const message = Buffer.from(Msgpack.encode([new Uint8Array([1, 2]), 'text']));
  const [bytes] = Msgpack.decode(message);
  message.fill(0);
  assert.deepEqual(bytes, new Uint8Array([1, 2]));
  assert.equal(bytes.buffer.byteLength, 2);
});

test('views are written as bytes, of their part alone', () => {
  const part = new Uint8Array([0, 1, 2, 3]).subarray(1, 3);
  for (const view of [part, Buffer.from(part), new DataView(part.buffer, 1, 2)]) {
    assert.deepEqual(Msgpack.encode(view), new Uint8Array([0xc4, 2, 1, 2]));
  }
});

test('a member named __proto__ is a member, and changes no other object', () => {
  for (const hex of ['81a95f5f70726f746f5f5f81a161c3', '82a95f5f70726f746f5f5fc0a95f5f70726f746f5f5f81a161c3']) {
    const value = Msgpack.decode(unfolded(hex));
    assert.deepEqual(Object.entries(value), [['__proto__', { a: true }]]);
    assert.equal(Object.getPrototypeOf(value), Object.prototype);
    assert.equal(value.a, undefined);
    assert.equal({}.a, undefined);
  }
});

test('numbers that are no safe integers are written as floats, and zero has no sign', () => {
  for (const value of [2 ** 53, -(2 ** 53), 2 ** 63, 1e300]) {
    const bytes = Msgpack.encode(value);
    assert.equal(bytes[0], 0xcb);
    assert.equal(Msgpack.decode(bytes), value);
  }
  assert.deepEqual(Msgpack.encode(-0), new Uint8Array([0]));
});

test('undefined is left out of objects and is null in arrays, as in JSON', () => {
  assert.deepEqual(Msgpack.decode(Msgpack.encode({ a: undefined, b: [undefined, 1] })), { b: [null, 1] });
});

test('half a surrogate pair is written as U+FFFD', () => {
  assert.equal(Msgpack.decode(Msgpack.encode('a\ud800b\udc00🚆')), 'a\ufffdb\ufffd🚆');
});

test('what has no form is an error of the caller that does not quote it', () => {
  for (const value of [5n, Symbol('secret'), () => 'secret']) {
    assert.throws(() => Msgpack.encode({ value }), { name: 'TypeError', message: 'has no MessagePack form' });
  }
});
