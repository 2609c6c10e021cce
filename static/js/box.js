// @ts-check
// The page of the box: fetched again every few seconds while somebody looks at it.
import { fetchPartial } from "./partial.js";

const PAUSE_MS = 5_000;

/** Puts the fresh piece in place of the shown one, but only where it says something else. @param {Document} page @param {string} which */
function replace(page, which) {
  const shown = document.querySelector(which);
  const fresh = page.querySelector(which);
  if (!shown || !fresh) return;
  if (which === "[data-glance]") fresh.setAttribute("aria-current", "page");
  if (!shown.isEqualNode(fresh)) shown.replaceWith(document.adoptNode(fresh));
}

/** @param {boolean} isLive */
function mark(isLive) {
  for (const [which, isShown] of /** @type {[string, boolean][]} */ ([["[data-live]", isLive], ["[data-stale]", !isLive]])) {
    const line = document.querySelector(which);
    if (line instanceof HTMLElement) line.hidden = !isShown;
  }
}

async function refresh() {
  const page = await fetchPartial("/box/live/");
  if (page) {
    replace(page, "[data-box]");
    replace(page, "[data-glance]");
  }
  mark(page !== null);
}

async function run() {
  if (!document.hidden) await refresh();
  setTimeout(run, PAUSE_MS);
}

mark(true);
setTimeout(run, PAUSE_MS);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refresh();
});
