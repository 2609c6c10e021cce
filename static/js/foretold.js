// @ts-check
// What the next question will take, under the field: read anew with another model and as the text grows.
import { fetchPartial } from "./partial.js";

const PAUSE_MS = 700;
/** Fewer characters more or less change nothing that is told. */
const STEP = 80;
const HAN = /[\u2e80-\uffef]/g;

export class Foretold {
  /**
   * @param {import("./composer.js").Composer} composer
   * @param {{conversation: () => string | null}} options
   */
  constructor(composer, { conversation }) {
    this.composer = composer;
    this.conversation = conversation;
    /** Characters that were told of. */
    this.told = 0;
    /** Of several fetches the newest counts. */
    this.fetches = 0;
    /** @type {any} */ this.timer = undefined;
    composer.form.addEventListener("input", () => this.#grew());
    for (const [choice, event] of /** @type {const} */ ([[composer.toggle, "click"], [composer.effortField, "change"]])) {
      choice.addEventListener(event, () => this.#soon());
    }
    if (this.#length > STEP) this.#soon();
  }

  async refresh() {
    clearTimeout(this.timer);
    const shown = document.querySelector("[data-foretold]");
    if (!shown || !this.composer.model) return;
    const number = ++this.fetches;
    this.told = this.#length;
    const page = await fetchPartial(`/models/foretold/?${this.#question()}`);
    const fresh = page?.querySelector("[data-foretold]");
    if (!fresh || number !== this.fetches) return;
    shown.textContent = fresh.textContent;
    shown.className = fresh.className;
  }

  get #length() {
    return this.composer.field.value.length;
  }

  #grew() {
    if (Math.abs(this.#length - this.told) >= STEP) this.#soon();
  }

  #soon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.refresh(), PAUSE_MS);
  }

  #question() {
    const text = this.composer.field.value;
    const han = text.match(HAN)?.length ?? 0;
    const asked = { model: this.composer.model, think: this.composer.think, effort: this.composer.effort, han: String(han), others: String(text.length - han) };
    const conversation = this.conversation();
    return new URLSearchParams(conversation ? { ...asked, conversation } : asked);
  }
}
