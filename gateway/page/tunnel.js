/**
 * Shell: the tunnel: sockets that record what they carry, and that a tunnel cuts as a real one would.
 *
 * Inside, nothing comes through in either direction and no close frame is sent: the page's socket ends with 1006, as if
 * the radio had gone, while the gateway still believes in the connection. New sockets end the same way. What was cut is
 * let go of on the way out.
 */
import { shownBytes, shownFrame } from './frame-text.js';

/** @typedef {import('./frame-text.js').ShownFrame} ShownFrame */

/**
 * @typedef {object} TunnelListener
 * @property {(frame: ShownFrame) => void} frame A frame went through.
 * @property {(hasOpened: boolean) => void} ended A socket ended outside the tunnel; whether it had been open.
 */

/** How long a dial inside the tunnel takes to fail, in ms. */
const NO_SIGNAL_MS = 80;
/** Reads a binary message, for showing it. @typedef {(message: Uint8Array) => unknown} Decode */

/** Where sockets pass through. */
export class Tunnel {
  /** Whether the page is inside. */
  isInside = false;
  /** Reads binary messages once they are spoken; null: only their size is shown. @type {Decode | null} */
  decode = null;
  #listener;
  /** @type {Set<TunnelSocket>} */
  #sockets = new Set();

  /** @param {TunnelListener} listener */
  constructor(listener) {
    this.#listener = listener;
    const tunnel = this;
    /** A `WebSocket` for the SDK, whose every instance goes through this tunnel. @type {typeof WebSocket} */
    this.WebSocket = /** @type {any} */ (
      class extends TunnelSocket {
        /** @param {string} url @param {string | string[]} [protocols] */
        constructor(url, protocols) {
          super(tunnel, url, protocols);
        }
      }
    );
  }

  /** Go in: every socket ends, and none opens until `leave`. */
  enter() {
    this.isInside = true;
    for (const socket of this.#sockets) socket.cut();
  }

  /** Come out: sockets open again. */
  leave() {
    this.isInside = false;
    for (const socket of this.#sockets) socket.letGo();
  }

  /** @param {TunnelSocket} socket */
  hold(socket) {
    this.#sockets.add(socket);
  }

  /** @param {TunnelSocket} socket @param {boolean} hasOpened */
  ended(socket, hasOpened) {
    this.#sockets.delete(socket);
    if (!this.isInside) this.#listener.ended(hasOpened);
  }

  /** @param {unknown} message @param {boolean} isOut */
  seen(message, isOut) {
    this.#listener.frame(this.#shown(message, isOut));
  }

  /** @param {unknown} message @param {boolean} isOut */
  #shown(message, isOut) {
    if (typeof message === 'string') return shownFrame(message, isOut);
    const bytes = ArrayBuffer.isView(message)
      ? new Uint8Array(message.buffer, message.byteOffset, message.byteLength)
      : new Uint8Array(/** @type {ArrayBuffer} */ (message));
    try {
      if (this.decode) return shownFrame(JSON.stringify(this.decode(bytes), plain), isOut);
    } catch {} // shown by its size
    return shownBytes(bytes.length, isOut);
  }
}

/** A `WebSocket` as far as the SDK needs one, around a real one. */
class TunnelSocket extends EventTarget {
  static CONNECTING = 0;
  static OPEN = 1;
  static CLOSING = 2;
  static CLOSED = 3;
  /** @type {((event: any) => void) | null} */
  onopen = null;
  /** @type {((event: any) => void) | null} */
  onmessage = null;
  /** @type {((event: any) => void) | null} */
  onerror = null;
  /** @type {((event: any) => void) | null} */
  onclose = null;
  #tunnel;
  /** @type {WebSocket | null} null inside the tunnel */
  #real = null;
  #isCut = false;
  #hasOpened = false;

  /** @param {Tunnel} tunnel @param {string} url @param {string | string[]} [protocols] */
  constructor(tunnel, url, protocols) {
    super();
    this.#tunnel = tunnel;
    this.url = url;
    if (tunnel.isInside) {
      setTimeout(() => this.cut(), NO_SIGNAL_MS);
      return;
    }
    const real = new WebSocket(url, protocols);
    this.#real = real;
    tunnel.hold(this);
    real.onopen = () => {
      this.#hasOpened = true;
      this.#tell(new Event('open'));
    };
    real.onmessage = ({ data }) => {
      if (this.#isCut) return;
      tunnel.seen(data, false);
      this.#tell(new MessageEvent('message', { data }));
    };
    real.onerror = () => this.#tell(new Event('error'));
    real.onclose = ({ code, reason, wasClean }) => this.#end({ code, reason, wasClean });
  }

  get readyState() {
    return this.#isCut ? TunnelSocket.CLOSED : (this.#real?.readyState ?? TunnelSocket.CONNECTING);
  }

  get protocol() {
    return this.#real?.protocol ?? '';
  }

  get bufferedAmount() {
    return this.#real?.bufferedAmount ?? 0;
  }

  /** @param {BinaryType} type */
  set binaryType(type) {
    if (this.#real) this.#real.binaryType = type;
  }

  /** @param {string | Uint8Array<ArrayBuffer>} message */
  send(message) {
    if (this.#isCut || !this.#real) return;
    this.#tunnel.seen(message, true);
    this.#real.send(message);
  }

  /** @param {number} [code] @param {string} [reason] */
  close(code, reason) {
    if (!this.#isCut) this.#real?.close(code, reason);
  }

  /** End as when the radio goes: no close frame. The real socket stays, silent, until `letGo`. */
  cut() {
    if (this.#isCut) return;
    this.#emit(new Event('error'));
    this.#isCut = true;
    this.#emit(new CloseEvent('close', { code: 1006, wasClean: false }));
  }

  /** Close the real socket of a cut one: the gateway has met the newer connection by now, or will. */
  letGo() {
    if (!this.#isCut) return;
    this.#real?.close();
    this.#tunnel.ended(this, true);
  }

  /** @param {CloseEventInit} how */
  #end(how) {
    if (this.#isCut) return;
    this.#tunnel.ended(this, this.#hasOpened);
    this.#tell(new CloseEvent('close', how));
  }

  /** @param {Event} event */
  #tell(event) {
    if (!this.#isCut) this.#emit(event);
  }

  /** @param {Event} event */
  #emit(event) {
    this[/** @type {'onopen'} */ (`on${event.type}`)]?.(event);
    this.dispatchEvent(event);
  }
}

/** JSON has no bytes and no large integers; a shown frame has. @param {string} _ @param {unknown} value */
function plain(_, value) {
  if (typeof value === 'bigint') return String(value);
  return ArrayBuffer.isView(value) ? `${value.byteLength} bytes` : value;
}
