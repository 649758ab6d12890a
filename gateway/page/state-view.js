/** Shell: what changes on the page with its state: the pill on top, the way in and out of the tunnel. */
import { byId, say } from './element.js';
import { SHORT } from './state-words.js';

/** @typedef {import('./state-words.js').PageState} PageState */

/** The state of the page. */
export class StateView {
  #pill = byId('state');
  #said = /** @type {Element} */ (this.#pill.querySelector('.said'));
  #signal = byId('signal');

  /** @param {PageState} state @param {boolean} isInside the tunnel, also when the session is closed. */
  show(state, isInside) {
    this.#pill.dataset.state = state;
    document.body.dataset.state = state;
    say(this.#said, SHORT[state]);
    if (isInside && this.#signal.hidden) {
      say(this.#signal, `No signal since ${new Date().toLocaleTimeString('en-GB')}: this is what it knew`);
    }
    for (const id of ['signal', 'back']) byId(id).hidden = !isInside;
    for (const id of ['whose', 'tunnel']) byId(id).hidden = isInside;
  }
}
