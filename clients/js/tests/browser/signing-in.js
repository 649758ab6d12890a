/** The page is opened: it signs in, is live, shows orders that move, opens what is sealed, and nothing else does. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { until } from '../system/until.js';
import { newDevice } from './device.js';
import { shop } from './running.js';

/** What names a person in the shop. */
const PRIVATE = ['Harbour Lane', '20457', '5550142', 'Mill Street', '50667', '5550143', 'Garden Row', '5550144'];

/** Each order's status on the board. @param {import('./tab.js').Tab} tab @returns {Promise<Record<string, string>>} */
function orders(tab) {
  return tab.page.$$eval('article.order', (cards) =>
    Object.fromEntries(cards.map(({ dataset }) => [dataset.order, dataset.status])),
  );
}

test('a visitor is signed in, live, and sees an order move and its address under an open lock; nobody in between does', async (t) => {
  const device = await newDevice(t, shop, { device: 'visitor' });
  const tab = await device.open();
  const before = await until(async () => {
    const seen = await orders(tab);
    return Object.keys(seen).length ? seen : null;
  });
  await tab.press('rush');
  await until(async () =>
    Object.entries(await orders(tab)).some(([name, status]) => before[name] && before[name] !== status),
  );
  const card = tab.page.locator('article.order[data-sealed="open"]').first();
  assert.equal(await card.locator('.address').textContent(), 'Harbour Lane 7, 20457 Hamburg');
  assert.equal(await card.locator('.phone').textContent(), '+49 40 5550142');
  const lock = card.locator('.lock .as-device');
  assert.equal(await lock.textContent(), 'opened on this device');
  assert.ok(await lock.locator('svg').isVisible());
  await tab.hasProcessed(26);
  const { repeats, skips } = await tab.ledger();
  assert.deepEqual([repeats, skips], [0, 0]);

  const [{ received }] = device.sockets;
  const wire = received.join('\n');
  const kept = JSON.stringify([await tab.databases(), await tab.page.evaluate(() => ({ ...localStorage }))]);
  for (const text of [wire, kept]) {
    assert.ok(text.includes('"$sealed"'), 'it is there, sealed');
    assert.deepEqual(
      PRIVATE.filter((secret) => text.includes(secret)),
      [],
    );
  }
});

test('a device without keys shows the same orders with a shut lock, and what the gateway sees is shown on request', async (t) => {
  const device = await newDevice(t, shop, { customer: 'c43', device: 'no-keys', query: { keys: 'none' } });
  const tab = await device.open();
  await tab.press('rush');
  const card = tab.page.locator('article.order[data-sealed="shut"]').first();
  await card.waitFor();
  assert.equal(await card.locator('.address').textContent(), 'Address sealed');
  assert.equal(await tab.page.locator('article.order[data-sealed="open"]').count(), 0);
  assert.ok(!(await tab.page.content()).includes('Mill Street'));
});

test('keys rest in IndexedDB and no program of the page can take them out', async (t) => {
  const device = await newDevice(t, shop, { device: 'keys' });
  const tab = await device.open();
  const tried = await tab.page.evaluate(async () => {
    const request = indexedDB.open('tidewire-keys');
    await new Promise((resolve) => {
      request.onsuccess = resolve;
    });
    const all = request.result.transaction('keys').objectStore('keys').getAll();
    await new Promise((resolve) => {
      all.onsuccess = resolve;
    });
    request.result.close();
    const keys = all.result.flatMap(({ keys }) => keys.map(({ key }) => key));
    const formats = ['raw', 'jwk'];
    return Promise.all(
      keys.flatMap((key) =>
        formats.map((format) =>
          crypto.subtle.exportKey(format, key).then(
            () => 'taken out',
            ({ name }) => [key instanceof CryptoKey, key.extractable, key.usages.join(), name],
          ),
        ),
      ),
    );
  });
  assert.ok(tried.length >= 2);
  for (const outcome of tried) assert.deepEqual(outcome, [true, false, 'decrypt', 'InvalidAccessError']);
});
