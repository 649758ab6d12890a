/**
 * Pure: puts sealed fields back into an event's data (P5.4 to P5.6). Nothing that a sender writes makes it throw.
 *
 * `examine` makes every check that needs no key material, WebCrypto decrypts (`keys.js`), `restore` checks what came
 * out and puts it back. A class opens as a whole or stays shut with one named reason; the other classes and the clear
 * part are not harmed. The reasons, in the order of the checks, so that every client names the same one:
 *
 * - `form`: `$sealed` is no object; a class is no compact JWE: five segments, strict base64url, the second empty, an
 *   IV of 12 and a tag of 16 bytes
 * - `limit`: 17 classes, 65 fields, 48 KiB of plaintext or 32 levels are exceeded
 * - `header`: the protected header is no strict JSON, or has not exactly the seven members and their types
 * - `algorithm`: it is not `dir` and `A256GCM`
 * - `class`: it names another class
 * - `subject`: it names another subject: the class was moved here from another event
 * - `message_id`: it names another message id, or the event has none
 * - `no_key`: this device does not hold the key
 * - `key_scope`: the key is for another class or tenant
 * - `decrypt`: the key does not open it: it was changed
 * - `plaintext`: what was sealed is no strict JSON object with 1 or more members
 * - `pointer`: a pointer is none to an object member, or points to the whole data or into `$sealed`
 * - `collision`: a pointer is another one, or its ancestor, in this or another class: all of them stay shut
 * - `parent`: there is no object to put a value into
 * - `exists`: a value is there in clear already
 *
 * And from what the program expects: `in_clear` (a declared field is there in clear: it is taken away) and `missing` (a
 * declared class is not there). What concerns `$sealed` itself stands under the name `$sealed`.
 */
import { decodeBase64 } from './base64.js';
import { Draft, SEALED } from './draft.js';
import { isMap } from './members.js';
import { isDeeper, outsideStrings, strictJson } from './strict-json.js';

const CLASSES = 16; // most classes of one event
const POINTERS = 64; // most fields of one class
const CIPHERTEXT_LETTERS = 65536; // base64url of 49,152 bytes of plaintext, the most of one class
const PLAIN_DEPTH = 32; // most nested arrays and objects in it, the outermost object counted
const HEADER_LETTERS = 2048; // longest protected header, in base64url
const POINTER_TOKENS = 16;
const POINTER_BYTES = 256;
const IV_BYTES = 12;
const TAG_BYTES = 16;
const TEXTS = ['alg', 'enc', 'kid', 'sub', 'mid', 'cls']; // the members of a protected header beside the number `iat`
// One spelling for the same bytes (RFC 4648, 3.5): no padding, no stray bits in the last letter.
const BASE64URL = /^(?:[\w-]{4})*(?:[\w-]{2}[AEIMQUYcgkosw048]|[\w-][AQgw])?$/;

/** @typedef {'form' | 'limit' | 'header' | 'algorithm' | 'class' | 'subject' | 'message_id' | 'no_key'} Unfit */
/** @typedef {'key_scope' | 'decrypt' | 'plaintext' | 'pointer' | 'collision' | 'parent' | 'exists'} Wrong */
/** @typedef {Unfit | Wrong | 'in_clear' | 'missing'} Reason Why a class stays shut. */
/**
 * @typedef {object} Scope
 * @property {string} subject The event's subject; what was sealed for another does not open.
 * @property {string | null} [id] The event's message id; the same.
 * @property {string | null} [tenant] When given, keys of other tenants do not count.
 * @property {Record<string, string[]>} [expected] Class to pointers that must be sealed in events of this subject. The
 *   reader says so, never the message: such a field in clear is taken away, and a class that is absent is reported.
 */
/**
 * @typedef {object} Opened
 * @property {any} data The clear part with the opened fields put back, without `$sealed`.
 * @property {string[]} opened The classes that opened, sorted.
 * @property {Record<string, Reason>} shut Those that did not, each with its reason.
 */
/** @typedef {{ fieldClass: string, tenant: string }} HeldKey What is known of a key that this device holds. */
/**
 * One class that passed every check before decryption.
 * @template K
 * @typedef {{ name: string, kid: string, key: K, iv: Uint8Array<ArrayBuffer>, aad: Uint8Array<ArrayBuffer>, ciphertext: Uint8Array<ArrayBuffer> }} Locked
 */
/** @typedef {{ pointer: string, tokens: string[], value: unknown }} Field */

/**
 * Check every class of an event's data, and find the one key to try for each.
 * @template {HeldKey} K
 * @param {unknown} data any JSON value; it does not change.
 * @param {Scope} scope
 * @param {{ get(kid: string): K | undefined }} keys what this device holds.
 * @returns {{ draft: Draft, locked: Locked<K>[], shut: Map<string, Reason> }} for `restore`.
 */
export function examine(data, scope, keys) {
  /** @type {Map<string, Reason>} */
  const shut = new Map();
  const draft = new Draft(data);
  const classes = classesOf(data, shut);
  keepPromises(scope.expected ?? {}, classes, draft, shut);
  const locked = [];
  for (const [name, compact] of classes) {
    if (shut.has(name)) continue;
    const found = lockedOf(name, compact, scope, keys);
    if (typeof found === 'string') shut.set(name, found);
    else locked.push(found);
  }
  return { draft, locked, shut };
}

/**
 * Put back what was decrypted.
 * @param {{ draft: Draft, locked: { name: string }[], shut: Map<string, Reason> }} examined from `examine`, used once.
 * @param {(Uint8Array | Reason)[]} plaintexts of each of `locked`, or why there is none.
 * @returns {Opened}
 */
export function restore({ draft, locked, shut }, plaintexts) {
  /** @type {Map<string, Field[]>} */
  const held = new Map();
  for (const [at, { name }] of locked.entries()) {
    const plaintext = /** @type {Uint8Array | Reason} */ (plaintexts[at]);
    const fields = typeof plaintext === 'string' ? plaintext : fieldsOf(plaintext);
    if (typeof fields === 'string') shut.set(name, fields);
    else held.set(name, fields);
  }
  shutUnfit(held, draft, shut);
  for (const [name, fields] of held) {
    if (shut.has(name)) held.delete(name);
    else for (const { tokens, value } of fields) draft.put(tokens, value);
  }
  return { data: draft.data, opened: [...held.keys()].sort(), shut: Object.fromEntries(shut) };
}

/**
 * Decode base64url in its one spelling; null for anything else, and for an empty text.
 * @param {string} text
 */
export function decodeBase64Url(text) {
  if (!text || !BASE64URL.test(text)) return null;
  const digits = text.replaceAll('-', '+').replaceAll('_', '/');
  return decodeBase64(digits.padEnd(Math.ceil(text.length / 4) * 4, '='));
}

/**
 * The sealed classes and their JWEs; none when there are none to look at.
 * @param {unknown} data
 * @param {Map<string, Reason>} shut
 * @returns {Map<string, unknown>}
 */
function classesOf(data, shut) {
  if (!isMap(data) || !Object.hasOwn(data, SEALED)) return new Map();
  const sealed = data[SEALED];
  if (!isMap(sealed)) shut.set(SEALED, 'form');
  else if (Object.keys(sealed).length > CLASSES) shut.set(SEALED, 'limit');
  else return new Map(Object.entries(sealed));
  return new Map();
}

/**
 * Take declared fields that are there in clear away, and say which declared classes are so, or are not there.
 * @param {Record<string, string[]>} expected
 * @param {Map<string, unknown>} classes
 * @param {Draft} draft
 * @param {Map<string, Reason>} shut
 */
function keepPromises(expected, classes, draft, shut) {
  for (const name of Object.keys(expected).sort()) {
    for (const pointer of expected[name] ?? []) {
      const tokens = tokensOf(pointer);
      if (!tokens || !draft.has(tokens)) continue;
      draft.remove(tokens);
      shut.set(name, 'in_clear');
    }
    if (!classes.has(name) && !shut.has(name)) shut.set(name, 'missing');
  }
}

/**
 * Check one class: what to decrypt, or the first check that failed.
 * @template {HeldKey} K
 * @param {string} name
 * @param {unknown} compact
 * @param {Scope} scope
 * @param {{ get(kid: string): K | undefined }} keys
 * @returns {Locked<K> | Reason}
 */
function lockedOf(name, compact, { subject, id, tenant }, keys) {
  const segments = typeof compact === 'string' ? compact.split('.', 6) : [];
  const [head = '', , , body = ''] = segments;
  if (segments.length !== 5 || segments[1]) return 'form';
  if (isLonger(body, CIPHERTEXT_LETTERS) || isLonger(head, HEADER_LETTERS)) return 'limit';
  const [protectedHeader, , iv, sealed, tag] = segments.map(decodeBase64Url);
  if (!protectedHeader || !sealed || iv?.length !== IV_BYTES || tag?.length !== TAG_BYTES) return 'form';
  const header = headerOf(protectedHeader);
  if (!header) return 'header';
  const { kid = '' } = header;
  if (header.alg !== 'dir' || header.enc !== 'A256GCM') return 'algorithm';
  if (header.cls !== name) return 'class';
  if (header.sub !== subject) return 'subject';
  if (header.mid !== id) return 'message_id';
  const key = keys.get(kid); // one key, no trial of several: GCM does not commit to its key
  if (!key) return 'no_key';
  if (key.fieldClass !== name || (tenant != null && key.tenant !== tenant)) return 'key_scope';
  const ciphertext = new Uint8Array(sealed.length + TAG_BYTES); // WebCrypto takes the tag at its end
  ciphertext.set(sealed);
  ciphertext.set(tag, sealed.length);
  return { name, kid, key, iv, ciphertext, aad: Uint8Array.from(head, (letter) => letter.charCodeAt(0)) };
}

/**
 * Whether a text has more than `most` letters, as other languages count them: not in UTF-16.
 * @param {string} text
 * @param {number} most
 */
function isLonger(text, most) {
  return text.length > most && [...text].length > most;
}

/**
 * The protected header: exactly the seven members, of their types; else null.
 * @param {Uint8Array} bytes
 * @returns {Record<string, string> | null}
 */
function headerOf(bytes) {
  const header = strictJson(bytes, 1);
  if (!isMap(header) || Object.keys(header).length !== TEXTS.length + 1) return null;
  // After JSON.parse 1.0 and 1e9 are integers; the text still tells.
  if (typeof header.iat !== 'number' || header.iat < 0 || /[.eE]/.test(outsideStrings(bytes))) return null;
  if (!TEXTS.every((name) => typeof header[name] === 'string')) return null;
  return /** @type {Record<string, string>} */ (header);
}

/**
 * @param {Uint8Array} plaintext
 * @returns {Field[] | Reason}
 */
function fieldsOf(plaintext) {
  if (isDeeper(outsideStrings(plaintext), PLAIN_DEPTH)) return 'limit';
  const members = strictJson(plaintext, PLAIN_DEPTH);
  const entries = isMap(members) ? Object.entries(members) : [];
  if (entries.length === 0) return 'plaintext';
  if (entries.length > POINTERS) return 'limit';
  const fields = [];
  for (const [pointer, value] of entries) {
    const tokens = tokensOf(pointer);
    if (!tokens) return 'pointer';
    fields.push({ pointer, tokens, value });
  }
  return fields;
}

/**
 * Shut the opened classes that cannot be put back. Whatever order classes come in, the answer is the same.
 * @param {Map<string, Field[]>} held
 * @param {Draft} draft
 * @param {Map<string, Reason>} shut
 */
function shutUnfit(held, draft, shut) {
  /** @type {Map<string, string[]>} A pointer has one spelling, so it can stand for its tokens. */
  const owners = new Map();
  for (const [name, fields] of held) {
    for (const { pointer } of fields) owners.set(pointer, [...(owners.get(pointer) ?? []), name]);
  }
  for (const [pointer, names] of owners) {
    const colliding = names.length > 1 ? [...names] : [];
    for (let at = pointer.indexOf('/', 1); at > 0; at = pointer.indexOf('/', at + 1)) {
      const above = owners.get(pointer.slice(0, at));
      if (above) colliding.push(...names, ...above);
    }
    for (const name of colliding) shut.set(name, 'collision');
  }
  for (const [name, fields] of held) {
    if (shut.has(name)) continue;
    if (!fields.every(({ tokens }) => draft.hasParent(tokens))) shut.set(name, 'parent');
    else if (fields.some(({ tokens }) => draft.has(tokens))) shut.set(name, 'exists');
  }
}

/**
 * Take an RFC 6901 pointer to an object member apart; null for any other.
 * @param {string} pointer
 * @returns {string[] | null}
 */
function tokensOf(pointer) {
  if (!pointer.startsWith('/') || /~(?![01])/.test(pointer)) return null;
  const tokens = pointer
    .slice(1)
    .split('/')
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
  const bytes = encodeURIComponent(pointer).replace(/%../g, '-').length;
  if (tokens.length > POINTER_TOKENS || bytes > POINTER_BYTES || tokens[0] === SEALED || tokens.includes('-')) {
    return null;
  }
  return tokens;
}
