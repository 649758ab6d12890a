/** Shell: starts the page. */
import { showAbout } from './about.js';
import { byId, say } from './element.js';
import { LivePage } from './live-page.js';
import { Site } from './site.js';
import { wishesOf } from './wishes.js';

showAbout();
const wishes = wishesOf(location.search);
const site = new Site(wishes.customer);
try {
  await new LivePage(site, await site.settings(), wishes).start();
} catch (error) {
  say(byId('narration'), 'The page could not start: the shop’s site did not answer. Reload to try again.');
  throw error;
}
