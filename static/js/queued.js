// @ts-check
// The next question, written while an answer runs: one chip above the field.

export class Queued {
  /** @param {HTMLElement} root @param {(text: string) => void} onEdit puts the text back into the field */
  constructor(root, onEdit) {
    this.root = root;
    this.text = "";
    root.querySelector("[data-edit]")?.addEventListener("click", () => onEdit(this.take()));
    root.querySelector("[data-remove]")?.addEventListener("click", () => this.take());
  }

  /** @param {string} text joins what waits already */
  put(text) {
    this.text = this.text ? `${this.text}\n${text}` : text;
    this.#draw();
  }

  /** @returns {string} empty where nothing waits */
  take() {
    const { text } = this;
    this.text = "";
    this.#draw();
    return text;
  }

  #draw() {
    this.root.hidden = this.text === "";
    /** @type {HTMLElement} */ (this.root.querySelector("[data-text]")).textContent = this.text;
  }
}
