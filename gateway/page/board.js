/** Shell: the order board: a column for each step, a card for each order. On a narrow screen it is one list. */
import { Card } from './card.js';
import { byId, say } from './element.js';
import { glide } from './flip.js';
import { stepOf } from './order.js';

/** @typedef {import('./order.js').Order} Order */
/** @typedef {import('./order.js').Contact} Contact */
/** @typedef {{ order: Order, contact: Contact, isReplay: boolean }} Move */

/** Orders of a column that are shown unasked; open orders are few. */
const SHOWN = { delivered: 3, other: 3 };
/** Orders of a column that are kept in the page. */
const KEPT = 120;

/** The board of one customer. */
export class Board {
  #root = byId('board');
  #earlier = byId('earlier');
  #empty = byId('board-empty');
  /** @type {Map<string, Card>} */
  #cards = new Map();
  #showsEarlier = false;

  constructor() {
    this.#earlier.addEventListener('click', () => {
      this.#showsEarlier = !this.#showsEarlier;
      this.#earlier.setAttribute('aria-expanded', String(this.#showsEarlier));
      this.#glide(() => this.#tidy());
    });
  }

  /** Take every card off. */
  clear() {
    for (const { element } of this.#cards.values()) element.remove();
    this.#cards.clear();
    this.#tidy();
  }

  /**
   * Show orders as they now are, all at once.
   * @param {Move[]} moves
   * @param {boolean} isMoving Whether cards glide and light up.
   */
  show(moves, isMoving) {
    const change = () => {
      for (const move of moves) this.#place(move, isMoving);
      this.#tidy();
    };
    if (isMoving) this.#glide(change);
    else change();
  }

  /** @param {() => void} change */
  #glide(change) {
    glide(() => [...this.#cards.values()].map(({ element }) => element), change);
  }

  /** @param {Move} move @param {boolean} isMoving */
  #place({ order, contact, isReplay }, isMoving) {
    const known = this.#cards.get(order.order);
    const column = this.#column(order);
    if (known) known.show(order, contact);
    const card = known ?? new Card(order, contact);
    this.#cards.set(order.order, card);
    if (card.element.parentNode !== column) column.prepend(card.element);
    if (isMoving) card.glow(isReplay);
  }

  /** @param {Order} order @returns {Element} the list that it belongs in. */
  #column({ status }) {
    const step = stepOf(status) < 0 ? 'other' : status;
    return /** @type {Element} */ (this.#root.querySelector(`[data-step="${step}"] ul`));
  }

  /** Count, fold away what is old, and say when there is nothing. */
  #tidy() {
    for (const column of this.#root.querySelectorAll('.column')) {
      const { step = '' } = /** @type {HTMLElement} */ (column).dataset;
      const slots = [...column.querySelectorAll('.slot')];
      for (const slot of slots.splice(KEPT)) this.#drop(slot);
      const shown = SHOWN[/** @type {'other'} */ (step)] ?? KEPT;
      for (const [at, slot] of slots.entries()) slot.classList.toggle('earlier', at >= shown && !this.#showsEarlier);
      say(/** @type {Element} */ (column.querySelector('.count')), slots.length ? String(slots.length) : '');
      column.classList.toggle('is-empty', !slots.length);
      if (step === 'other') /** @type {HTMLElement} */ (column).hidden = !slots.length;
      if (step === 'delivered') this.#sayEarlier(slots.length - shown);
    }
    this.#empty.hidden = this.#cards.size > 0;
    this.#root.classList.toggle('has-none', !this.#cards.size);
  }

  /** @param {number} count of folded ones. */
  #sayEarlier(count) {
    this.#earlier.hidden = count <= 0;
    say(this.#earlier, this.#showsEarlier ? 'Show fewer' : `${count} earlier`);
  }

  /** @param {Element} slot */
  #drop(slot) {
    slot.remove();
    for (const [name, { element }] of this.#cards) if (element === slot) this.#cards.delete(name);
  }
}
