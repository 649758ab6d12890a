/** Shell: what the shop's site answers: settings, tokens, keys, and the demo's buttons. */

/**
 * @typedef {object} Settings
 * @property {number} gateway_port
 * @property {string} path of the gateway's WebSocket.
 * @property {{ name: string }[]} customers
 * @property {boolean} has_shop Whether orders move by themselves.
 */

/** The site that this page came from, for one customer. */
export class Site {
  /** @param {string} customer */
  constructor(customer) {
    this.customer = customer;
  }

  /** @returns {Promise<Settings>} */
  settings() {
    return get('/demo/settings');
  }

  /** @param {number} ttlS seconds that it is good for. @returns {Promise<string>} a token of the customer. */
  async token(ttlS) {
    return (await post('/demo/token', { customer: this.customer, ttl_s: ttlS })).token;
  }

  /** @returns {Promise<{ keys: JsonWebKey[] }>} the keys of the customer's device. */
  keys() {
    return post('/demo/keys', { customer: this.customer });
  }

  /**
   * How many of the customer's events lie above a sequence.
   * @param {number} after
   * @returns {Promise<{ stream: string, last: number, waiting: number }>}
   */
  pulse(after) {
    return get(`/demo/pulse?customer=${encodeURIComponent(this.customer)}&after=${after}`);
  }

  /** @param {number} count @returns {Promise<number>} how many were published. */
  async rush(count) {
    return (await post('/demo/rush', { customer: this.customer, count })).published;
  }

  /** Kill a gateway process. */
  async kill() {
    await post('/demo/kill', {});
  }
}

/** @param {string} path */
async function get(path) {
  return read(await fetch(path, { cache: 'no-store' }));
}

/** @param {string} path @param {object} body */
async function post(path, body) {
  const headers = { 'Content-Type': 'application/json' };
  return read(await fetch(path, { method: 'POST', headers, body: JSON.stringify(body) }));
}

/** @param {Response} answer */
async function read(answer) {
  if (!answer.ok) throw new Error(`the site answered ${answer.status}`);
  return answer.json();
}
