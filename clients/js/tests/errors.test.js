/** The errors of the client. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as errors from '../src/errors.js';

const { ClientError, ClientStopped, Forbidden, GatewayError, HandlerFailed, stopped, Unauthorized, Unreachable } =
  errors;

test('every error names itself, also where a minifier renames classes', () => {
  const classes = Object.entries(errors).filter(([, value]) => value.prototype instanceof Error);
  assert.equal(classes.length, 15);
  for (const [name, Class] of classes) {
    const error = new Class('text', null);
    assert.ok(error instanceof ClientError);
    assert.equal(error.name, name);
    assert.match(String(error), new RegExp(`^${name}: text`));
    assert.match(error.stack, new RegExp(`^${name}: text`));
  }
});

test('every end of a session has its error, with the code when there is one', () => {
  for (const [kind, name] of [
    ['unauthorized', 'Unauthorized'],
    ['forbidden', 'Forbidden'],
    ['taken_over', 'TakenOver'],
    ['revoked', 'Revoked'],
    ['protocol', 'ProtocolError'],
    ['user_changed', 'UserChanged'],
    ['refused', 'Refused'],
  ]) {
    const error = stopped(kind, 4777);
    assert.ok(error instanceof ClientStopped);
    assert.deepEqual([error.name, error.code], [name, 4777]);
    assert.match(error.message, /\(4777\)$/);
    assert.equal(stopped(kind, null).code, null);
    assert.doesNotMatch(stopped(kind, null).message, /null/);
  }
});

test('errors hold what a program can act on', () => {
  assert.deepEqual(new Forbidden('refused', null, ['stock.>']).subjects, ['stock.>']);
  assert.deepEqual(stopped('forbidden', 4503).subjects, []);
  assert.match(new Unauthorized().message, /sign in/);
  const { code, retry, message } = new GatewayError('limit', 'too many', true);
  assert.deepEqual([code, retry, message], ['limit', true, 'limit: too many']);
  assert.equal(new HandlerFailed('a listener failed', null, { cause: 'x' }).cause, 'x');
  assert.equal(new Unreachable('no connection', { cause: 'x' }).cause, 'x');
});
