/** Pure: an event's data while opened fields come in and declared ones in clear go out. */
import { isMap } from './members.js';

/** The member of an event's data that holds its sealed fields; a draft has none. */
export const SEALED = '$sealed';

/**
 * Data that is being changed: objects are copied when first touched, so that the event's own data stays. Only own
 * members count, and `__proto__` is a name as any other: nothing reaches a prototype.
 */
export class Draft {
  /** @type {any} */
  data;
  #ours;

  /** @param {unknown} data */
  constructor(data) {
    this.data = data;
    if (isMap(data)) {
      const { [SEALED]: _, ...rest } = data;
      this.data = rest;
    }
    this.#ours = new Set([this.data]);
  }

  /** @param {string[]} tokens */
  hasParent(tokens) {
    return isMap(this.#look(tokens.slice(0, -1)));
  }

  /** @param {string[]} tokens */
  has(tokens) {
    const parent = this.#look(tokens.slice(0, -1));
    return isMap(parent) && Object.hasOwn(parent, /** @type {string} */ (tokens.at(-1)));
  }

  /** @param {string[]} tokens @param {unknown} value */
  put(tokens, value) {
    define(this.#own(tokens.slice(0, -1)), tokens.at(-1), value);
  }

  /** @param {string[]} tokens */
  remove(tokens) {
    delete this.#own(tokens.slice(0, -1))[/** @type {string} */ (tokens.at(-1))];
  }

  /** @param {string[]} tokens @returns {unknown} */
  #look(tokens) {
    let place = this.data;
    for (const token of tokens) {
      if (!isMap(place) || !Object.hasOwn(place, token)) return undefined;
      place = place[token];
    }
    return place;
  }

  /** @param {string[]} tokens */
  #own(tokens) {
    let place = this.data;
    for (const token of tokens) {
      let child = place[token];
      if (!this.#ours.has(child)) {
        child = { ...child };
        this.#ours.add(child);
        define(place, token, child);
      }
      place = child;
    }
    return place;
  }
}

/**
 * Set an own member, also one named `__proto__`.
 * @param {object} place
 * @param {any} name
 * @param {unknown} value
 */
function define(place, name, value) {
  Object.defineProperty(place, name, { value, writable: true, enumerable: true, configurable: true });
}
