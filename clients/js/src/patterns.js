/** Pure: subject patterns as NATS has them: tokens between dots, `*` is one token, a last `>` is one or more. */

/** The most bytes of UTF-8 in a pattern; the gateway refuses longer ones. */
export const PATTERN_BYTES = 256;
/** The most tokens in a pattern; the gateway refuses more. */
export const PATTERN_TOKENS = 16;

/**
 * Throw a TypeError, with what is wrong, unless `pattern` can be subscribed to.
 *
 * @param {string} pattern
 */
export function checkPattern(pattern) {
  const tokens = pattern.split('.');
  const wrong = tokens.includes('')
    ? 'has an empty token'
    : tokens.slice(0, -1).includes('>')
      ? "has '>' before its end"
      : /[\s\p{Cc}]/u.test(pattern)
        ? 'has a space or a control character'
        : tokens.length > PATTERN_TOKENS || new TextEncoder().encode(pattern).length > PATTERN_BYTES
          ? `has over ${PATTERN_TOKENS} tokens or ${PATTERN_BYTES} bytes`
          : '';
  if (wrong) throw new TypeError(`pattern ${JSON.stringify(pattern)} ${wrong}`);
}

/**
 * Whether `subject` is one of those that `pattern` stands for.
 *
 * @param {string} pattern
 * @param {string} subject
 */
export function matches(pattern, subject) {
  const wanted = pattern.split('.');
  const given = subject.split('.');
  const isOpen = wanted.at(-1) === '>' && wanted.pop() === '>';
  return (
    (isOpen ? given.length > wanted.length : given.length === wanted.length) &&
    wanted.every((part, place) => part === '*' || part === given[place])
  );
}
