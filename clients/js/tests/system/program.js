/** Shell: a program of a reader: code of the README, run by Node in a process of its own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { gateway } from './running.js';
import { until } from './until.js';

const PACKAGE = fileURLToPath(new URL('../..', import.meta.url)); // its own name leads to it from here

/** It runs until it is killed. The authority of the development certificates is its machine's. */
export class Program {
  #child;
  /** What it has printed. @type {string[]} */
  lines = [];
  #log = '';

  /** @param {string} code a module @param {Record<string, string>} environment */
  constructor(code, environment) {
    const env = { ...process.env, ...environment, NODE_EXTRA_CA_CERTS: gateway.ca };
    this.#child = spawn(process.execPath, ['--input-type=module', '--eval', code], { cwd: PACKAGE, env });
    createInterface(this.#child.stdout).on('line', (line) => this.lines.push(line));
    this.#child.stderr.on('data', (text) => {
      this.#log += text;
    });
  }

  /** Wait for something that it brings about. @param {() => unknown} fact */
  async brings(fact) {
    try {
      await until(async () => (await fact()) || this.#child.exitCode !== null);
      if (this.#child.exitCode !== null) throw new Error('it ended');
    } catch (cause) {
      throw new Error(`it printed ${this.lines.join('\n')}${this.#log}`, { cause });
    }
  }

  /** End it at once, as the power does. */
  async kill() {
    if (this.#child.exitCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }
}
