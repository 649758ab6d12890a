/** Shell: `@tidewire/client`: events over a WebSocket that survive tunnels, restarts and deploys. */
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
