// @ts-check
// Draws a growing Markdown text into an element: finished blocks once, the open tail anew.
import MarkdownIt from "markdown-it";
import { Blocks } from "./blocks.js";
import { dressCode } from "./code_block.js";
import { formulas } from "./formulas.js";
import { drawFormula } from "./formula_view.js";
import { fragment } from "./html.js";

const md = new MarkdownIt("default", { html: false, linkify: true, breaks: false });
md.use(formulas);
// A picture's address would tell its host who reads what: pictures stay links.
md.disable("image");
for (const rule of ["heading_open", "heading_close"]) {
  md.renderer.rules[rule] = (/** @type {any} */ tokens, /** @type {number} */ at, /** @type {any} */ options, /** @type {any} */ _env, /** @type {any} */ self) => {
    const level = Number(tokens[at].tag.slice(1));
    tokens[at].tag = `h${Math.min(4, Math.max(2, level))}`;
    return self.renderToken(tokens, at, options);
  };
}
// The policy forbids styles: a column that is set to the right gets a class instead.
for (const rule of ["th_open", "td_open"]) {
  md.renderer.rules[rule] = (/** @type {any} */ tokens, /** @type {number} */ at, /** @type {any} */ options, /** @type {any} */ _env, /** @type {any} */ self) => {
    const isRight = tokens[at].attrGet("style") === "text-align:right";
    tokens[at].attrs = isRight ? [["class", "is-number"]] : null;
    return self.renderToken(tokens, at, options);
  };
}
md.renderer.rules.fence = (/** @type {any[]} */ tokens, /** @type {number} */ at) => {
  const language = /^[\w+#.-]{0,30}/.exec(tokens[at].info.trim())?.[0] ?? "";
  return `<pre data-language="${md.utils.escapeHtml(language)}"><code>${md.utils.escapeHtml(tokens[at].content)}</code></pre>\n`;
};
md.renderer.rules.code_block = md.renderer.rules.fence;

export class MarkdownView {
  /** @param {HTMLElement} root @param {import("./i18n.js").Words} words */
  constructor(root, words) {
    this.root = root;
    this.words = words;
    this.blocks = new Blocks(md);
    /** @type {ChildNode[]} */
    this.tail = [];
    /** @type {HTMLElement | null} */
    this.caret = null;
    this.root.replaceChildren();
  }

  /** @param {string} text the whole text so far @param {{isLive: boolean}} options */
  draw(text, { isLive }) {
    const { restart, finished, tail } = this.blocks.grow(text);
    if (restart) this.root.replaceChildren();
    else for (const node of this.tail) node.remove();
    for (const html of finished) this.#append(html, true);
    this.tail = this.#append(tail, !isLive);
    this.#moveCaret(isLive);
  }

  /** @param {string} html @param {boolean} isFinished @returns {ChildNode[]} */
  #append(html, isFinished) {
    const content = fragment(html);
    dress(content, this.words, isFinished);
    const nodes = [...content.childNodes];
    this.root.append(content);
    return nodes;
  }

  /** @param {boolean} isLive */
  #moveCaret(isLive) {
    this.caret?.remove();
    this.caret = null;
    const last = lastText(this.root);
    if (!isLive || !last) return;
    this.caret = document.createElement("span");
    this.caret.className = "message__caret";
    this.caret.ariaHidden = "true";
    last.append(this.caret);
  }
}

/** @param {HTMLElement} root @returns {Element | null} the innermost block that text is being added to */
function lastText(root) {
  let at = root.lastElementChild;
  while (at && ["UL", "OL", "LI", "BLOCKQUOTE"].includes(at.tagName)) {
    const inner = at.lastElementChild;
    if (!inner || !["UL", "OL", "LI", "P", "BLOCKQUOTE"].includes(inner.tagName)) break;
    at = inner;
  }
  return at && ["P", "LI", "H2", "H3", "H4"].includes(at.tagName) ? at : null;
}

/** @param {DocumentFragment} content @param {import("./i18n.js").Words} words @param {boolean} isFinished */
function dress(content, words, isFinished) {
  for (const pre of content.querySelectorAll("pre")) dressCode(pre, words, isFinished);
  for (const source of content.querySelectorAll(".formula-source")) drawFormula(/** @type {HTMLElement} */ (source));
  for (const table of content.querySelectorAll("table")) dressTable(table);
}

/** Wide tables scroll; columns of numbers stand at the right. @param {HTMLTableElement} table */
function dressTable(table) {
  const frame = document.createElement("div");
  frame.className = "table";
  frame.tabIndex = 0;
  table.replaceWith(frame);
  frame.append(table);
  const rows = [...table.tBodies].flatMap((body) => [...body.rows]);
  const [head] = table.rows;
  for (let column = 0; column < (head?.cells.length ?? 0); column++) {
    const cells = rows.map((row) => row.cells[column]).filter(Boolean);
    const isNumber = column > 0 && cells.length > 0 && cells.every((cell) => /^[-+−]?[$€£¥]?\s?\d[\d,.\s]*\s?\S{0,8}$/.test(cell.textContent?.trim() ?? ""));
    if (isNumber) for (const cell of [head.cells[column], ...cells]) cell.classList.add("is-number");
  }
  for (const cell of head?.cells ?? []) cell.setAttribute("scope", "col");
}
