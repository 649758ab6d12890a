/** Shell: a real gateway for these tests: `tidewire up` as a child, tokens of its issuer, events as services publish them. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { Publisher } from './nats.js';

const TIDEWIRE = process.env.TIDEWIRE ?? fileURLToPath(new URL('../../../../.venv/bin/tidewire', import.meta.url));
const run = promisify(execFile);

/** NATS and a gateway in a folder of their own, on ports of their own. */
export class Gateway {
  #child;
  #folder;
  #ended;
  /** @type {Map<string, Promise<string>>} */
  #tokens = new Map();

  /**
   * @param {import('node:child_process').ChildProcess} child
   * @param {string} folder
   * @param {{ url: string, ca: string, page: string | null }} told what `up` said.
   * @param {Publisher} publisher
   */
  constructor(child, folder, { url, ca, page }, publisher) {
    this.#child = child;
    this.#folder = folder;
    this.#ended = once(child, 'exit');
    this.url = url;
    /** File of the authority that signed its certificate. */
    this.ca = ca;
    /** Where the demo page is; null without one. */
    this.page = page;
    this.publisher = publisher;
  }

  /**
   * Start it. From then on this process trusts its certificate, also with the platform's WebSocket.
   * @param {string[]} [words] what `up` is told besides.
   */
  static async start(words = ['--no-shop', '--no-demo']) {
    const folder = await mkdtemp(join(tmpdir(), 'tidewire-js-'));
    const ports = ['--port', '0', '--nats-port', '0'];
    const child = spawn(TIDEWIRE, ['up', '--json', ...words, ...ports, '--state-dir', folder], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    process.on('exit', () => child.kill()); // also when the tests end before their time,
    process.once('SIGTERM', () => process.exit(1)); // or are ended since they take too long
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
    tls.setDefaultCACertificates([...tls.getCACertificates(), await readFile(told.ca, 'utf8')]);
    return new Gateway(child, folder, told, await Publisher.connect(told.nats.publisher));
  }

  /** End it as an operator does; the exit status. */
  async stop() {
    this.publisher.close();
    this.#child.kill('SIGTERM');
    const [status] = await this.#ended;
    await rm(this.#folder, { recursive: true });
    return status;
  }

  /** What a command prints. @param {string[]} words */
  async tidewire(...words) {
    const { stdout } = await run(TIDEWIRE, [...words, '--state-dir', this.#folder]);
    return stdout.trim();
  }

  /** A token of an hour; one for each user. @param {string} sub @returns {Promise<string>} */
  token(sub) {
    const token = this.#tokens.get(sub) ?? this.tidewire('token', '--sub', sub);
    this.#tokens.set(sub, token);
    return token;
  }

  /** The keys that the devices of a person hold: a JWK Set. @param {string} sub */
  async keys(sub) {
    return JSON.parse(await readFile(join(this.#folder, 'keys', `${sub}.json`), 'utf8'));
  }

  /**
   * What the gateway has stored about a session: `phase`, `cursor`; undefined before it knows it.
   * @param {string} name
   */
  async session(name) {
    const lines = (await this.tidewire('sessions', 'list', '--json')).split('\n').filter(Boolean);
    return lines.map((line) => JSON.parse(line)).find(({ session }) => session === name);
  }

  /** Kill the process that serves clients; another one is started in its place. */
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
