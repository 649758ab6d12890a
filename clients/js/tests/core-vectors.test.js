/** The scripts that every SDK's core must follow (tests/vectors/client_core.json). */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { Core } from '../src/core.js';
import { decodeFrames } from '../src/frames.js';

const VECTORS = new URL('../../../tests/vectors/client_core.json', import.meta.url);
const { scripts } = JSON.parse(readFileSync(VECTORS, 'utf8'));

/** The order of the arguments of every method but the two that `perform` knows; the time comes last. */
const ORDER = ['number', 'connection', 'inbox', 'patterns', 'token', 'user', 'epoch', 'seq', 'position'];

/** Give one input to the core: the script has Python's names for methods and arguments. */
function perform(core, { at, call, args }) {
  const { connection, frames, code, status, number, final } = args;
  if (call === 'received') return core.received(connection, decodeFrames(frames), at, 1_000_000 + at);
  if (call === 'broken') return core.broken(connection, at, { code, status });
  if (call === 'token_failed') return core.tokenFailed(number, at, final);
  const name = call.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
  const given = ORDER.filter((argument) => argument in args);
  assert.equal(given.length, Object.keys(args).length, `unknown arguments of ${call}`);
  return core[name](...given.map((argument) => args[argument]), at);
}

/** An effect as the scripts write it. */
function plain(effect) {
  switch (effect.kind) {
    case 'FetchToken':
      return { FetchToken: effect.number };
    case 'Open':
      return { Open: effect.connection };
    case 'Drop':
      return { Drop: effect.code };
    case 'TellLive':
      return { TellLive: effect.seq };
    case 'Load':
      return { Load: effect.user };
    case 'TellState':
      return { TellState: effect.state };
    case 'Stop':
      return { Stop: effect.stop };
    case 'Send': {
      const { window, ...frame } = effect.frame;
      if (!window) return { Send: frame };
      const isDefault = window.messages === 1000 && window.bytes === 1_048_576;
      return { Send: { ...frame, window: isDefault ? {} : window } };
    }
    case 'Deliver':
      return { Deliver: { seq: effect.event.seq, inboxes: effect.inboxes } };
    case 'Store':
      return { Store: effect.position };
    case 'TellGap': {
      const { after, before, reason } = effect.gap;
      return { TellGap: { number: effect.number, after, before, reason } };
    }
    default:
      return { [effect.kind]: null };
  }
}

test('there are scripts', () => assert.ok(scripts.length >= 7));

for (const { name, steps, settings = {}, ...more } of scripts) {
  test(`the core follows the script ${JSON.stringify(name)}`, () => {
    const { renewable = true } = more;
    const core = new Core({ session: 'pixel-7', renewable, ...settings }, () => 0.5);
    for (const [number, step] of steps.entries()) {
      const given = perform(core, step).map(plain);
      assert.deepEqual(given, step.out, `step ${number}: ${step.call} at ${step.at}`);
    }
  });
}
