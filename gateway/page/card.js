/** Shell: one order as a card. */
import { icon, make, say } from './element.js';
import { STEPS, sealedText, stepOf } from './order.js';

/** @typedef {import('./order.js').Order} Order */
/** @typedef {import('./order.js').Contact} Contact */

/** Characters of a sealed text that are shown. */
const SEALED_CHARS = 96;
const EUROS = new Intl.NumberFormat('en', { style: 'currency', currency: 'EUR' });
const CLOCK = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });

/** The card of one order. */
export class Card {
  /** The order shown. @type {Order} */
  order;
  #item = make('h4', 'item');
  #price = make('p', 'price');
  #name = make('p', 'name');
  #time = make('time', 'time');
  #word = make('span', 'word');
  #steps = STEPS.map(() => make('i', 'step'));
  #lock = make('span', 'lock');
  #address = make('p', 'address');
  #phone = make('p', 'phone-number phone');
  #cipher = make('p', 'cipher');
  #contact = make('div', 'contact');
  #article = make('article', 'order');
  #glows = 0;

  /** @param {Order} order @param {Contact} contact */
  constructor(order, contact) {
    this.order = order;
    const progress = make('p', 'progress-steps', ...this.#steps, this.#word);
    const face = make('div', 'face', this.#item, this.#price, this.#name, this.#time);
    this.#contact.append(this.#lock, this.#address, this.#phone, this.#cipher);
    this.#article.append(face, progress, this.#contact);
    /** What a column holds. */
    this.element = make('li', 'slot', this.#article);
    this.show(order, contact);
  }

  /** @param {Order} order @param {Contact} contact */
  show(order, contact) {
    this.order = order;
    this.#article.dataset.order = order.order;
    this.#article.dataset.status = order.status;
    say(this.#item, order.item ? order.item[0]?.toUpperCase() + order.item.slice(1) : 'No item');
    this.#item.classList.toggle('missing', !order.item);
    say(this.#price, order.total_cents === null ? '' : EUROS.format(order.total_cents / 100));
    say(this.#name, order.order);
    this.#name.title = order.order;
    this.#showTime(order.time);
    const step = stepOf(order.status);
    for (const [at, dot] of this.#steps.entries()) dot.classList.toggle('done', at <= step);
    say(this.#word, order.status || 'no status');
    this.#article.classList.toggle('is-odd', step < 0);
    this.#showContact(order, contact);
  }

  /** @param {string} time RFC 3339 */
  #showTime(time) {
    const moment = new Date(time);
    const isTime = !Number.isNaN(moment.getTime());
    say(this.#time, isTime ? CLOCK.format(moment) : '');
    this.#time.dateTime = isTime ? time : '';
  }

  /** @param {Order} order @param {Contact} contact */
  #showContact(order, { address, phone, seal }) {
    const isShut = seal === 'shut';
    if (seal) this.#article.dataset.sealed = seal;
    else delete this.#article.dataset.sealed;
    const sealed = sealedText(order.raw);
    this.#contact.hidden = !seal && !address && !phone;
    this.#contact.dataset.seal = seal ?? 'none';
    this.#lock.replaceChildren(
      make('span', 'as-device', icon(isShut ? 'shut' : 'open'), lockWord(seal)),
      make('span', 'as-gateway', icon('shut'), 'sealed on the wire'),
    );
    say(this.#address, address || (isShut ? 'Address sealed' : ''));
    say(this.#phone, phone || (isShut ? 'Phone sealed' : ''));
    say(this.#cipher, sealed && `${sealed.slice(0, SEALED_CHARS)}…`);
  }

  /** Let it light up for a moment, in the colour of live or replayed. @param {boolean} isReplay */
  glow(isReplay) {
    this.#glows += 1;
    this.#article.dataset.glow = this.#glows % 2 ? 'a' : 'b'; // another name begins the animation anew
    this.#article.dataset.how = isReplay ? 'replay' : 'live';
  }
}

/** @param {Contact['seal']} seal */
function lockWord(seal) {
  if (seal === 'open') return 'opened on this device';
  return seal === 'shut' ? 'sealed: no key here' : 'not sealed';
}
