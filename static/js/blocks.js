// @ts-check
// A growing Markdown text as blocks: all but the last are finished and never looked at again. No DOM.

/**
 * @typedef {{parse: (source: string, env: object) => any[]}} Parser a markdown-it instance
 * @typedef {{source: string, html: string}} Block
 */

export class Blocks {
  /** @param {any} md a markdown-it instance */
  constructor(md) {
    this.md = md;
    this.env = {};
    this.text = "";
    /** Where the open tail starts, characters. */
    this.settled = 0;
  }

  /**
   * @param {string} text the whole text so far
   * @returns {{restart: boolean, finished: string[], tail: string}} HTML, not yet sanitised: blocks that are finished
   *   since the last call, and the open rest. `restart`: the text is not a continuation, forget what is drawn.
   */
  grow(text) {
    const restart = !text.startsWith(this.text);
    if (restart) {
      this.settled = 0;
      this.env = {};
    }
    this.text = text;
    const open = text.slice(this.settled);
    const groups = topLevel(this.md.parse(open, this.env));
    const finished = groups.slice(0, -1).map((tokens) => this.#html(tokens));
    const last = groups[groups.length - 1];
    if (finished.length && last) this.settled += offsetOfLine(open, last[0].map[0]);
    return { restart, finished, tail: last ? this.#html(last) : "" };
  }

  /** @param {any[]} tokens */
  #html(tokens) {
    return this.md.renderer.render(tokens, this.md.options, this.env);
  }
}

/**
 * @param {any[]} tokens
 * @returns {any[][]} the tokens of each top-level block
 */
export function topLevel(tokens) {
  /** @type {any[][]} */
  const groups = [];
  let depth = 0;
  for (const token of tokens) {
    if (depth === 0 && token.nesting >= 0 && token.map) groups.push([]);
    groups[groups.length - 1]?.push(token);
    depth += token.nesting;
  }
  return groups;
}

/** @param {string} text @param {number} line @returns {number} characters before that line */
export function offsetOfLine(text, line) {
  let offset = 0;
  for (let at = 0; at < line; at++) {
    const end = text.indexOf("\n", offset);
    if (end < 0) return text.length;
    offset = end + 1;
  }
  return offset;
}
