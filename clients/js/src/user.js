/** Pure: whose token it is. Read, not verified: the gateway verifies, the client only tells users apart. */

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
    // Its UTF-8 is read as Latin-1: users are told apart by it, and nobody is shown it.
    const claims = JSON.parse(atob(body.replace(/-/g, '+').replace(/_/g, '/')));
    const { iss = '', sub = '' } = claims;
    return isMap(claims) && isText(iss) && isText(sub) ? `${iss} ${sub}` : '';
  } catch {
    return '';
  }
}
