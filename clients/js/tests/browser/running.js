/** Shell: what all browser tests in this process share: one Chromium, a site with the shop, a site without. */
import assert from 'node:assert/strict';
import { after } from 'node:test';

import { startChromium } from './chromium.js';
import { Site } from './site.js';

export const chromium = await startChromium();
/** Orders move there by themselves. */
export const shop = await Site.start({ hasShop: true });
/** Nothing is published there but what a test publishes. */
export const quiet = await Site.start({ hasShop: false });

after(async () => {
  await chromium.close();
  for (const site of [shop, quiet]) assert.equal(await site.stop(), 0, 'SIGTERM drains and ends with 0');
});
