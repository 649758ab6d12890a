/** A bench whose other end is a whole gateway. */

import { Bench, collect } from './bench.js';
import { Gateway } from './gateway.js';
import { Net } from './net.js';
import { settle } from './settle.js';

/** A bench with a gateway behind it, and a loop over `orders.>`. */
export async function served(t, options = {}) {
  const net = new Net();
  const gateway = new Gateway(net);
  const bench = new Bench(t, { net, ...options });
  const seen = collect(bench.client.subscribe('orders.>'));
  await settle();
  return { bench, net, gateway, seen };
}
