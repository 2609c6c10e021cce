// @ts-check
// The model picker: a grid of models, each with its state, its wait and a bell; fetched anew when it is opened.
import { ChoiceKeys } from "./choice_keys.js";
import { fetchPartial } from "./partial.js";

/** What is shown under the field is read again when somebody begins to write after this long. */
const STALE_MS = 20_000;

export class Picker {
  /**
   * @param {HTMLElement} form the composer
   * @param {{words: import("./i18n.js").Words, onChoose: (row: DOMStringMap) => void}} options
   */
  constructor(form, { words, onChoose }) {
    this.words = words;
    this.onChoose = onChoose;
    this.opener = /** @type {HTMLElement} */ (form.querySelector(".model-button"));
    this.panel = /** @type {HTMLElement | null} */ (form.querySelector(".picker"));
    this.model = form.dataset.model ?? "";
    this.keys = new ChoiceKeys();
    this.readAt = performance.now();
    this.isFetching = false;
    if (!this.panel) return;
    this.#listen(this.panel);
    form.querySelector("textarea")?.addEventListener("focus", () => this.#refreshIfStale());
  }

  get rows() {
    return /** @type {HTMLElement[]} */ ([...(this.panel?.querySelectorAll("[data-model]") ?? [])]);
  }

  /** @param {string} key @returns {boolean} whether there is such a model to choose */
  chooseKey(key) {
    const row = this.rows.find((each) => each.dataset.model === key);
    if (row) this.#choose(row);
    return row !== undefined;
  }

  /** @param {string} key */
  nameOf(key) {
    return this.rows.find((each) => each.dataset.model === key)?.dataset.name ?? key;
  }

  open() {
    if (!this.panel) return;
    this.panel.hidden = false;
    this.opener.setAttribute("aria-expanded", "true");
    this.#focus(Math.max(0, this.rows.findIndex((row) => row.dataset.model === this.model)));
    this.refresh();
  }

  close(returnsFocus = true) {
    if (!this.panel || this.panel.hidden) return;
    this.panel.hidden = true;
    this.opener.setAttribute("aria-expanded", "false");
    if (returnsFocus) this.opener.focus();
  }

  /** States, waits and prices as they are now; calls during a fetch are answered by it. */
  async refresh() {
    if (!this.panel || this.isFetching) return;
    this.isFetching = true;
    const page = await fetchPartial(`/models/choices/?model=${encodeURIComponent(this.model)}`);
    this.isFetching = false;
    this.readAt = performance.now();
    if (page) this.#take(page);
  }

  #refreshIfStale() {
    if (performance.now() - this.readAt > STALE_MS) this.refresh();
  }

  /** @param {Document} page */
  #take(page) {
    const at = this.#at();
    const isOnBell = document.activeElement?.matches("[data-tell-me]") ?? false;
    for (const which of ["[data-choices]", "[data-notes]"]) {
      const shown = document.querySelector(which);
      const fresh = page.querySelector(which);
      if (shown && fresh && !shown.isEqualNode(fresh)) shown.replaceWith(document.adoptNode(fresh));
    }
    if (at >= 0) this.#focus(Math.min(at, this.rows.length - 1), isOnBell);
    const row = this.rows.find((each) => each.dataset.model === this.model);
    if (row) this.#mark(row);
    this.#showNote();
  }

  /** Another model may have been chosen since the notes were asked for. */
  #showNote() {
    for (const note of document.querySelectorAll("[data-note-for]")) {
      /** @type {HTMLElement} */ (note).hidden = /** @type {HTMLElement} */ (note).dataset.noteFor !== this.model;
    }
  }

  /** @param {HTMLElement} row */
  #choose(row) {
    if (row.getAttribute("aria-disabled") === "true") return;
    this.model = row.dataset.model ?? "";
    for (const other of this.rows) other.setAttribute("aria-selected", String(other === row));
    this.#mark(row);
    this.#showNote();
    this.onChoose(row.dataset);
    this.close();
  }

  /** The button shows what is chosen. @param {HTMLElement} row */
  #mark(row) {
    const name = row.dataset.name ?? "";
    /** @type {HTMLElement} */ (this.opener.querySelector("[data-name]")).textContent = name;
    this.opener.setAttribute("aria-label", this.words.say("model_is", { name }));
    /** @type {HTMLElement} */ (this.opener.querySelector(".dot")).className = row.querySelector(".dot")?.className ?? "";
  }

  /** @returns {number} index of the row that has the focus, -1 for none */
  #at() {
    return this.rows.findIndex((row) => row.contains(document.activeElement));
  }

  /** @param {number} at @param {boolean} [isBell] the bell beside the model, where it has one */
  #focus(at, isBell = false) {
    const row = this.rows[at];
    const bell = isBell ? row?.querySelector("[data-tell-me]") : null;
    /** @type {HTMLElement | null | undefined} */ (bell ?? row?.querySelector(".picker__option"))?.focus();
  }

  /** @param {HTMLElement} panel */
  #listen(panel) {
    this.opener.addEventListener("click", () => (panel.hidden ? this.open() : this.close()));
    panel.addEventListener("keydown", (event) => this.#key(event));
    panel.addEventListener("click", (event) => {
      const option = /** @type {HTMLElement} */ (event.target).closest(".picker__option");
      const row = /** @type {HTMLElement | null | undefined} */ (option?.parentElement);
      if (row) this.#choose(row);
    });
    panel.addEventListener("focusout", (event) => {
      const to = /** @type {Node | null} */ (event.relatedTarget);
      if (to && !panel.contains(to) && to !== this.opener) this.close(false);
    });
    document.addEventListener("pointerdown", (event) => {
      const target = /** @type {Node} */ (event.target);
      if (!panel.contains(target) && !this.opener.contains(target)) this.close(false);
    });
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = this.#at();
    if (event.key === "Escape") this.close();
    else if (at < 0) return;
    else if (event.key === "ArrowRight" || event.key === "ArrowLeft") this.#focus(at, event.key === "ArrowRight");
    else if (!this.#walk(event, at)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** @param {KeyboardEvent} event @param {number} at @returns {boolean} whether the key meant something here */
  #walk(event, at) {
    const isOnBell = document.activeElement?.matches("[data-tell-me]") ?? false;
    const next = this.keys.next(event.key, at, this.rows.map((row) => row.dataset.name ?? ""), event.timeStamp);
    if (next !== null) this.#focus(next, isOnBell);
    else if (!isOnBell && (event.key === "Enter" || event.key === " ")) this.#choose(this.rows[at]);
    else return false;
    return true;
  }
}
