/** Shell: the name of this device's session, kept in this browser. */

/**
 * The name that is kept, else a new one.
 * @param {string} customer
 * @returns {string}
 */
export function sessionName(customer) {
  return kept(customer) ?? newSessionName(customer);
}

/**
 * A new name, kept from now on.
 * @param {string} customer
 * @returns {string}
 */
export function newSessionName(customer) {
  const [word] = crypto.getRandomValues(new Uint32Array(1));
  const name = `web-${(word ?? 0).toString(36)}`;
  try {
    localStorage.setItem(place(customer), name);
  } catch {} // a browser that keeps nothing has a new session each time
  const address = new URL(location.href);
  address.searchParams.delete('device');
  history.replaceState(null, '', address);
  return name;
}

/** @param {string} customer */
function kept(customer) {
  try {
    return localStorage.getItem(place(customer));
  } catch {
    return null;
  }
}

/** @param {string} customer */
function place(customer) {
  return `tidewire-demo session ${customer}`;
}
