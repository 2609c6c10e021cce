// @ts-check
// The set-up of a box: what changes by itself is fetched again while somebody looks at it; a link is copied.
import { copyText } from "./clipboard.js";
import { fetchPartial } from "./partial.js";

const PAUSE_MS = 2_000;

/** Puts fresh pieces in place of those that say something else; one that holds the focus stays. @param {Document} page */
function replacePieces(page) {
  for (const fresh of page.querySelectorAll("[data-piece]")) {
    const shown = document.querySelector(`[data-piece="${fresh.getAttribute("data-piece")}"]`);
    if (!shown || shown.isEqualNode(fresh) || shown.contains(document.activeElement)) continue;
    shown.replaceWith(document.adoptNode(fresh));
  }
}

async function run() {
  const page = document.hidden ? null : await fetchPartial("/setup/box/live/");
  if (page) replacePieces(page);
  setTimeout(run, PAUSE_MS);
}

/** @param {HTMLElement} button */
async function copy(button) {
  const field = document.getElementById(button.dataset.copy ?? "");
  const label = button.querySelector("[data-label]");
  if (!(field instanceof HTMLInputElement) || !label) return;
  const isCopied = await copyText(field.value);
  label.textContent = (isCopied ? button.dataset.copied : button.dataset.failed) ?? "";
  if (!isCopied) field.select();
}

document.addEventListener("click", (event) => {
  const button = event.target instanceof Element ? event.target.closest("[data-copy]") : null;
  if (button instanceof HTMLElement) copy(button);
});
setTimeout(run, PAUSE_MS);
