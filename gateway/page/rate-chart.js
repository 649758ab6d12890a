/** Shell: draws the events of the last minute, a bar for each second, replayed ones on top of live ones. */
import { byId, rectangle, say } from './element.js';
import { Rates, SECONDS, topOf } from './rates.js';

const WIDTH = 360;
const HEIGHT = 72;
const BAR = WIDTH / SECONDS;
/** Between two bars. */
const BETWEEN = 1.5;

/** The chart. */
export class RateChart {
  #root = byId('rate');
  #top = byId('rate-top');
  #rates = new Rates();
  #bars = Array.from({ length: SECONDS }, (_, at) => ({
    live: bar('live', at),
    replay: bar('replay', at),
  }));

  constructor() {
    this.#root.append(...this.#bars.flatMap(({ live, replay }) => [live, replay]));
  }

  /** Count an event. @param {boolean} isReplay @param {number} nowS */
  add(isReplay, nowS) {
    this.#rates.add(isReplay, nowS);
  }

  /** @param {number} nowS */
  draw(nowS) {
    const counts = this.#rates.read(nowS);
    const most = Math.max(...counts.map(({ live, replayed }) => live + replayed));
    const scale = HEIGHT / topOf(most);
    for (const [at, { live, replayed }] of counts.entries()) {
      const bars = /** @type {{ live: SVGRectElement, replay: SVGRectElement }} */ (this.#bars[at]);
      stand(bars.live, 0, live * scale);
      stand(bars.replay, live * scale, replayed * scale);
    }
    say(this.#top, `most: ${most}`);
    const all = counts.reduce((sum, { live, replayed }) => sum + live + replayed, 0);
    this.#root.setAttribute('aria-label', `${all} updates in the last minute, at most ${most} in a second`);
  }
}

/** @param {string} className @param {number} at */
function bar(className, at) {
  const rect = rectangle(className);
  rect.setAttribute('x', String(at * BAR + BETWEEN / 2));
  rect.setAttribute('width', String(BAR - BETWEEN));
  return rect;
}

/** @param {SVGRectElement} rect @param {number} from height of its foot @param {number} height */
function stand(rect, from, height) {
  rect.setAttribute('y', String(HEIGHT - from - height));
  rect.setAttribute('height', String(height));
}
