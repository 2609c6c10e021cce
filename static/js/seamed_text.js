// @ts-check
// The answer's text as Markdown, with a quiet line wherever it went on after a loss.
import { icon } from "./icons.js";
import { MarkdownView } from "./markdown.js";
import { cut, seamWords } from "./seams.js";
import { element } from "./thinking.js";

/** @typedef {import("./seams.js").Seam} Seam */

export class SeamedText {
  /** @param {HTMLElement} root @param {import("./i18n.js").Words} words */
  constructor(root, words) {
    this.root = root;
    this.words = words;
    this.views = [new MarkdownView(root, words)];
  }

  /** @param {string} text @param {Seam[]} seams those within the text @param {{isLive: boolean}} options */
  draw(text, seams, { isLive }) {
    if (this.views.length !== seams.length + 1) this.#build(seams);
    const pieces = cut(text, seams);
    const last = pieces.length - 1;
    pieces.forEach((piece, at) => this.views[at].draw(piece, { isLive: isLive && at === last }));
  }

  /** @param {Seam[]} seams */
  #build(seams) {
    this.root.replaceChildren();
    if (seams.length === 0) {
      this.views = [new MarkdownView(this.root, this.words)];
      return;
    }
    this.views = [null, ...seams].map((seam) => {
      if (seam) this.root.append(seamLine(seamWords(this.words, seam)));
      const piece = element("div", "prose");
      this.root.append(piece);
      return new MarkdownView(piece, this.words);
    });
  }
}

/** @param {string} sentence @param {string} [picture] @returns {HTMLElement} a quiet line between two texts */
export function seamLine(sentence, picture = "join") {
  const line = element("p", "seam");
  line.setAttribute("role", "note");
  line.append(icon(picture, "icon--small"), sentence);
  return line;
}
