// @ts-check
// A person's limits above the message field: a warning in time, the wall when one is used up, and what an admin said.
import { fetchPartial, post } from "./partial.js";
import { toast } from "./toast.js";

const MINUTE_MS = 60_000;

export class Wall {
  /**
   * @param {HTMLElement} dock
   * @param {{words: import("./i18n.js").Words, model: () => string, conversation: () => string | null, onChange: (isUp: boolean) => void, onSendTo: (model: string) => void}} options
   */
  constructor(dock, { words, model, conversation, onChange, onSendTo }) {
    this.dock = dock;
    this.words = words;
    this.model = model;
    this.conversation = conversation;
    this.onChange = onChange;
    this.onSendTo = onSendTo;
    /** @type {{limit: number, needs: number} | null} what was refused last */
    this.refused = null;
    /** @type {any} */ this.timer = undefined;
    /** Of several fetches the newest counts. */
    this.fetches = 0;
    dock.addEventListener("click", (event) => this.#click(event));
    dock.addEventListener("submit", (event) => this.#submit(event));
    this.#show();
  }

  get isUp() {
    return this.#section !== null;
  }

  /** @param {{quota: number, needs: number}} frame @returns {Promise<boolean>} whether the wall says it */
  async refuse({ quota, needs }) {
    this.refused = { limit: quota, needs };
    await this.refresh();
    this.#section?.scrollIntoView({ block: "nearest" });
    return this.isUp;
  }

  /** Another model, or a wish that was taken: what was refused before says nothing any more. */
  forget() {
    this.refused = null;
    return this.refresh();
  }

  async refresh() {
    const number = ++this.fetches;
    const page = await fetchPartial(`/limits/?${this.#question()}`);
    const fresh = page?.querySelector("[data-quota]");
    if (!fresh || number !== this.fetches || this.#isBeingWritten) return;
    this.#root?.replaceWith(document.adoptNode(fresh));
    this.#show();
  }

  get #root() {
    return /** @type {HTMLElement | null} */ (this.dock.querySelector("[data-quota]"));
  }

  get #section() {
    return /** @type {HTMLElement | null} */ (this.dock.querySelector("[data-wall]"));
  }

  get #isBeingWritten() {
    const field = /** @type {HTMLTextAreaElement | null} */ (this.dock.querySelector(".wall__ask:not([hidden]) textarea"));
    return field !== null && (field.value.trim() !== "" || field === document.activeElement);
  }

  #question() {
    const asked = new URLSearchParams({ model: this.model() });
    const conversation = this.conversation();
    if (conversation) asked.set("conversation", conversation);
    if (this.refused) {
      asked.set("limit", String(this.refused.limit));
      asked.set("needs", String(this.refused.needs));
    }
    return asked;
  }

  #show() {
    const line = /** @type {HTMLElement | null} */ (document.querySelector("[data-quota-warning]"));
    const warning = this.#root?.dataset.warning ?? "";
    if (line) {
      line.textContent = warning;
      line.hidden = warning === "";
    }
    this.onChange(this.isUp);
    this.#lookAgain();
  }

  /** The time that is left goes down, and at its end the wall goes. */
  #lookAgain() {
    clearTimeout(this.timer);
    if (!this.isUp) return;
    const resets = Number(this.#section?.dataset.resets ?? 0) * 1000 - Date.now();
    const pause = resets > 0 ? Math.min(resets + 1000, MINUTE_MS) : MINUTE_MS;
    this.timer = setTimeout(() => (document.hidden ? this.#lookAgain() : this.refresh()), pause);
  }

  /** @param {Event} event */
  #click(event) {
    const target = /** @type {Element} */ (event.target);
    const way = target.closest("[data-send-to]");
    if (way instanceof HTMLElement) this.onSendTo(way.dataset.sendTo ?? "");
    const more = target.closest("[data-more]");
    if (more instanceof HTMLElement) this.#openForm(more);
    const answer = target.closest("[data-read]")?.closest("[data-answer]");
    if (answer instanceof HTMLElement) this.#read(answer);
  }

  /** @param {HTMLElement} button */
  #openForm(button) {
    const form = /** @type {HTMLFormElement} */ (this.dock.querySelector(".wall__ask"));
    form.hidden = !form.hidden;
    button.setAttribute("aria-expanded", String(!form.hidden));
    if (!form.hidden) form.querySelector("textarea")?.focus();
  }

  /** @param {HTMLElement} answer */
  #read(answer) {
    answer.remove();
    post("/limits/read/", { request: answer.dataset.answer ?? "" });
  }

  /** @param {Event} event */
  async #submit(event) {
    const form = /** @type {Element} */ (event.target).closest(".wall__ask");
    if (!(form instanceof HTMLFormElement)) return;
    event.preventDefault();
    const field = /** @type {HTMLTextAreaElement} */ (form.querySelector("textarea"));
    const isAsked = await post("/limits/ask/", { limit: this.#section?.dataset.wall ?? "", reason: field.value });
    if (!isAsked) return toast(this.words.say("not_asked"));
    field.value = "";
    field.blur();
    await this.refresh();
  }
}
