/** The token of a session: fetched, refreshed in time, replaced after a refusal, and never another user's. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { userOf } from '../src/user.js';
import { A, Bench, live, UNIX_S, welcome } from './core-bench.js';

const expiring = (seconds) => ({ type: 'expiring', in: seconds });
const asked = (bench) => bench.only('FetchToken').number;

test('a token fetched for an older connection changes nothing', () => {
  const bench = new Bench().live();
  const number = asked(bench.get(expiring(60)));
  bench.cut();
  assert.deepEqual(bench.core.tokenFetched(number, 'late', 'u', bench.now), []);
  assert.deepEqual(bench.core.tokenFailed(number, bench.now, true), []);
  assert.equal(bench.core.state, 'waiting');
});

test('a late token neither opens a second socket nor is used', () => {
  const bench = new Bench().live();
  const late = asked(bench.get(expiring(60)));
  const number = asked(bench.cut(4004).waitFor('FetchToken'));
  assert.deepEqual(bench.core.tokenFetched(late, 'late', 'u', bench.now), []);
  bench.do(bench.core.tokenFetched(number, 't2', 'u', bench.now));
  assert.deepEqual(bench.all('Open'), [{ kind: 'Open', connection: 2 }]);
  assert.deepEqual(bench.core.tokenFetched(number, 't2', 'u', bench.now), []);
  assert.equal(bench.open().token, 't2');
});

test('a refused token is replaced once, then the client stops', () => {
  const bench = new Bench().getToken();
  bench.open();
  bench.cut(4501).waitFor('FetchToken').getToken('t2');
  assert.equal(bench.open().token, 't2');
  assert.deepEqual(bench.cut(4501).only('Stop'), { kind: 'Stop', stop: 'unauthorized', code: 4501 });
});

test('a welcome forgives a refusal', () => {
  const bench = new Bench().getToken();
  bench.open();
  for (const token of ['t2', 't3']) {
    bench.cut(4501).waitFor('FetchToken').getToken(token);
    assert.equal(bench.open().token, token);
    bench.get(welcome());
  }
});

test('a token that only ended is no refusal', () => {
  const bench = new Bench().getToken();
  bench.open();
  for (const token of ['t2', 't3']) {
    bench.cut(4004).waitFor('FetchToken').getToken(token);
    assert.equal(bench.open().token, token);
  }
});

test('an expiring token is renewed on the connection', () => {
  const bench = new Bench().live();
  const first = asked(bench.get(expiring(60)));
  assert.deepEqual(bench.get(expiring(50)).out, [], 'asked once');
  bench.do(bench.core.tokenFailed(first, bench.now));
  const second = asked(bench.waitFor('FetchToken'));
  bench.do(bench.core.tokenFetched(second, 't2', 'u', bench.now));
  assert.deepEqual(bench.sent, [{ type: 'refresh', id: '1', token: 't2' }]);
  assert.equal(bench.cut().waitFor('Open').open().token, 't2');
});

test('a refused refresh is told and tried again; an accepted one sets the next', () => {
  const bench = new Bench().live();
  const number = asked(bench.get(expiring(60)));
  bench.do(bench.core.tokenFetched(number, 't2', 'u', bench.now));
  bench.get({ type: 'reply', id: '1', error: { code: 'unavailable', retry: true } });
  assert.deepEqual(bench.only('TellError').error, { code: 'unavailable', message: '', retry: true });
  bench.do(bench.core.tokenFetched(asked(bench.waitFor('FetchToken')), 't3', 'u', bench.now));
  bench.get({ type: 'reply', id: '2', data: { expires: UNIX_S + 40 } });
  assert.deepEqual(bench.out, []);
  assert.ok(!bench.later(9.9).has('FetchToken'));
  assert.ok(bench.later(0.2).has('FetchToken'));
});

test('a token is renewed before its end by the clock', () => {
  const bench = new Bench().getToken();
  bench.open();
  bench.get(welcome({ expires: UNIX_S + 40 }), live(10));
  assert.ok(!bench.later(9).has('FetchToken'));
  assert.ok(bench.later(1.5).has('FetchToken'));
});

test('a token that the gateway asked for in time is not asked for again by the clock', () => {
  const bench = new Bench().getToken();
  bench.open();
  bench.get(welcome({ expires: UNIX_S + 60 }), live(10)).later(20);
  bench.do(bench.core.tokenFetched(asked(bench.get(expiring(40))), 't2', 'u', bench.now));
  bench.get({ type: 'reply', id: '1', data: {} });
  assert.ok(!bench.later(15).has('FetchToken'));
});

test('a wrong clock does not ask for tokens in a loop', () => {
  const bench = new Bench().getToken();
  bench.open();
  bench.get(welcome({ expires: UNIX_S - 3600 }));
  for (let times = 0; times < 3; times++) assert.ok(!bench.later(5).has('FetchToken'));
});

test('a token that ended is replaced and the session resumed', () => {
  const bench = new Bench().live().cut(4004).waitFor('FetchToken').getToken('t2');
  const { token, resume } = bench.open();
  assert.deepEqual([token, resume], ['t2', { stream: A, seq: 10 }]);
});

test('a token that ended meanwhile is not sent again, unless there is no other', () => {
  for (const renewable of [true, false]) {
    const bench = new Bench({ renewable }).getToken();
    bench.open();
    bench.get(welcome({ expires: UNIX_S + 40 }), live(10)).later(9);
    bench.cut().waitFor('Open').cut();
    bench.now += 40;
    assert.equal(bench.do(bench.core.wake(bench.now)).has('FetchToken'), renewable);
    assert.equal(bench.has('Open'), !renewable);
  }
});

test('a token of another user stops the client', () => {
  const bench = new Bench().live();
  const number = asked(bench.get(expiring(60)));
  bench.do(bench.core.tokenFetched(number, 't2', 'other', bench.now));
  assert.equal(bench.only('Stop').stop, 'user_changed');
});

test('a callable that says there is no token stops the client, also in mid-connection', () => {
  const first = new Bench();
  first.do(first.core.tokenFailed(asked(first), first.now, true));
  assert.equal(first.only('Stop').stop, 'unauthorized');
  const later = new Bench().live();
  later.do(later.core.tokenFailed(asked(later.get(expiring(60))), later.now, true));
  assert.equal(later.only('Stop').stop, 'unauthorized');
});

test('a callable that fails is asked again after longer and longer waits', () => {
  const bench = new Bench().live().get(expiring(60));
  const waits = [];
  for (let times = 0; times < 3; times++) {
    bench.do(bench.core.tokenFailed(asked(bench), bench.now));
    const askedAt = bench.now;
    while (!bench.has('FetchToken')) bench.do(bench.core.heard(1, bench.now)).wait();
    waits.push(Number((bench.now - askedAt).toFixed(3)));
  }
  assert.deepEqual(waits, [0.75, 1, 1.5]);
});

test('a callable that fails at the start is asked again like a lost connection', () => {
  const bench = new Bench();
  const waits = [];
  for (let times = 0; times < 3; times++) {
    waits.push(bench.do(bench.core.tokenFailed(asked(bench), bench.now)).waitS);
    bench.waitFor('FetchToken');
  }
  assert.deepEqual(waits, [0.75, 1, 1.5]);
});

test('users are told apart by issuer and subject', () => {
  const jwt = (claims) => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.sig`;
  assert.equal(userOf(jwt({ iss: 'https://i', sub: 'c42' })), 'https://i c42');
  const [zoe, zoa] = ['zoë ÿ???>>> 日本', 'zoä ÿ???>>> 日本'].map((sub) => userOf(jwt({ iss: 'https://i', sub })));
  assert.ok(zoe?.startsWith('https://i zo') && zoe !== zoa, 'whatever letters there are, users are told apart');
  assert.notEqual(userOf(jwt({ iss: 'https://j', sub: 'c42' })), userOf(jwt({ iss: 'https://i', sub: 'c42' })));
  const opaque = ['', 't1', 'a.b.c', 'a.!!.c', 'a..c', `${jwt({ sub: 'u' })}.more`];
  for (const token of [...opaque, ...[{ sub: 3 }, [], null, 'u', 7].map(jwt)]) assert.equal(userOf(token), '', token);
});
