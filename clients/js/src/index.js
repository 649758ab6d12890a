/** Shell: `@tidewire/client`: events over a WebSocket that survive tunnels, restarts and deploys. */

/** @typedef {import('./client.js').ClientOptions} ClientOptions */
/** @typedef {import('./client.js').Keys} Keys */
/** @typedef {import('./client.js').Listeners} Listeners */
/** @typedef {import('./effects.js').Gap} Gap */
/** @typedef {import('./effects.js').State} State */
/** @typedef {import('./frames.js').Welcome} Welcome */
/** @typedef {import('./storage.js').Position} Position */
/** @typedef {import('./storage.js').Scope} Scope */
/** @typedef {import('./storage.js').Storage} Storage */

export { Client } from './client.js';
export {
  ClientClosed,
  ClientError,
  ClientStopped,
  Forbidden,
  GatewayError,
  HandlerFailed,
  ProtocolError,
  Refused,
  Revoked,
  StateUnavailable,
  TakenOver,
  TokenUnavailable,
  Unauthorized,
  Unreachable,
  UserChanged,
} from './errors.js';
export { Event, Sealed } from './event.js';
export { DefaultStorage, IndexedDbStorage, KeyValueStorage, MemoryStorage } from './storage.js';
export { Subscription } from './subscription.js';
