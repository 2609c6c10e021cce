// @ts-check
// The messages of the open conversation: takes over what the server drew, adds what is asked here.
import { Answer } from "./answer.js";
import { AnswerView } from "./answer_view.js";
import { element } from "./thinking.js";
import { copyText } from "./clipboard.js";
import { fetchPartial } from "./partial.js";

/** The reader is "at the end" within this many pixels. */
const NEAR_END_PX = 80;

export class Thread {
  /**
   * @param {HTMLElement} root
   * @param {{words: import("./i18n.js").Words, following: import("./following.js").Following,
   *   onRegenerate: (message: string, model?: string) => void, onContinue: (message: string) => void, onAnswerNow: (answer: Answer) => void,
   *   onStop: () => void, modelName: () => string, modelKey: () => string, onChange: () => void}} options
   */
  constructor(root, { words, following, onRegenerate, onContinue, onAnswerNow, onStop, modelName, modelKey, onChange }) {
    this.root = root;
    this.words = words;
    this.following = following;
    this.onRegenerate = onRegenerate;
    this.onContinue = onContinue;
    this.onAnswerNow = onAnswerNow;
    this.onStop = onStop;
    this.modelKey = modelKey;
    this.modelName = modelName;
    this.onChange = onChange;
    /** @type {Map<string, AnswerView>} by generation */
    this.views = new Map();
    this.isSticking = true;
    this.newest = /** @type {HTMLElement} */ (document.getElementById("newest"));
    root.addEventListener("click", (event) => this.#act(event));
    this.#watchReader();
  }

  /** Takes over every answer that stands on the page. */
  adopt() {
    this.views.clear();
    for (const article of this.root.querySelectorAll("[data-generation]")) this.#take(/** @type {HTMLElement} */ (article));
    this.onChange();
  }

  /** @returns {Answer | null} the answer that is being made here */
  get live() {
    for (const view of this.views.values()) if (view.answer.isLive) return view.answer;
    return null;
  }

  /** @returns {string} id of the newest message */
  get leaf() {
    const messages = this.root.querySelectorAll("[data-message]");
    return /** @type {HTMLElement | undefined} */ (messages[messages.length - 1])?.dataset.message ?? "";
  }

  /** Shows a question before the site has accepted it. @param {string} key @param {string} text */
  showAsked(key, text) {
    const question = element("article", "message message--user");
    question.setAttribute("aria-label", this.words.say("you"));
    question.dataset.key = key;
    const body = element("div", "message__body");
    body.textContent = text;
    question.append(body);
    this.root.append(question, this.#blank(key));
    this.stick();
  }

  /**
   * A newer version of an answer is wanted, by its own model again where no other is named.
   * @param {string} key @param {string} message @param {{key: string, name: string} | ""} model
   */
  showRegenerating(key, message, model) {
    const old = /** @type {HTMLElement | null} */ (this.root.querySelector(`[data-message="${CSS.escape(message)}"]`));
    for (let after = old?.nextElementSibling; after; after = old?.nextElementSibling) after.remove();
    const own = old ? { key: old.dataset.model ?? "", name: old.getAttribute("aria-label") ?? "" } : undefined;
    const blank = this.#blank(key, model || own);
    blank.dataset.isNewVersion = "1";
    if (old) old.replaceWith(blank);
    else this.root.append(blank);
    this.stick();
  }

  /** @param {import("./protocol.js").Frame} accepted @returns {boolean} false where nothing here waits for it */
  accept(accepted) {
    // Accepted before this page was loaded: it stands here already.
    if (this.views.has(accepted.generation)) {
      this.refuse(accepted.key);
      return true;
    }
    const blank = /** @type {HTMLElement | null} */ (this.root.querySelector(`.message--answer[data-key="${CSS.escape(accepted.key)}"]`));
    const question = /** @type {HTMLElement | null} */ (this.root.querySelector(`.message--user[data-key="${CSS.escape(accepted.key)}"]`));
    if (question) question.dataset.message = accepted.message;
    if (!blank) return false;
    blank.dataset.message = accepted.answer;
    blank.dataset.generation = accepted.generation;
    for (const known of [question, blank]) known?.removeAttribute("data-key");
    this.#take(blank);
    this.onChange();
    if (blank.dataset.isNewVersion) this.#offerVersions(accepted.conversation, blank);
    return true;
  }

  /** The way back to the earlier versions, as the server draws it. @param {string} conversation @param {HTMLElement} article */
  async #offerVersions(conversation, article) {
    const page = await fetchPartial(`/c/${conversation}/thread/`);
    const versions = page?.querySelector(`[data-message="${CSS.escape(article.dataset.message ?? "")}"] .versions`);
    if (versions) article.querySelector(".message__actions")?.prepend(document.adoptNode(versions));
  }

  /** The site refused: what was shown in advance goes. @param {string} key */
  refuse(key) {
    for (const shown of this.root.querySelectorAll(`[data-key="${CSS.escape(key)}"]`)) shown.remove();
  }

  /** @param {Answer} answer */
  changed(answer) {
    this.views.get(answer.generation)?.ask();
    if (!answer.isLive) this.onChange();
  }

  /** What the server holds is the truth. @param {string} conversation */
  async reload(conversation) {
    const page = await fetchPartial(`/c/${conversation}/thread/`);
    const fresh = page?.getElementById("thread");
    if (!fresh || this.root.querySelector("[data-key]")) return;
    for (const generation of this.views.keys()) this.following.drop(generation);
    this.root.replaceChildren(...document.adoptNode(fresh).childNodes);
    this.adopt();
  }

  stick() {
    this.isSticking = true;
    this.follow();
  }

  follow() {
    // The empty page is read from its head.
    const isEmpty = this.root.childElementCount === 0;
    if (this.isSticking && !isEmpty) scrollTo({ top: document.documentElement.scrollHeight });
    this.newest.hidden = this.isSticking || isEmpty;
  }

  /** @param {string} key @param {{key: string, name: string}} [model] @returns {HTMLElement} an answer of which nothing is known yet */
  #blank(key, model = { key: this.modelKey(), name: this.modelName() }) {
    const template = /** @type {HTMLTemplateElement} */ (document.getElementById("answer-template"));
    const copy = /** @type {DocumentFragment} */ (template.content.cloneNode(true));
    const article = /** @type {HTMLElement} */ (copy.querySelector("article"));
    article.dataset.key = key;
    article.dataset.model = model.key;
    article.setAttribute("aria-label", model.name);
    /** @type {HTMLElement} */ (article.querySelector(".message__meta span")).textContent = model.name;
    const line = element("p", "stage muted");
    line.append(element("span", "dot dot--running"), element("span", ""));
    /** @type {Element} */ (line.lastElementChild).textContent = this.words.say("sending");
    article.prepend(line);
    return article;
  }

  /** @param {HTMLElement} article */
  #take(article) {
    const { generation = "", message, after, state, reason, finish } = article.dataset;
    if (this.views.has(generation)) return;
    const read = (/** @type {string} */ name) => article.querySelector(name)?.textContent ?? "";
    const answer = new Answer(generation, {
      message, after, state: /** @type {any} */ (state || "waiting"),
      thinking: read("[data-text]"), answer: read('[data-part="answer"]'),
    });
    answer.reason = reason ?? "";
    answer.thinkingEnd = article.dataset.thinkingEnd ?? "";
    answer.seams = JSON.parse(article.dataset.seams || "[]");
    answer.finish = finish ?? "";
    const view = new AnswerView(article, answer, this.words);
    this.views.set(generation, view);
    view.draw();
    if (answer.isLive) this.following.add(answer);
  }

  /** @param {Event} event */
  async #act(event) {
    const button = /** @type {HTMLElement} */ (event.target).closest("[data-action]");
    const article = /** @type {HTMLElement | null} */ (button?.closest("[data-generation]"));
    if (!(button instanceof HTMLElement) || !article) return;
    const view = this.views.get(article.dataset.generation ?? "");
    if (button.dataset.action === "stop") this.onStop();
    if (button.dataset.action === "note") view?.toggleNote(button);
    if (button.dataset.action === "answer-now" && view) this.onAnswerNow(view.answer);
    if (button.dataset.action === "continue") this.onContinue(article.dataset.message ?? "");
    if (button.dataset.action === "regenerate") this.onRegenerate(article.dataset.message ?? "", button.dataset.model);
    if (button.dataset.action === "copy" && view) this.#say(button, (await copyText(view.answer.answer)) ? "copied" : "copy_failed");
  }

  /** @param {HTMLElement} button @param {string} key */
  #say(button, key) {
    const label = button.querySelector(".message__action-label") ?? button.lastChild;
    if (!label || button.dataset.said) return;
    const before = label.textContent;
    button.dataset.said = "1";
    label.textContent = this.words.say(key);
    setTimeout(() => {
      label.textContent = before;
      delete button.dataset.said;
    }, 1600);
  }

  /** Any upward move of the reader lets go of the end; reaching the end takes hold again. */
  #watchReader() {
    const letGo = () => (this.isSticking = false);
    addEventListener("wheel", (event) => event.deltaY < 0 && letGo(), { passive: true });
    addEventListener("keydown", (event) => ["PageUp", "Home", "ArrowUp"].includes(event.key) && event.target === document.body && letGo());
    addEventListener("touchmove", letGo, { passive: true });
    addEventListener("scroll", () => {
      const left = document.documentElement.scrollHeight - innerHeight - scrollY;
      if (left < NEAR_END_PX) this.isSticking = true;
      this.newest.hidden = left < NEAR_END_PX * 2 || this.root.childElementCount === 0;
    }, { passive: true });
    this.newest.querySelector("button")?.addEventListener("click", () => this.stick());
    new ResizeObserver(() => this.follow()).observe(this.root);
  }
}
