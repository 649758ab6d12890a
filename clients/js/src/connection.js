/** Shell: one WebSocket, from dialling to its end. It has a number, says what happens, and decides nothing. */
import { BadFrame, decodeFrames } from './frames.js';

/** @typedef {import('./frames.js').Frame} Frame */
/** @typedef {{ subprotocol: string, encode(frame: object): string | Uint8Array<ArrayBuffer>, decode(message: unknown): unknown }} Codec */
/**
 * @typedef {object} ConnectionListener
 * @property {(number: number) => void} opened The WebSocket is open.
 * @property {(number: number, frames: Frame[]) => void} received A message came.
 * @property {(number: number) => void} misread Something came that is not a frame.
 * @property {(number: number, code: number | null) => void} broken It ended, or never was: its close code, or null.
 */

/** The longest that a closing connection waits for what is still to be sent, in ms. */
const CLOSE_WITHIN_MS = 3000;
const OPEN = 1;

/** One WebSocket. What it still brings after `end` is not told. */
export class Connection {
  #number;
  #codec;
  /** @type {ConnectionListener | null} */
  #listener;
  /** @type {WebSocket | null} */
  #socket = null;
  /** Resolves when the frame that waits longest is sent. */
  #sent = Promise.resolve();

  /**
   * @param {number} number
   * @param {string} url
   * @param {Codec} codec
   * @param {typeof globalThis.WebSocket} WebSocket
   * @param {ConnectionListener} listener
   */
  constructor(number, url, codec, WebSocket, listener) {
    this.#number = number;
    this.#codec = codec;
    this.#listener = listener;
    try {
      this.#dial(new WebSocket(url, [codec.subprotocol]));
    } catch {
      queueMicrotask(() => this.#listener?.broken(number, null)); // the browser's policy forbids it, for example
    }
  }

  /** @param {WebSocket} socket */
  #dial(socket) {
    this.#socket = socket;
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      if (socket.protocol === this.#codec.subprotocol) this.#listener?.opened(this.#number);
      else this.#listener?.misread(this.#number);
    };
    socket.onmessage = ({ data }) => this.#read(data);
    socket.onclose = ({ code }) => {
      // 1005 and 1006 are made up by the browser: no close frame came (RFC 6455 7.4.1)
      this.#listener?.broken(this.#number, code === 1005 || code === 1006 ? null : code);
    };
    socket.onerror = () => {}; // a close follows; without a listener, some implementations throw
  }

  /** @param {unknown} message */
  #read(message) {
    let frames;
    try {
      const size = typeof message === 'string' ? message.length : /** @type {ArrayBuffer} */ (message).byteLength;
      frames = decodeFrames(this.#codec.decode(message), size);
    } catch (error) {
      if (!(error instanceof BadFrame)) throw error;
      this.#listener?.misread(this.#number);
      return;
    }
    this.#listener?.received(this.#number, frames);
  }

  /** Send a frame, once `after` is done. @param {object} frame @param {Promise<void> | null} after */
  send(frame, after) {
    if (after) this.#sent = after.then(() => this.#write(frame));
    else this.#write(frame);
  }

  /** @param {object} frame */
  #write(frame) {
    if (this.#socket?.readyState === OPEN) this.#socket.send(this.#codec.encode(frame));
  }

  /**
   * Tell nothing any more; send what waits, then close; called again, close now. Nobody need wait for it: a half-open
   * socket never ends.
   */
  end() {
    const close = () => this.#socket?.close(1000);
    if (!this.#listener) return close();
    this.#listener = null;
    const timer = setTimeout(close, CLOSE_WITHIN_MS);
    this.#sent.then(() => {
      clearTimeout(timer);
      close();
    });
  }
}
