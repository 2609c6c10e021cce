// @ts-check
// The list of conversations: kept fresh, renamed in place, deleted with Undo; a drawer on the phone.
import { Menu } from "./menu.js";
import { fetchPartial, post, renew } from "./partial.js";
import { toast } from "./toast.js";

const PAUSE_MS = 60_000;
/** How full the box is. */
const GLANCE = "[data-glance]";

export class Sidebar {
  /** @param {HTMLElement} root @param {{words: import("./i18n.js").Words, current: () => string | null}} options */
  constructor(root, { words, current }) {
    this.root = root;
    this.words = words;
    this.current = current;
    this.list = /** @type {HTMLElement} */ (root.querySelector("[data-list]"));
    /** @type {Map<string, {text: string, kind: string}>} live word per conversation */
    this.states = new Map();
    this.isFetching = false;
    this.isStale = false;
    this.#drawer();
    const look = async () => document.hidden || renew(root, await fetchPartial("/conversations/"), GLANCE);
    document.addEventListener("visibilitychange", look);
    setInterval(look, PAUSE_MS);
    const account = root.querySelector(".account");
    const panel = root.querySelector("[data-account-menu]");
    if (account instanceof HTMLElement && panel instanceof HTMLElement) new Menu(account, panel);
  }

  /** Fetches the list again; calls during a fetch end in one more. */
  async refresh() {
    this.isStale = true;
    if (this.isFetching) return;
    this.isFetching = true;
    while (this.isStale) {
      this.isStale = false;
      const page = await fetchPartial("/conversations/");
      const fresh = page?.querySelector("[data-list]");
      if (fresh && !this.list.querySelector("input")) this.list.replaceChildren(...document.adoptNode(fresh).childNodes);
      renew(this.root, page, GLANCE);
      this.mark();
    }
    this.isFetching = false;
  }

  /** Marks the open conversation and writes the live words. */
  mark() {
    for (const link of this.list.querySelectorAll("[data-conversation]")) {
      const id = /** @type {HTMLElement} */ (link).dataset.conversation ?? "";
      if (id === this.current()) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
      const state = this.states.get(id);
      const place = link.querySelector("[data-state-word]");
      if (state && place) {
        place.textContent = state.text;
        /** @type {HTMLElement} */ (place.parentElement).className = `conversation__state conversation__state--${state.kind}`;
        /** @type {HTMLElement} */ (place.previousElementSibling).className = `dot dot--${state.kind}`;
      }
    }
  }

  /** @param {string} id @returns {string} newest message of that conversation, as the list knows it */
  leafOf(id) {
    return this.#link(id)?.dataset.leaf ?? "";
  }

  /** @param {string} id @returns {string} */
  titleOf(id) {
    return this.#link(id)?.querySelector(".conversation__title")?.textContent ?? "";
  }

  /** @param {string} id @param {{text: string, kind: string} | null} state */
  setState(id, state) {
    if (state) this.states.set(id, state);
    else this.states.delete(id);
    this.mark();
  }

  /** @param {string} id @param {(title: string) => void} onRenamed */
  rename(id, onRenamed) {
    const link = this.#link(id);
    if (!link) return;
    this.#show(true);
    const label = /** @type {HTMLElement} */ (link.querySelector(".conversation__title"));
    const before = label.textContent ?? "";
    const field = document.createElement("input");
    field.className = "input conversation__rename";
    field.maxLength = 200;
    field.value = before;
    field.setAttribute("aria-label", this.words.say("rename"));
    link.before(field);
    link.hidden = true;
    field.focus();
    field.select();
    let isOver = false;
    const end = async (/** @type {boolean} */ isKept) => {
      if (isOver) return;
      isOver = true;
      const title = field.value.trim();
      field.remove();
      link.hidden = false;
      if (!isKept || !title || title === before) return;
      label.textContent = title;
      if (await post(`/c/${id}/rename/`, { title })) onRenamed(title);
      else label.textContent = before;
    };
    field.addEventListener("blur", () => end(true));
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.isComposing) end(true);
      if (event.key === "Escape") end(false);
    });
  }

  /** @param {string} id @param {string} title @param {() => void} onGone */
  async remove(id, title, onGone) {
    if (!(await post(`/c/${id}/delete/`))) {
      toast(this.words.say("not_deleted"));
      return;
    }
    await this.refresh();
    onGone();
    const undo = async () => {
      if (await post(`/c/${id}/restore/`)) location.assign(`/c/${id}/`);
    };
    toast(this.words.say("deleted", { title }), { label: this.words.say("undo"), undo });
  }

  /** @param {string} id @returns {HTMLElement | null} */
  #link(id) {
    return this.list.querySelector(`[data-conversation="${CSS.escape(id)}"]`);
  }

  /** A drawer on the phone, a column on the desk. @param {boolean} isOpen */
  #show(isOpen) {
    this.root.classList.toggle("is-open", isOpen && isPhone());
    document.body.classList.toggle("is-wide", !isOpen && !isPhone());
    document.querySelector(".topbar__menu")?.setAttribute("aria-expanded", String(isOpen));
  }

  #drawer() {
    const opener = document.querySelector(".topbar__menu");
    const hide = this.root.querySelector("[data-hide]");
    const set = (/** @type {boolean} */ isOpen) => this.#show(isOpen);
    opener?.addEventListener("click", () => {
      set(true);
      /** @type {HTMLElement | null} */ (this.root.querySelector("a, button"))?.focus();
    });
    hide?.addEventListener("click", () => set(false));
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.root.classList.remove("is-open");
      if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === "b") {
        event.preventDefault();
        set(isPhone() ? !this.root.classList.contains("is-open") : document.body.classList.contains("is-wide"));
      }
    });
    document.addEventListener("pointerdown", (event) => {
      if (!this.root.contains(/** @type {Node} */ (event.target))) this.root.classList.remove("is-open");
    });
  }
}

const isPhone = () => matchMedia("(max-width: 860px)").matches;
