/** Shell: what a browser says of its page and network: it woke up, it is seen again, it is about to go. */

/**
 * Call `wake` when the page is seen again, comes back from the browser's memory or the network returns, and `hide`
 * when the page may end without another word. Where there are no such events (Node, React Native), nothing is called.
 * @param {{ wake: () => void, hide: () => void }} told
 * @param {{ window?: EventTarget | undefined, document?: (EventTarget & { visibilityState?: string }) | undefined }} page
 * @returns {() => void} stops it.
 */
export function watchPage({ wake, hide }, { window, document } = globalThis) {
  const seen = () => (document?.visibilityState === 'hidden' ? hide() : wake());
  /** @type {[EventTarget | undefined, string, () => void][]} */
  const heard = [
    [window, 'online', wake],
    [window, 'pageshow', wake],
    [window, 'pagehide', hide],
    [document, 'resume', wake],
    [document, 'visibilitychange', seen],
  ];
  for (const [target, name, call] of heard) target?.addEventListener?.(name, call);
  return () => {
    for (const [target, name, call] of heard) target?.removeEventListener?.(name, call);
  };
}
