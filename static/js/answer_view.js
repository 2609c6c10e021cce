// @ts-check
// One answer on the page: waiting card, thought, text, and how it ended. Drawn at most once a frame.
import { SeamedText, seamLine } from "./seamed_text.js";
import { seamWords } from "./seams.js";
import { ThinkingView, element } from "./thinking.js";
import { drawWaiting } from "./waiting_view.js";
import { icon } from "./icons.js";
import { announce, mayNote } from "./start_note.js";

/** Drawing may take a third of the time, so that a very long open block cannot freeze the page. */
const SHARE = 3;

export class AnswerView {
  /**
   * @param {HTMLElement} article
   * @param {import("./answer.js").Answer} answer
   * @param {import("./i18n.js").Words} words
   */
  constructor(article, answer, words) {
    this.article = article;
    this.answer = answer;
    this.words = words;
    this.prose = part(article, "answer");
    this.waiting = part(article, "waiting");
    this.end = part(article, "end");
    this.foot = part(article, "foot");
    this.thinking = new ThinkingView(part(article, "thinking"), words);
    this.text = new SeamedText(this.prose, words);
    this.thinkingEnd = part(article, "thinking-end");
    this.isAsked = false;
    this.wantsNote = false;
    this.earliest = 0;
    const began = Number(article.dataset.thinkingSince);
    this.thinkingSince = began || 0;
    this.thinkingMs = Number(article.dataset.thinkingMs) || 0;
    answer.tokens.thinking ||= Number(article.dataset.thinkingTokens) || 0;
    answer.tokens.answer ||= Number(article.dataset.answerTokens) || 0;
    /** @type {any} */
    this.ticker = undefined;
  }

  get isThinking() {
    const { answer } = this;
    return answer.isLive && !answer.answer && (answer.thinking !== "" || answer.stage === "thinking");
  }

  /** Ask for a drawing in the next frame; further wishes until then cost nothing. */
  ask() {
    if (this.isAsked) return;
    this.isAsked = true;
    const wait = this.earliest - performance.now();
    const draw = () => requestAnimationFrame(() => this.draw());
    if (document.hidden) setTimeout(() => this.draw(), 200);
    else if (wait > 0) setTimeout(draw, wait);
    else draw();
  }

  draw() {
    this.isAsked = false;
    const began = performance.now();
    this.#clock();
    const { answer } = this;
    this.article.setAttribute("aria-busy", String(answer.isLive));
    this.article.dataset.state = answer.state;
    this.article.dataset.after = answer.s;
    drawWaiting(this.waiting, this.words, answer.isLive && !answer.thinking && !answer.answer ? answer.waiting : null);
    this.#noteStart();
    this.#drawStage();
    this.#drawThought();
    this.prose.classList.remove("prose--source");
    this.text.draw(answer.answer, answer.seams.filter((seam) => seam.text > 0), { isLive: answer.isLive && !answer.isInGap });
    this.#drawThinkingEnd();
    if (!answer.isLive) this.#drawEnd();
    else this.#drawGap();
    const spent = performance.now() - began;
    this.earliest = spent > 8 ? performance.now() + spent * (SHARE - 1) : 0;
  }

  /** Notify me when it starts. @param {HTMLElement} button */
  toggleNote(button) {
    this.wantsNote = !this.wantsNote;
    if (this.wantsNote) mayNote();
    button.setAttribute("aria-pressed", String(this.wantsNote));
  }

  #noteStart() {
    const { answer } = this;
    if (!this.wantsNote || (answer.isLive && !answer.thinking && !answer.answer)) return;
    this.wantsNote = false;
    const title = document.querySelector(".topbar__title")?.textContent ?? "";
    announce(this.words.say("has_started", { title }), `started ${answer.generation}`);
  }

  #drawThought() {
    const { answer } = this;
    const since = this.thinkingSince ? Date.now() - this.thinkingSince : 0;
    const ms = this.isThinking ? since : answer.usage?.thinking_ms ?? this.thinkingMs;
    this.thinking.draw({
      text: answer.thinking, isThinking: this.isThinking && !answer.isInGap, isAsked: answer.isAnswerAsked || answer.thinkingEnd !== "",
      model: this.article.dataset.model ?? "", hasAnswer: answer.answer !== "", ms, tokens: answer.tokens.thinking,
    });
  }

  /** What stands between thought and answer: a seam in the thought, and what ended it. */
  #drawThinkingEnd() {
    const { answer, words } = this;
    const said = answer.seams.filter((seam) => seam.text === 0).map((seam) => seamWords(words, seam));
    if (answer.thinkingEnd) said.push(words.say(`thinking_end.${answer.thinkingEnd}`));
    if (said.join() === this.said) return;
    this.said = said.join();
    this.thinkingEnd.replaceChildren(...said.map((sentence) => seamLine(sentence)));
  }

  /** The text has broken off and waits to go on. */
  #drawGap() {
    const { answer, words } = this;
    if (!answer.isInGap) return this.end.replaceChildren();
    if (!this.end.querySelector(".seam")) this.end.replaceChildren(seamLine(words.say("gap"), "unplugged"), element("div", ""));
    drawWaiting(/** @type {HTMLElement} */ (this.end.lastElementChild), words, answer.waiting);
  }

  /** Between the line and the first token there is nothing to read: say what is happening. */
  #drawStage() {
    const { answer } = this;
    const isQuiet = answer.isLive && !answer.waiting && !answer.thinking && !answer.answer && answer.stage !== "thinking";
    let line = this.article.querySelector(".stage");
    if (!isQuiet) {
      line?.remove();
      return;
    }
    if (!line) {
      line = element("p", "stage muted");
      line.append(element("span", "dot dot--running"), element("span", ""));
      this.waiting.before(line);
    }
    const key = `stage.${answer.stage}`;
    /** @type {Element} */ (line.lastElementChild).textContent = this.words.say(this.words.has(key) ? key : "stage.starting");
  }

  /** Times the wait and the thought, and ticks once a second while they last. */
  #clock() {
    if (this.answer.isLive && this.answer.waiting) {
      this.ticker ??= setInterval(() => this.ask(), 1000);
      return;
    }
    if (this.isThinking) {
      this.thinkingSince ||= Date.now();
      this.ticker ??= setInterval(() => this.#drawThought(), 1000);
    } else if (this.ticker !== undefined) {
      clearInterval(this.ticker);
      this.ticker = undefined;
      if (this.thinkingSince) this.thinkingMs ||= Date.now() - this.thinkingSince;
    }
  }

  #drawEnd() {
    const { answer, words } = this;
    this.end.replaceChildren();
    this.foot.hidden = false;
    if (answer.state === "failed") this.end.append(broken(answer, words, this.article.dataset.model ?? ""));
    if (answer.state === "stopped") this.end.append(seamLine(words.say(answer.answer ? "stopped" : "stopped_empty"), "stop"));
    if (answer.state === "done" && !answer.answer.trim()) this.end.append(seamLine(words.say("ended_empty"), "info"));
    else if (answer.state === "done" && answer.finish === "length") this.end.append(seamLine(words.say("cut_off"), "info"));
    const copy = this.foot.querySelector('[data-action="copy"]');
    if (copy instanceof HTMLElement) copy.hidden = answer.answer === "";
    if (answer.state === "failed") this.foot.hidden = !this.foot.querySelector(".versions:not([hidden])");
    const meta = this.foot.querySelector("[data-meta-tokens]");
    const total = answer.tokens.thinking + answer.tokens.answer;
    if (meta) meta.textContent = total ? words.say("tokens", { n: total }) : "";
    const time = this.foot.querySelector("[data-meta-time]");
    if (time && answer.usage?.total_ms) time.textContent = words.say("seconds_exact", { s: (answer.usage.total_ms / 1000).toFixed(1) });
  }
}

/** @param {HTMLElement} article @param {string} name @returns {HTMLElement} */
export function part(article, name) {
  return /** @type {HTMLElement} */ (article.querySelector(`[data-part="${name}"]`));
}

/** @param {import("./answer.js").Answer} answer @param {import("./i18n.js").Words} words @param {string} model */
function broken(answer, words, model) {
  const code = words.has(`reason.${answer.reason}`) ? answer.reason : "unknown";
  const box = element("section", "broken");
  box.setAttribute("role", "alert");
  const head = element("p", "broken__head");
  head.append(icon("unplugged"), words.say(`reason.${code}`, { n: answer.tokens.answer }));
  const why = element("p", "broken__why");
  const hasText = answer.answer !== "" || answer.thinking !== "";
  const said = [words.say(hasText ? "text_is_saved" : "question_is_saved"), words.say(`way.${code}`)];
  if (answer.reason === "never_ready") said.splice(1, 0, readyNow(words));
  why.textContent = said.join(words.language.startsWith("zh") ? "" : " ");
  const ways = element("div", "broken__ways");
  // The same text would be too long again.
  if (answer.reason === "context_too_long") ways.append(newChat(words));
  else ways.append(...waysOn(words, model, hasText));
  if (answer.answer) ways.append(way("copy", "copy", words.say("copy_what_there_is"), "button--quiet"));
  box.append(head, why, ways);
  return box;
}

/** Go on with the text, ask again, or ask a model that is ready. @param {import("./i18n.js").Words} words @param {string} model @param {boolean} hasText */
function waysOn(words, model, hasText) {
  const rows = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("[data-choices] [data-model]")]);
  const own = rows.find((row) => row.dataset.model === model);
  const canGoOn = hasText && own !== undefined && "goesOn" in own.dataset;
  const found = [way("regenerate", "again", words.say("try_again"), canGoOn ? "" : "button--primary")];
  if (canGoOn) found.unshift(way("continue", "continue", words.say(isWarm(own) ? "continue" : "continue_later"), "button--primary"));
  const others = rows.filter((row) => row !== own && isWarm(row));
  for (const row of [others.find((each) => !("cloud" in each.dataset)), others.find((each) => "cloud" in each.dataset)]) {
    if (!row) continue;
    const label = words.say("cloud" in row.dataset ? "ask_cloud" : "ask_model", { name: row.dataset.name ?? "" });
    const button = way("regenerate", "swap", label, "");
    button.dataset.model = row.dataset.model;
    found.push(button);
  }
  return found;
}

/** @param {HTMLElement} row of the picker */
const isWarm = (row) => row.querySelector(".dot--warm") !== null;

/** What the picker has that is warm. @param {import("./i18n.js").Words} words */
function readyNow(words) {
  const rows = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-choices] [data-model]:has(.dot--warm)"));
  const models = [...rows].map((row) => row.dataset.name ?? "").join(words.language.startsWith("zh") ? "、" : ", ");
  return models ? words.say("ready_models", { models }) : words.say("no_ready_models");
}

/** @param {string} action @param {string} picture @param {string} label @param {string} look */
function way(action, picture, label, look) {
  const button = element("button", `button button--small ${look}`);
  button.setAttribute("type", "button");
  button.dataset.action = action;
  button.append(icon(picture, "icon--small"), label);
  return button;
}

/** @param {import("./i18n.js").Words} words */
function newChat(words) {
  const link = element("a", "button button--small button--primary");
  link.setAttribute("href", "/");
  link.append(icon("compose", "icon--small"), words.say("new_chat"));
  return link;
}
