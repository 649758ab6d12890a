/** Pictures of the page, for people: clients/js/screenshots, which git leaves out. */
import assert from 'node:assert/strict';
import { mkdir, stat } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { until } from '../system/until.js';
import { newDevice } from './device.js';
import { shop } from './running.js';

const FOLDER = fileURLToPath(new URL('../../screenshots/', import.meta.url));
const SIZES = { desktop: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } };

/** Runs in the page: whether the board shows what was processed last, and nothing moves on it. */
function isSettled() {
  const [, order, status] = [...(document.querySelector('#log li:last-child')?.children ?? [])].map(
    (part) => part.textContent,
  );
  const card = [...document.querySelectorAll('article.order')].find(({ dataset }) => dataset.order === order);
  const board = document.getElementById('board');
  const isMoving = document.getAnimations().some(({ effect }) => board.contains(effect.target));
  return card?.dataset.status === status && !isMoving;
}

for (const [size, viewport] of Object.entries(SIZES)) {
  for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
    test(`the page is pictured: ${size}, ${colorScheme}`, async (t) => {
      await mkdir(FOLDER, { recursive: true });
      const browser = { viewport, colorScheme, reducedMotion: /** @type {const} */ ('no-preference') };
      const device = await newDevice(t, shop, { device: `${size}-${colorScheme}`, browser });
      const tab = await device.open();
      const take = async (name, fullPage = false) => {
        const path = `${FOLDER}${size}-${colorScheme}-${name}.png`;
        await tab.page.screenshot({ path, fullPage, animations: 'disabled' });
        assert.ok((await stat(path)).size > 10_000);
      };
      await tab.press('rush');
      await until(async () => (await tab.ledger()).processed >= 25);
      await until(() => tab.page.evaluate(isSettled));
      await take('live');
      await take('whole', true);
      await tab.press('gateway-view');
      await take('gateway-view');
      await tab.press('gateway-view');
      await tab.press('tunnel');
      await tab.press('rush');
      await until(async () => (await tab.waiting()) >= 25);
      await take('tunnel');
      await tab.press('back');
      await until(() => tab.page.locator('#progress.is-on').count());
      await take('replay');
      await tab.isLive();
    });
  }
}
