// @ts-check
// What the waiting card says: place, time, reason, how far a load is. No DOM.

/**
 * @typedef {{ahead: number, low: number | null, high: number | null, told: number, reason: any}} Waiting
 *   `low` and `high`: seconds from `told` (ms, this page's own clock) between which the answer should begin
 */
/**
 * @typedef {{place: string, time: string, wait: string, why: string, percent: number | null, ready: string, line: string[],
 *   bell: {key: string, name: string} | null, pulls: string}} Card
 *   `wait`: `time` in short; `ready`: of a load beside a longer `time`; `line`: the first in it to oneself, [] = no line;
 *   `pulls`: where a pull can be helped on, for who may
 */

/** Waiting for a place, not for a model: there is nothing to be told of. */
const WARM = ["ahead", "next", "your_cap", "overtaken", "makes_way", "no_runner"];
/** Waiting for files that nobody brings by himself. */
const WITHOUT_FILES = ["pull_paused", "not_pulled", "pull_failed"];
/** Here `until` is the end of a pin, elsewhere that of the waiting. */
const PINNED = "no_room_pinned";
/** Places ahead that have a dot of their own; others share one. */
const OWN_DOTS = 3;

/** @param {import("./i18n.js").Words} words @param {Waiting} waiting @param {number} [now] ms @returns {Card} */
export function waitingWords(words, waiting, now = waiting.told) {
  const code = waiting.reason?.code ?? "";
  const args = waiting.reason?.args ?? {};
  const isCold = !WARM.includes(code) && Boolean(args.key);
  const begins = time(words, waiting, now, "starts");
  const ready = args.seconds ? words.say("ready_in", { n: args.seconds }) : "";
  return {
    place: place(words, code, waiting.ahead),
    time: begins || ready,
    wait: time(words, waiting, now, "wait"),
    why: why(words, code, { ...args, place: waiting.ahead + 1 }),
    percent: typeof args.percent === "number" ? args.percent : null,
    ready: begins ? ready : "",
    line: words.has(`place.${code}`) ? [] : line(words, waiting.ahead),
    bell: isCold ? { key: args.key, name: args.model ?? "" } : null,
    pulls: WITHOUT_FILES.includes(code) && words.has("pulls_page") ? words.say("pulls_page") : "",
  };
}

/** @param {import("./i18n.js").Words} words @param {number} ahead */
function line(words, ahead) {
  if (ahead < 1) return [];
  const own = ["next", "second", "third"].slice(0, ahead > OWN_DOTS ? OWN_DOTS - 1 : ahead).map((each) => words.say(`line.${each}`));
  const more = ahead > OWN_DOTS ? [words.say("line.more", { n: ahead - own.length })] : [];
  return [...own, ...more, words.say("line.you")];
}

/** Nobody's turn comes before the files do. @param {import("./i18n.js").Words} words @param {string} code @param {number} ahead */
function place(words, code, ahead) {
  if (words.has(`place.${code}`)) return words.say(`place.${code}`);
  return ahead > 0 ? words.say("ahead", { n: ahead }) : words.say("next");
}

/** @param {import("./i18n.js").Words} words @param {string} code @param {any} args */
function why(words, code, args) {
  const named = {
    ...args,
    host: words.has(`host.${args.host}`) ? words.say(`host.${args.host}`) : args.host ?? "",
    other: args.other || words.say("another_model"),
    time: args.until ? words.time(new Date(args.until)) : "",
  };
  // Chinese sentences keep a space on each side of a name, for Latin ones; beside a Chinese name it goes.
  const sentence = words.say(key(words, code, args), named).replace(/([\u3400-\u9fff]) (?=[\u3400-\u9fff])/g, "$1");
  const cause = `${code === "pull_failed" ? "pull" : "load"}.${args.detail}`;
  const detail = words.has(cause) ? words.say(cause) : "";
  const end = args.until && code !== PINNED ? words.say("ends_at", named) : "";
  return [sentence, detail, end].filter(Boolean).join(words.language.startsWith("zh") ? "" : " ");
}

/** The sentence that names most of what is known. @param {import("./i18n.js").Words} words @param {string} code @param {any} args */
function key(words, code, args) {
  if (code === "loading" && typeof args.percent === "number") return "loading.percent";
  if (code === PINNED && args.until) return "pinned.until";
  return words.has(`waiting.${code}`) ? `waiting.${code}` : "waiting.unknown";
}

/** "starts in about 40–70 s": counted down from when it was told. @param {import("./i18n.js").Words} words @param {Waiting} waiting @param {number} now @param {string} style */
function time(words, waiting, now, style) {
  if (typeof waiting.low !== "number" || typeof waiting.high !== "number") return "";
  const passed = (now - waiting.told) / 1000;
  const high = waiting.high - passed;
  if (high < 1) return words.say(`${style}.any_moment`);
  return range(words, Math.max(0, waiting.low - passed), high, style);
}

/** As coarse as it is far. @param {import("./i18n.js").Words} words @param {number} low s @param {number} high s @param {string} [style] "starts", or "wait" for a column */
export function range(words, low, high, style = "starts") {
  const isLong = high >= 120;
  const step = isLong ? 60 : high > 20 ? 5 : 1;
  const [from, to] = [Math.floor(low / step) * step, Math.ceil(high / step) * step].map((each) => each / (isLong ? 60 : 1));
  const unit = isLong ? "minutes" : "seconds";
  if (from <= 0) return words.say(`${style}.within_${unit}`, { n: to });
  return from === to ? words.say(`${style}.in_${unit}`, { n: to }) : words.say(`${style}.between_${unit}`, { low: from, n: to });
}
