// @ts-check
// Lines about models that have got ready: they come by the doorbell, and stay until they are read.
import { fetchPartial, post } from "./partial.js";

export class ReadyLines {
  /** @param {HTMLElement} root @param {{onAsk?: (model: string) => boolean}} [options] onAsk: whether the page took it itself */
  constructor(root, { onAsk = () => false } = {}) {
    this.root = root;
    this.onAsk = onAsk;
    root.addEventListener("click", (event) => this.#click(event));
  }

  /** @returns {Map<string, string>} model → its sentence */
  get shown() {
    return sentences(this.root);
  }

  async refresh() {
    const page = await fetchPartial("/ready/");
    const fresh = page?.querySelector("[data-ready-lines]");
    if (!(fresh instanceof HTMLElement)) return;
    const before = this.shown;
    const after = sentences(fresh);
    const isSame = [...before.keys()].join() === [...after.keys()].join();
    if (!isSame) this.root.replaceChildren(...document.adoptNode(fresh).childNodes);
    for (const [model, sentence] of after) if (!before.has(model)) notify(model, sentence);
  }

  /** @param {Event} event */
  async #click(event) {
    const target = /** @type {Element} */ (event.target).closest("[data-dismiss], [data-ask]");
    const line = target?.closest("[data-ready-model]");
    if (!(target instanceof HTMLElement) || !(line instanceof HTMLElement)) return;
    const model = line.dataset.readyModel ?? "";
    event.preventDefault();
    line.remove();
    const isRead = post("/ready/forget/", { model });
    if ("dismiss" in target.dataset || this.onAsk(model)) return;
    await isRead;
    location.assign(/** @type {HTMLAnchorElement} */ (target).href);
  }
}

/** @param {HTMLElement} root @returns {Map<string, string>} */
function sentences(root) {
  const lines = /** @type {HTMLElement[]} */ ([...root.querySelectorAll("[data-ready-model]")]);
  return new Map(lines.map((line) => [line.dataset.readyModel ?? "", line.querySelector("[data-text]")?.textContent ?? ""]));
}

/** Only to who looks elsewhere, and allowed it. @param {string} model @param {string} sentence */
function notify(model, sentence) {
  const mayNotify = isSecureContext && "Notification" in window && Notification.permission === "granted";
  if (mayNotify && document.hidden) new Notification(sentence, { tag: `ready ${model}` });
}
