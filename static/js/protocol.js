// @ts-check
// The frames of the socket, protocol r1.v1: constants, builders for what the page sends, one parser for what it gets.

export const VERSION = 1;
/** Frames a page may send. */
export const CLIENT_FRAMES = ["hello", "ask", "regenerate", "continue", "watch", "unwatch", "ack", "stop", "answer_now", "ping"];
/** Frames a page understands; others are ignored, so that the site may learn new ones first. */
export const SERVER_FRAMES = [
  "hello", "accepted", "watching", "waiting", "stage", "d", "snapshot", "settled", "done", "user", "error", "bye", "pong",
];
/** Close codes of the site. */
export const CLOSE = { FRAME: 4400, RIGHTS: 4401, SLOW: 4408, SOCKETS: 4429, RESTART: 1012 };
/** A message of the user, characters. */
export const TEXT_LIMIT = 200_000;
/** Acknowledge after this much text, or after this long. */
export const ACK_BYTES = 16 * 1024;
export const ACK_MS = 250;
/** Nothing received yet. */
export const NOTHING = "0-0";

/**
 * @typedef {{type: string, [field: string]: any}} Frame
 */

/**
 * @param {string} text
 * @returns {Frame | null} null for what is no frame, or a kind this page does not know
 */
export function parse(text) {
  let frame;
  try {
    frame = JSON.parse(text);
  } catch {
    return null;
  }
  if (frame === null || typeof frame !== "object" || !SERVER_FRAMES.includes(frame.type)) return null;
  return frame;
}

/**
 * @param {string} position "attempt-n"
 * @returns {[number, number]} attempt, n
 */
export function position(position) {
  const match = /^(\d+)-(\d+)$/.exec(position ?? "");
  return match ? [Number(match[1]), Number(match[2])] : [0, 0];
}

/**
 * @param {string} left
 * @param {string} right
 * @returns {number} negative where left lies before right
 */
export function compare(left, right) {
  const [leftAttempt, leftNumber] = position(left);
  const [rightAttempt, rightNumber] = position(right);
  return leftAttempt - rightAttempt || leftNumber - rightNumber;
}

/** @returns {string} a random UUID; crypto.randomUUID is missing on plain http */
export function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/** @param {string} tab @param {string} assets @returns {Frame} */
export const hello = (tab, assets) => ({ type: "hello", v: VERSION, tab, assets });

/** @param {string} generation @param {string} after @returns {Frame} */
export const watch = (generation, after) => ({ type: "watch", id: uuid(), generation, after });

/** @param {string} generation @returns {Frame} */
export const unwatch = (generation) => ({ type: "unwatch", id: uuid(), generation });

/** @param {number} g @param {string} s @returns {Frame} */
export const ack = (g, s) => ({ type: "ack", g, s });

/** @param {string} generation @returns {Frame} */
export const stop = (generation) => ({ type: "stop", id: uuid(), generation });

/** @param {string} generation @returns {Frame} */
export const answerNow = (generation) => ({ type: "answer_now", id: uuid(), generation });

/** @param {string} message the answer that broke off @param {string} key @returns {Frame} */
export const goOn = (message, key) => ({ type: "continue", id: uuid(), key, message });

/** @param {number} n @returns {Frame} */
export const ping = (n) => ({ type: "ping", n });

/**
 * @param {{key: string, text: string, model: string, think: string, effort?: string, conversation?: string | null}} wish
 * @returns {Frame}
 */
export function ask({ key, text, model, think, effort, conversation }) {
  const frame = { type: "ask", id: uuid(), key, text, model, think, ...(effort ? { effort } : {}) };
  return conversation ? { ...frame, conversation } : frame;
}

/**
 * @param {string} message the answer to write anew @param {string} key @param {string} [model] another one than before
 * @returns {Frame}
 */
export const regenerate = (message, key, model = "") =>
  ({ type: "regenerate", id: uuid(), key, message, ...(model ? { model } : {}) });
