// @ts-check
// The page of the box: fetched again every few seconds while somebody looks at it.
import { fetchPartial, renew } from "./partial.js";

const PAUSE_MS = 5_000;

/** @param {boolean} isLive */
function mark(isLive) {
  for (const [which, isShown] of /** @type {[string, boolean][]} */ ([["[data-live]", isLive], ["[data-stale]", !isLive]])) {
    const line = document.querySelector(which);
    if (line instanceof HTMLElement) line.hidden = !isShown;
  }
}

async function refresh() {
  const page = await fetchPartial("/box/live/");
  for (const which of ["[data-box]", "[data-glance]"]) renew(document, page, which);
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
