/** Shell: lets elements glide from where they were to where they are (FLIP: first, last, invert, play). */

/** How long a move takes, in ms. */
const MOVE_MS = 520;
const EASE = 'cubic-bezier(0.22, 0.8, 0.24, 1)';

/** @type {WeakMap<Element, Animation>} */
const running = new WeakMap();

/**
 * Make a change, and let elements glide to their new places; new ones fade in.
 * @param {() => Iterable<HTMLElement>} elements those that may move, asked before and after.
 * @param {() => void} change
 */
export function glide(elements, change) {
  const before = new Map([...elements()].map((element) => [element, element.getBoundingClientRect()]));
  change();
  const after = [...elements()];
  for (const element of after) running.get(element)?.cancel();
  const moves = after.map((element) => ({ element, from: before.get(element), to: element.getBoundingClientRect() }));
  for (const { element, from, to } of moves) {
    if (!to.width) continue;
    if (!from?.width) play(element, [{ opacity: 0, transform: 'translateY(-8px) scale(0.97)' }, {}]);
    else if (Math.abs(from.left - to.left) + Math.abs(from.top - to.top) > 1) {
      const transform = `translate(${from.left - to.left}px, ${from.top - to.top}px)`;
      play(element, [
        { transform, zIndex: 1 },
        { transform: 'none', zIndex: 1 },
      ]);
    }
  }
}

/** @param {HTMLElement} element @param {Keyframe[]} frames */
function play(element, frames) {
  running.set(element, element.animate(frames, { duration: MOVE_MS, easing: EASE }));
}
