/**
 * Pure: which patterns the iterators of a session want, and which of them the gateway knows of.
 *
 * A connection asks for the patterns known when it opens. What comes or goes later is told once the gateway has said
 * welcome.
 *
 * @import { Effect } from './effects.js'
 */

import { matches } from './patterns.js';

/** The patterns of each iterator. `nextId` names the frames that a connection sends. */
export class Interest {
  #nextId;
  /** @type {Map<number, string[]>} */
  #inboxes = new Map();
  /**
   * Patterns the gateway has been told on this connection.
   *
   * @type {Set<string>}
   */
  #told = new Set();
  /**
   * `subscribe` frames without a reply yet.
   *
   * @type {Map<string, string[]>}
   */
  #asked = new Map();

  /** @param {() => string} nextId */
  constructor(nextId) {
    this.#nextId = nextId;
  }

  /** What the iterators want, each pattern once, in the order of asking. */
  get patterns() {
    return [...new Set([...this.#inboxes.values()].flat())];
  }

  /**
   * Take in a new iterator.
   *
   * @param {number} inbox
   * @param {string[]} patterns
   */
  add(inbox, patterns) {
    this.#inboxes.set(inbox, patterns);
  }

  /**
   * Forget an iterator; false when it is not known.
   *
   * @param {number} inbox
   */
  remove(inbox) {
    return this.#inboxes.delete(inbox);
  }

  /**
   * The iterators that an event of this subject is for, maybe none.
   *
   * @param {string} subject
   */
  matching(subject) {
    return this.#holding((pattern) => matches(pattern, subject));
  }

  /** All patterns, for the first frame of a connection. */
  connect() {
    const wanted = this.patterns;
    this.#told = new Set(wanted);
    return wanted;
  }

  /**
   * Tell the gateway what changed since it was last told.
   *
   * @returns {Effect[]}
   */
  announce() {
    const told = this.#told;
    const wanted = this.connect();
    const added = wanted.filter((pattern) => !told.has(pattern));
    const ended = [...told].filter((pattern) => !this.#told.has(pattern)).sort();
    /** @type {Effect[]} */
    const effects = [];
    if (added.length) {
      const id = this.#nextId();
      this.#asked.set(id, added);
      effects.push({ kind: 'Send', frame: { type: 'subscribe', id, subjects: added } });
    }
    if (ended.length) {
      effects.push({ kind: 'Send', frame: { type: 'unsubscribe', id: this.#nextId(), subjects: ended } });
    }
    return effects;
  }

  /**
   * The patterns of the `subscribe` frame that a reply is about; undefined when it is about another frame.
   *
   * @param {string} id
   */
  answered(id) {
    const subjects = this.#asked.get(id);
    this.#asked.delete(id);
    return subjects;
  }

  /**
   * Forget the iterators that hold a refused pattern, and return them.
   *
   * @param {string[]} subjects
   */
  deny(subjects) {
    const hit = this.#holding((pattern) => subjects.includes(pattern));
    for (const inbox of hit) this.remove(inbox);
    if (hit.length) for (const subject of subjects) this.#told.delete(subject);
    return hit;
  }

  /** The next gateway knows of nothing. */
  endConnection() {
    this.#told.clear();
    this.#asked.clear();
  }

  /**
   * The iterators with such a pattern.
   *
   * @param {(pattern: string) => boolean} test
   */
  #holding(test) {
    return [...this.#inboxes].filter(([, held]) => held.some(test)).map(([inbox]) => inbox);
  }
}
