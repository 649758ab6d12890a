/** Shell: what all browser tests in this process share: one Chromium, a site with the shop, a site without. */
import assert from 'node:assert/strict';
import { after } from 'node:test';

import { Gateway } from '../system/gateway.js';
import { startChromium } from './chromium.js';

export const chromium = await startChromium();
const starting = [
  ['--demo-port', '0'],
  ['--demo-port', '0', '--no-shop'],
].map((words) => Gateway.start(words));
/** On the first orders move by themselves; on the second nothing is published but what a test publishes. */
export const [shop, quiet] = await Promise.all(starting);

after(async () => {
  await chromium.close();
  for (const site of [shop, quiet]) assert.equal(await site.stop(), 0, 'SIGTERM drains and ends with 0');
});
