// @ts-check
// SHA-256 of a settled answer. crypto.subtle is missing on plain http, so there is a plain one (FIPS 180-4).

const ROUND = Uint32Array.from(primes(64), (prime) => fraction(Math.cbrt(prime)));
const START = Uint32Array.from(primes(8), (prime) => fraction(Math.sqrt(prime)));

/** @param {number} count @returns {number[]} */
function primes(count) {
  /** @type {number[]} */
  const found = [];
  for (let at = 2; found.length < count; at++) if (found.every((prime) => at % prime)) found.push(at);
  return found;
}

/** @param {number} value @returns {number} the first 32 bits after the point */
function fraction(value) {
  return Math.floor((value % 1) * 2 ** 32);
}

/** @param {string} text @returns {string} hex */
export function sha256(text) {
  const bytes = new TextEncoder().encode(text);
  const padded = new Uint8Array(((bytes.length + 8) >> 6 << 6) + 64);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(bytes.length / 2 ** 29));
  view.setUint32(padded.length - 4, (bytes.length << 3) >>> 0);
  const hash = Uint32Array.from(START);
  for (let at = 0; at < padded.length; at += 64) compress(hash, view, at);
  return Array.from(hash, (word) => word.toString(16).padStart(8, "0")).join("");
}

/** @param {number} word @param {number} by */
const turn = (word, by) => (word >>> by) | (word << (32 - by));

/** @param {Uint32Array} hash @param {DataView} view @param {number} offset */
function compress(hash, view, offset) {
  const words = new Uint32Array(64);
  for (let at = 0; at < 16; at++) words[at] = view.getUint32(offset + at * 4);
  for (let at = 16; at < 64; at++) {
    const [x, y] = [words[at - 15], words[at - 2]];
    words[at] = words[at - 16] + (turn(x, 7) ^ turn(x, 18) ^ (x >>> 3)) + words[at - 7] + (turn(y, 17) ^ turn(y, 19) ^ (y >>> 10));
  }
  let [a, b, c, d, e, f, g, h] = hash;
  for (let at = 0; at < 64; at++) {
    const first = (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + ROUND[at] + words[at]) | 0;
    const second = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + first) | 0, c, b, a, (first + second) | 0];
  }
  [a, b, c, d, e, f, g, h].forEach((word, at) => (hash[at] += word));
}

/**
 * @param {{answer: string, sha256: string}} answer
 * @returns {Promise<boolean>} whether what is shown is what the database has
 */
export async function settledAsWritten({ answer, sha256: expected }) {
  return !expected || sha256(answer) === expected;
}
