/** What a client does when its link, its gateway or its token ends, or another takes its place. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { WebSocket as WebSocketOfWs } from 'ws';

import { Forbidden, TakenOver, Unauthorized } from '../../src/index.js';
import { Cable } from './cable.js';
import { gateway } from './running.js';
import { clientOf, recording, seqsOf, take, toldBy } from './told.js';
import { until } from './until.js';

const { publisher } = gateway;

/**
 * Cut a client's link ten times while 300 events come: it has each of them once, in order.
 * @param {import('../../src/index.js').Client} client
 * @param {string} order the last part of the subject.
 * @param {() => void} cut
 */
async function cutTenTimes(client, order, cut) {
  const told = toldBy(client);
  const seqs = [];
  client.on('event', ({ seq }) => void seqs.push(seq));
  client.subscribe(`orders.c42.${order}.>`);
  await until(() => client.state === 'live');
  const published = [];
  for (let round = 0; round < 10; round += 1) {
    const subject = `orders.c42.${order}.o1`;
    const before = publisher.publishMany(subject, 15, 30 * round);
    await until(() => seqs.length > 30 * round); // the link lives
    const after = publisher.publishMany(subject, 15, 30 * round + 15);
    cut();
    published.push(...(await before), ...(await after));
  }
  await until(() => seqs.length >= published.length && told.welcome.length > 10 && client.state === 'live');
  assert.deepEqual(seqs, published);
  assert.equal(told.welcome.length, 11);
  assert.ok(told.welcome.slice(1).every(({ outcome }) => outcome === 'resumed'));
  assert.deepEqual([told.gap, client.failure], [[], null]);
  assert.ok(told.error.every(({ name }) => name === 'Unreachable'));
}

test('a link that is cut ten times while events come costs none of them, and brings none twice', async () => {
  const cable = await Cable.to(gateway.url);
  try {
    await cutTenTimes(clientOf('cut', { url: cable.instead(gateway.url) }), 'cut', () => cable.cut());
  } finally {
    cable.close();
  }
});

test('a WebSocket of the package ws, with an authority of its own, does the same work', async () => {
  let socket;
  class Trusting extends WebSocketOfWs {
    constructor(url, protocols) {
      super(url, protocols, { ca: readFileSync(gateway.ca) });
      socket = this;
    }
  }
  await cutTenTimes(clientOf('ws', { WebSocket: Trusting }), 'ws', () => socket.terminate());
});

test('a worker that is killed while it replays costs no event, and brings none twice', async () => {
  const away = clientOf('killed');
  away.subscribe('orders.c42.killed.>');
  await until(() => away.state === 'live');
  await away.close();
  const seqs = await publisher.publishMany('orders.c42.killed.o1', 1500);
  const client = clientOf('killed', { window: { messages: 50 } });
  const told = toldBy(client);
  const events = client.subscribe('orders.c42.killed.>');
  const taken = await take(events, 300);
  assert.equal(client.state, 'replaying');
  await gateway.killWorker();
  taken.push(...(await take(events, 1200)));
  assert.deepEqual(seqsOf(taken), seqs);
  await until(() => client.state === 'live');
  assert.deepEqual(
    told.welcome.map(({ outcome }) => outcome),
    ['resumed', 'resumed'],
  );
});

test('the newest client of a session wins; the other one stops and says so', async () => {
  const [old, next] = [clientOf('taken'), clientOf('taken')];
  const told = toldBy(old);
  const events = old.subscribe('orders.c42.taken.>');
  await until(() => old.state === 'live');
  next.subscribe('orders.c42.taken.>');
  await assert.rejects(events.next(), (error) => error instanceof TakenOver && error.code === 4509);
  assert.ok(old.failure instanceof TakenOver);
  assert.deepEqual([told.state.at(-1), told.error], ['closed', [old.failure]]);
  await until(() => next.state === 'live');
  assert.throws(() => old.subscribe('orders.c42.taken.>'), TakenOver);
});

test('a token that ends is renewed in time, and the connection stays', async () => {
  const { WebSocket, received } = recording();
  const [long, short] = [await gateway.token('c42'), await gateway.tidewire('token', '--sub', 'c42', '--ttl', '4s')];
  const { exp: ends } = JSON.parse(atob(short.split('.')[1]));
  const tokens = [long, short];
  const getToken = () => tokens.pop();
  const client = clientOf('renewed', { getToken, WebSocket });
  const told = toldBy(client);
  const events = client.subscribe('orders.c42.renewed.>');
  await until(() => received.some(({ type }) => type === 'expiring'));
  await until(() => received.some(({ type, data }) => type === 'reply' && data.expires > ends));
  await until(() => Date.now() / 1000 > ends);
  await publisher.publishMany('orders.c42.renewed.o1', 1);
  await take(events, 1);
  assert.deepEqual(tokens, []);
  assert.deepEqual(told.state, ['connecting', 'replaying', 'live']);
  assert.deepEqual(told.error, []);
});

test('a token that the gateway refuses is asked for once more, then the client stops', async () => {
  const [header, body] = (await gateway.token('c42')).split('.');
  let asked = 0;
  const getToken = () => {
    asked += 1;
    return `${header}.${body}.${'A'.repeat(86)}`;
  };
  const client = clientOf('refused', { getToken });
  toldBy(client);
  await assert.rejects(client.subscribe('orders.c42.>').next(), Unauthorized);
  assert.equal(asked, 2);
});

test('a pattern of another person is refused; the others go on', async () => {
  const client = clientOf('forbidden');
  const told = toldBy(client);
  const [own, other] = ['orders.c42.mine.>', 'orders.c43.>'].map((pattern) => client.subscribe(pattern));
  await assert.rejects(other.next(), (error) => error instanceof Forbidden && error.subjects[0] === 'orders.c43.>');
  await until(() => client.state === 'live');
  const seqs = await publisher.publishMany('orders.c42.mine.o1', 1);
  assert.deepEqual(seqsOf(await take(own, 1)), seqs);
  assert.deepEqual([client.failure, told.error.length], [null, 1]);
  const alone = clientOf('forbidden-alone');
  toldBy(alone);
  await assert.rejects(alone.subscribe('orders.c43.>').next(), (error) => error instanceof Forbidden);
  assert.equal(alone.failure?.code, 4503);
});

test('a client that is told that its device woke up asks whether the link lives, and keeps it', async () => {
  const { WebSocket, sent, received } = recording();
  const client = clientOf('woken', { WebSocket });
  const told = toldBy(client);
  const events = client.subscribe('orders.c42.woken.>');
  await until(() => client.state === 'live');
  client.wake();
  assert.deepEqual(sent.at(-1), { type: 'ping' });
  await until(() => received.at(-1).type === 'pong');
  const seqs = await publisher.publishMany('orders.c42.woken.o1', 1);
  assert.deepEqual(seqsOf(await take(events, 1)), seqs);
  assert.deepEqual([told.welcome.length, told.error.length], [1, 0]);
});
