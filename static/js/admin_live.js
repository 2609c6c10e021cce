// @ts-check
// Pages of the admin that change by themselves: their moving pieces are fetched again while somebody looks.
import { fetchPartial } from "./partial.js";

const PAUSE_MS = 3_000;
const KEY = "data-live";

/** @param {Element} piece */
const inner = (piece) => [...piece.querySelectorAll(`[${KEY}]`)];
/** @param {Element} piece */
const keys = (piece) => inner(piece).map((each) => each.getAttribute(KEY)).join();

/**
 * Only what says something else is replaced, as small as it can be: a button under a finger stays.
 * @param {Element} shown @param {Element} fresh
 */
function renew(shown, fresh) {
  if (shown.isEqualNode(fresh)) return;
  const parts = inner(shown);
  if (parts.length > 0 && keys(shown) === keys(fresh)) {
    const news = inner(fresh);
    parts.forEach((part, index) => renew(part, news[index]));
  } else {
    shown.replaceWith(document.adoptNode(fresh));
  }
}

/** @param {Document} page */
function renewAll(page) {
  for (const fresh of [...page.querySelectorAll(`[${KEY}]`)]) {
    if (fresh.parentElement?.closest(`[${KEY}]`)) continue;
    const shown = document.querySelector(`[${KEY}="${fresh.getAttribute(KEY)}"]`);
    if (shown) renew(shown, fresh);
  }
}

async function refresh() {
  const url = document.querySelector("[data-live-url]")?.getAttribute("data-live-url");
  const page = url ? await fetchPartial(url) : null;
  if (page) renewAll(page);
}

async function run() {
  if (!document.hidden) await refresh();
  setTimeout(run, PAUSE_MS);
}

setTimeout(run, PAUSE_MS);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refresh();
});
