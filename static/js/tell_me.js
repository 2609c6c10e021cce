// @ts-check
// 'Tell me when it is ready': every bell of a model on the page is pressed or not pressed together.
import { post } from "./partial.js";
import { mayNote } from "./start_note.js";
import { toast } from "./toast.js";

export class TellMe {
  /** @param {import("./i18n.js").Words} words */
  constructor(words) {
    this.words = words;
    document.addEventListener("click", (event) => {
      const bell = /** @type {Element} */ (event.target).closest("[data-tell-me]");
      if (bell instanceof HTMLElement) this.#press(bell);
    });
  }

  /** @param {HTMLElement} bell */
  async #press(bell) {
    const model = bell.dataset.tellMe ?? "";
    const isWanted = bell.getAttribute("aria-pressed") !== "true";
    this.#show(model, isWanted);
    if (isWanted) mayNote();
    if (await post(isWanted ? "/ready/wish/" : "/ready/forget/", { model })) return;
    this.#show(model, !isWanted);
    toast(this.words.say("wish_not_kept"));
  }

  /** @param {string} model @param {boolean} isWished */
  #show(model, isWished) {
    for (const bell of document.querySelectorAll(`[data-tell-me="${CSS.escape(model)}"]`)) {
      bell.setAttribute("aria-pressed", String(isWished));
    }
  }
}
