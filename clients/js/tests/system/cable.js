/** Shell: a network between client and gateway that can be cut: it passes bytes on and knows nothing of them. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/** Passes connections to a port on to another. */
export class Cable {
  #server;
  /** @type {Set<import('node:net').Socket>} */
  #sockets = new Set();

  /** @param {import('node:net').Server} server */
  constructor(server) {
    this.#server = server;
  }

  /** @param {string} url of the gateway. */
  static async to(url) {
    const { hostname, port } = new URL(url);
    const cable = new Cable(createServer((near) => cable.#join(near, connect({ host: hostname, port: Number(port) }))));
    cable.#server.listen(0, '127.0.0.1');
    await once(cable.#server, 'listening');
    return cable;
  }

  /** The gateway's URL by way of here. @param {string} url */
  instead(url) {
    const { port } = /** @type {import('node:net').AddressInfo} */ (this.#server.address());
    return Object.assign(new URL(url), { port }).href;
  }

  /** Cut every connection, without a word of goodbye. */
  cut() {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  close() {
    this.#server.close();
    this.cut();
  }

  /** @param {import('node:net').Socket} near @param {import('node:net').Socket} far */
  #join(near, far) {
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ]) {
      this.#sockets.add(socket);
      socket.pipe(other);
      socket.on('error', () => {});
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
  }
}
