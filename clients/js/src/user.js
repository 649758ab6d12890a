/** Pure: whose token it is. Read, not verified: the gateway verifies, the client only tells users apart. */

import { decodeBase64 } from './base64.js';
import { isMap, isText } from './members.js';

/**
 * `iss` and `sub` of a JWT as one text; empty for anything else.
 *
 * @param {string} token
 * @returns {string}
 */
export function userOf(token) {
  const [, body, signature, ...more] = token.split('.');
  if (!body || signature === undefined || more.length) return '';
  try {
    const padded = body.replace(/-/g, '+').replace(/_/g, '/') + '='.repeat(-body.length & 3);
    const bytes = decodeBase64(padded) ?? [];
    // Percent-decoding reads UTF-8 also where there is no TextDecoder (React Native).
    const text = decodeURIComponent(Array.from(bytes, (byte) => `%${(byte + 256).toString(16).slice(1)}`).join(''));
    const claims = JSON.parse(text);
    const { iss = '', sub = '' } = claims;
    return isMap(claims) && isText(iss) && isText(sub) ? `${iss} ${sub}` : '';
  } catch {
    return '';
  }
}
