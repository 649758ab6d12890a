/** Frames on the wire, as every SDK must read and write them (tests/vectors/frames.json). */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { BadFrame, dataOf, decodeFrames, JsonCodec } from '../src/frames.js';
import { Msgpack } from '../src/msgpack.js';
import { drawing } from './fakes/drawing.js';

const VECTORS = JSON.parse(readFileSync(new URL('../../../tests/vectors/frames.json', import.meta.url), 'utf8'));
const CODECS = { json: JsonCodec, msgpack: Msgpack };
const EVENT = { type: 'event', seq: 7, subject: 'a', time: '2026-11-23T08:00:01.5Z' };
const bytes = (hex) => new Uint8Array(Buffer.from(hex, 'hex'));

/** Every message of some vectors: { codec, message, vector, name }, one for each encoding and spelling. */
function messages(part, direction) {
  const chosen = part.filter(
    (vector) => vector.direction === direction && (vector.by ?? ['javascript']).includes('javascript'),
  );
  const found = chosen.flatMap((vector) =>
    Object.entries(CODECS).flatMap(([encoding, codec]) =>
      [vector[encoding], ...(vector.also?.[encoding] ?? [])]
        .filter((text) => text !== undefined)
        .map((text) => ({
          codec,
          vector,
          message: encoding === 'json' ? text : bytes(text),
          name: `${encoding} ${vector.name ?? vector.why}`,
        })),
    ),
  );
  assert.ok(found.length > 0);
  return found;
}

/** A frame with its value in the place of how that travels. */
function plain(frame) {
  if (frame.type !== 'event') return frame;
  const { data: _, data_b64: _text, size: _size, ...members } = frame;
  return { ...members, value: dataOf(frame) };
}

function expected({ read, bytes: hex }) {
  if (read.type !== 'event') return read;
  const { data, data_b64: _, ...members } = read;
  return { ...members, value: hex === undefined ? data : bytes(hex) };
}

test('each frame of the gateway is read, in both encodings and every spelling', () => {
  for (const { codec, message, vector, name } of messages(VECTORS.frames, 'gateway')) {
    assert.deepEqual(decodeFrames(codec.decode(message)).map(plain), [expected(vector)], name);
  }
});

test('a batch is its frames in order, and what is unknown passes', () => {
  const parts = [...VECTORS.batches, ...VECTORS.ignored];
  for (const { codec, message, vector, name } of messages(parts, 'gateway')) {
    const alone = vector.frames.flatMap((frame) => decodeFrames(frame));
    assert.equal(alone.length, vector.frames.length, name);
    assert.deepEqual(decodeFrames(codec.decode(message)), alone, name);
  }
});

test('what is wrong is refused, with a text that quotes nothing', () => {
  const texts = ['not a map', 'wrong field', 'an empty batch', 'not decodable'];
  for (const { codec, message, name } of messages(VECTORS.bad, 'gateway')) {
    const refused = (error) => error instanceof BadFrame && texts.includes(error.message) && !('cause' in error);
    assert.throws(() => decodeFrames(codec.decode(message)), refused, name);
  }
});

test('each frame of a client is written as Python writes it', () => {
  const frames = VECTORS.frames.filter(({ direction }) => direction === 'client');
  assert.ok(frames.length > 20);
  for (const { frame, json, msgpack, name } of frames) {
    assert.equal(JsonCodec.encode(frame), json, name);
    assert.deepEqual(Msgpack.encode(frame), bytes(msgpack), name);
  }
});

test('members that are undefined are not written', () => {
  const frame = { type: 'connect', token: 't', resume: undefined, window: { messages: 1, bytes: undefined } };
  for (const codec of Object.values(CODECS)) {
    assert.deepEqual(codec.decode(codec.encode(frame)), { type: 'connect', token: 't', window: { messages: 1 } });
  }
});

test('a message of the other kind is refused', () => {
  const packed = Msgpack.encode({ type: 'ping' });
  for (const message of [packed, packed.buffer, new Blob(['{}']), null, undefined, 5, [123, 125], {}]) {
    assert.throws(() => JsonCodec.decode(message), BadFrame);
  }
  for (const message of ['{"type":"ping"}', '\x81\xa4type\xa4ping', '', null, undefined, 5, [0xc0], {}, new Blob([])]) {
    assert.throws(() => Msgpack.decode(message), BadFrame);
  }
});

test('what is not base64 is refused when its value is asked for', () => {
  for (const text of [...VECTORS.not_base64, 'AAAA=', 'AAAAA', 'AA\u0141=']) {
    const [frame] = decodeFrames({ ...EVENT, data_b64: text });
    assert.throws(() => dataOf(frame), { name: 'BadFrame', message: 'data_b64 is not base64' }, text);
  }
});

test('base64 of every length and every digit is read', () => {
  const all = Buffer.from(Array.from({ length: 768 }, (_, at) => (at * 7 + (at >> 8)) & 0xff));
  for (let length = 0; length <= all.length; length++) {
    const [frame] = decodeFrames({ ...EVENT, data_b64: all.subarray(0, length).toString('base64') });
    assert.deepEqual(dataOf(frame), new Uint8Array(all.subarray(0, length)));
  }
});

test('an event without a value has the value null', () => {
  assert.equal(dataOf(decodeFrames(EVENT)[0]), null);
  assert.equal(dataOf(decodeFrames({ ...EVENT, data: null, data_b64: null })[0]), null);
});

test('the events of a message share its size, rounded up', () => {
  const sizes = (value, size) => decodeFrames(value, size).map((frame) => frame.size);
  assert.deepEqual(sizes(EVENT, 100), [100]);
  assert.deepEqual(sizes([EVENT, { ...EVENT, seq: 8 }, { type: 'live', seq: 8 }, { ...EVENT, seq: 9 }], 100), [
    34,
    34,
    undefined,
    34,
  ]);
  assert.deepEqual(sizes([EVENT, { type: 'sing', data: {} }], 100), [100], 'only events count');
  assert.deepEqual(sizes(EVENT), [0]);
});

test('a position that JavaScript would round is refused, however it comes', () => {
  for (const seq of [
    2 ** 53,
    2n ** 53n,
    1n,
    -1,
    0.5,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    {},
    [1],
    '1',
    null,
    undefined,
  ]) {
    for (const name of ['after', 'before']) {
      const gap = { type: 'gap', after: 1, before: 2, reason: 'expired', [name]: seq };
      assert.throws(() => decodeFrames(gap), BadFrame);
    }
  }
});

test('members that a prototype has are no members of a frame', () => {
  for (const codec of Object.values(CODECS)) {
    const text = '{"type":"live","__proto__":{"seq":5,"polluted":true}}';
    const message = codec === JsonCodec ? text : Msgpack.encode(JSON.parse(text));
    assert.throws(() => decodeFrames(codec.decode(message)), BadFrame);
    assert.equal({}.polluted, undefined);
  }
});

test('a value in a million arrays is refused, not walked into', () => {
  const deep = 1_000_000;
  assert.throws(() => decodeFrames(JsonCodec.decode('['.repeat(deep) + ']'.repeat(deep))), BadFrame);
  assert.throws(() => decodeFrames(Msgpack.decode(new Uint8Array(deep).fill(0x91))), BadFrame);
});

/** A message with parts of others in it, taken out, doubled or changed. */
function damaged(message, corpus, random) {
  const below = (end) => Math.floor(random() * end);
  let found = [...message];
  for (let left = below(4); left >= 0; left--) {
    const at = below(found.length + 1);
    const other = corpus[below(corpus.length)];
    const from = below(other.length);
    const part = random() < 0.5 ? [...other.slice(from, from + 1 + below(12))] : [other[below(other.length)]];
    found.splice(at, below(6), ...(random() < 0.3 ? [] : part));
    if (random() < 0.1) found = found.slice(0, at);
  }
  return found;
}

const POSITIONS = { event: ['seq'], live: ['seq'], welcome: ['from'], gap: ['after', 'before'] };

for (const [encoding, codec] of Object.entries(CODECS)) {
  test(`20,000 damaged messages in ${encoding} are frames, or BadFrame and nothing else`, () => {
    const random = drawing(2_026);
    const isText = encoding === 'json';
    const known = [...VECTORS.frames, ...VECTORS.batches, ...VECTORS.ignored];
    const corpus = known.flatMap((vector) => (isText ? vector.json : bytes(vector.msgpack)));
    const outcomes = { read: 0, refused: 0 };
    for (let left = 20_000; left > 0; left--) {
      const noise = Array.from({ length: 40 }, () => Math.floor(random() * 256));
      const whole = random() < 0.05 ? noise : damaged(corpus[left % corpus.length], corpus, random);
      try {
        const message = isText
          ? whole.map((part) => (typeof part === 'number' ? String.fromCharCode(part) : part)).join('')
          : new Uint8Array(whole);
        for (const frame of decodeFrames(codec.decode(message), whole.length)) {
          for (const name of POSITIONS[frame.type] ?? [])
            assert.ok(Number.isSafeInteger(frame[name]) && frame[name] >= 0);
          if (frame.type === 'event') dataOf(frame);
        }
        outcomes.read++;
      } catch (error) {
        if (!(error instanceof BadFrame)) throw error;
        outcomes.refused++;
      }
    }
    assert.equal({}.polluted, undefined);
    assert.ok(outcomes.read > 500 && outcomes.refused > 5_000, JSON.stringify(outcomes));
  });
}
