/** Anybody may publish anything on a customer's subjects: it is shown as text, and the page lives. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { until } from '../system/until.js';
import { newDevice } from './device.js';
import { quiet } from './running.js';

const MARKUP = '<img src=x onerror="alert(1)">';
const ORDER = { status: 'paid', item: 'lamp', total_cents: 100 };
const SUBJECT = 'orders.c44.odd';

/** Each of them, and what its card must say of it. @type {[unknown, string?][]} */
const ODD = [
  [null],
  [true],
  [0],
  ['a text', 'A text'],
  ['', undefined],
  [[]],
  [[1, [2, [3]]], '[1,[2,[3]]]'],
  [{}],
  [Uint8Array.of(0xff, 0x00, 0xc3, 0x28), '4 bytes'],
  [Uint8Array.of()],
  [{ ...ORDER, order: 'markup', item: MARKUP }, MARKUP],
  [{ ...ORDER, order: MARKUP, status: MARKUP }, MARKUP],
  [{ ...ORDER, order: 'script', item: '<script>alert(1)</script>' }, '<script>alert(1)</script>'],
  [{ ...ORDER, order: 'attribute', item: '" onmouseover="alert(1)' }, '" onmouseover="alert(1)'],
  [{ ...ORDER, order: 'person', customer: MARKUP, name: ['tel', 1] }],
  [{ ...ORDER, order: '__proto__' }, '__proto__'],
  [{ ...ORDER, order: 'constructor', status: 'toString' }, 'toString'],
  [{ ...ORDER, order: 'unknown', status: 'lost at sea' }, 'lost at sea'],
  [{ ...ORDER, order: 'no-status', status: null }],
  [{ ...ORDER, order: { a: 1 }, status: ['paid'], item: { b: 2 }, total_cents: 'much' }, '{"b":2}'],
  [{ ...ORDER, order: 'cents', total_cents: -1e308 }],
  [{ ...ORDER, order: 'long', item: 'x'.repeat(50_000) }],
  [{ ...ORDER, order: 'turned', item: '\u202egnp.exe \u{1f600}\u0000\u0007' }],
  [{ ...ORDER, order: 'sealed-1', $sealed: 5 }],
  [{ ...ORDER, order: 'sealed-2', $sealed: { contact: 'eyJ.a.b.c.d' } }],
  [{ ...ORDER, order: 'sealed-3', $sealed: { [MARKUP]: MARKUP } }],
  [{ order: 'deep', status: 'paid', item: JSON.parse('['.repeat(200) + ']'.repeat(200)) }],
];

for (const encoding of ['json', 'msgpack']) {
  test(`odd and hostile events are shown as text, and the page goes on (${encoding})`, async (t) => {
    const device = await newDevice(t, quiet, { customer: 'c44', device: `odd-${encoding}`, query: { encoding } });
    const tab = await device.open();
    const seqs = [];
    for (const [n, [data]] of ODD.entries()) seqs.push(await quiet.publisher.publish(`${SUBJECT}.${n}`, data));
    await tab.hasLogged(seqs);
    await until(async () => (await tab.page.locator('article.order').count()) >= 20);
    const seen = await tab.page.evaluate(() => ({
      text: document.getElementById('board').textContent,
      tags: [...new Set([...document.querySelectorAll('main *')].map(({ localName }) => localName))],
      handlers: [...document.querySelectorAll('*')].flatMap(({ attributes }) =>
        [...attributes].filter(({ name }) => name.startsWith('on')),
      ).length,
    }));
    for (const [, text] of ODD) if (text) assert.ok(seen.text.includes(text), `it shows ${text}`);
    assert.ok(!seen.tags.includes('img') && !seen.tags.includes('script') && seen.handlers === 0);
    assert.equal(await tab.page.evaluate(() => ({}).status), undefined);
    await tab.press('gateway-view');
    await tab.isLive();

    await tab.page.reload(); // what is kept of them is no harm either
    await tab.isLive();
    await tab.hasLogged(seqs);
    const next = await quiet.publisher.publish('orders.c44.fine', { ...ORDER, order: 'fine' });
    await tab.hasLogged([...seqs, next]);
    await tab.page.locator('article.order[data-order="fine"]').waitFor();
    const { processed, gaps } = await tab.ledger();
    assert.deepEqual([processed, gaps], [ODD.length + 1, 0]);

    await quiet.publisher.publish('orders.c44.clear', { ...ORDER, order: 'clear', address: 'Harbour Lane 7' });
    const last = await quiet.publisher.publish('orders.c44.fine', { ...ORDER, order: 'last' });
    await tab.hasLogged([...seqs, next, last]);
    await until(async () => (await tab.ledger()).gaps === 1); // a field that should be sealed goes nowhere
    assert.ok(!(await tab.page.content()).includes('Harbour Lane'));
    assert.match(await tab.page.locator('#verdict').textContent(), /gone was told/);
  });
}
