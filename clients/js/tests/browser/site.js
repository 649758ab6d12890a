/** Shell: a real `tidewire up` with its page, as a child; events from outside as services publish them. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { Publisher } from '../system/nats.js';

const TIDEWIRE = process.env.TIDEWIRE ?? fileURLToPath(new URL('../../../../.venv/bin/tidewire', import.meta.url));
const ANY_PORTS = ['--port', '0', '--nats-port', '0', '--demo-port', '0'];
const run = promisify(execFile);

/** NATS, a gateway and the page's site in a folder of their own, on ports of their own. */
export class Site {
  #child;
  #folder;
  #ended;

  /**
   * @param {import('node:child_process').ChildProcess} child
   * @param {string} folder
   * @param {{ page: string }} told what `up` said.
   * @param {Publisher} publisher
   */
  constructor(child, folder, { page }, publisher) {
    this.#child = child;
    this.#folder = folder;
    this.#ended = once(child, 'exit');
    /** Where the page is. */
    this.page = page;
    this.publisher = publisher;
  }

  /** Start it. @param {{ hasShop: boolean }} options Whether orders move by themselves. */
  static async start({ hasShop }) {
    const folder = await mkdtemp(join(tmpdir(), 'tidewire-page-'));
    const words = ['up', '--json', ...ANY_PORTS, ...(hasShop ? [] : ['--no-shop']), '--state-dir', folder];
    const child = spawn(TIDEWIRE, words, { stdio: ['ignore', 'pipe', 'pipe'] });
    process.on('exit', () => child.kill()); // also when the tests end before their time
    let log = '';
    child.stderr.on('data', (text) => {
      log += text;
    });
    const ended = once(child, 'exit').then(([status]) => {
      throw new Error(`tidewire up ended with ${status}: ${log}`);
    });
    const [line] = await Promise.race([once(createInterface(child.stdout), 'line'), ended]);
    ended.catch(() => {}); // from here on `stop` looks at it
    const told = JSON.parse(line);
    return new Site(child, folder, told, await Publisher.connect(told.nats.publisher));
  }

  /** End it as an operator does; the exit status. */
  async stop() {
    this.publisher.close();
    this.#child.kill('SIGTERM');
    const [status] = await this.#ended;
    await rm(this.#folder, { recursive: true });
    return status;
  }

  /** Publish an order as a service that seals address and phone. @param {string} subject @param {object} order */
  async publishSealed(subject, order) {
    await run(TIDEWIRE, ['publish', subject, JSON.stringify(order), '--state-dir', this.#folder]);
  }

  /** Kill -9 the process that serves clients; another one is started in its place. */
  async killWorker() {
    for (const pid of (await readdir('/proc')).filter(Number)) {
      const [words, stat] = await Promise.all(
        ['cmdline', 'stat'].map((name) => readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => '')),
      );
      const parent = stat.slice(stat.lastIndexOf(')')).split(' ')[2]; // the name before it may hold spaces
      if (words.includes('gateway.worker') && Number(parent) === this.#child.pid) {
        process.kill(Number(pid), 'SIGKILL');
        return;
      }
    }
    throw new Error('there is no worker');
  }
}
