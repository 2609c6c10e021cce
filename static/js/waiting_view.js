// @ts-check
// The waiting card, where the answer will be.
import { element } from "./thinking.js";
import { icon } from "./icons.js";
import { fetchPartial } from "./partial.js";
import { waitingWords } from "./waiting_words.js";

/** Other models are offered to who waits longer than this, and looked at again after a while. */
const SOON_SECONDS = 5;
const OTHERS_MS = 10_000;
const AGAIN_MS = 2_000;

/** @param {HTMLElement} into @param {import("./i18n.js").Words} words @param {import("./waiting_words.js").Waiting | null} waiting */
export function drawWaiting(into, words, waiting) {
  if (!waiting) {
    into.replaceChildren();
    return;
  }
  const said = waitingWords(words, waiting, performance.now());
  const card = into.querySelector(".waiting") ?? build(into, words);
  for (const part of /** @type {const} */ (["place", "time", "why"])) {
    const line = /** @type {HTMLElement} */ (card.querySelector(`.waiting__${part}`));
    if (part === "time" && said.wait) writeStrong(line, said.time, said.wait);
    else write(line, said[part]);
    line.hidden = said[part] === "";
  }
  drawBar(/** @type {HTMLProgressElement} */ (card.querySelector("progress")), said.percent, said.why);
  const ready = /** @type {HTMLElement} */ (card.querySelector(".waiting__bar-label"));
  write(ready, said.ready);
  ready.hidden = said.ready === "" || said.percent === null;
  drawLine(/** @type {HTMLElement} */ (card.querySelector(".line")), said.line);
  drawBell(/** @type {HTMLElement} */ (card.querySelector(".waiting__foot")), words, said.bell);
  drawPulls(/** @type {HTMLElement} */ (card.querySelector(".waiting__foot")), words, said.pulls);
  const others = /** @type {HTMLElement} */ (card.querySelector(".waiting__others"));
  others.dataset.wait = said.wait;
  tellWait(others, others);
  offerOthers(others, waiting);
}

/** The places from the first to one's own: as many dots as there are. @param {HTMLElement} line @param {string[]} places */
function drawLine(line, places) {
  line.hidden = places.length === 0;
  if ([...line.children].map((each) => each.textContent).join() === places.join()) return;
  line.replaceChildren(...places.map((text, at) => {
    const isYou = at === places.length - 1;
    const place = element("li", `line__place ${isYou ? "line__place--you" : at === 0 ? "line__place--next" : ""}`);
    if (isYou) place.setAttribute("aria-current", "true");
    place.append(element("span", "line__dot"), text);
    return place;
  }));
}

/** What waiting on would take. @param {HTMLElement} others @param {Element} choices */
function tellWait(others, choices) {
  const own = choices.querySelector(".choice__time[data-wait]");
  if (own) write(own, others.dataset.wait ?? "");
}

/** Ways to an earlier answer, as they are now. @param {HTMLElement} into @param {import("./waiting_words.js").Waiting} waiting */
async function offerOthers(into, waiting) {
  const article = /** @type {HTMLElement | null} */ (into.closest("[data-generation]"));
  const now = performance.now();
  if (!article || now < Number(into.dataset.due ?? 0) || (waiting.high !== null && waiting.high < SOON_SECONDS)) return;
  into.dataset.due = String(now + OTHERS_MS);
  const page = await fetchPartial(`/models/others/?generation=${encodeURIComponent(article.dataset.generation ?? "")}`);
  const fresh = page?.querySelector(".choices");
  if (!fresh) into.dataset.due = String(performance.now() + AGAIN_MS);
  if (fresh) tellWait(into, fresh);
  // Who stands on a choice with the keyboard stays there while nothing has changed.
  if (into.firstElementChild && fresh?.isEqualNode(into.firstElementChild)) return;
  into.replaceChildren(...(fresh ? [document.adoptNode(fresh)] : []));
}

/** @param {HTMLProgressElement} bar @param {number | null} percent @param {string} label */
function drawBar(bar, percent, label) {
  bar.hidden = percent === null;
  if (percent !== null) bar.value = percent;
  bar.setAttribute("aria-label", label);
}

/** @param {HTMLElement} foot @param {import("./i18n.js").Words} words @param {{key: string, name: string} | null} bell */
function drawBell(foot, words, bell) {
  const shown = /** @type {HTMLElement | null} */ (foot.querySelector("[data-tell-me]"));
  if (shown?.dataset.tellMe === bell?.key) return;
  shown?.remove();
  /** @type {HTMLElement} */ (foot.querySelector("[data-action=note]")).hidden = Boolean(bell);
  if (!bell) return;
  const elsewhere = document.querySelector(`[data-tell-me="${CSS.escape(bell.key)}"]`);
  const button = action("bell", words.say("tell_me"));
  button.classList.add("tell-me");
  button.dataset.tellMe = bell.key;
  button.setAttribute("aria-label", words.say("tell_me_of", { name: bell.name }));
  button.setAttribute("aria-pressed", elsewhere?.getAttribute("aria-pressed") ?? "false");
  foot.prepend(button);
}

/** @param {HTMLElement} foot @param {import("./i18n.js").Words} words @param {string} address '' = no way there */
function drawPulls(foot, words, address) {
  const shown = foot.querySelector("a.waiting__pulls");
  if (!address) shown?.remove();
  if (!address || shown) return;
  const link = element("a", "button button--small waiting__pulls");
  link.setAttribute("href", address);
  link.textContent = words.say("see_pulls");
  foot.prepend(link);
}

/** Speaks to a screen reader only when the words change. @param {Element} line @param {string} text */
function write(line, text) {
  if (line.textContent !== text) line.textContent = text;
}

/** The same, with the part of the sentence that counts. @param {Element} line @param {string} text @param {string} strong */
function writeStrong(line, text, strong) {
  if (line.textContent === text) return;
  const [before, ...after] = text.split(strong);
  if (after.length === 0) return write(line, text);
  const bold = element("strong", "");
  bold.textContent = strong;
  line.replaceChildren(before, bold, after.join(strong));
}

/** @param {HTMLElement} into @param {import("./i18n.js").Words} words @returns {HTMLElement} the card */
function build(into, words) {
  const card = element("section", "waiting");
  const main = element("div", "waiting__main");
  const head = element("div", "waiting__head");
  head.setAttribute("role", "status");
  head.append(element("h2", "waiting__place"), element("p", "waiting__time"));
  const bar = element("progress", "bar bar--loading waiting__bar");
  bar.setAttribute("max", "100");
  const line = element("ol", "line");
  line.setAttribute("aria-label", words.say("line.name"));
  main.append(head, element("p", "waiting__why"), bar, element("p", "waiting__bar-label"), line);
  const foot = element("div", "waiting__foot");
  const note = action("bell", words.say("note_start"));
  note.dataset.action = "note";
  note.setAttribute("aria-pressed", "false");
  const cancel = action("close", words.say("cancel"));
  cancel.dataset.action = "stop";
  const promise = element("span", "waiting__promise");
  promise.textContent = words.say("keeps_place");
  foot.append(note, cancel, promise);
  card.append(main, element("div", "waiting__others"), foot);
  into.replaceChildren(card);
  return card;
}

/** @param {string} picture @param {string} label @returns {HTMLElement} */
function action(picture, label) {
  const button = element("button", "button button--small button--quiet");
  button.setAttribute("type", "button");
  button.append(icon(picture, "icon--small"), label);
  return button;
}
