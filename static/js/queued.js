// @ts-check
// The next question, written while an answer runs: one chip above the field, kept until it is sent.
import { uuid } from "./protocol.js";

/** @typedef {{key: string, text: string}} Next key: of the wish, so that two tabs that send it make one question */

export class Queued {
  /**
   * @param {HTMLElement} root
   * @param {{drafts: import("./drafts.js").Drafts, place: string, onEdit: (text: string) => void}} options
   */
  constructor(root, { drafts, place, onEdit }) {
    this.root = root;
    this.drafts = drafts;
    this.place = place;
    /** @type {Next | null} */
    this.next = this.#stored();
    this.isStored = this.next !== null;
    root.querySelector("[data-edit]")?.addEventListener("click", () => onEdit(this.take()?.text ?? ""));
    root.querySelector("[data-remove]")?.addEventListener("click", () => this.take());
    this.#draw();
  }

  /** @param {string} text joins what waits already */
  put(text) {
    this.#keep({ key: uuid(), text: this.next ? `${this.next.text}\n${text}` : text });
  }

  /** @returns {Next | null} null where nothing waits, or another tab has taken it */
  take() {
    const next = this.isStored ? this.#stored() : this.next;
    this.#keep(null);
    return next;
  }

  /** @param {string} place a new chat has got its conversation */
  moveTo(place) {
    const next = this.take();
    this.place = place;
    this.#keep(next);
  }

  /** The conversation is gone; what waited there comes back with it. */
  startAnew() {
    this.place = "new";
    this.next = null;
    this.#draw();
  }

  /** @param {Next | null} next */
  #keep(next) {
    this.next = next;
    const text = next ? JSON.stringify(next) : "";
    this.drafts.keep(this.#slot, text);
    this.isStored = next !== null && this.drafts.read(this.#slot) === text;
    this.#draw();
  }

  /** @returns {Next | null} */
  #stored() {
    return JSON.parse(this.drafts.read(this.#slot) || "null");
  }

  get #slot() {
    return `${this.place}.next`;
  }

  #draw() {
    this.root.hidden = this.next === null;
    /** @type {HTMLElement} */ (this.root.querySelector("[data-text]")).textContent = this.next?.text ?? "";
  }
}
