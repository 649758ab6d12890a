/** The demo page and the client in Chromium, against real sites that are started once for all of it. */
import './signing-in.js';
import './replay.js';
import './together.js';
import './network.js';
import './in-time.js';
import './person.js';
import './odd-events.js';
import './seeing.js';
import './pictures.js';
