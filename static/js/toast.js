// @ts-check
// A line at the lower edge that offers Undo while there is time.

/** @type {HTMLElement | null} */
let shown = null;

/**
 * @param {string} sentence
 * @param {{label?: string, undo?: () => void, ms?: number}} [options]
 */
export function toast(sentence, { label, undo, ms = 10_000 } = {}) {
  shown?.remove();
  const line = document.createElement("p");
  line.className = "toast";
  line.setAttribute("role", "status");
  line.append(sentence);
  if (undo && label) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "toast__undo";
    button.textContent = label;
    button.addEventListener("click", () => {
      line.remove();
      undo();
    });
    line.append(button);
  }
  document.body.append(line);
  // What was deleted took the focus with it.
  line.querySelector("button")?.focus({ preventScroll: true });
  shown = line;
  setTimeout(() => line.remove(), ms);
}
