/**
 * Pure: the frames of the session protocol, version 1 (docs/protocol.md, sections 1 and 2), and their JSON encoding.
 *
 * Unknown fields and frames of unknown type are ignored, so that a gateway may be newer than its clients. A frame that
 * is known and wrong is a bug of one side: `BadFrame`. What comes out of here has the wire's own member names, holds
 * nothing but the members of its typedef, and has all of them: absent ones are null or have their default.
 */

import { decodeBase64 } from './base64.js';
import {
  BadFrame,
  isBoolean,
  isId,
  isMap,
  isNumber,
  isOutcome,
  isSequence,
  isText,
  isTexts,
  member,
} from './members.js';

export { BadFrame };

/**
 * The most that may be unacknowledged (P2.14).
 * @typedef {{ messages: number, bytes: number }} WindowSize
 */

/**
 * The first frame (P2.10 to P2.15). `resume`: the position that the client has processed.
 * @typedef {{ type: 'connect', token: string, session: string, subscribe: string[],
 *   resume?: { stream: string, seq: number } | undefined, window?: WindowSize | undefined,
 *   client?: string | undefined }} Connect
 */
/**
 * Everything up to `seq` is processed (P2.16).
 * @typedef {{ type: 'ack', seq: number }} Ack
 */
/**
 * Add patterns, from now on (P2.18).
 * @typedef {{ type: 'subscribe', id: string, subjects: string[] }} Subscribe
 */
/**
 * Remove patterns (P2.21).
 * @typedef {{ type: 'unsubscribe', id: string, subjects: string[] }} Unsubscribe
 */
/**
 * A new token for the same user (P2.23).
 * @typedef {{ type: 'refresh', id: string, token: string }} Refresh
 */
/**
 * Asks for a `pong`; both sides may (P2.38, P2.25).
 * @typedef {{ type: 'ping' }} Ping
 */
/**
 * The answer to `ping` (P2.24, P2.25).
 * @typedef {{ type: 'pong' }} Pong
 */
/**
 * A frame to the gateway.
 * @typedef {Connect | Ack | Subscribe | Unsubscribe | Refresh | Ping | Pong} Outgoing
 */

/**
 * The answer to `connect` (P2.30 to P2.32). Replay starts after `from`. `expires`: when the token ends, Unix seconds.
 * `ping`: seconds without traffic after which the gateway pings.
 * @typedef {{ type: 'welcome', session: string, stream: string, outcome: 'fresh' | 'resumed' | 'gap', from: number,
 *   pending: number | null, oldest: string | null, expires: number | null, ping: number, window: WindowSize,
 *   subjects: string[], denied: string[] | null }} Welcome
 */
/**
 * One event (P2.33 to P2.35). Its value is told by `dataOf`. `size`: its share of its message, for the byte window.
 * @typedef {{ type: 'event', seq: number, subject: string, time: string, data: unknown, data_b64: string | null,
 *   replay: boolean, id: string | null, headers: Record<string, string> | null, size: number }} EventFrame
 */
/**
 * Everything up to `seq` has been sent; what follows is live (P2.36).
 * @typedef {{ type: 'live', seq: number }} Live
 */
/**
 * Events after `after` and before `before` may be lost (P2.37).
 * @typedef {{ type: 'gap', after: number, before: number, reason: string, subjects: string[] | null }} GapFrame
 */
/**
 * Why a request was refused (P2.40, P2.43).
 * @typedef {{ code: string, message: string, retry: boolean }} ErrorBody
 */
/**
 * What replies to `subscribe` and `refresh` hold, as far as this client reads it.
 * @typedef {{ seq: number | null, denied: string[] | null, expires: number | null }} ReplyData
 */
/**
 * The answer to `subscribe`, `unsubscribe` or `refresh` (P2.40).
 * @typedef {{ type: 'reply', id: string | number | null, data: ReplyData | null, error: ErrorBody | null }} Reply
 */
/**
 * The token ends in `in` seconds (P2.39).
 * @typedef {{ type: 'expiring', in: number }} Expiring
 */
/**
 * Something is wrong with the connection (P2.41); `after`, in milliseconds, is the least wait when a close follows.
 * @typedef {{ type: 'error', code: string, message: string, retry: boolean, after: number | null }} ErrorFrame
 */
/**
 * The gateway closes (P2.42). `after`: milliseconds to wait before coming back.
 * @typedef {{ type: 'goodbye', code: number, reason: string, reconnect: boolean, after: number | null }} Goodbye
 */
/**
 * A frame from the gateway.
 * @typedef {Welcome | EventFrame | Live | GapFrame | Reply | Ping | Pong | Expiring | ErrorFrame | Goodbye} Frame
 */

/**
 * An encoding: frames to WebSocket messages, and messages to values for `decodeFrames`. `decode` takes a text for JSON,
 * an ArrayBuffer or Uint8Array for MessagePack; at anything else, as at what it cannot decode, it throws BadFrame.
 * @typedef {{ subprotocol: string, encode(frame: object): string | Uint8Array<ArrayBuffer>,
 *   decode(message: unknown): unknown }} Codec
 */

/** @type {Codec} */
export const JsonCodec = {
  subprotocol: 'tidewire.v1.json',
  encode: (frame) => JSON.stringify(frame),
  decode(message) {
    if (typeof message !== 'string') throw new BadFrame('not a text');
    try {
      return JSON.parse(message);
    } catch {
      throw new BadFrame('not decodable');
    }
  },
};

/**
 * The known frames in a message's decoded value, in order. Throws BadFrame: then nothing of the message counts.
 *
 * `size` is the message's size: its `byteLength`, or the `length` of JSON text. Each event's `size` is an even share of
 * it: near enough to bytes for the byte window, since acknowledgements also go out by count and by time.
 * @param {unknown} value
 * @param {number} [size]
 * @returns {Frame[]}
 */
export function decodeFrames(value, size = 0) {
  const parts = Array.isArray(value) ? value : [value];
  if (parts.length === 0) throw new BadFrame('an empty batch');
  const share = Math.ceil(size / parts.filter((part) => part?.type === 'event').length);
  const frames = [];
  for (const part of parts) {
    if (!isMap(part)) throw new BadFrame('not a map');
    const frame = known(part, share);
    if (frame !== null) frames.push(frame);
  }
  return frames;
}

/**
 * The value of an event: what was published, or the payload's bytes where that was not JSON (P2.35); null for a frame
 * without either. Throws BadFrame when `data_b64` is not base64 with padding (RFC 4648, section 4).
 * @param {EventFrame} frame
 * @returns {unknown}
 */
export function dataOf(frame) {
  if (frame.data_b64 === null) return frame.data;
  const bytes = decodeBase64(frame.data_b64);
  if (bytes === null) throw new BadFrame('data_b64 is not base64');
  return bytes;
}

/**
 * @param {Record<string, unknown>} map
 * @param {number} size
 * @returns {Frame | null} null: a type that this client does not know
 */
function known(map, size) {
  switch (member(map, 'type', isText)) {
    case 'event':
      return event(map, size);
    case 'live':
      return { type: 'live', seq: member(map, 'seq', isSequence) };
    case 'welcome':
      return welcome(map);
    case 'gap':
      return {
        type: 'gap',
        after: member(map, 'after', isSequence),
        before: member(map, 'before', isSequence),
        reason: member(map, 'reason', isText),
        subjects: member(map, 'subjects', isTexts, null),
      };
    case 'reply':
      return reply(map);
    case 'ping':
      return { type: 'ping' };
    case 'pong':
      return { type: 'pong' };
    case 'expiring':
      return { type: 'expiring', in: member(map, 'in', isNumber) };
    case 'error':
      return { type: 'error', ...problem(map), after: member(map, 'after', isNumber, null) };
    case 'goodbye':
      return {
        type: 'goodbye',
        code: member(map, 'code', isSequence),
        reason: member(map, 'reason', isText, ''),
        reconnect: member(map, 'reconnect', isBoolean, true),
        after: member(map, 'after', isNumber, null),
      };
    default:
      return null;
  }
}

/**
 * @param {Record<string, unknown>} map
 * @param {number} size
 * @returns {EventFrame}
 */
function event(map, size) {
  return {
    type: 'event',
    seq: member(map, 'seq', isSequence),
    subject: member(map, 'subject', isText),
    time: member(map, 'time', isText),
    data: map.data ?? null,
    data_b64: member(map, 'data_b64', isText, null),
    replay: member(map, 'replay', isBoolean, false),
    id: member(map, 'id', isText, null),
    headers: /** @type {Record<string, string> | null} */ (member(map, 'headers', isMap, null)),
    size,
  };
}

/**
 * @param {Record<string, unknown>} map
 * @returns {Welcome}
 */
function welcome(map) {
  const window = member(map, 'window', isMap, {});
  return {
    type: 'welcome',
    session: member(map, 'session', isText),
    stream: member(map, 'stream', isText),
    outcome: member(map, 'outcome', isOutcome),
    from: member(map, 'from', isSequence),
    pending: member(map, 'pending', isSequence, null),
    oldest: member(map, 'oldest', isText, null),
    expires: member(map, 'expires', isNumber, null),
    ping: member(map, 'ping', isNumber, 25),
    window: {
      messages: member(window, 'messages', isSequence, 1000),
      bytes: member(window, 'bytes', isSequence, 1_048_576),
    },
    subjects: member(map, 'subjects', isTexts, []),
    denied: member(map, 'denied', isTexts, null),
  };
}

/**
 * @param {Record<string, unknown>} map
 * @returns {Reply}
 */
function reply(map) {
  const data = member(map, 'data', isMap, null);
  const error = member(map, 'error', isMap, null);
  return {
    type: 'reply',
    id: member(map, 'id', isId, null),
    data: data && {
      seq: member(data, 'seq', isSequence, null),
      denied: member(data, 'denied', isTexts, null),
      expires: member(data, 'expires', isNumber, null),
    },
    error: error && problem(error, 'unknown'),
  };
}

/**
 * @param {Record<string, unknown>} map
 * @param {string} [code] what an absent one means
 * @returns {ErrorBody}
 */
function problem(map, code) {
  return {
    code: member(map, 'code', isText, code),
    message: member(map, 'message', isText, ''),
    retry: member(map, 'retry', isBoolean, false),
  };
}
