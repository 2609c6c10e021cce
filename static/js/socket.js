// @ts-check
// One socket per tab: hello, ping, reconnect with jitter, and wishes that survive a reconnect. No DOM.
import { CLOSE, hello, parse, ping } from "./protocol.js";

/** @typedef {import("./protocol.js").Frame} Frame */
/** @typedef {"connecting" | "open" | "lost" | "refused"} Connection */

const PING_MS = 20_000;
/** No word for this long after a ping: the line is dead, whatever the browser thinks. */
const SILENCE_MS = 15_000;
const FIRST_RETRY_MS = 300;
const LONGEST_RETRY_MS = 15_000;
const RESTART_SPREAD_MS = 3_000;

/**
 * How long to wait before the next try. Jitter keeps a thousand tabs from returning in one blink.
 * @param {number} tries failed tries so far
 * @param {number} code close code
 * @param {number} chance 0…1
 * @returns {number | null} ms; null: do not come back
 */
export function retryAfter(tries, code, chance) {
  if (code === CLOSE.RIGHTS || code === CLOSE.FRAME) return null;
  if (code === CLOSE.RESTART && tries === 0) return chance * RESTART_SPREAD_MS;
  if (code === CLOSE.SOCKETS) return LONGEST_RETRY_MS * (0.5 + chance / 2);
  return Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** tries) * (0.5 + chance / 2);
}

export class Socket {
  /**
   * @param {{
   *   url: string, tab: string, assets: string,
   *   onFrame: (frame: Frame) => void,
   *   onConnection: (connection: Connection, code: number) => void,
   *   open?: (url: string) => WebSocket, chance?: () => number,
   * }} options
   */
  constructor({ url, tab, assets, onFrame, onConnection, open = (address) => new WebSocket(address), chance = Math.random }) {
    this.url = url;
    this.tab = tab;
    this.assets = assets;
    this.onFrame = onFrame;
    this.onConnection = onConnection;
    this.open = open;
    this.chance = chance;
    /** @type {WebSocket | null} */
    this.socket = null;
    this.isReady = false;
    this.tries = 0;
    /** @type {Map<string, Frame>} wishes without an answer, by idempotency key: sent again after a reconnect */
    this.wishes = new Map();
    this.pings = 0;
    /** @type {any} */ this.retryTimer = undefined;
    /** @type {any} */ this.pingTimer = undefined;
    /** @type {any} */ this.silenceTimer = undefined;
  }

  connect() {
    clearTimeout(this.retryTimer);
    if (this.socket) return;
    const socket = this.open(this.url);
    this.socket = socket;
    socket.onopen = () => socket.send(JSON.stringify(hello(this.tab, this.assets)));
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onclose = (event) => this.#closed(socket, event.code);
    socket.onerror = () => {};
    this.#expectWord();
  }

  /** @param {Frame} frame @returns {boolean} false: not connected, and the frame is lost */
  send(frame) {
    if (!this.isReady || !this.socket) return false;
    this.socket.send(JSON.stringify(frame));
    return true;
  }

  /** A wish changes something, so it is kept until the site has answered it. @param {Frame} frame with `key` */
  wish(frame) {
    this.wishes.set(frame.key, frame);
    this.send(frame);
  }

  /** The browser says the network is back: do not sit out the backoff. */
  hurry() {
    if (!this.socket) {
      this.tries = 0;
      this.connect();
    }
  }

  /** @param {string} data */
  #receive(data) {
    this.#heard();
    const frame = parse(data);
    if (!frame) return;
    if (frame.type === "hello") this.#greeted();
    if (frame.type === "accepted") this.wishes.delete(frame.key);
    if (frame.type === "error" && frame.id) this.#forget(frame.id);
    this.onFrame(frame);
    if (frame.type === "hello") for (const wish of this.wishes.values()) this.send(wish);
  }

  #greeted() {
    this.isReady = true;
    this.tries = 0;
    clearInterval(this.pingTimer);
    this.pingTimer = setInterval(() => this.#ping(), PING_MS);
    this.onConnection("open", 0);
  }

  /** @param {string} id */
  #forget(id) {
    for (const [key, wish] of this.wishes) if (wish.id === id) this.wishes.delete(key);
  }

  #ping() {
    if (this.send(ping(++this.pings))) this.#expectWord();
  }

  #expectWord() {
    clearTimeout(this.silenceTimer);
    this.silenceTimer = setTimeout(() => this.#abandon(), SILENCE_MS);
  }

  #heard() {
    clearTimeout(this.silenceTimer);
  }

  /** close() on a dead line waits for minutes: let go of it and go on at once. */
  #abandon() {
    const socket = this.socket;
    if (!socket) return;
    socket.onclose = socket.onmessage = null;
    socket.close();
    this.#closed(socket, 1006);
  }

  /** @param {WebSocket} socket @param {number} code */
  #closed(socket, code) {
    if (socket !== this.socket) return;
    this.socket = null;
    this.isReady = false;
    clearInterval(this.pingTimer);
    clearTimeout(this.silenceTimer);
    const delay = retryAfter(this.tries, code, this.chance());
    this.tries += 1;
    this.onConnection(delay === null ? "refused" : "lost", code);
    if (delay !== null) this.retryTimer = setTimeout(() => this.connect(), delay);
  }
}
