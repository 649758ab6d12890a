/** Shell: the machine room: the connection as its engineers see it. */
import { byId, make, say } from './element.js';

/** @typedef {import('./ledger.js').Ledger} Ledger */
/** @typedef {import('./ledger.js').Entry} Entry */
/** @typedef {import('./frame-text.js').ShownFrame} ShownFrame */

/** @typedef {{ phase: string, session: string, stream: string, seq: number | null, lagMs: number | null }} Facts */

const FRAMES = 14;
/** Entries of the log in the page. */
const ENTRIES = 500;
/** A log scrolled up further than this stays where it is. */
const PIN_PX = 400;
const NUMBERS = new Intl.NumberFormat('en');

/** What the right half of the page shows. */
export class MachineRoom {
  #phase = byId('phase');
  #session = byId('session');
  #stream = byId('stream');
  #position = byId('position');
  #lag = byId('lag');
  #ledger = byId('ledger');
  #verdict = byId('verdict');
  #frames = byId('frames');
  #log = byId('log');
  /** Those in the log of this page. @type {Set<string>} */
  #logged = new Set();
  /** @type {number | null} */
  #pinning = null;

  /** @param {Facts} facts */
  facts({ phase, session, stream, seq, lagMs }) {
    say(this.#phase, phase);
    say(this.#session, session);
    say(this.#stream, stream.split(':')[0] || '–');
    this.#stream.title = stream;
    say(this.#position, seq === null ? '–' : String(seq));
    say(this.#lag, lagMs === null ? '–' : lagText(lagMs));
  }

  /** @param {Ledger} ledger */
  ledger(ledger) {
    for (const name of /** @type {const} */ (['processed', 'repeats', 'skips', 'gaps'])) {
      this.#ledger.dataset[name] = String(ledger[name]);
      say(/** @type {Element} */ (this.#ledger.querySelector(`[data-figure="${name}"]`)), NUMBERS.format(ledger[name]));
    }
    const isWrong = ledger.repeats > 0 || ledger.skips > 0;
    this.#ledger.classList.toggle('is-wrong', isWrong);
    say(this.#verdict, verdict(ledger, isWrong));
  }

  /** @param {ShownFrame} frame */
  frame({ isOut, kind, text }) {
    const way = make('span', 'way', isOut ? '↑' : '↓');
    way.setAttribute('aria-label', isOut ? 'out' : 'in');
    const line = make('li', isOut ? 'out' : 'in', way, make('b', '', kind), make('code', '', text));
    line.title = text;
    this.#frames.prepend(line);
    while (this.#frames.childElementCount > FRAMES) this.#frames.lastElementChild?.remove();
  }

  /** Events processed, in order. @param {Entry[]} entries */
  log(entries) {
    for (const { stream, seq, order, status } of entries) {
      if (this.#logged.has(`${stream} ${seq}`)) continue;
      this.#logged.add(`${stream} ${seq}`);
      const line = make('li', '', make('b', '', String(seq)), make('span', '', order), make('i', '', status));
      line.dataset.seq = String(seq);
      line.dataset.stream = stream;
      this.#log.append(line);
    }
    while (this.#log.childElementCount > ENTRIES) {
      const first = /** @type {HTMLElement} */ (this.#log.firstElementChild);
      this.#logged.delete(`${first.dataset.stream} ${first.dataset.seq}`);
      first.remove();
    }
    this.#pinning ??= requestAnimationFrame(() => this.#pin());
  }

  /** Keep the newest entry in sight, unless somebody reads further up. */
  #pin() {
    this.#pinning = null;
    const log = this.#log;
    if (log.scrollHeight - log.clientHeight - log.scrollTop < PIN_PX) log.scrollTop = log.scrollHeight;
  }

  /** Nothing is known any more. */
  clear() {
    this.#logged.clear();
    this.#log.replaceChildren();
    this.#frames.replaceChildren();
  }
}

/** @param {Ledger} ledger @param {boolean} isWrong */
function verdict({ gaps }, isWrong) {
  if (isWrong) return 'Something was lost or doubled';
  return gaps ? 'What is gone was told, nothing doubled' : 'Nothing lost, nothing doubled';
}

/** @param {number} ms */
function lagText(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return ms < 3_600_000 ? `${Math.round(ms / 60_000)} min` : `${Math.round(ms / 3_600_000)} h`;
}
