/** Shell: the way from the shop to the phone, with drops for what travels on it. */
import { byId, make, say } from './element.js';

/** @typedef {'shop' | 'stream' | 'phone'} Link each is named for the node before it, the last for the node after it */

/** How long a drop takes over one link, in ms. */
const TRAVEL_MS = 420;
/** Drops on one link at once, at most. */
const DROPS = 14;

/** The drawing of the way. */
export class Wire {
  #root = byId('wire');
  #kept = byId('waiting');
  #isMoving;

  /** @param {() => boolean} isMoving Whether drops are drawn. */
  constructor(isMoving) {
    this.#isMoving = isMoving;
  }

  /** @param {string} state of the last link: the page's state. */
  state(state) {
    this.#root.dataset.wire = state;
  }

  /** @param {boolean} isDown Whether the gateway was killed and none has taken over yet. */
  gateway(isDown) {
    this.#root.toggleAttribute('data-down', isDown);
  }

  /** Events that wait for the phone in the stream. New ones are seen to arrive. @param {number} count */
  kept(count) {
    const before = Number(this.#kept.dataset.count);
    this.#kept.dataset.count = String(count);
    say(/** @type {Element} */ (this.#kept.firstElementChild), count > 999 ? '999+' : String(count));
    for (let n = 0; n < Math.min(count - before, 6); n += 1) this.#drop('shop', 'live', n * 90);
  }

  /** An event came all the way, or, when it is a replay, from the stream. @param {boolean} isReplay */
  flow(isReplay) {
    if (isReplay) {
      this.#drop('stream', 'replay', 0);
      this.#drop('phone', 'replay', TRAVEL_MS * 0.8);
      return;
    }
    this.#drop('shop', 'live', 0);
    this.#drop('stream', 'live', TRAVEL_MS * 0.8);
    this.#drop('phone', 'live', TRAVEL_MS * 1.6);
  }

  /** @param {Link} name @param {'live' | 'replay'} how @param {number} delay ms */
  #drop(name, how, delay) {
    const link = /** @type {HTMLElement} */ (this.#root.querySelector(`[data-link="${name}"]`));
    if (!this.#isMoving() || link.querySelectorAll('.drop').length >= DROPS) return;
    const drop = make('i', `drop ${how}`);
    link.append(drop);
    const frames = [
      { transform: 'translateX(0)', opacity: 0 },
      { opacity: 1, offset: 0.2 },
      { opacity: 1, offset: 0.8 },
      { transform: `translateX(${link.clientWidth}px)`, opacity: 0 },
    ];
    const animation = drop.animate(frames, { duration: TRAVEL_MS, delay, easing: 'ease-in-out', fill: 'both' });
    animation.onfinish = animation.oncancel = () => drop.remove();
  }
}
