/** Shell: a browser of its own for each test, in the one Chromium: nothing kept, and looked through when the test ends. */
import assert from 'node:assert/strict';

import { chromium } from './running.js';
import { Tab, watch } from './tab.js';

/** What Chromium says in the console of a connection that a test has cut. */
export const CUT = /net::ERR_(CONNECTION_(REFUSED|RESET|CLOSED)|INTERNET_DISCONNECTED|SOCKET_NOT_CONNECTED)|WebSocket/;

/**
 * @typedef {object} DeviceOptions
 * @property {string} [customer]
 * @property {string} device name of the session; a new one for each test, else it resumes where another was.
 * @property {Record<string, string>} [query] other parameters of the page.
 * @property {RegExp} [expected] complaints that belong to the test.
 * @property {import('playwright-core').BrowserContextOptions} [browser]
 */

/** A browser with one site's page. */
export class Device {
  /** @type {Tab[]} */
  tabs = [];

  /** @param {import('playwright-core').BrowserContext} context @param {string} address of the page. */
  constructor(context, address) {
    this.context = context;
    this.address = address;
    context.on('page', (page) => this.tabs.push(new Tab(page)));
  }

  /** A tab with the page, live. */
  async open() {
    return (await this.tab()).open(this.address);
  }

  /** An empty tab. @returns {Promise<Tab>} */
  async tab() {
    const page = await this.context.newPage();
    return this.tabs.find((tab) => tab.page === page);
  }

  /** WebSockets of all its tabs. */
  get sockets() {
    return this.tabs.flatMap(({ sockets }) => sockets);
  }
}

/**
 * A new browser; the test fails if one of its tabs complains of anything but `expected`.
 * @param {import('node:test').TestContext} t
 * @param {import('../system/gateway.js').Gateway} site
 * @param {DeviceOptions} options
 */
export async function newDevice(t, site, { customer = 'c42', device, query, expected, browser }) {
  const context = await chromium.newContext({ ignoreHTTPSErrors: true, reducedMotion: 'reduce', ...browser });
  await context.addInitScript(watch);
  const address = `${site.page}?${new URLSearchParams({ customer, device, ...query })}`;
  const made = new Device(context, address);
  t.after(async () => {
    for (const { page, complaints, hasCrashed } of made.tabs) {
      if (!page.isClosed() && !hasCrashed)
        complaints.push(...(await page.evaluate(() => globalThis.seen?.violations ?? [])));
    }
    await context.close();
    const complaints = made.tabs.flatMap((tab) => tab.complaints);
    assert.deepEqual(
      complaints.filter((text) => !expected?.test(text)),
      [],
    );
  });
  return made;
}
