/** Everybody can use the page: by keyboard, by ear, on a narrow screen, in light and in dark. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { test } from 'node:test';

import { until } from '../system/until.js';
import { newDevice } from './device.js';
import { shop } from './running.js';

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const SIZES = [
  { width: 1440, height: 900 },
  { width: 390, height: 844 },
];
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

/** Runs in the page: what axe finds wrong. @param {string[]} rules */
async function inspect(rules) {
  const { violations } = await globalThis.axe.run({ runOnly: { type: 'tag', values: rules } });
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target, failureSummary }) => [id, ...target, failureSummary]),
  );
}

/**
 * Runs in the page: texts that stand out too little from what is behind them, for WCAG 2.2 AA. Axe leaves out what is
 * cut off by a list that scrolls; here every text counts.
 */
function dimTexts() {
  const pen = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const rgba = (color) => {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = color;
    pen.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = pen.getImageData(0, 0, 1, 1).data;
    return { rgb: [red, green, blue], alpha: alpha / 255 };
  };
  const over = (upper, lower, alpha) => upper.map((part, n) => part * alpha + lower[n] * (1 - alpha));
  const linear = (part) => (part <= 10.31475 ? part / 3294.6 : ((part / 255 + 0.055) / 1.055) ** 2.4);
  const light = ([red, green, blue]) => 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
  /** What is behind an element's text. */
  const behind = (element) => {
    if (!element) return [255, 255, 255];
    const { rgb, alpha } = rgba(getComputedStyle(element).backgroundColor);
    return alpha === 1 ? rgb : over(rgb, behind(element.parentElement), alpha);
  };
  const dim = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let count = 0;
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    const text = texts.currentNode.textContent.trim();
    const isShown = element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
    if (!text || !isShown || element.closest('button:disabled, .unseen, noscript')) continue;
    count += 1;
    let { rgb, alpha } = rgba(getComputedStyle(element).color);
    for (let up = element; up; up = up.parentElement) alpha *= Number(getComputedStyle(up).opacity);
    const ground = behind(element);
    rgb = over(rgb, ground, alpha);
    const [most, least] = [light(rgb), light(ground)].sort((one, other) => other - one);
    const contrast = (most + 0.05) / (least + 0.05);
    const { fontSize, fontWeight } = getComputedStyle(element);
    const isLarge = Number.parseFloat(fontSize) >= (Number(fontWeight) >= 700 ? 18.66 : 24);
    if (contrast < (isLarge ? 3 : 4.5))
      dim.push(`${contrast.toFixed(2)}: ${element.localName}.${element.className}: ${text}`);
  }
  return { dim, count };
}

/** A live page with orders. @param {import('./device.js').Device} device */
async function withOrders(device) {
  const tab = await device.open();
  await tab.press('rush');
  await tab.hasProcessed(25);
  return tab;
}

for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
  test(`nothing is wrong for those who see little or hear the page, live and in the tunnel (${colorScheme})`, async (t) => {
    const browser = { colorScheme, bypassCSP: true }; // axe is brought in from outside
    const device = await newDevice(t, shop, { device: `eyes-${colorScheme}`, browser });
    const tab = await withOrders(device);
    await tab.page.evaluate(axe);
    for (const summary of await tab.page.$$('details:not([open]) summary')) await summary.click();
    const isRight = async (when) => {
      for (const size of SIZES) {
        await tab.page.setViewportSize(size);
        const { dim, count } = await tab.page.evaluate(dimTexts);
        assert.deepEqual(
          [dim, await tab.page.evaluate(inspect, RULES)],
          [[], []],
          `${when}, ${size.width} pixels wide`,
        );
        assert.ok(count > 50);
      }
    };
    await isRight('live');
    await tab.press('gateway-view');
    await isRight('as the gateway sees it');
    await tab.press('tunnel');
    await tab.is('tunnel');
    await isRight('in the tunnel');
  });
}

/** Runs in the page: whether everything fits the width of the screen. */
function isTooWide() {
  const { scrollWidth, clientWidth } = document.documentElement;
  return scrollWidth > clientWidth;
}

/** Runs in the page: the controls that somebody can use now. */
function controls() {
  return [...document.querySelectorAll('a[href], button, summary, [tabindex="0"]')]
    .filter((element) => element.checkVisibility({ visibilityProperty: true }) && !element.disabled)
    .map((element) => element.id || element.textContent.trim());
}

/** Runs in the page: what has the focus, and whether one sees that. */
function focused() {
  const { activeElement: element } = document;
  const style = getComputedStyle(element);
  const { width, height, top, bottom } = element.getBoundingClientRect();
  return {
    name: element.id || element.textContent.trim(),
    isSeen: style.outlineStyle !== 'none' && Number.parseFloat(style.outlineWidth) >= 2 && width > 0 && height > 0,
    isOnScreen: bottom > 0 && top < innerHeight,
  };
}

test('on every width everything fits and can be reached by the keyboard', async (t) => {
  const device = await newDevice(t, shop, { device: 'widths' });
  const tab = await withOrders(device);
  for (const width of [320, 390, 768, 1440]) {
    await tab.page.setViewportSize({ width, height: 800 });
    assert.equal(await tab.page.evaluate(isTooWide), false, `${width}`);
    await tab.page.reload(); // the focus begins at the top
    await tab.isLive();
    const all = await tab.page.evaluate(controls);
    assert.ok(all.length > 10, `${all}`);
    for (const name of all) {
      await tab.page.keyboard.press('Tab');
      assert.deepEqual(await tab.page.evaluate(focused), { name, isSeen: true, isOnScreen: true }, `${width}`);
    }
    await tab.press('tunnel');
    await tab.is('tunnel');
    assert.equal((await tab.page.evaluate(focused)).name, 'back', 'the focus does not get lost with a hidden button');
    assert.equal(await tab.page.evaluate(isTooWide), false, `${width}, in the tunnel`);
    await tab.page.keyboard.press('Enter');
    await tab.isLive();
    assert.equal((await tab.page.evaluate(focused)).name, 'tunnel');
  }
});

test('the page says its language, has one order of headings, and reads out what happens', async (t) => {
  const device = await newDevice(t, shop, { device: 'ears' });
  const tab = await withOrders(device);
  const found = await tab.page.evaluate(() => ({
    lang: document.documentElement.lang,
    levels: [...document.querySelectorAll('h1, h2, h3, h4, h5, h6')]
      .filter((heading) => heading.checkVisibility())
      .map(({ localName }) => Number(localName[1])),
    live: [...document.querySelectorAll('[aria-live]')].map(({ id, ariaLive }) => [id, ariaLive]),
    nameless: [...document.querySelectorAll('button')].filter(
      (button) => !(button.ariaLabel ?? button.textContent).trim(),
    ).length,
  }));
  assert.equal(found.lang, 'en');
  assert.deepEqual(found.levels.filter((level) => level === 1).length, 1);
  assert.equal(found.levels[0], 1);
  for (const [n, level] of found.levels.entries())
    assert.ok(n === 0 || level <= found.levels[n - 1] + 1, `${found.levels}`);
  assert.deepEqual(found.live, [['narration', 'polite']]);
  assert.equal(found.nameless, 0);
  const narration = tab.page.locator('#narration');
  await tab.press('tunnel');
  await until(async () => /tunnel/i.test(await narration.textContent()));
  await tab.press('back');
  await until(async () => /Out of the tunnel\. /.test(await narration.textContent()));
});
