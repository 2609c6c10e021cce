// @ts-check
// What the waiting card says: place, time, reason, how far a load is. No DOM.

/** @typedef {{ahead: number, yours: number, reason: any}} Waiting */
/** @typedef {{place: string, time: string, why: string, percent: number | null, bell: {key: string, name: string} | null}} Card */

/** Waiting for a place, not for a model: there is nothing to be told of. */
const WARM = ["ahead", "next", "your_cap", "no_runner"];
/** Here `until` is the end of a pin, elsewhere that of the waiting. */
const PINNED = "no_room_pinned";

/** @param {import("./i18n.js").Words} words @param {Waiting} waiting @returns {Card} */
export function waitingWords(words, waiting) {
  const code = waiting.reason?.code ?? "";
  const args = waiting.reason?.args ?? {};
  const isCold = !WARM.includes(code) && Boolean(args.key);
  return {
    place: waiting.ahead > 0 ? words.say("ahead", { n: waiting.ahead }) : words.say("next"),
    time: args.seconds ? words.say("ready_in", { n: args.seconds }) : "",
    why: why(words, code, args),
    percent: typeof args.percent === "number" ? args.percent : null,
    bell: isCold ? { key: args.key, name: args.model ?? "" } : null,
  };
}

/** @param {import("./i18n.js").Words} words @param {string} code @param {any} args */
function why(words, code, args) {
  const named = {
    ...args,
    host: words.has(`host.${args.host}`) ? words.say(`host.${args.host}`) : args.host ?? "",
    other: args.other || words.say("another_model"),
    time: args.until ? words.time(new Date(args.until)) : "",
  };
  const sentence = words.say(key(words, code, args), named);
  const detail = words.has(`load.${args.detail}`) ? words.say(`load.${args.detail}`) : "";
  const end = args.until && code !== PINNED ? words.say("ends_at", named) : "";
  return [sentence, detail, end].filter(Boolean).join(words.language.startsWith("zh") ? "" : " ");
}

/** The sentence that names most of what is known. @param {import("./i18n.js").Words} words @param {string} code @param {any} args */
function key(words, code, args) {
  if (code === "loading" && typeof args.percent === "number") return "loading.percent";
  if (code === PINNED && args.until) return "pinned.until";
  return words.has(`waiting.${code}`) ? `waiting.${code}` : "waiting.unknown";
}
