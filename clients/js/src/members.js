/** Pure: the members of a map that another program sent, each of the right type. */

/**
 * A message that is not a frame or a batch of frames, or whose known frame has a wrong field. The text is fixed and
 * quotes nothing of the message.
 */
export class BadFrame extends Error {
  /** @override */
  name = 'BadFrame';
}

/**
 * A member of the right type; the default `absent` where it is not there, or null where null is the default; else
 * BadFrame.
 * @template T
 * @template [A=never]
 * @param {Record<string, unknown>} map
 * @param {string} name
 * @param {(value: unknown) => value is T} is
 * @param {A} [absent]
 * @returns {T | A}
 */
export function member(map, name, is, absent) {
  const value = map[name];
  if (is(value)) return value;
  if (absent !== undefined && (value === undefined || value === absent)) return absent;
  throw new BadFrame('wrong field');
}

/** @param {unknown} value @returns {value is Record<string, unknown>} */
export function isMap(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
}

/** @param {unknown} value @returns {value is string} */
export function isText(value) {
  return typeof value === 'string';
}

/** @param {unknown} value @returns {value is string[]} */
export function isTexts(value) {
  return Array.isArray(value) && value.every(isText);
}

/** @param {unknown} value @returns {value is boolean} */
export function isBoolean(value) {
  return typeof value === 'boolean';
}

/** @param {unknown} value @returns {value is number} */
export function isNumber(value) {
  return Number.isFinite(value);
}

/**
 * A position beyond 2^53 would be another one after rounding, so it is refused (P2.6).
 * @param {unknown} value
 * @returns {value is number}
 */
export function isSequence(value) {
  return Number.isSafeInteger(value) && /** @type {number} */ (value) >= 0;
}

/** @param {unknown} value @returns {value is string | number} */
export function isId(value) {
  return isText(value) || Number.isSafeInteger(value);
}

/** @param {unknown} value @returns {value is 'fresh' | 'resumed' | 'gap'} */
export function isOutcome(value) {
  return value === 'fresh' || value === 'resumed' || value === 'gap';
}
