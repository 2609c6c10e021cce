// @ts-check
// A button and the menu or list it opens: closes by Escape, by a click elsewhere, moves by arrows, Home and End.

export class Menu {
  /** @param {HTMLElement} button @param {HTMLElement} panel */
  constructor(button, panel) {
    this.button = button;
    this.panel = panel;
    button.addEventListener("click", () => (panel.hidden ? this.open() : this.close()));
    panel.addEventListener("keydown", (event) => this.#key(event));
    document.addEventListener("pointerdown", (event) => {
      const target = /** @type {Node} */ (event.target);
      if (!panel.hidden && !panel.contains(target) && !button.contains(target)) this.close(false);
    });
  }

  get items() {
    return /** @type {HTMLElement[]} */ ([...this.panel.querySelectorAll("[role=menuitem], [role=menuitemradio], [role=option]")]);
  }

  open() {
    this.panel.hidden = false;
    this.button.setAttribute("aria-expanded", "true");
    const chosen = this.items.find((item) => item.getAttribute("aria-selected") === "true");
    (chosen ?? this.items[0])?.focus();
  }

  close(returnsFocus = true) {
    this.panel.hidden = true;
    this.button.setAttribute("aria-expanded", "false");
    if (returnsFocus) this.button.focus();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const { items } = this;
    const at = items.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    const moves = /** @type {Record<string, number>} */ ({
      ArrowDown: (at + 1) % items.length, ArrowUp: (at - 1 + items.length) % items.length, Home: 0, End: items.length - 1,
    });
    if (event.key in moves) items[moves[event.key]]?.focus();
    else if (event.key === "Escape") this.close();
    else if (event.key === "Tab") return this.close(false);
    else if ((event.key === "Enter" || event.key === " ") && items[at]?.getAttribute("role") === "option") items[at].click();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
