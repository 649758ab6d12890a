/** Shell: the one gateway of all system tests in this process, and its end. */
import assert from 'node:assert/strict';
import { after } from 'node:test';

import { Gateway } from './gateway.js';

export const gateway = await Gateway.start();

after(async () => assert.equal(await gateway.stop(), 0, 'SIGTERM drains and ends with 0'));
