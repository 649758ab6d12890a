/** Shell: what to do when no connection ever opens: browsers that keep a certificate's exception for one port alone. */
import { byId } from './element.js';

/** Dials that failed before it is shown. */
const FAILED = 2;

/** Watches the first connections of the page. */
export class CertificateNotice {
  #root = byId('certificate');
  #url;
  #failed = 0;
  #hasOpened = false;

  /** @param {string} url of the gateway's WebSocket. */
  constructor(url) {
    this.#url = url;
  }

  /** A connection ended. @param {boolean} hasOpened Whether it had been open. */
  ended(hasOpened) {
    if (hasOpened) this.opened();
    this.#failed += 1;
    if (this.#hasOpened || this.#failed < FAILED) return;
    const ready = new URL('/ready', this.#url.replace(/^ws/, 'http')).href;
    const link = Object.assign(document.createElement('a'), { href: ready, target: '_blank', rel: 'noopener' });
    link.textContent = ready;
    this.#root.replaceChildren('No connection yet. Open ', link, ' once and accept its certificate, then come back.');
    this.#root.hidden = false;
  }

  /** A connection is open: the certificate is not what is wrong. */
  opened() {
    this.#hasOpened = true;
    this.#root.hidden = true;
  }
}
