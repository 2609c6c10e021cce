// @ts-check
// The thought: opens while it grows, closes at the first word of the answer unless the reader chose.

/** The reader's last choice is the default for the next thought. */
const CHOICE = "r1.thinking";

export class ThinkingView {
  /** @param {HTMLElement} root the region `Thinking` @param {import("./i18n.js").Words} words */
  constructor(root, words) {
    this.root = root;
    this.words = words;
    this.details = /** @type {HTMLDetailsElement} */ (root.querySelector("details"));
    this.word = /** @type {HTMLElement} */ (root.querySelector("[data-word]"));
    this.seconds = /** @type {HTMLElement} */ (root.querySelector("[data-seconds]"));
    this.tokens = /** @type {HTMLElement} */ (root.querySelector("[data-tokens]"));
    this.text = /** @type {HTMLElement} */ (root.querySelector("[data-text]"));
    this.foot = /** @type {HTMLElement} */ (root.querySelector("[data-thinking-foot]"));
    this.isTouched = false;
    this.drawn = this.text.textContent ?? "";
    this.details.querySelector("summary")?.addEventListener("click", () => this.#choose());
  }

  /**
   * @param {{text: string, isThinking: boolean, isAsked: boolean, model: string, hasAnswer: boolean, ms: number, tokens: number}} thought
   *   ms: spent so far; isAsked: the answer is wanted now
   */
  draw({ text, isThinking, isAsked, model, hasAnswer, ms, tokens }) {
    this.root.hidden = text === "" && !isThinking;
    this.#grow(text);
    this.#count({ isThinking, ms, tokens });
    this.#offerAnswer({ isOffered: isThinking && text !== "", isAsked, model });
    if (isThinking === this.details.classList.contains("thinking--live")) return;
    this.details.classList.toggle("thinking--live", isThinking);
    if (!this.isTouched) this.details.open = isThinking && !hasAnswer && localStorage.getItem(CHOICE) !== "closed";
  }

  /** @param {string} text */
  #grow(text) {
    if (text === this.drawn) return;
    const node = this.text.firstChild;
    if (node instanceof Text && text.startsWith(this.drawn)) node.appendData(text.slice(this.drawn.length));
    else this.text.textContent = text;
    this.drawn = text;
    const { parentElement: viewport } = this.text;
    // Old lines fade only where there are some: a single line would fade away as a whole.
    if (viewport) this.details.classList.toggle("thinking--full", viewport.scrollHeight > viewport.clientHeight);
  }

  /** @param {{isThinking: boolean, ms: number, tokens: number}} counts */
  #count({ isThinking, ms, tokens }) {
    const n = Math.max(isThinking ? 0 : 1, Math.round(ms / 1000));
    this.word.textContent = isThinking ? this.words.say("thinking") : this.words.say(ms > 0 ? "thought_for" : "thought", { n });
    this.seconds.hidden = !isThinking;
    this.seconds.textContent = this.words.say("seconds", { n });
    this.tokens.hidden = tokens === 0;
    this.tokens.textContent = this.words.say("tokens", { n: tokens });
  }

  /** @param {{isOffered: boolean, isAsked: boolean, model: string}} offer */
  #offerAnswer({ isOffered, isAsked, model }) {
    this.foot.hidden = !isOffered;
    if (!isOffered) return;
    const row = document.querySelector(`[data-choices] [data-model="${CSS.escape(model)}"]`);
    const can = row instanceof HTMLElement && "answersNow" in row.dataset;
    const button = /** @type {HTMLButtonElement} */ (this.foot.querySelector('[data-action="answer-now"]'));
    button.disabled = isAsked || !can;
    const hint = /** @type {HTMLElement} */ (this.foot.querySelector("[data-hint]"));
    hint.textContent = this.words.say(isAsked ? "answer_asked" : can ? "answer_now_hint" : "no_answer_now");
  }

  #choose() {
    this.isTouched = true;
    localStorage.setItem(CHOICE, this.details.open ? "closed" : "open");
  }
}

/** @param {string} tag @param {string} className @returns {HTMLElement} */
export function element(tag, className) {
  const made = document.createElement(tag);
  made.className = className;
  return made;
}
