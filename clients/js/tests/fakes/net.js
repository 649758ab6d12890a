/** A network: the WebSocket class that clients are handed, and the other ends of their sockets. */

import { Msgpack } from '../../src/msgpack.js';

const [CONNECTING, OPEN, CLOSING, CLOSED] = [0, 1, 2, 3];

/**
 * What comes of a socket that is dialled: `open`; `refuse`: it ends without a close code, as when a balancer answers
 * 502; `hang`: nothing comes; `throw`: the constructor throws, as when the page's policy forbids it.
 * @typedef {'open' | 'refuse' | 'hang' | 'throw'} Fate
 */

export class Net {
  /** All sockets there ever were. @type {FakeSocket[]} */
  sockets = [];
  /** How often a socket was asked for, also in vain. */
  dialled = 0;
  /** What comes of the next sockets, before `fate`. @type {Fate[]} */
  fates = [];
  /** @type {Fate} */
  fate = 'open';
  /** The subprotocol that the other end takes, or a function of what was offered. */
  chooses = ([first]) => first;
  /** Called with each frame that reaches the other end. @type {(socket: FakeSocket, frame: any) => void} */
  onframe = () => {};

  constructor() {
    const net = this;
    this.WebSocket = class extends FakeSocket {
      constructor(url, protocols) {
        super(net, url, protocols);
      }
    };
  }

  /** The newest socket. */
  get last() {
    return this.sockets.at(-1);
  }

  /** Those that the client has not closed, and that have not ended. */
  get alive() {
    return this.sockets.filter(({ readyState }) => readyState === CONNECTING || readyState === OPEN);
  }
}

/** One socket. What a browser's has is for the client; the rest is its other end, for the test. */
export class FakeSocket {
  readyState = CONNECTING;
  protocol = '';
  binaryType = 'blob';
  onopen = null;
  onmessage = null;
  onclose = null;
  onerror = null;
  /** The frames that reached the other end. */
  sent = [];
  /** What the client closed it with; null: it has not. */
  closedWith = null;
  #net;
  #isDead = false;

  constructor(net, url, protocols) {
    this.#net = net;
    this.url = url;
    this.protocols = protocols;
    net.dialled += 1;
    const fate = net.fates.shift() ?? net.fate;
    if (fate === 'throw') throw new DOMException('not allowed', 'SecurityError');
    net.sockets.push(this);
    if (fate === 'open') queueMicrotask(() => this.open());
    if (fate === 'refuse') queueMicrotask(() => this.hangUp(1006));
  }

  // --- the client's end ---

  send(message) {
    if (this.readyState === CONNECTING) throw new DOMException('not open', 'InvalidStateError');
    if (this.readyState !== OPEN || this.#isDead) return;
    const frame = this.#isText ? JSON.parse(message) : Msgpack.decode(message);
    this.sent.push(frame);
    queueMicrotask(() => this.#net.onframe(this, frame));
  }

  close(code = 1005) {
    this.closedWith ??= code;
    if (this.readyState >= CLOSING) return;
    this.readyState = CLOSING;
    if (!this.#isDead) queueMicrotask(() => this.#end(code));
  }

  // --- the other end ---

  open() {
    if (this.readyState !== CONNECTING) return;
    this.readyState = OPEN;
    this.protocol = this.#net.chooses(this.protocols);
    this.onopen?.({});
  }

  /** Frames in one message: several are a batch. They come also when the client has closed it. */
  say(...frames) {
    if (this.#isDead) return;
    const value = frames.length === 1 ? frames[0] : frames;
    const bytes = () => Uint8Array.from(Msgpack.encode(value)).buffer;
    this.sayRaw(this.#isText ? JSON.stringify(value) : bytes());
  }

  sayRaw(data) {
    this.onmessage?.({ data });
  }

  /** It ends from the other side; 1006: without a word. */
  hangUp(code = 1006) {
    if (this.readyState !== CLOSED && !this.#isDead) this.#end(code);
  }

  /** Half-open from now on: nothing comes, nothing goes, and neither end hears of it. */
  vanish() {
    this.#isDead = true;
  }

  /** The types of the frames that reached the other end. */
  get types() {
    return this.sent.map(({ type }) => type);
  }

  /** The sequences that were acknowledged. */
  get acks() {
    return this.sent.filter(({ type }) => type === 'ack').map(({ seq }) => seq);
  }

  get #isText() {
    return this.protocol !== Msgpack.subprotocol;
  }

  #end(code) {
    this.readyState = CLOSED;
    if (code === 1006) this.onerror?.({});
    this.onclose?.({ code });
  }
}
