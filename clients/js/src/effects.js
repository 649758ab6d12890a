/**
 * Pure: what the core asks its shell to do, in order. A shell in any language performs these and decides nothing.
 *
 * @typedef {'connecting' | 'replaying' | 'live' | 'waiting' | 'closed'} State
 * @typedef {'unauthorized' | 'forbidden' | 'taken_over' | 'revoked' | 'protocol' | 'user_changed' | 'refused'} StopKind
 *
 * @import { ErrorBody, EventFrame, Outgoing } from './frames.js'
 */

/**
 * How far a session has come: everything up to `seq` of the stream with the identity `stream` is processed. Sequences
 * compare within one stream only; they are whole numbers up to 2^53 - 1.
 *
 * @typedef {{ stream: string, seq: number }} Position
 */

/**
 * Events strictly between `after` and `before` may be lost; `subjects` names the patterns concerned, when it is known.
 *
 * @typedef {{ after: number, before: number, reason: string, subjects?: string[] }} Gap
 */

/**
 * The effects.
 *
 * - `FetchToken`: ask for a token; answer with `tokenFetched` or `tokenFailed` and this number. Ends an earlier asking.
 * - `Load`: read the stored position of this user's session; answer with `loaded`.
 * - `Open`: open a WebSocket; answer with `opened` or `broken`. From then on pass on all that it brings.
 * - `Drop`: close the current WebSocket, if there is one, and be done with it: what it still brings is ignored.
 * - `Send`: send one frame on the current WebSocket, after every `Store` before it has been performed.
 * - `Probe`: ask the link for a sign of life: a frame `ping`, or a WebSocket ping and `heard` at its pong.
 * - `Deliver`: put an event into these iterators' queues. `epoch` comes back with `processed`.
 * - `Store`: keep this position; null: forget what is kept.
 * - `TellGap`: call the `gap` listeners; when they have returned say `gapHandled` with this number.
 * - `TellLive`, `TellState`: call the listeners.
 * - `TellError`: tell what an `error` frame said; the session goes on.
 * - `Deny`: end these iterators: patterns of theirs (`subjects`) are not permitted. `reason`: `forbidden`, or the code
 *   of the gateway's refusal.
 * - `Stop`: the session ended for good: throw from every iterator (`stopped` of errors.js).
 *
 * @typedef {{ kind: 'FetchToken', number: number }
 *   | { kind: 'Load', connection: number, user: string }
 *   | { kind: 'Open', connection: number }
 *   | { kind: 'Drop', code: number }
 *   | { kind: 'Send', frame: Outgoing }
 *   | { kind: 'Probe' }
 *   | { kind: 'Deliver', inboxes: number[], epoch: number, event: EventFrame }
 *   | { kind: 'Store', position: Position | null }
 *   | { kind: 'TellGap', number: number, gap: Gap }
 *   | { kind: 'TellLive', seq: number }
 *   | { kind: 'TellState', state: State }
 *   | { kind: 'TellError', error: ErrorBody }
 *   | { kind: 'Deny', inboxes: number[], subjects: string[], reason: string }
 *   | { kind: 'Stop', stop: StopKind, code: number | null }} Effect
 */

export {};
