/** Shell: the buttons of the page. */
import { byId, say } from './element.js';

/**
 * Do something when a button is pressed. While it is done the button does nothing more; a failure is said.
 * @param {string} id
 * @param {() => unknown} act
 */
export function on(id, act) {
  const button = byId(id);
  button.addEventListener('click', async () => {
    if (button.ariaBusy === 'true') return;
    button.ariaBusy = 'true';
    try {
      await act();
    } catch {
      say(byId('narration'), 'The shop’s site did not answer. Is it still running?');
    } finally {
      button.ariaBusy = null;
    }
  });
}

/**
 * Press or release a button.
 * @param {string} id
 * @returns {boolean} whether it is pressed now.
 */
export function toggled(id) {
  const button = byId(id);
  const isPressed = button.getAttribute('aria-pressed') !== 'true';
  button.setAttribute('aria-pressed', String(isPressed));
  return isPressed;
}
