// @ts-check
// Formulas in Markdown: $$…$$, \[…\], \(…\) and $…$, as markdown-it rules. They only mark the place; no DOM.

/**
 * `$` is also money: an inline formula starts and ends at a non-space, and no digit follows its end.
 * @param {string} text @param {number} from index of the opening `$`
 * @returns {number} index of the closing `$`, or -1
 */
export function closingDollar(text, from) {
  if (/[\s$]/.test(text[from + 1] ?? " ")) return -1;
  for (let at = from + 1; at < text.length; at++) {
    if (text[at] === "\n" && text[at + 1] === "\n") return -1;
    if (text[at] === "\\") at++;
    else if (text[at] === "$") return /\s/.test(text[at - 1]) || /\d/.test(text[at + 1] ?? "") ? -1 : at;
  }
  return -1;
}

/** @param {any} state @param {boolean} silent */
function inline(state, silent) {
  const { src, pos } = state;
  const opener = [["$$", "$$"], ["\\[", "\\]"], ["\\(", "\\)"], ["$", "$"]].find(([open]) => src.startsWith(open, pos));
  if (!opener) return false;
  const [open, close] = opener;
  const end = open === "$" ? closingDollar(src, pos) : src.indexOf(close, pos + open.length);
  if (end < 0 || end > state.posMax - close.length) return false;
  const tex = src.slice(pos + open.length, end);
  if (!tex.trim()) return false;
  if (!silent) {
    const token = state.push("formula", "", 0);
    token.content = tex;
    token.meta = { display: open === "$$" || open === "\\[" };
  }
  state.pos = end + close.length;
  return true;
}

/**
 * A formula on lines of its own. One without an end takes the rest: it is still being written.
 * @param {any} state @param {number} start @param {number} last @param {boolean} silent
 */
function block(state, start, last, silent) {
  const line = lineOf(state, start);
  const open = line.startsWith("$$") ? "$$" : line.startsWith("\\[") ? "\\[" : "";
  if (!open) return false;
  const close = open === "$$" ? "$$" : "\\]";
  const first = line.slice(2);
  const rest = first.indexOf(close);
  if (rest >= 0 && first.slice(rest + 2).trim()) return false;
  if (silent) return true;
  const found = rest >= 0 ? { end: start, tex: first.slice(0, rest), isClosed: true } : collect(state, start, last, first, close);
  const token = state.push("formula_block", "", 0);
  token.block = true;
  token.content = found.tex;
  token.meta = { display: true, isClosed: found.isClosed };
  token.map = [start, found.end + 1];
  state.line = found.end + 1;
  return true;
}

/** @param {any} state @param {number} number */
function lineOf(state, number) {
  return state.src.slice(state.bMarks[number] + state.tShift[number], state.eMarks[number]);
}

/** @param {any} state @param {number} start @param {number} last @param {string} first @param {string} close */
function collect(state, start, last, first, close) {
  const lines = [first];
  for (let at = start + 1; at < last; at++) {
    const line = lineOf(state, at);
    const end = line.indexOf(close);
    if (end >= 0) return { end: at, tex: [...lines, line.slice(0, end)].join("\n"), isClosed: true };
    lines.push(line);
  }
  return { end: last - 1, tex: lines.join("\n"), isClosed: false };
}

/** @param {any} md a markdown-it instance */
export function formulas(md) {
  md.inline.ruler.before("escape", "formula", inline);
  md.block.ruler.before("fence", "formula_block", block, { alt: ["paragraph", "reference", "blockquote", "list"] });
  const escape = md.utils.escapeHtml;
  md.renderer.rules.formula = (/** @type {any[]} */ tokens, /** @type {number} */ at) => {
    const { content, meta } = tokens[at];
    return `<span class="formula-source" data-display="${meta.display ? "1" : ""}">${escape(content)}</span>`;
  };
  md.renderer.rules.formula_block = (/** @type {any[]} */ tokens, /** @type {number} */ at) => {
    const { content, meta } = tokens[at];
    const kind = meta.isClosed ? "formula-source" : "formula-open";
    return `<div class="formula"><span class="${kind}" data-display="1">${escape(content)}</span></div>\n`;
  };
}
