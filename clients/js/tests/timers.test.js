/** What a session waits for. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Timers } from '../src/timers.js';

test('what is due comes earliest first and once', () => {
  const timers = new Timers();
  timers.set('probe', 7);
  timers.set('ack', 5);
  timers.set('calm', 9);
  assert.equal(timers.due, 5);
  assert.deepEqual(
    [...timers.take(8)],
    [
      ['ack', 5],
      ['probe', 7],
    ],
  );
  assert.deepEqual([...timers.take(8)], []);
  assert.equal(timers.due, 9);
});

test('what an earlier timer stops or sets anew does not come', () => {
  const timers = new Timers();
  timers.set('silence', 1);
  timers.set('ack', 2);
  timers.set('calm', 3);
  const taken = timers.take(4);
  assert.deepEqual(taken.next().value, ['silence', 1]);
  timers.stop('ack');
  timers.set('calm', 10);
  assert.deepEqual([...taken], []);
  assert.equal(timers.due, 10);
});

test('a running timer keeps its time unless it is set', () => {
  const timers = new Timers();
  timers.setUnlessSet('ack', 1);
  timers.setUnlessSet('ack', 2);
  assert.equal(timers.due, 1);
  timers.set('ack', 3);
  assert.equal(timers.due, 3);
});

test('a timer can be hastened and not be put off', () => {
  const timers = new Timers();
  timers.set('silence', 5);
  timers.hasten('silence', 1, 6);
  assert.equal(timers.due, 5);
  timers.hasten('silence', 1, 2);
  assert.equal(timers.due, 3);
  timers.hasten('probe', 1, 1);
  assert.equal(timers.due, 2, 'one that did not run does now');
  assert.ok(!timers.isDue('silence', 2.9) && timers.isDue('silence', 3));
  timers.stop('probe');
  timers.hasten('silence', 3, 4);
  assert.equal(timers.due, 7, 'what is past is not waited for any more');
});

test('all but one can be stopped', () => {
  const timers = new Timers();
  timers.set('ack', 2);
  timers.set('retry', 1);
  timers.stopAll('ack');
  assert.deepEqual([timers.due, timers.isSet('retry')], [2, false]);
  timers.stopAll();
  assert.equal(timers.due, Number.POSITIVE_INFINITY);
});
