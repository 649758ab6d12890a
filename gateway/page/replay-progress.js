/** Shell: how far a replay is on the board. */
import { byId, say } from './element.js';

/** The full bar stays so long, in ms. */
const STAYS_MS = 900;

/** The bar below the narration. */
export class ReplayProgress {
  #root = byId('progress');
  #bar = /** @type {HTMLElement} */ (this.#root.querySelector('.bar'));
  #count = /** @type {HTMLElement} */ (this.#root.querySelector('.count'));
  #shown = 0;
  /** @type {number | null} */
  #of = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** A replay begins. @param {number | null} of events; null: not known. */
  begin(of) {
    clearTimeout(this.#timer);
    this.#shown = 0;
    this.#of = of;
    this.#root.classList.toggle('is-on', of !== 0);
    this.#draw();
  }

  /** Some of it are on the board. @param {number} count */
  shown(count) {
    this.#shown += count;
    this.#draw();
  }

  /** The replay is over, and all of it is on the board. */
  end() {
    if (!this.#root.classList.contains('is-on')) return;
    this.#of = this.#shown;
    this.#draw();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#root.classList.remove('is-on'), STAYS_MS);
  }

  #draw() {
    const of = this.#of === null ? null : Math.max(this.#of, this.#shown);
    this.#bar.style.transform = `scaleX(${of ? this.#shown / of : 0})`;
    this.#root.setAttribute('aria-valuemax', String(of ?? this.#shown));
    this.#root.setAttribute('aria-valuenow', String(this.#shown));
    say(this.#count, of === null ? `Replayed ${this.#shown}` : `Replayed ${this.#shown} of ${of}`);
  }
}
