/** Shell: the explanation on top: there until it was dismissed once in this browser. */
import { byId } from './element.js';

const PLACE = 'tidewire-demo about';

/** Show it to whom has not read it. */
export function showAbout() {
  const about = byId('about');
  about.hidden = isRead();
  byId('about-close').addEventListener('click', () => {
    about.hidden = true;
    byId('phone').focus({ preventScroll: true });
    try {
      localStorage.setItem(PLACE, 'read');
    } catch {} // it is shown again next time
  });
}

function isRead() {
  try {
    return localStorage.getItem(PLACE) !== null;
  } catch {
    return false;
  }
}
