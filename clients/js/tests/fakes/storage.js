/** A storage in memory that can be slow or fail. */

export class FakeStorage {
  /** What was kept, by scope as JSON. @type {Map<string, { stream: string, seq: number }>} */
  kept = new Map();
  /** Each load and save, in order. */
  calls = [];
  isFailing = false;
  /** Saves that wait for `release`. @type {(() => void)[] | null} */
  #held = null;

  async load(scope) {
    this.calls.push(['load', scope]);
    if (this.isFailing) throw new Error('disk of the device');
    return this.kept.get(JSON.stringify(scope)) ?? null;
  }

  async save(scope, position) {
    this.calls.push(['save', position]);
    if (this.#held) await new Promise((resolve) => this.#held?.push(() => resolve(undefined)));
    if (this.isFailing) throw new Error('disk of the device');
    if (position) this.kept.set(JSON.stringify(scope), position);
    else this.kept.delete(JSON.stringify(scope));
  }

  /** From now on saves wait. */
  hold() {
    this.#held ??= [];
  }

  /** What waits goes on, and what comes does not wait any more. */
  release() {
    for (const go of this.#held?.splice(0) ?? []) go();
    this.#held = null;
  }

  /** The sequences that were to be saved. */
  get saves() {
    return this.calls.filter(([name]) => name === 'save').map(([, position]) => position?.seq ?? null);
  }

  /** The one position that is kept; null when there is none. */
  get position() {
    return [...this.kept.values()].at(-1) ?? null;
  }
}
