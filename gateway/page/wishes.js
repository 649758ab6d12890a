/** Pure: what the page's address asks for. */

/**
 * @typedef {object} Wishes
 * @property {string} customer whose orders are shown.
 * @property {string | null} device name of the session; null: the one kept in this browser.
 * @property {number} ttlS seconds that tokens are good for.
 * @property {'json' | 'msgpack'} encoding
 * @property {boolean} hasKeys Whether this device is given keys (`?keys=none`: it is not, and what is sealed stays shut).
 */

/** Tokens are good for so long unless the address says otherwise, in seconds. */
const TTL_S = 300;

/**
 * @param {string} search of the address, with its question mark.
 * @returns {Wishes}
 */
export function wishesOf(search) {
  const asked = new URLSearchParams(search);
  const device = asked.get('device');
  return {
    customer: asked.get('customer') || 'c42',
    device: device && /^[\w-]{1,64}$/.test(device) ? device : null,
    ttlS: Number(asked.get('ttl')) || TTL_S,
    encoding: asked.get('encoding') === 'msgpack' ? 'msgpack' : 'json',
    hasKeys: asked.get('keys') !== 'none',
  };
}
