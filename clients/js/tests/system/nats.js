/** Shell: publishes to NATS as a service in any language does, over a socket: the text protocol of NATS is enough. */
import { once } from 'node:events';
import { connect } from 'node:net';

/** The reply subjects that NATS lets a publisher listen on. */
const INBOX = '_INBOX_pub.js';

/** A connection to NATS whose events are stored when `publish` resolves. */
export class Publisher {
  #socket;
  #received = Buffer.alloc(0);
  /** @type {Map<string, { resolve: (seq: number) => void, reject: (error: Error) => void }>} */
  #waiting = new Map();
  #numbers = 0;

  /** @param {import('node:net').Socket} socket */
  constructor(socket) {
    this.#socket = socket;
    socket.on('data', (bytes) => this.#read(bytes));
  }

  /** @param {string} url `nats://USER:PASSWORD@HOST:PORT` */
  static async connect(url) {
    const { hostname, port, username: user, password: pass } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port) });
    await once(socket, 'connect');
    const hello = { user, pass, headers: true, verbose: false, pedantic: false, name: 'tests of the client' };
    socket.write(`CONNECT ${JSON.stringify(hello)}\r\nSUB ${INBOX}.* 1\r\n`);
    return new Publisher(socket);
  }

  /**
   * @param {string} subject
   * @param {unknown} data sent as JSON; bytes as they are.
   * @param {Record<string, string>} [headers] `Nats-Msg-Id` among them.
   * @returns {Promise<number>} its sequence, once it is stored.
   */
  publish(subject, data, headers = {}) {
    const payload = Buffer.from(data instanceof Uint8Array ? data : JSON.stringify(data));
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    const head = Buffer.from(`NATS/1.0\r\n${lines.join('')}\r\n`);
    this.#numbers += 1;
    const reply = `${INBOX}.${this.#numbers}`;
    this.#socket.write(`HPUB ${subject} ${reply} ${head.length} ${head.length + payload.length}\r\n`);
    this.#socket.write(Buffer.concat([head, payload, Buffer.from('\r\n')]));
    return new Promise((resolve, reject) => this.#waiting.set(reply, { resolve, reject }));
  }

  /** Publish `{ n }` for `count` numbers from `first` on; their sequences. @param {string} subject @param {number} count */
  publishMany(subject, count, first = 0) {
    return Promise.all(Array.from({ length: count }, (_, n) => this.publish(subject, { n: first + n })));
  }

  close() {
    this.#socket.destroy();
  }

  /** @param {Buffer} bytes */
  #read(bytes) {
    this.#received = Buffer.concat([this.#received, bytes]);
    for (;;) {
      const end = this.#received.indexOf('\r\n');
      if (end < 0) return;
      const [word, reply, , size] = this.#received.toString('latin1', 0, end).split(' ');
      const next = end + 2 + (word === 'MSG' ? Number(size) + 2 : 0);
      if (this.#received.length < next) return;
      if (word === 'PING') this.#socket.write('PONG\r\n');
      if (word === '-ERR') throw new Error(this.#received.toString('latin1', 0, end));
      if (word === 'MSG') this.#answer(reply, JSON.parse(this.#received.toString('utf8', end + 2, next - 2)));
      this.#received = this.#received.subarray(next);
    }
  }

  /** @param {string} reply @param {{ seq: number, error?: { description: string } }} stored */
  #answer(reply, { seq, error }) {
    const { resolve, reject } = this.#waiting.get(reply);
    this.#waiting.delete(reply);
    if (error) reject(new Error(error.description));
    else resolve(seq);
  }
}
