// @ts-check
// Where an answer went on after a loss: which text stands before each seam, and what the line between says. No DOM.

/**
 * @typedef {{thinking: number, text: number, tokens: number, host: string, engine: string, reason: string}} Seam
 *   `thinking` and `text` are the characters before it
 */

/**
 * @param {string} text the whole answer so far
 * @param {Seam[]} seams
 * @returns {string[]} the text between the seams, one more than there are seams
 */
export function cut(text, seams) {
  const pieces = [];
  let from = 0;
  for (const seam of seams) {
    const at = Math.max(from, place(text, seam.text));
    pieces.push(text.slice(from, at));
    from = at;
  }
  return [...pieces, text.slice(from)];
}

/**
 * A block of code, a formula and a table stay whole: the seam comes behind them.
 * @param {string} text @param {number} at
 */
function place(text, at) {
  const before = text.slice(0, at);
  if (odd(before, /^\s*```/gm)) return behind(text, at, /^\s*```[^\n]*\n?/gm);
  if (odd(before, /\$\$/g)) return behind(text, at, /\$\$/g);
  const line = before.slice(before.lastIndexOf("\n") + 1);
  return /^\s*\|/.test(line) ? behind(text, at, /\n\s*\n/g) : at;
}

/** @param {string} text @param {RegExp} pattern */
const odd = (text, pattern) => (text.match(pattern) ?? []).length % 2 === 1;

/** @param {string} text @param {number} at @param {RegExp} pattern @returns {number} behind its next match, or the end */
function behind(text, at, pattern) {
  pattern.lastIndex = at;
  const match = pattern.exec(text);
  return match ? match.index + match[0].length : text.length;
}

/** @param {import("./i18n.js").Words} words @param {Seam} seam */
export function seamWords(words, seam) {
  const host = words.has(`host.${seam.host}`) ? words.say(`host.${seam.host}`) : seam.host;
  const key = words.has(`seam.${seam.reason}`) ? `seam.${seam.reason}` : "seam.other";
  return words.say(key, { host, n: seam.tokens, engine: seam.engine });
}
