/** Shell: the Chromium of this machine. */
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';

const PATH = process.env.CHROMIUM ?? '/usr/bin/chromium';
/** Runs as root in a container, and asks nobody but the page's site. */
const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Start it; whoever starts it closes it. */
export async function startChromium() {
  if (!existsSync(PATH)) {
    throw new Error(`there is no ${PATH}: apt-get install chromium fonts-dejavu-core, or say where it is in CHROMIUM`);
  }
  return chromium.launch({ executablePath: PATH, args: ARGS });
}
