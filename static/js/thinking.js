// @ts-check
// The thought: opens while it grows, closes at the first word of the answer unless the reader chose.
import { icon } from "./icons.js";

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
    this.isTouched = false;
    this.drawn = this.text.textContent ?? "";
    this.details.querySelector("summary")?.addEventListener("click", () => this.#choose());
  }

  /**
   * @param {{text: string, isThinking: boolean, hasAnswer: boolean, ms: number, tokens: number}} thought ms: spent so far
   */
  draw({ text, isThinking, hasAnswer, ms, tokens }) {
    this.root.hidden = text === "" && !isThinking;
    this.#grow(text);
    this.#count({ isThinking, ms, tokens });
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

  #choose() {
    this.isTouched = true;
    localStorage.setItem(CHOICE, this.details.open ? "closed" : "open");
  }
}

/** @param {HTMLElement} into @param {import("./i18n.js").Words} words @param {{ahead: number, yours: number, reason: any} | null} waiting */
export function drawWaiting(into, words, waiting) {
  if (!waiting) {
    into.replaceChildren();
    return;
  }
  const place = into.querySelector(".waiting__place") ?? buildWaiting(into, words);
  const why = /** @type {HTMLElement} */ (into.querySelector(".waiting__why"));
  const key = `waiting.${waiting.reason?.code}`;
  write(place, waiting.ahead > 0 ? words.say("ahead", { n: waiting.ahead }) : words.say("next"));
  write(why, words.say(words.has(key) ? key : "waiting.unknown", waiting.reason?.args ?? {}));
}

/** Speaks to a screen reader only when the words change. @param {Element} element @param {string} text */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @param {HTMLElement} into @param {import("./i18n.js").Words} words @returns {Element} the line that says the place */
function buildWaiting(into, words) {
  const card = element("section", "waiting");
  const main = element("div", "waiting__main");
  const head = element("div", "waiting__head");
  head.setAttribute("role", "status");
  const place = element("h2", "waiting__place");
  head.append(place);
  main.append(head, element("p", "waiting__why"));
  const foot = element("div", "waiting__foot");
  const cancel = element("button", "button button--small button--quiet");
  cancel.setAttribute("type", "button");
  cancel.dataset.action = "stop";
  cancel.append(icon("close", "icon--small"), words.say("cancel"));
  const promise = element("span", "waiting__promise");
  promise.textContent = words.say("keeps_place");
  foot.append(cancel, promise);
  card.append(main, foot);
  into.replaceChildren(card);
  return place;
}

/** @param {string} tag @param {string} className @returns {HTMLElement} */
export function element(tag, className) {
  const made = document.createElement(tag);
  made.className = className;
  return made;
}
