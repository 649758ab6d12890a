/** Pure: the state of the page in words. */

/** @typedef {'connecting' | 'replaying' | 'live' | 'waiting' | 'closed' | 'tunnel'} PageState */

/** @type {Record<PageState, string>} */
export const SHORT = {
  connecting: 'Connecting',
  replaying: 'Replaying',
  live: 'Live',
  waiting: 'No connection',
  closed: 'Closed',
  tunnel: 'In the tunnel',
};

/**
 * The state for engineers.
 * @param {PageState} state
 * @param {{ replayed: number, pending: number | null, isSlow: boolean, isLeader: boolean, waiting: number }} about
 *   `pending`: events of the running replay, null when not known.
 * @returns {string}
 */
export function phaseText(state, { replayed, pending, isSlow, isLeader, waiting }) {
  const through = isLeader ? '' : ', through another tab';
  switch (state) {
    case 'replaying':
      if (isSlow) return `catching up at its pace, ${waiting} wait`;
      return pending === null
        ? `replaying, ${replayed} so far`
        : `replaying ${replayed} of ${Math.max(replayed, pending)}`;
    case 'live':
      return isSlow ? 'live, a slow phone' : `live${through}`;
    case 'waiting':
      return 'no connection, next try soon';
    case 'tunnel':
      return 'no signal, the session is kept';
    case 'closed':
      return 'ended for good';
    default:
      return 'connecting';
  }
}
