/** Shell: the live page of one customer: phone, tunnel, board and machine room, and what joins them. */
import { Board } from './board.js';
import { on, toggled } from './button.js';
import { CertificateNotice } from './certificate-notice.js';
import { byId, say } from './element.js';
import { MachineRoom } from './machine-room.js';
import { Narration } from './narration.js';
import { Phone } from './phone.js';
import { Playback } from './playback.js';
import { RateChart } from './rate-chart.js';
import { ReplayProgress } from './replay-progress.js';
import { ReplayWatch } from './replay-watch.js';
import { newSessionName, sessionName } from './session-name.js';
import { StateView } from './state-view.js';
import { phaseText } from './state-words.js';
import { Tunnel } from './tunnel.js';
import { Wire } from './wire.js';

/** @typedef {import('./state-words.js').PageState} PageState */
/** @typedef {import('./board.js').Move} Move */

const FACTS_EVERY_MS = 200;
const PULSE_EVERY_MS = 1000;
const RUSH = 25;
/** A killed gateway is shown as down for so long when nothing else says that it is back, in ms. */
const DOWN_MS = 4000;

const calm = matchMedia('(prefers-reduced-motion: reduce)');
const isMoving = () => !calm.matches && document.visibilityState === 'visible';
const nowS = () => performance.now() / 1000;

/** Everything that the page shows of one customer. */
export class LivePage {
  #site;
  #wishes;
  #url;
  /** @type {Phone} */
  #phone;
  #tunnel;
  #board = new Board();
  #room = new MachineRoom();
  #chart = new RateChart();
  #wire = new Wire(isMoving);
  #view = new StateView();
  #replay = new ReplayWatch();
  #progress = new ReplayProgress();
  #narration = new Narration(!calm.matches);
  #playback = new Playback((/** @type {Move[]} */ moves) => this.#show(moves), isMoving);
  /** @type {PageState} */
  #clientState = 'connecting';
  #isSlow = false;
  #isReplayShown = false;
  /** @type {number | null} */
  #lagMs = null;
  #waiting = 0;
  #certificate;

  /**
   * @param {import('./site.js').Site} site
   * @param {import('./site.js').Settings} settings
   * @param {import('./wishes.js').Wishes} wishes
   */
  constructor(site, settings, wishes) {
    this.#site = site;
    this.#wishes = wishes;
    this.#url = `wss://${location.hostname}:${settings.gateway_port}${settings.path}`;
    this.#certificate = new CertificateNotice(this.#url);
    this.#tunnel = new Tunnel({
      frame: (frame) => this.#room.frame(frame),
      ended: (hasOpened) => this.#certificate.ended(hasOpened),
    });
    this.#phone = this.#newPhone(wishes.device ?? sessionName(site.customer));
    say(byId('customer'), site.customer);
    /** @type {HTMLButtonElement} */ (byId('rush')).disabled = !settings.has_shop;
  }

  /** Show what is known, then connect. */
  async start() {
    this.#listen();
    setInterval(() => this.#facts(), FACTS_EVERY_MS);
    setInterval(() => void this.#pulse(), PULSE_EVERY_MS);
    if (this.#wishes.encoding === 'msgpack') {
      const { Msgpack } = await import('/client/msgpack.js');
      this.#tunnel.decode = (message) => Msgpack.decode(message);
    }
    await this.#openPhone();
  }

  /** @param {string} session */
  #newPhone(session) {
    const options = { ...this.#wishes, url: this.#url, site: this.#site, session, tunnel: this.#tunnel };
    /** @type {Phone} */
    const phone = new Phone(options, {
      recorded: (...recorded) => this.#recorded(...recorded),
      state: (state) => this.#stateChanged(/** @type {PageState} */ (state)),
      welcome: (welcome) => this.#welcomed(welcome),
      live: (seq) => this.#replay.live(seq),
      gap: (gap, ledger) => {
        this.#room.ledger(ledger);
        this.#say(this.#narration.gap(gap));
      },
      failed: (error) => {
        if (phone !== this.#phone) return;
        this.#stateChanged('closed');
        this.#say(this.#narration.closed(error.name));
      },
    });
    return phone;
  }

  async #openPhone() {
    const phone = this.#phone;
    const { orders, ledger, log } = await phone.open();
    const sorted = orders.sort((one, other) => one.seq - other.seq);
    const moves = sorted.map(async (order) => ({ order, contact: await phone.contact(order), isReplay: false }));
    this.#board.show(await Promise.all(moves), false);
    this.#room.ledger(ledger);
    this.#room.log(log);
    this.#say(this.#narration.opened(orders.length));
    phone.connect(this.#isSlow);
  }

  // --- what the phone says ---

  /** @type {import('./phone.js').PhoneListener['recorded']} */
  #recorded({ isNew, order, ledger, entry }, contact, { replay, time }) {
    this.#lagMs = Math.max(0, Date.now() - Date.parse(time));
    this.#replay.done += Number(replay);
    if (this.#waiting && replay && !this.#isSlow) this.#setWaiting(this.#waiting - 1);
    this.#room.ledger(ledger);
    this.#room.log([entry]);
    if (isNew) this.#chart.add(replay, nowS());
    this.#playback.push({ order, contact, isReplay: replay });
    this.#say(this.#narration.processed(replay, nowS()));
    if (this.#replay.isEnding) setTimeout(() => this.#endReplay()); // when the SDK counts it as processed
  }

  /** @param {Move[]} moves */
  #show(moves) {
    this.#board.show(moves, isMoving());
    for (const { isReplay } of moves) this.#wire.flow(isReplay);
    this.#progress.shown(moves.filter(({ isReplay }) => isReplay).length);
    this.#endProgress();
  }

  /** @param {PageState} state */
  #stateChanged(state) {
    const hasFallenBehind = state === 'replaying' && this.#clientState === 'live';
    if (hasFallenBehind) this.#beginReplay(this.#waiting || null);
    this.#clientState = state;
    this.#replay.state(state === 'live');
    if (state === 'live') {
      setTimeout(() => {
        this.#replay.untold(); // `live` would have been told by now
        this.#endReplay();
      });
    }
    this.#say(this.#narration.state(state, nowS()));
    this.#drawState();
  }

  /** @param {{ outcome: string, pending?: number | null }} welcome */
  #welcomed({ outcome, pending }) {
    this.#certificate.opened();
    this.#wire.gateway(false);
    this.#say(this.#narration.welcomed(outcome));
    this.#beginReplay(pending ?? (this.#waiting || null)); // a gateway just started may not know; the site did
  }

  /** @param {number | null} of events; null: not known. */
  #beginReplay(of) {
    this.#replay.begin(of);
    this.#progress.begin(of);
    this.#isReplayShown = true;
  }

  /** All that was missed has come; it is over when all of it is processed. */
  #endReplay() {
    if (!this.#replay.isOver(this.#phone.client?.position?.seq ?? 0)) return;
    if (!this.#tunnel.isInside) this.#say(this.#narration.live(nowS()));
    this.#setWaiting(0);
    this.#drawState();
  }

  /** The bar goes when the replay is over and the board shows all of it. */
  #endProgress() {
    if (!this.#isReplayShown || this.#state !== 'live' || this.#playback.length) return;
    this.#isReplayShown = false;
    this.#progress.end();
  }

  // --- what the page shows ---

  /** @returns {PageState} */
  get #state() {
    if (this.#clientState === 'closed') return 'closed';
    if (this.#tunnel.isInside) return 'tunnel';
    return this.#replay.isEnding ? 'replaying' : this.#clientState;
  }

  #drawState() {
    this.#view.show(this.#state, this.#tunnel.isInside);
    this.#wire.state(this.#state);
    this.#endProgress();
    this.#facts();
  }

  #facts() {
    const { client, session } = this.#phone;
    const about = {
      replayed: this.#replay.done,
      pending: this.#replay.of,
      isSlow: this.#isSlow,
      isLeader: client?.isLeader ?? true,
      waiting: this.#waiting,
    };
    this.#room.facts({
      phase: phaseText(this.#state, about),
      session,
      stream: client?.welcome?.stream ?? client?.position?.stream ?? '',
      seq: client?.position?.seq ?? null,
      lagMs: this.#lagMs,
    });
    this.#endReplay();
    this.#chart.draw(nowS());
    this.#say(this.#narration.passed(nowS()));
  }

  /** Ask from outside how much waits, while this phone does not hear of it itself. */
  async #pulse() {
    const client = this.#phone.client;
    const isQuiet = this.#state === 'live' && !this.#isSlow;
    if (isQuiet || !client?.position || document.visibilityState === 'hidden') return;
    const pulse = await this.#site.pulse(client.position.seq).catch(() => null);
    if (!pulse || client !== this.#phone.client || pulse.stream !== client.position?.stream) return;
    if (this.#state !== 'live' || this.#isSlow) this.#setWaiting(pulse.waiting);
  }

  /** @param {number} count */
  #setWaiting(count) {
    this.#waiting = Math.max(0, count);
    this.#wire.kept(this.#waiting);
  }

  /** @param {string | null} sentence */
  #say(sentence) {
    if (sentence) say(byId('narration'), sentence);
  }

  // --- what the visitor does ---

  #listen() {
    on('tunnel', () => this.#enterTunnel());
    on('back', () => this.#leaveTunnel());
    on('kill', () => this.#kill());
    on('rush', () => this.#rush());
    on('slow', () => this.#slow());
    on('forget', () => this.#forget());
    on('second', () => this.#second());
    on('gateway-view', () => {
      byId('board').classList.toggle('gateway-view', toggled('gateway-view'));
    });
  }

  #enterTunnel() {
    if (this.#phone.client?.isLeader === false) {
      this.#say(this.#narration.elsewhere());
      return;
    }
    this.#say(this.#narration.tunnelEntered());
    this.#tunnel.enter();
    this.#drawState();
    byId('back').focus();
  }

  #leaveTunnel() {
    this.#tunnel.leave();
    this.#say(this.#narration.tunnelLeft());
    this.#drawState();
    byId('tunnel').focus();
    this.#phone.client?.wake();
  }

  async #kill() {
    this.#say(this.#narration.killed(nowS()));
    this.#wire.gateway(true);
    setTimeout(() => this.#wire.gateway(false), DOWN_MS);
    await this.#site.kill();
  }

  async #rush() {
    this.#say(this.#narration.rushed(RUSH, nowS()));
    await this.#site.rush(RUSH);
  }

  async #slow() {
    this.#isSlow = toggled('slow');
    this.#say(this.#narration.slowed(this.#isSlow));
    await this.#phone.slow(this.#isSlow);
  }

  async #forget() {
    this.#say(this.#narration.forgot());
    const old = this.#phone;
    this.#playback.clear();
    this.#phone = this.#newPhone(newSessionName(this.#site.customer));
    await old.forget();
    this.#board.clear();
    this.#room.clear();
    this.#lagMs = null;
    this.#setWaiting(0);
    await this.#openPhone();
  }

  #second() {
    const address = new URL(location.href);
    address.searchParams.set('device', this.#phone.session === 'tablet' ? 'laptop' : 'tablet');
    window.open(address, '_blank', 'noopener,popup,width=460,height=900');
  }
}
