/** Shell: finds and makes elements. Text is only ever text: nothing that came from outside is read as HTML. */

const SVG = 'http://www.w3.org/2000/svg';

/**
 * The element of index.html with this id.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no #${id}`);
  return element;
}

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {string} className
 * @param {...(Node | string)} content
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(tag, className, ...content) {
  const element = document.createElement(tag);
  element.className = className;
  element.append(...content);
  return element;
}

/**
 * A drawing of index.html.
 * @param {string} name of its symbol, without `i-`.
 * @returns {SVGSVGElement}
 */
export function icon(name) {
  const drawing = document.createElementNS(SVG, 'svg');
  drawing.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `#i-${name}`);
  drawing.append(use);
  return drawing;
}

/**
 * A rectangle of a drawing.
 * @param {string} className
 * @returns {SVGRectElement}
 */
export function rectangle(className) {
  const element = document.createElementNS(SVG, 'rect');
  element.setAttribute('class', className);
  return element;
}

/**
 * Set a text where it differs, so that nothing is read out or laid out for nothing.
 * @param {Element} element
 * @param {string} text
 */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
