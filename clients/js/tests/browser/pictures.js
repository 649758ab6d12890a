/** Pictures of the page, for people: clients/js/screenshots, which git leaves out. */
import assert from 'node:assert/strict';
import { mkdir, stat } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { until } from '../system/until.js';
import { newDevice } from './device.js';
import { shop } from './running.js';

const FOLDER = fileURLToPath(new URL('../../screenshots/', import.meta.url));
const CUSTOMERS = { light: 'c42', dark: 'c43' }; // side by side, none is in the other's way
const SIZES = { desktop: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } };

/** Runs in the page: whether the board shows what was processed last. */
function isShown() {
  const [, order, status] = [...(document.querySelector('#log li:last-child')?.children ?? [])].map(
    (part) => part.textContent,
  );
  const cards = [...document.querySelectorAll('article.order')];
  return cards.some(({ dataset }) => dataset.order === order && dataset.status === status);
}

for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
  test(`the page is pictured: ${colorScheme}`, async (t) => {
    await mkdir(FOLDER, { recursive: true });
    const browser = { colorScheme, reducedMotion: /** @type {const} */ ('no-preference') };
    const device = await newDevice(t, shop, { customer: CUSTOMERS[colorScheme], device: 'pictures', browser });
    const tab = await device.open();
    for (const [size, viewport] of Object.entries(SIZES)) {
      await tab.page.setViewportSize(viewport);
      const take = async (name, fullPage = false) => {
        const path = `${FOLDER}${size}-${colorScheme}-${name}.png`;
        await tab.page.screenshot({ path, fullPage, animations: 'disabled' });
        assert.ok((await stat(path)).size > 10_000);
      };
      const { processed } = await tab.ledger();
      await tab.press('rush');
      await tab.hasProcessed(processed + 25);
      await until(() => tab.page.evaluate(isShown));
      await take('live', size === 'phone'); // there most of it is below
      await tab.press('tunnel');
      await tab.press('rush');
      await until(async () => (await tab.waiting()) >= 25);
      await take('tunnel');
      await tab.press('back');
      await until(() => tab.page.locator('#progress.is-on').count());
      await take('replay');
      await tab.isLive();
      await until(() => tab.page.evaluate(isShown));
    }
  });
}
