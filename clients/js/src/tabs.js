/**
 * Shell: tabs of one browser that are one session: one leads and holds the connection, the others follow.
 *
 * Who holds the Web Lock named after the session leads. Each tab that follows tells the leader its inboxes, and gets
 * their events over a BroadcastChannel; the position waits for all of them, as it does for several iterators in one tab.
 * Each tab holds a lock of its own as well, so that its end is noticed however it comes; then its inboxes are given up.
 * When the leader ends, the browser gives the lock to the next tab, which resumes from the stored position; each tab
 * recognises what it had already (``Inbox.put``).
 *
 * A leader whose page the browser has put to sleep keeps its lock and serves nobody: a tab that is seen, and that it does
 * not answer, takes the lock from it. When it wakes, it follows, and the new leader begins again where it had stopped.
 *
 * A leader has a term, a number that rises from leader to leader: what an older one still says is not heard.
 */
import { stopped } from './errors.js';

/** @typedef {import('./session.js').Ticket} Ticket */
/** @typedef {import('./session.js').State} State */
/** @typedef {import('./frames.js').EventFrame} EventFrame */
/** @typedef {import('./effects.js').Gap} Gap */
/** @typedef {import('./frames.js').Welcome} Welcome */
/** @typedef {import('./storage.js').Position} Position */

/**
 * @typedef {object} TabPlatform What tabs need of the browser.
 * @property {LockManager} locks
 * @property {typeof BroadcastChannel} BroadcastChannel
 * @property {() => string} newId A name for this tab that no other has.
 * @property {() => number} unixMs
 * @property {import('./clock.js').Clock} clock
 * @property {() => boolean} isSeen Whether this tab's page is visible.
 */

/**
 * @typedef {object} News What a leader tells all.
 * @property {State} [state]
 * @property {Welcome | null} [welcome]
 * @property {Position | null} [position]
 * @property {number} [live]
 * @property {{ kind: import("./effects.js").StopKind, code: number | null }} [stop]
 */

/**
 * @typedef {object} Follower
 * @property {Map<number, number>} inboxes Its number of an inbox to ours, which is negative.
 * @property {Map<number, () => void>} owes What it has not answered, a gap by its number, and what waits for it.
 * @property {AbortController} watch
 */

/** It owes the patterns that it wants. */
const PATTERNS = 0;
/** The longest that a new leader waits for the patterns of a tab that does not answer, in ms. */
const GATHER_WITHIN_MS = 2000;
/** A leader that has not answered after this is asleep, in seconds. */
const LEADER_WITHIN_S = 4;
/** A timer that comes so late was slept through by this tab itself, in seconds. */
const LATE_S = 2;
/** A tab takes the lead from another once in this time, in seconds. */
const STEAL_EVERY_S = 30;

/** This tab's place among the tabs of its session. */
export class Tabs {
  /** The leader's, as far as this tab has heard. */
  term = 0;
  /** @type {State} */
  state = 'connecting';
  /** @type {Position | null} */
  position = null;
  /** @type {Welcome | null} */
  welcome = null;

  #name;
  #platform;
  #seat;
  #id;
  #channel;
  #isLeading = false;
  #isRobbed = false;
  #closing = new AbortController();
  /** @type {() => void} */
  #release = () => {};
  /** @type {(value?: unknown) => void} */
  #granted = () => {};
  /** @type {Promise<unknown>} */
  #held = new Promise((resolve) => {
    this.#release = () => resolve(undefined);
  });
  /** Runs while the leader owes an answer. @type {unknown} */
  #timer;
  /** How often it was asked: what it said before it fell asleep may come late, and is no answer. */
  #asks = 0;
  #leaderId = '';
  /** @type {Map<string, Follower>} */
  #followers = new Map();
  /** @type {Map<number, { tab: string, inbox: number }>} */
  #remote = new Map();
  #numbers = 0;
  /** @type {(() => void) | null} Called when nobody follows any more. */
  #alone = null;

  /**
   * @param {string} name of the session
   * @param {TabPlatform} platform
   * @param {import('./session.js').Session} seat The session of this tab.
   */
  constructor(name, platform, seat) {
    this.#name = `tidewire ${name}`;
    this.#platform = platform;
    this.#seat = seat;
    this.#id = platform.newId();
    this.#channel = new platform.BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data }) => this.#hear(data);
  }

  /** Follow, until this tab leads: then it resolves. It never does when the tab is closed before. */
  async lead() {
    await new Promise((resolve) => this.#hold(this.#lockOf(this.#id), resolve));
    this.#follow();
    await new Promise((resolve) => {
      this.#granted = resolve;
      this.#hold(this.#name, resolve);
    });
    this.#isLeading = true;
    this.#answered();
    this.term = Math.max(this.term + 1, this.#platform.unixMs());
    this.#enter('connecting');
    this.#post({ leads: true });
    await this.#gather();
    if (this.#closing.signal.aborted) await new Promise(() => {});
  }

  /**
   * Wait for what the other tabs want: the gateway forgets a pattern that the first frame leaves out, and when it is
   * asked for later, what was missed of it does not come.
   */
  async #gather() {
    const { held = [] } = await this.#platform.locks.query();
    if (this.#closing.signal.aborted) return;
    const answers = held.map(async ({ name }) => {
      const [, id] = name?.split(this.#lockOf('')) ?? [];
      // else it has followed already, or led and is asleep
      const isAwaited = id && id !== this.#id && id !== this.#leaderId && !this.#followers.has(id);
      if (isAwaited) await this.#owed(this.#admit(id), PATTERNS);
    });
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, GATHER_WITHIN_MS);
      void Promise.all(answers).then(() => {
        clearTimeout(timer);
        resolve(undefined);
      });
    });
  }

  /** @param {Follower} follower @param {number} what @returns {Promise<void>} */
  #owed({ owes }, what) {
    return new Promise((resolve) => owes.set(what, resolve));
  }

  /**
   * @param {string} lock
   * @param {(value?: unknown) => void} granted
   * @param {LockOptions} [how]
   */
  #hold(lock, granted, how = { signal: this.#closing.signal }) {
    const work = () => {
      granted();
      return this.#held;
    };
    // closed before it was granted, or taken away
    this.#platform.locks.request(lock, how, work).catch(() => this.stepBack());
  }

  /** Another tab leads: follow it, behind new `Tabs`. */
  stepBack() {
    if (!this.#isLeading || this.#closing.signal.aborted) return;
    this.#isRobbed = true;
    this.#seat.since = earlier(this.#seat.since, this.#seat.position ?? this.position);
    this.close();
    this.#seat.stepBack();
  }

  /**
   * Whether it is to be found out first if a takeover was another tab's, which had robbed this one; `perform` is called
   * when it was not.
   * @param {import('./effects.js').Effect[]} effects
   * @param {() => void} perform
   */
  doubts(effects, perform) {
    const isTaken = effects.some((effect) => effect.kind === 'Stop' && effect.stop === 'taken_over');
    if (isTaken) {
      void this.isRobbed().then((isRobbed) => {
        if (isRobbed) this.stepBack();
        else if (!this.#closing.signal.aborted) perform();
      });
    }
    return isTaken;
  }

  /** Where to begin when this is the stored position. @param {Position | null} stored */
  rewound(stored) {
    const position = earlier(stored, this.#seat.since);
    this.#seat.since = null;
    return position;
  }

  /** Whether another tab has taken the lead from this one: it may be long before this one is told. */
  async isRobbed() {
    const { held = [] } = await this.#platform.locks.query().catch(() => /** @type {LockManagerSnapshot} */ ({}));
    const [session, own] = [this.#name, this.#lockOf(this.#id)].map(
      (lock) => held.find(({ name }) => name === lock)?.clientId,
    );
    return this.#isRobbed || session !== own;
  }

  /** @param {string} id */
  #lockOf(id) {
    return `${this.#name} tab ${id}`;
  }

  // --- a tab that follows asks the leader ---

  /** Tell the leader, whoever it is, what this tab wants, and expect an answer. */
  #follow() {
    const { clock } = this.#platform;
    this.#answered();
    if (this.#isLeading || this.#closing.signal.aborted) return;
    this.#asks += 1;
    this.#post({ follow: this.#seat.inboxes, since: this.#seat.since, ask: this.#asks });
    const dueS = clock.nowS() + LEADER_WITHIN_S;
    this.#timer = clock.setTimeout(() => this.#overdue(dueS), LEADER_WITHIN_S * 1000);
  }

  #answered() {
    this.#platform.clock.clearTimeout(this.#timer);
  }

  /** The leader is asleep, unless this tab was. @param {number} dueS */
  #overdue(dueS) {
    const nowS = this.#platform.clock.nowS();
    if (!this.#platform.isSeen()) return; // two that are hidden would fight; it asks again when it is seen
    if (nowS - dueS > LATE_S || nowS - this.#seat.stoleS < STEAL_EVERY_S) return this.#follow();
    this.#seat.stoleS = nowS;
    this.#hold(this.#name, this.#granted, { steal: true });
  }

  /** @param {number} inbox @param {string[]} patterns */
  subscribe(inbox, patterns) {
    this.#ask({ follow: [[inbox, patterns]] });
  }

  /** @param {number} inbox */
  unsubscribe(inbox) {
    this.#ask({ unsubscribe: inbox });
  }

  /** @param {number} inbox @param {Ticket} ticket @param {number} seq */
  processed(inbox, ticket, seq) {
    this.#ask({ processed: inbox, ticket, seq });
  }

  flush() {
    this.#ask({ flush: true });
  }

  wake() {
    this.#ask({ wake: true });
    this.#follow();
  }

  /** @param {object} asked */
  #ask(asked) {
    if (this.#leaderId) this.#post({ to: this.#leaderId, ...asked });
  }

  // --- the leader tells ---

  /** Tell every tab, but not that this one closes: the session goes on in another. @param {News} news */
  tell(news) {
    if (this.#isLeading && this.#followers.size && news.state !== 'closed') this.#post(news);
  }

  /** @param {number[]} inboxes @param {Ticket} ticket @param {EventFrame} event */
  deliver(inboxes, ticket, event) {
    for (const [to, deliver] of this.#byTab(inboxes)) this.#post({ to, deliver, ticket, event });
  }

  /** Resolves when every tab has handled the gap, or is gone. @param {number} number @param {Gap} gap */
  async gap(number, gap) {
    const handled = [...this.#followers.values()].map((follower) => this.#owed(follower, number));
    this.tell(/** @type {News} */ ({ gap, number }));
    await Promise.all(handled);
  }

  /** @param {number[]} inboxes @param {string[]} subjects @param {string} reason */
  deny(inboxes, subjects, reason) {
    for (const [to, deny] of this.#byTab(inboxes)) this.#post({ to, deny, subjects, reason });
    for (const inbox of inboxes) this.#forget(inbox);
  }

  /**
   * The session ended for good, in every tab. The lock is kept until each has heard it: one that got the lock first
   * would connect again.
   * @param {import('./effects.js').StopKind} kind
   * @param {number | null} code
   */
  async stop(kind, code) {
    if (this.#isLeading && this.#followers.size) {
      this.tell({ stop: { kind, code } });
      await new Promise((resolve) => {
        this.#alone = () => resolve(undefined);
      });
      this.#alone = null;
    }
    this.close();
  }

  /** Leave: give the lock to the next tab, or do not wait for it any more. Safe to call twice. */
  close() {
    if (this.#closing.signal.aborted || this.#alone) return;
    this.#post({ bye: true });
    this.#closing.abort();
    this.#answered();
    for (const { watch } of this.#followers.values()) watch.abort();
    this.#release();
    this.#channel.close();
  }

  /** @param {number[]} inboxes @returns {Map<string, number[]>} */
  #byTab(inboxes) {
    const found = new Map();
    for (const number of inboxes) {
      const remote = this.#remote.get(number);
      if (remote) found.set(remote.tab, [...(found.get(remote.tab) ?? []), remote.inbox]);
    }
    return found;
  }

  // --- what is heard ---

  /** @param {object} message */
  #post(message) {
    if (!this.#closing.signal.aborted) this.#channel.postMessage({ from: this.#id, term: this.term, ...message });
  }

  /** @param {any} message from another tab of this origin, and so from this code. */
  #hear(message) {
    if (this.#closing.signal.aborted || (message.to && message.to !== this.#id)) return;
    if (this.#isLeading) this.#serve(message);
    else this.#obey(message);
  }

  /** What a leader does for a tab that follows. @param {any} message */
  #serve({ from, term, leads, follow, since, ask, unsubscribe, processed, ticket, seq, gapHandled, flush, wake, bye }) {
    if (leads && term > this.term) return this.stepBack(); // it has the lock
    if (follow) {
      const follower = this.#admit(from);
      const isNew = !follower.inboxes.size;
      for (const [inbox, patterns] of follow) {
        if (follower.inboxes.has(inbox)) continue;
        this.#numbers -= 1;
        follower.inboxes.set(inbox, this.#numbers);
        this.#remote.set(this.#numbers, { tab: from, inbox });
        this.#seat.subscribe(this.#numbers, patterns);
      }
      if (since && isNew) {
        this.#seat.since = earlier(this.#seat.since, since);
        this.#seat.rewind();
      }
      follower.owes.get(PATTERNS)?.();
      this.#post({ to: from, served: ask });
      return;
    }
    const follower = this.#followers.get(from);
    if (!follower) return;
    if (unsubscribe) this.#giveUp(follower.inboxes.get(unsubscribe));
    const inbox = follower.inboxes.get(processed);
    if (inbox) this.#seat.processed(inbox, ticket, seq);
    follower.owes.get(gapHandled)?.();
    if (flush) this.#seat.flush();
    if (wake) this.#seat.wake();
    if (bye) this.#dismiss(from);
  }

  /** @param {string} id @returns {Follower} */
  #admit(id) {
    let follower = this.#followers.get(id);
    if (!follower) {
      const watch = new AbortController();
      follower = { inboxes: new Map(), owes: new Map(), watch };
      this.#followers.set(id, follower);
      const gone = () => this.#dismiss(id); // its own lock is free: the tab has ended
      this.#platform.locks.request(this.#lockOf(id), { signal: watch.signal }, gone).catch(() => {});
      const { state, position } = this.#seat;
      const welcome = state === 'connecting' ? undefined : this.#seat.welcome; // else there will be another one
      const live = state === 'live' ? position?.seq : undefined;
      this.#post({ to: id, leads: true, state, welcome, position, live });
    }
    return follower;
  }

  /** @param {string} id */
  #dismiss(id) {
    const follower = this.#followers.get(id);
    if (!follower || this.#closing.signal.aborted) return;
    this.#followers.delete(id);
    follower.watch.abort();
    for (const number of follower.inboxes.values()) this.#giveUp(number);
    for (const done of follower.owes.values()) done();
    if (!this.#followers.size) this.#alone?.();
  }

  /** @param {number | undefined} number */
  #giveUp(number) {
    if (number === undefined) return;
    this.#forget(number);
    this.#seat.unsubscribe(number);
  }

  /** @param {number} number */
  #forget(number) {
    const remote = this.#remote.get(number);
    if (remote) this.#followers.get(remote.tab)?.inboxes.delete(remote.inbox);
    this.#remote.delete(number);
  }

  /** What a tab that follows takes from the leader. @param {any} message */
  #obey(message) {
    const { told } = this.#seat;
    const {
      from,
      term,
      leads,
      served,
      state,
      welcome,
      position,
      live,
      deliver,
      ticket,
      event,
      gap,
      number,
      deny,
      stop,
      bye,
    } = message;
    if (leads && term >= this.term && from !== this.#leaderId) {
      this.#leaderId = from;
      this.term = term;
      this.#follow();
    }
    if (from !== this.#leaderId || term !== this.term) return;
    if (served === this.#asks) {
      this.#answered();
      this.#seat.since = null;
    }
    if (bye) this.#follow(); // of the next one
    if (welcome !== undefined) this.welcome = welcome;
    if (position !== undefined) this.position = position;
    if (welcome) told.tell('welcome', welcome);
    if (state) this.#enter(state);
    if (live !== undefined) told.tell('live', live);
    if (deliver) told.deliver(deliver, ticket, event);
    if (gap) void told.gap(gap).then(() => this.#post({ to: from, gapHandled: number }));
    if (deny) this.#seat.deny(deny, message.subjects, message.reason);
    if (stop) {
      this.close();
      this.#seat.end();
      told.stop(stopped(stop.kind, stop.code));
    }
  }

  /** @param {State} state of the session, which another tab holds */
  #enter(state) {
    if (state === this.state) return;
    this.state = state;
    this.#seat.told.tell('state', state);
  }
}

/**
 * Which of two positions has more to come. Of another stream, the second: the gateway knows what is to be told of it.
 * @param {Position | null} a
 * @param {Position | null | undefined} b
 */
function earlier(a, b) {
  return a && (!b || (a.stream === b.stream && a.seq < b.seq)) ? a : (b ?? null);
}
