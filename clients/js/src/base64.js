/**
 * Pure: base64 with padding (RFC 4648, section 4) to bytes. Our own, because React Native long had no `atob`, and `atob`
 * also takes what is not base64.
 */

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const VALUES = new Map(Array.from(DIGITS, (digit, value) => [digit.charCodeAt(0), value]));

/**
 * The bytes of a text in base64; null when it is not base64 with padding. Nothing is skipped, not even space.
 * @param {string} text
 * @returns {Uint8Array<ArrayBuffer> | null}
 */
export function decodeBase64(text) {
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const digits = text.length - padding;
  if (text.length % 4 !== 0) return null;
  const bytes = new Uint8Array(Math.floor((digits * 3) / 4));
  let bits = 0;
  for (let at = 0; at < digits; at++) {
    const value = VALUES.get(text.charCodeAt(at));
    if (value === undefined) return null;
    bits = ((bits << 6) | value) & 0xffffff;
    // A byte is whole at the second, third and fourth digit of four; 4, 2 and 0 bits are left for the next.
    if (at % 4 !== 0) bytes[Math.floor((at * 3) / 4)] = bits >> (6 - 2 * (at % 4));
  }
  return bytes;
}
