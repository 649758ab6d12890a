/** A browser's page as far as the client listens to it: handed in as `platform.page`. */

export class FakePage {
  window = new EventTarget();
  document = Object.assign(new EventTarget(), { visibilityState: 'visible' });

  /** Another tab or program comes to the front, or the screen goes dark. */
  hide() {
    this.document.visibilityState = 'hidden';
    this.document.dispatchEvent(new Event('visibilitychange'));
  }

  show() {
    this.document.visibilityState = 'visible';
    this.document.dispatchEvent(new Event('visibilitychange'));
  }

  /** The network comes back. */
  online() {
    this.window.dispatchEvent(new Event('online'));
  }

  /** What a browser calls it: `pageshow`, `pagehide` on the window, `resume` on the document. */
  tell(name) {
    (name === 'resume' ? this.document : this.window).dispatchEvent(new Event(name));
  }
}
