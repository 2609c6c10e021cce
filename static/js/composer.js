// @ts-check
// The message field: Enter sends, the draft is kept, the model is chosen, a running answer can be stopped.
import { TEXT_LIMIT } from "./protocol.js";
import { Drafts, sends } from "./drafts.js";
import { icon } from "./icons.js";
import { Picker } from "./picker.js";

const PAUSE_MS = 300;
const THINK = "r1.think";

export class Composer {
  /**
   * @param {HTMLFormElement} form
   * @param {{words: import("./i18n.js").Words, place: string, onSend: (wish: {text: string, model: string, think: string, effort: string}) => void, onStop: () => void, onModel?: () => void}} options
   */
  constructor(form, { words, place, onSend, onStop, onModel = () => {} }) {
    this.form = form;
    this.words = words;
    this.place = place;
    this.onSend = onSend;
    this.onStop = onStop;
    this.onModel = onModel;
    this.drafts = new Drafts(localStorage);
    this.field = /** @type {HTMLTextAreaElement} */ (form.querySelector("textarea"));
    this.button = /** @type {HTMLButtonElement} */ (form.querySelector(".composer__send"));
    this.toggle = /** @type {HTMLButtonElement} */ (form.querySelector(".toggle"));
    this.effortField = /** @type {HTMLSelectElement} */ (form.querySelector("[data-effort]"));
    this.notice = /** @type {HTMLElement} */ (document.getElementById("notice"));
    this.isBusy = false;
    /** A limit is used up: the draft stays, and nothing is sent. */
    this.isWalled = false;
    this.composedAt = -1000;
    this.model = form.dataset.model ?? "";
    /** Sent, and not accepted yet. */
    this.underway = "";
    this.picker = new Picker(form, { words, onChoose: (row) => this.#chose(row) });
    this.placeholder = this.field.placeholder;
    /** @type {any} */ this.saving = undefined;
    this.#listen();
    this.#listenToChoices();
    const draft = this.drafts.read(place);
    if (draft && !this.field.value) this.field.value = draft;
    this.refresh();
  }

  get think() {
    return this.toggle.disabled || this.toggle.getAttribute("aria-pressed") === "true" ? "auto" : "off";
  }

  /** '' where the model has none, or it is left to the model. */
  get effort() {
    return this.effortField.hidden || this.think === "off" ? "" : this.effortField.value;
  }

  get modelName() {
    return this.form.querySelector(".model-button [data-name]")?.textContent ?? "";
  }

  /** @param {boolean} isBusy an answer of this conversation is being made */
  setBusy(isBusy) {
    this.isBusy = isBusy;
    this.field.placeholder = isBusy ? this.words.say("write_next") : this.placeholder;
    this.refresh();
  }

  /** @param {boolean} isWalled */
  setWalled(isWalled) {
    this.isWalled = isWalled;
    this.refresh();
  }

  setStopping() {
    this.button.disabled = true;
    this.button.setAttribute("aria-label", this.words.say("stopping"));
  }

  /** @param {string} text */
  fill(text) {
    this.field.value = text;
    this.#keep();
    this.refresh();
    this.field.focus();
  }

  /** @param {string} text was not accepted; what is being written stays behind it */
  giveBack(text) {
    this.underway = "";
    this.fill([text, this.field.value].filter(Boolean).join("\n"));
  }

  /** @param {string} text is on its way and kept until it has arrived */
  sent(text) {
    this.underway = text;
    this.#keep();
  }

  /** The site has the question: only what is being written is left to keep. */
  arrived() {
    this.underway = "";
    this.#keep();
  }

  /** @param {string} place a new chat has got its conversation */
  moveTo(place) {
    this.placeholder = this.form.dataset.askMore ?? "";
    this.drafts.keep(this.place, "");
    this.place = place;
    this.#keep();
  }

  /** The conversation is gone; the next question opens a new one. */
  startAnew() {
    this.place = "new";
    this.placeholder = this.form.dataset.askNew ?? "";
    this.setBusy(false);
  }

  /** @param {string} sentence why nothing was sent; empty clears it */
  tell(sentence) {
    this.notice.hidden = sentence === "";
    /** @type {HTMLElement} */ (this.notice.querySelector("[data-text]")).textContent = sentence;
  }

  refresh() {
    const isEmpty = this.field.value.trim() === "";
    const isStop = this.isBusy && isEmpty;
    const kind = isStop ? "stop" : "send";
    if (this.button.dataset.kind !== kind) {
      this.button.dataset.kind = kind;
      this.button.replaceChildren(icon(kind));
      this.button.classList.toggle("composer__send--stop", isStop);
      this.button.type = isStop ? "button" : "submit";
    }
    this.button.disabled = !isStop && (isEmpty || this.isWalled);
    this.button.setAttribute("aria-label", this.words.say(kind));
    this.button.title = isStop ? this.words.say("stop_title") : "";
    if (!CSS.supports("field-sizing", "content")) this.#grow();
  }

  #keep() {
    this.drafts.keep(this.place, [this.underway, this.field.value].filter(Boolean).join("\n"));
  }

  #grow() {
    this.field.rows = Math.min(12, Math.max(1, this.field.value.split("\n").length));
  }

  #listen() {
    const { field, form } = this;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    this.button.addEventListener("click", () => {
      if (this.button.dataset.kind === "stop") this.onStop();
    });
    field.addEventListener("compositionend", (event) => (this.composedAt = event.timeStamp));
    field.addEventListener("keydown", (event) => this.#key(event));
    field.addEventListener("input", () => {
      this.refresh();
      clearTimeout(this.saving);
      this.saving = setTimeout(() => this.#keep(), PAUSE_MS);
    });
    addEventListener("pagehide", () => this.#keep());
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (sends(event, this.composedAt)) {
      event.preventDefault();
      this.#send();
    } else if (event.key === "Escape" && this.isBusy && !event.isComposing) {
      this.onStop();
    }
  }

  #send() {
    const text = this.field.value;
    if (text.trim() === "" || this.isWalled) return;
    if (text.length > TEXT_LIMIT) return this.tell(this.words.say("reason.message_too_long", { n: TEXT_LIMIT }));
    if (!this.model) return this.tell(this.words.say("no_model_yet"));
    this.tell("");
    clearTimeout(this.saving);
    this.field.value = "";
    this.refresh();
    this.onSend({ text, model: this.model, think: this.think, effort: this.effort });
    this.#keep();
  }

  #listenToChoices() {
    this.toggle.setAttribute("aria-pressed", String(localStorage.getItem(THINK) !== "off"));
    this.toggle.addEventListener("click", () => {
      const isOn = this.toggle.getAttribute("aria-pressed") !== "true";
      this.toggle.setAttribute("aria-pressed", String(isOn));
      localStorage.setItem(THINK, isOn ? "auto" : "off");
    });
  }

  /** @param {DOMStringMap} row of the picker */
  #chose(row) {
    this.model = row.model ?? "";
    this.toggle.disabled = "alwaysThinks" in row;
    this.effortField.hidden = !("hasEffort" in row);
    this.toggle.title = this.toggle.disabled ? (this.toggle.dataset.why ?? "") : "";
    this.onModel();
  }
}
