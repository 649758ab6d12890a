/**
 * Pure: JSON in UTF-8 as RFC 8259 writes it and nothing else, for what decides about trust. Where two readers can
 * differ (duplicate keys, numbers too large, lone surrogates, invalid UTF-8), one of them can be cheated.
 */

const LONE_SURROGATE = /[\ud800-\udfff]/u; // with the flag `u` a pair is one letter, and not in this range
const QUOTE = 34;
const BACKSLASH = 92;
const PERCENT = 37;

/**
 * Decode strict JSON.
 * @param {Uint8Array} bytes
 * @param {number} depth most nested arrays and objects; a flat object has 1.
 * @returns {unknown} the value; undefined when the bytes are no strict JSON. A member `__proto__` is an own property.
 */
export function strictJson(bytes, depth) {
  const outside = outsideStrings(bytes);
  if (isDeeper(outside, depth)) return undefined;
  try {
    const value = JSON.parse(utf8(bytes));
    // JSON.parse keeps the last of duplicate keys: then the text has more members than the value.
    return members(value) === outside.split(':').length - 1 ? value : undefined;
  } catch {
    return undefined;
  }
}

/**
 * What stands outside the strings of a JSON text: brackets, colons, numbers, words. An unfinished string ends with the
 * text. Linear in time, whatever the bytes.
 * @param {Uint8Array} bytes
 */
export function outsideStrings(bytes) {
  let outside = '';
  let inside = false;
  for (let at = 0; at < bytes.length; at++) {
    const byte = /** @type {number} */ (bytes[at]);
    if (byte === QUOTE) inside = !inside;
    else if (!inside) outside += String.fromCharCode(byte);
    else if (byte === BACKSLASH) at++;
  }
  return outside;
}

/**
 * Whether arrays and objects nest deeper than `depth`.
 * @param {string} outside a JSON text without its strings.
 * @param {number} depth
 */
export function isDeeper(outside, depth) {
  let open = 0;
  for (const letter of outside) {
    if (letter === '[' || letter === '{') open++;
    else if (letter === ']' || letter === '}') open--;
    if (open > depth) return true;
  }
  return false;
}

/**
 * Count the members of every object in a value. NaN, which equals no count, when a string is not well formed or a
 * number was too large for JavaScript.
 * @param {unknown} value
 * @returns {number}
 */
function members(value) {
  if (typeof value === 'string') return LONE_SURROGATE.test(value) ? Number.NaN : 0;
  if (typeof value === 'number') return value - value; // NaN for what is not finite
  if (typeof value !== 'object' || value === null) return 0;
  let count = 0;
  for (const [name, inner] of Object.entries(value)) {
    count += members(inner) + (Array.isArray(value) ? 0 : 1 + members(name));
  }
  return count;
}

/**
 * Decode strict UTF-8; a byte order mark stays. Not with TextDecoder, which React Native long did not have.
 * @param {Uint8Array} bytes
 */
function utf8(bytes) {
  let text = '';
  for (const byte of bytes) {
    text += byte < 128 && byte !== PERCENT ? String.fromCharCode(byte) : `%${byte.toString(16)}`;
  }
  return decodeURIComponent(text); // throws URIError for overlong forms, surrogates and what is cut off
}
