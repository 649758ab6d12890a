/** The demo page and the client in Chromium, against real sites that are started once for all of it. */
import { describe } from 'node:test';

import './signing-in.js';
import './replay.js';
import './together.js';
import './network.js';
import './person.js';
import './odd-events.js';
import './seeing.js';

describe('what mostly waits, side by side', { concurrency: true }, async () => {
  await import('./in-time.js');
  await import('./pictures.js');
});
