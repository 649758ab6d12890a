/**
 * A gateway in few lines, on the other end of a `Net`: sessions, cursors, replay, window, takeover. It keeps the rules
 * of docs/protocol.md that a client may break, and says so in `complaints`.
 */

import { matches } from '../../src/patterns.js';

const ACKED_TO = { messages: 1000, bytes: 1_048_576 };

export class Gateway {
  stream = 'EVENTS:1';
  /** @type {{ seq: number, subject: string, data: unknown }[]} */
  log = [];
  /** What clients did that the protocol forbids. @type {string[]} */
  complaints = [];
  /** Patterns that no token permits. @type {Set<string>} */
  denied = new Set();
  /** By user and session name. @type {Map<string, Held>} */
  sessions = new Map();
  /** Events before this sequence are gone. */
  #oldest = 0;
  #net;

  /** @param {import('./net.js').Net} net */
  constructor(net) {
    this.#net = net;
    net.onframe = (socket, frame) => this.#serve(socket, frame);
  }

  get lastSeq() {
    return this.log.at(-1)?.seq ?? 0;
  }

  /** Store an event; sequences leave some out, as a filtered stream does. */
  publish(subject, seq = this.lastSeq + 1 + (this.lastSeq % 3)) {
    this.log.push({ seq, subject, data: { n: seq } });
    for (const session of this.sessions.values()) this.#feed(session);
    return seq;
  }

  /** The sequences of all events of a pattern. */
  sequences(pattern) {
    return this.log.filter(({ subject }) => matches(pattern, subject)).map(({ seq }) => seq);
  }

  /** The one session there is. @returns {Held} */
  get session() {
    return [...this.sessions.values()][0];
  }

  /** Events before this sequence are gone, and clients that had not got them are told. */
  expire(before) {
    this.#oldest = before;
    this.log = this.log.filter(({ seq }) => seq >= before);
  }

  #serve(socket, frame) {
    if (frame.type === 'connect') {
      this.#connect(socket, frame);
      return;
    }
    const session = [...this.sessions.values()].find((held) => held.socket === socket);
    if (!session) return; // of a connection that was taken over
    if (frame.type === 'ack') this.#acked(session, frame.seq);
    if (frame.type === 'ping') socket.say({ type: 'pong' });
    if (frame.type === 'refresh') socket.say({ type: 'reply', id: frame.id, data: { expires: null } });
    if (frame.type === 'unsubscribe') {
      for (const pattern of frame.subjects) session.patterns.delete(pattern);
      socket.say({ type: 'reply', id: frame.id, data: { subjects: [...session.patterns.keys()] } });
    }
    if (frame.type === 'subscribe') this.#subscribe(session, frame);
  }

  #connect(socket, { token, session: name, subscribe, resume, window = ACKED_TO }) {
    const { sub } = JSON.parse(atob(token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/')));
    const known = this.sessions.get(`${sub} ${name}`);
    const older = known?.socket;
    if (older && this.#net.alive.includes(older)) {
      older.say({ type: 'goodbye', code: 4509, reconnect: false });
      older.hangUp(4509);
    }
    const isSame = !resume || resume.stream === this.stream;
    const from = isSame ? (resume?.seq ?? known?.cursor ?? this.lastSeq) : 0;
    const since = (pattern) => known?.patterns.get(pattern) ?? (known ? this.lastSeq : from);
    const session = {
      user: sub,
      name,
      socket,
      window: window.messages,
      patterns: new Map(subscribe.filter((p) => !this.denied.has(p)).map((pattern) => [pattern, since(pattern)])),
      cursor: from,
      sent: from,
      told: from,
      outstanding: [],
      isLive: false,
    };
    this.sessions.set(`${sub} ${name}`, session);
    const isLost = from + 1 < this.#oldest;
    const outcome = isLost || !isSame ? 'gap' : resume || known ? 'resumed' : 'fresh';
    const { stream } = this;
    const denied = subscribe.filter((pattern) => this.denied.has(pattern));
    socket.say({ type: 'welcome', session: name, stream, outcome, from, ping: 25, window, denied });
    if (outcome === 'gap') {
      socket.say({
        type: 'gap',
        after: from,
        before: isSame ? this.#oldest : 1,
        reason: isSame ? 'expired' : 'stream_replaced',
      });
    }
    this.#feed(session);
  }

  #subscribe(session, { id, subjects }) {
    const denied = subjects.filter((pattern) => this.denied.has(pattern));
    const error = { code: 'forbidden', message: 'not permitted', retry: false };
    for (const pattern of subjects) {
      if (!denied.includes(pattern) && !session.patterns.has(pattern)) session.patterns.set(pattern, this.lastSeq);
    }
    const isRefused = denied.length === subjects.length;
    session.socket.say({ type: 'reply', id, ...(isRefused ? { error } : { data: { seq: this.lastSeq, denied } }) });
  }

  #acked(session, seq) {
    if (seq > session.told) this.complaints.push(`acknowledged ${seq}, but ${session.told} is the newest told`);
    session.cursor = Math.max(session.cursor, seq);
    session.outstanding = session.outstanding.filter((sent) => sent > seq);
    this.#feed(session);
  }

  /** Send what is due and fits the window. */
  #feed(session) {
    const { socket, patterns } = session;
    for (const { seq, subject, data } of this.log) {
      if (seq <= session.sent) continue;
      if (session.outstanding.length >= session.window) return;
      session.sent = seq;
      if (![...patterns].some(([pattern, since]) => since < seq && matches(pattern, subject))) continue;
      session.told = Math.max(session.told, seq);
      session.outstanding.push(seq);
      socket.say({ type: 'event', seq, subject, time: '2026-11-23T08:00:00Z', data, replay: !session.isLive });
    }
    if (session.isLive) return;
    session.isLive = true;
    session.told = Math.max(session.told, session.sent);
    socket.say({ type: 'live', seq: session.told });
  }
}

/**
 * @typedef {object} Held A session as the gateway holds it.
 * @property {string} user
 * @property {string} name
 * @property {import('./net.js').FakeSocket} socket
 * @property {number} window
 * @property {Map<string, number>} patterns Each with the sequence that it was added at.
 * @property {number} cursor
 * @property {number} sent
 * @property {number} told The highest sequence that its connection was told.
 * @property {number[]} outstanding
 * @property {boolean} isLive
 */
