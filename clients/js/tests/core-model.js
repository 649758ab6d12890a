/** A naive gateway with one stream and one session: the rules of docs/protocol.md, and nothing clever. */

/** What no token of the model permits. */
export const SECRET = 'secret.>';

export class Gateway {
  stream = 'EVENTS:1';
  /** Everything that was published since the stream's birth; `oldest` is the first that it still keeps. */
  log = [];
  oldest = 1;
  /**
   * { stream, cursor, untold, patterns: Map of pattern to its position }, or null: it knows of none. `untold`: a gap
   * that the client may not have heard of; told again until something behind it is acknowledged.
   */
  session = null;
  /** { out, window, sent, next, isLive } from its `connect` on, or null. `out`: frames on their way. */
  connection = null;
  /** Whether it refuses the next token. */
  refuses = false;
  #births = 1;

  get head() {
    return this.log.length;
  }

  publish(subject) {
    this.log.push({ type: 'event', seq: this.head + 1, subject, time: '2026-11-23T08:00:00Z', data: this.head });
    this.#pump();
  }

  /** The oldest events expire. */
  expire(count) {
    this.oldest = Math.min(this.head + 1, this.oldest + count);
  }

  /** Another stream under the same name; its connections have been ended before. */
  replace() {
    this.#births += 1;
    this.stream = `EVENTS:${this.#births}`;
    this.log = [];
    this.oldest = 1;
  }

  /** A frame of the client. */
  receive(frame) {
    const { connection, session } = this;
    switch (frame.type) {
      case 'connect':
        return this.#connect(frame);
      case 'ack':
        session.cursor = Math.max(session.cursor, frame.seq);
        if (session.untold && frame.seq >= session.untold.before - 1) session.untold = null;
        connection.sent = connection.sent.filter((seq) => seq > frame.seq);
        return this.#pump();
      case 'subscribe':
        return this.#subscribe(frame);
      case 'unsubscribe':
        for (const pattern of frame.subjects) session.patterns.delete(pattern);
        return connection.out.push({ type: 'reply', id: frame.id, data: {} });
      case 'refresh':
        return connection.out.push({ type: 'reply', id: frame.id, data: { expires: null } });
      case 'ping':
        return connection.out.push({ type: 'pong' });
      default:
        return undefined;
    }
  }

  #connect({ subscribe, resume, window }) {
    const isOther = resume
      ? resume.stream !== this.stream || resume.seq > this.head
      : this.session && this.session.stream !== this.stream;
    const isFresh = !isOther && !resume && !this.session;
    const start = isOther ? 0 : (resume?.seq ?? this.session?.cursor ?? this.head);
    const { untold = null } = this.session ?? {};
    const isKnown = untold && resume && untold.before > 1 && resume.seq >= untold.before - 1;
    let gap = isOther ? { after: 0, before: this.oldest, reason: 'stream_replaced' } : isKnown ? null : untold;
    if (start < this.oldest - 1) {
      gap = { reason: 'expired', ...gap, after: Math.min(start, gap?.after ?? start), before: this.oldest };
    }
    const from = gap ? Math.max(start, gap.before - 1) : start;
    const had = isOther ? null : this.session?.patterns;
    const since = isOther ? 0 : this.session ? this.head : from;
    const wanted = subscribe.filter((pattern) => pattern !== SECRET);
    this.session = {
      stream: this.stream,
      cursor: isOther ? 0 : (this.session?.cursor ?? start), // a gap moves no position
      untold: gap,
      patterns: new Map(wanted.map((pattern) => [pattern, had?.get(pattern) ?? since])),
    };
    const denied = subscribe.filter((pattern) => pattern === SECRET);
    const outcome = isFresh ? 'fresh' : gap ? 'gap' : 'resumed';
    const welcome = { type: 'welcome', session: 'pixel-7', stream: this.stream, outcome, from, window, denied };
    this.connection = { out: [welcome], window: window.messages, sent: [], next: from + 1, isLive: false };
    if (gap) this.connection.out.push({ type: 'gap', ...gap });
    this.#pump();
  }

  #subscribe({ id, subjects }) {
    const { out } = this.connection;
    const { patterns } = this.session;
    const permitted = subjects.filter((pattern) => pattern !== SECRET);
    for (const pattern of permitted) if (!patterns.has(pattern)) patterns.set(pattern, this.head);
    const denied = subjects.filter((pattern) => pattern === SECRET);
    out.push({ type: 'reply', id, ...(permitted.length ? { data: { denied } } : { error: { code: 'forbidden' } }) });
  }

  /** Send what is due and what the window takes; say `live` when that was all. */
  #pump() {
    const { connection } = this;
    if (!connection) return;
    for (; connection.next <= this.head; connection.next++) {
      const event = this.log[connection.next - 1];
      if (!this.#isDue(event)) continue;
      if (connection.sent.length >= connection.window) {
        connection.isLive = false; // lagging
        return;
      }
      connection.sent.push(event.seq);
      connection.out.push({ ...event, replay: !connection.isLive });
    }
    if (!connection.isLive) connection.out.push({ type: 'live', seq: this.head });
    connection.isLive = true;
  }

  #isDue({ seq, subject }) {
    const held = [...this.session.patterns].filter(([pattern]) => `${subject.split('.')[0]}.>` === pattern);
    return held.some(([, position]) => seq > position);
  }
}
