/** Pure: base64 with padding (RFC 4648, section 4) to bytes. */

/**
 * The bytes of a text in base64; null when it is not base64 with padding. Nothing is skipped, not even space, which
 * `atob` alone would do.
 * @param {string} text
 * @returns {Uint8Array<ArrayBuffer> | null}
 */
export function decodeBase64(text) {
  if (text.length % 4 || /[^A-Za-z0-9+/=]/.test(text)) return null;
  try {
    return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  } catch {
    return null;
  }
}
