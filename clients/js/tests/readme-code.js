/** Pure but for reading it: the code that the README prints. */
import { readFileSync } from 'node:fs';

export const README = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
/** The one of the whole repository. */
export const HOUSE = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');

/** Every block of a language, in order. @param {string} language */
export function blocksOf(language) {
  return [...README.matchAll(/^```(\w+)\n(.*?)^```/gms)]
    .filter(([, name]) => name === language)
    .map(([, , code]) => code);
}

/** The first JavaScript of a section. @param {string} heading @param {string} [page] */
export function recipeOf(heading, page = README) {
  const [, section] = page.split(new RegExp(`^#+ ${heading}$`, 'm'));
  return /^```jsx?\n(.*?)^```/ms.exec(section ?? '')?.[1] ?? fail(heading);
}

/** The text with what is another for every reader put in; it must be there. @param {string} text */
export function replaced(text, from, to) {
  return text.includes(from) ? text.replace(from, to) : fail(from);
}

/** @param {string} what @returns {never} */
function fail(what) {
  throw new Error(`the README has no more: ${what}`);
}
