/**
 * Pure: MessagePack as the subprotocol `tidewire.v1.msgpack` uses it (https://github.com/msgpack/msgpack spec.md).
 *
 * Everything of the format is read but extensions and map keys that are no texts, which the protocol does not have
 * (P1.3). Integers that a number does not hold exactly become BigInt. Why our own: docs/decisions/0006.
 */

import { BadFrame } from './members.js';

/** Arrays and maps in one another. An event's value has at most 64 (P2.35). */
const DEPTH_MOST = 128;

/** @type {import('./frames.js').Codec} */
export const Msgpack = {
  subprotocol: 'tidewire.v1.msgpack',
  encode(frame) {
    /** @type {number[]} */
    const out = [];
    write(out, frame);
    return Uint8Array.from(out);
  },
  decode(message) {
    return new Reader(bytesOf(message)).message();
  },
};

/** @param {unknown} message @returns {Uint8Array<ArrayBuffer>} */
function bytesOf(message) {
  if (ArrayBuffer.isView(message)) {
    return new Uint8Array(/** @type {ArrayBuffer} */ (message.buffer), message.byteOffset, message.byteLength);
  }
  // Not instanceof: test runners hand in the ArrayBuffer of another realm.
  if (Object.prototype.toString.call(message) !== '[object ArrayBuffer]') throw new BadFrame('not binary');
  return new Uint8Array(/** @type {ArrayBuffer} */ (message));
}

class Reader {
  #bytes;
  #at = 0;

  /** @param {Uint8Array<ArrayBuffer>} bytes */
  constructor(bytes) {
    this.#bytes = bytes;
  }

  /** The one value of the whole message. */
  message() {
    const value = this.#value(0);
    if (this.#at < this.#bytes.length) throw wrong();
    return value;
  }

  /** @param {number} depth how many arrays and maps it is in @returns {unknown} */
  #value(depth) {
    const first = this.#uint(1);
    if (first < 0x80) return first;
    if (first < 0x90) return this.#map(first & 0x0f, depth);
    if (first < 0xa0) return this.#array(first & 0x0f, depth);
    if (first < 0xc0) return this.#text(first & 0x1f);
    if (first > 0xdf) return first - 0x100;
    if (first > 0xdd) return this.#map(this.#uint(2 << (first - 0xde)), depth);
    if (first > 0xdb) return this.#array(this.#uint(2 << (first - 0xdc)), depth);
    if (first > 0xd8) return this.#text(this.#uint(1 << (first - 0xd9)));
    if (first > 0xd3) throw wrong(); // an extension
    if (first > 0xcf) return this.#int(1 << (first - 0xd0));
    if (first > 0xcb) return this.#uint(1 << (first - 0xcc));
    if (first > 0xc9) return this.#float(4 << (first - 0xca));
    if (first > 0xc6) throw wrong(); // an extension
    if (first > 0xc3) return this.#take(this.#uint(1 << (first - 0xc4)));
    if (first === 0xc0) return null;
    if (first === 0xc1) throw wrong(); // never used
    return first === 0xc3;
  }

  /** @param {number} count @param {number} depth */
  #array(count, depth) {
    if (depth === DEPTH_MOST) throw wrong();
    const array = []; // grows with what is there: `count` may be a lie
    while (array.length < count) array.push(this.#value(depth + 1));
    return array;
  }

  /** @param {number} count @param {number} depth */
  #map(count, depth) {
    if (depth === DEPTH_MOST) throw wrong();
    /** @type {Record<string, unknown>} */
    const map = {};
    for (let left = count; left > 0; left--) {
      const key = this.#value(depth + 1);
      if (typeof key !== 'string') throw wrong();
      const value = this.#value(depth + 1);
      // As JSON.parse has it: a member like any other, not the map's prototype.
      if (key === '__proto__')
        Object.defineProperty(map, key, { value, configurable: true, enumerable: true, writable: true });
      else map[key] = value;
    }
    return map;
  }

  /** Most texts are short and ASCII: for those a decoder takes three times as long. @param {number} size */
  #text(size) {
    const bytes = this.#bytes.subarray(this.#pass(size), this.#at);
    let text = '';
    for (let at = 0; at < 24; at++) {
      const byte = bytes[at] ?? 0xff;
      if (byte > 0x7f) break;
      text += String.fromCharCode(byte);
    }
    if (text.length === size) return text;
    try {
      return textOf(bytes);
    } catch {
      throw wrong();
    }
  }

  /** @param {number} size 4 or 8 */
  #float(size) {
    const view = new DataView(this.#take(size).buffer);
    return size === 4 ? view.getFloat32(0) : view.getFloat64(0);
  }

  /** @param {number} size @returns {any} a number, or a BigInt */
  #int(size) {
    if (size === 8) return whole(this.#uint(4) | 0, this.#uint(4));
    const sign = 32 - 8 * size;
    return (this.#uint(size) << sign) >> sign;
  }

  /** @param {number} size @returns {any} a number, or a BigInt */
  #uint(size) {
    if (size === 8) return whole(this.#uint(4), this.#uint(4));
    let value = 0;
    for (let at = this.#pass(size); at < this.#at; at++)
      value = value * 0x100 + /** @type {number} */ (this.#bytes[at]);
    return value;
  }

  /** A copy: a part would keep the whole message in memory. @param {number} size */
  #take(size) {
    return this.#bytes.slice(this.#pass(size), this.#at);
  }

  /** Where the next `size` bytes begin; they are passed. @param {number} size */
  #pass(size) {
    const start = this.#at;
    this.#at += size;
    if (this.#at > this.#bytes.length) throw wrong();
    return start;
  }
}

function wrong() {
  return new BadFrame('not decodable');
}

/** An integer of 64 bits from its halves. @param {number} high @param {number} low */
function whole(high, low) {
  const value = high * 2 ** 32 + low;
  return Number.isSafeInteger(value) ? value : BigInt(high) * BigInt(2 ** 32) + BigInt(low);
}

/**
 * @param {number[]} out
 * @param {unknown} value
 */
function write(out, value) {
  if (value === null || value === undefined) out.push(0xc0);
  else if (typeof value === 'boolean') out.push(value ? 0xc3 : 0xc2);
  else if (typeof value === 'number') writeNumber(out, value);
  else if (typeof value === 'string') {
    const bytes = utf8Of(value);
    writeSize(out, bytes.length, 0xa0, 32, 0xd9, 1);
    append(out, bytes);
  } else if (ArrayBuffer.isView(value)) {
    const bytes = bytesOf(value);
    writeUint(out, bytes.length, 0xc4, 1);
    append(out, bytes);
  } else if (Array.isArray(value)) {
    writeSize(out, value.length, 0x90, 16, 0xdc, 2);
    for (const item of value) write(out, item);
  } else if (typeof value === 'object') {
    const members = Object.entries(value).filter(([, item]) => item !== undefined);
    writeSize(out, members.length, 0x80, 16, 0xde, 2);
    for (const part of members.flat(1)) write(out, part);
  } else throw new TypeError('has no MessagePack form');
}

/** @param {number[]} out @param {number} value */
function writeNumber(out, value) {
  if (!Number.isSafeInteger(value)) {
    out.push(0xcb);
    const view = new DataView(new ArrayBuffer(8));
    view.setFloat64(0, value);
    append(out, bytesOf(view));
  } else if (value >= -32 && value < 128) out.push(value & 0xff);
  else if (value > 0) writeUint(out, value, 0xcc, 1);
  else writeUint(out, value, 0xd0, 1, -2 * value - 1);
}

/**
 * A size in one byte if it is below `end`, else behind `first`.
 * @param {number[]} out @param {number} size @param {number} tag @param {number} end
 * @param {number} first @param {number} width
 */
function writeSize(out, size, tag, end, first, width) {
  if (size < end) out.push(tag | size);
  else writeUint(out, size, first, width);
}

/**
 * An integer in its smallest form: the byte `first` says that `width` bytes follow, the next one that it is twice as
 * many, and so on. `most`: the largest value without a sign that needs as many bytes.
 * @param {number[]} out @param {number} value @param {number} first @param {number} width @param {number} [most]
 */
function writeUint(out, value, first, width, most = value) {
  let code = first;
  let bytes = width;
  for (; most >= 0x100 ** bytes; bytes *= 2) code++;
  out.push(code);
  for (let at = bytes - 1; at >= 0; at--) out.push(Math.floor(value / 0x100 ** at) & 0xff);
}

/** @param {number[]} out @param {Uint8Array} bytes */
function append(out, bytes) {
  for (const byte of bytes) out.push(byte);
}

const decoder = strictDecoder();

/** Not every React Native has a TextDecoder, and those that programs add for it may refuse `fatal`. */
function strictDecoder() {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  } catch {
    return null;
  }
}

/** Throws where it is not UTF-8. @param {Uint8Array} bytes */
function textOf(bytes) {
  if (decoder) return decoder.decode(bytes);
  return decodeURIComponent(Array.from(bytes, (byte) => `%${(byte + 0x100).toString(16).slice(1)}`).join(''));
}

/** Half a surrogate pair becomes U+FFFD, as TextEncoder has it. @param {string} text */
function utf8Of(text) {
  const escaped = encodeURIComponent(text.replace(/[\ud800-\udfff]/gu, '\ufffd'));
  const bytes = escaped.replace(/%../g, (digits) => String.fromCharCode(Number.parseInt(digits.slice(1), 16)));
  return Uint8Array.from(bytes, (byte) => byte.charCodeAt(0));
}
