/**
 * Pure: what the end of a connection means for the session (P3.1, P3.2). Codes decide, never texts.
 *
 * - `resume`: connect again; at once when the connection had been live.
 * - `backoff`: connect again, never at once: the gateway has a fault.
 * - `renew`: the token ended: fetch a new one, connect again.
 * - `unauthorized`: the token was refused: fetch a new one and try once more, then stop.
 * - `forbidden`, `taken_over`, `revoked`, `refused`: these four stop the session.
 * - `protocol`: a bug on one side: one retry, then stop.
 *
 * @typedef {'resume' | 'backoff' | 'renew' | 'unauthorized' | 'forbidden' | 'taken_over' | 'revoked' | 'refused'
 *   | 'protocol'} Verdict
 */

/** @type {Record<number, Verdict>} */
const BY_CODE = {
  1011: 'backoff',
  4004: 'renew',
  4005: 'backoff',
  4006: 'backoff',
  4400: 'protocol',
  4413: 'protocol',
  4501: 'unauthorized',
  4503: 'forbidden',
  4509: 'taken_over',
  4510: 'revoked',
};

/** @type {Record<number, Verdict>} */
const BY_STATUS = {
  400: 'protocol', // no shared subprotocol, or a token in the URL
  401: 'unauthorized',
  403: 'forbidden',
};

/**
 * What a close code means. null: the connection broke without one. 4500 to 4999 never come back by themselves; all
 * that is not named (4001 to 4003, 4429, 1006, ...) resumes.
 *
 * @param {number | null | undefined} code
 * @returns {Verdict}
 */
export function verdictOfClose(code) {
  const known = code ?? 0;
  return BY_CODE[known] ?? (known >= 4500 && known <= 4999 ? 'refused' : 'resume');
}

/**
 * What an HTTP status instead of the upgrade means. All but 400, 401 and 403 may pass: balancers answer so too.
 *
 * @param {number} status
 * @returns {Verdict}
 */
export function verdictOfStatus(status) {
  return BY_STATUS[status] ?? 'backoff';
}
