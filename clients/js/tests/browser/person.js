/** What somebody does with the page: forgets a session, slows the phone, speaks MessagePack. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { until } from '../system/until.js';
import { newDevice } from './device.js';
import { quiet } from './running.js';

const { publisher } = quiet;
const ORDER = { customer: 'c42', status: 'paid', item: 'lamp', total_cents: 1250 };
const CONTACT = { address: 'Harbour Lane 7, 20457 Hamburg', phone: '+49 40 5550142' };

/** As a service that seals address and phone. @param {string} subject @param {object} order */
const publishSealed = (subject, order) => quiet.tidewire('publish', subject, JSON.stringify(order));

test('who is forgotten is a new session, with an empty board and nothing left of the old one', async (t) => {
  const device = await newDevice(t, quiet, { device: 'to-forget' });
  const tab = await device.open();
  await publishSealed('orders.c42.o1', { order: 'o1', ...ORDER, ...CONTACT });
  await tab.page.locator('article.order[data-order="o1"][data-sealed="open"]').waitFor();
  const old = await tab.session();
  const namesOld = (text) => text.includes(old);
  const everything = async () =>
    JSON.stringify([await tab.databases(), await tab.page.evaluate(() => ({ ...localStorage }))]);
  assert.ok(namesOld(await everything()));

  await tab.press('forget');
  await until(() => tab.received('welcome').length === 2); // until then the page may show the state of the old one
  await tab.isLive();
  assert.notEqual(await tab.session(), old);
  assert.equal(await tab.page.locator('article.order').count(), 0);
  assert.ok(await tab.page.locator('#board-empty').isVisible());
  assert.deepEqual(await tab.ledger(), { processed: 0, repeats: 0, skips: 0, gaps: 0 });
  assert.deepEqual(await tab.log(), []);
  await until(async () => !namesOld(await everything()));
  assert.equal(tab.received('welcome')[1].outcome, 'fresh');
  assert.ok(!namesOld(tab.sent('connect')[1].session) && !namesOld(tab.page.url()));
  await publisher.publish('orders.c42.o2', { order: 'o2', ...ORDER });
  await tab.page.locator('article.order[data-order="o2"]').waitFor();
  assert.equal(await tab.page.locator('article.order').count(), 1);
});

test('MessagePack brings the same as JSON', async (t) => {
  const device = await newDevice(t, quiet, { device: 'msgpack', query: { encoding: 'msgpack' } });
  const tab = await device.open();
  await publishSealed('orders.c42.o3', { order: 'o3', ...ORDER, ...CONTACT });
  const card = tab.page.locator('article.order[data-order="o3"][data-sealed="open"]');
  await card.waitFor();
  assert.equal(await card.locator('.address').textContent(), CONTACT.address);
  await tab.press('tunnel');
  await tab.is('tunnel');
  await publisher.publishMany('orders.c42.packed', 25, 1);
  await tab.press('back');
  await tab.hasProcessed(26);
  await tab.isLive();
  const messages = device.sockets.flatMap(({ sent, received }) => [...sent, ...received]);
  assert.ok(messages.length > 4 && messages.every((message) => typeof message !== 'string'));
  assert.ok(!messages.some((message) => message.includes('Harbour Lane')));
  assert.ok(await tab.page.locator('#frames li', { hasText: 'welcome' }).count());
});
