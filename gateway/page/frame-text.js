/** Pure: what is shown of a frame: its kind and its first characters, never a token. */

/** The longest text shown, in characters. */
const SHOWN_CHARS = 160;
/** The value of a member named `token`, also where the text ends in the midst of it. */
const TOKEN = /("token"\s*:\s*")(?:[^"\\]|\\.)*("?)/g;
/** Anything of a token's shape: three segments. Sealed fields have five, the second empty. */
const JWT = /\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}/g;

/** @typedef {{ isOut: boolean, kind: string, text: string }} ShownFrame `text` holds no token. */

/**
 * What to show of a WebSocket message.
 * @param {string} text JSON.
 * @param {boolean} isOut Whether this page sent it.
 * @returns {ShownFrame}
 */
export function shownFrame(text, isOut) {
  const safe = text.replace(TOKEN, '$1...$2').replace(JWT, '...');
  const kinds = [...safe.matchAll(/"type"\s*:\s*"(\w{1,24})"/g)].map((match) => match[1] ?? '');
  const isBatch = safe.startsWith('[') && kinds.length > 1;
  return { isOut, kind: isBatch ? `${kinds.length} frames` : (kinds[0] ?? 'frame'), text: cut(safe) };
}

/**
 * What to show of a message of bytes that was not decoded.
 * @param {number} bytes
 * @param {boolean} isOut
 * @returns {ShownFrame}
 */
export function shownBytes(bytes, isOut) {
  return { isOut, kind: 'binary', text: `${bytes} bytes` };
}

/** @param {string} text */
function cut(text) {
  return text.length > SHOWN_CHARS ? `${text.slice(0, SHOWN_CHARS - 1)}…` : text;
}
