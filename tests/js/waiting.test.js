// @ts-check
import test from "node:test";
import assert from "node:assert/strict";
import { ChoiceKeys } from "../../static/js/choice_keys.js";
import { Words } from "../../static/js/i18n.js";
import { range, waitingWords } from "../../static/js/waiting_words.js";

const NAMES = ["R1 1.5B", "R1 14B", "R1 32B", "V4"];
const words = new Words({
  "line.next": "1st", "line.second": "2nd", "line.third": "3rd", "line.more": "{n} more", "line.you": "you",
  ahead: "{n} ahead of you", next: "Next in line", ready_in: "ready in about {n} s", another_model: "another model",
  "host.local": "the site's machine", "load.no_token": "No token came out.",
  "waiting.ahead": "All places are taken.", "waiting.unknown": "It is kept.",
  "waiting.loading": "{model} is loading on {host}.", "loading.percent": "{model} is loading on {host}, {percent} %.",
  "waiting.evicting": "{other} makes room for {model}.", "waiting.load_failed": "{model} did not get ready.",
  ends_at: "It ends at {time}.", "waiting.no_room_pinned": "{host} is pinned.", "pinned.until": "{host} is pinned until {time}.",
}, "en");
const cold = { key: "r1:70b", model: "R1 70B", host: "gpu-2" };
/** @param {string} code @param {object} [args] @param {number} [ahead] */
const said = (code, args = {}, ahead = 0) => waitingWords(words, { ahead, low: null, high: null, told: 0, reason: { code, args: { ...cold, ...args } } });

test("arrows go round, Home and End to the ends", () => {
  const keys = new ChoiceKeys();
  assert.deepEqual(["ArrowDown", "ArrowUp", "Home", "End"].map((key) => keys.next(key, 3, NAMES, 0)), [0, 2, 0, 3]);
  assert.equal(keys.next("Tab", 0, NAMES, 0), null);
  assert.equal(keys.next("ArrowDown", -1, [], 0), null);
});

test("letters typed together find a name, with its blank", () => {
  const keys = new ChoiceKeys();
  const typed = [..."r1 3"].reduce((at, key, index) => keys.next(key, at, NAMES, index * 100) ?? -1, 0);
  assert.equal(typed, 2);
});

test("a blank alone is no letter: it chooses", () => {
  assert.equal(new ChoiceKeys().next(" ", 1, NAMES, 5000), null);
});

test("the same letter again walks on, and a late one begins anew", () => {
  const keys = new ChoiceKeys();
  assert.deepEqual([keys.next("r", 0, NAMES, 0), keys.next("r", 1, NAMES, 100), keys.next("v", 2, NAMES, 5000)], [1, 2, 3]);
  assert.equal(keys.next("q", 3, NAMES, 10_000), 3);
});

test("a load is told with its host, its percent and its time", () => {
  const card = said("loading", { percent: 62, seconds: 45 }, 2);
  assert.deepEqual(card, {
    place: "2 ahead of you", time: "ready in about 45 s", why: "R1 70B is loading on gpu-2, 62 %.", percent: 62,
    wait: "", ready: "", line: ["1st", "2nd", "you"], bell: { key: "r1:70b", name: "R1 70B" }, pulls: "",
  });
  assert.equal(said("loading", { host: "local" }).why, "R1 70B is loading on the site's machine.");
  assert.equal(said("loading").percent, null);
});

test("a model without a name for its reader makes room as another one", () => {
  assert.equal(said("evicting", { other: "R1 1.5B" }).why, "R1 1.5B makes room for R1 70B.");
  assert.equal(said("evicting").why, "another model makes room for R1 70B.");
});

test("what nothing can take any more is told with the end of the waiting", () => {
  const until = new Date().setHours(16, 5);
  assert.match(said("load_failed", { until, detail: "no_token" }).why, /^R1 70B did not get ready\. No token came out\. It ends at \D*4:05\sPM\.$/);
  assert.doesNotMatch(said("no_room_pinned", { until }).why, /ends/);
});

test("a pin is told with its end where it has one, a failure with its reason", () => {
  assert.match(said("no_room_pinned", { until: Date.now() }).why, /^gpu-2 is pinned until .+\.$/);
  assert.equal(said("no_room_pinned").why, "gpu-2 is pinned.");
  assert.equal(said("load_failed", { detail: "no_token" }).why, "R1 70B did not get ready. No token came out.");
  assert.equal(said("load_failed", { detail: "not known here" }).why, "R1 70B did not get ready.");
});

test("a pull that failed is told with its cause, and whoever may is led to it", () => {
  const told = {
    next: "Next in line", ends_at: "", "place.pull_failed": "Its files did not come", "waiting.pull_failed": "The pull of {model} failed.",
    "load.engine_unreachable": "Its engine does not answer.", "pull.engine_unreachable": "The source does not answer.",
  };
  const waiting = { ahead: 0, low: null, high: null, told: 0, reason: { code: "pull_failed", args: { ...cold, detail: "engine_unreachable" } } };
  const card = waitingWords(new Words(told, "en"), waiting);
  assert.deepEqual([card.place, card.why, card.pulls], [
    "Its files did not come", "The pull of R1 70B failed. The source does not answer.", "",
  ]);
  assert.equal(waitingWords(new Words({ ...told, pulls_page: "/admin/pulls/" }, "en"), waiting).pulls, "/admin/pulls/");
});

test("who waits for a place at a warm model has nothing to be told of", () => {
  const card = waitingWords(words, { ahead: 1, yours: 0, reason: { code: "ahead", args: { n: 1 } } });
  assert.deepEqual([card.why, card.time, card.bell], ["All places are taken.", "", null]);
  assert.equal(said("next").bell, null);
  assert.equal(said("of a later site").why, "It is kept.");
});

test("a wait is a range, as coarse as it is far, and counts down", () => {
  const times = new Words({
    ahead: "{n} ahead", "starts.any_moment": "any moment", "starts.within_seconds": "≤{n} s", "starts.in_seconds": "{n} s",
    "starts.between_seconds": "{low}–{n} s", "starts.within_minutes": "≤{n} min", "starts.between_minutes": "{low}–{n} min",
    "waiting.ahead": "Taken.",
  }, "en");
  const waiting = { ahead: 2, low: 42, high: 68, told: 1000, reason: { code: "ahead", args: {} } };
  const after = (/** @type {number} */ seconds) => waitingWords(times, waiting, 1000 + 1000 * seconds).time;
  assert.deepEqual([0, 30, 45, 60, 80].map(after), ["40–70 s", "10–40 s", "≤25 s", "≤8 s", "any moment"]);
  assert.equal(range(times, 100, 400), "1–7 min");
  assert.equal(waitingWords(times, { ...waiting, low: null, high: null }, 0).time, "");
});

test("the line shows every place ahead, and from the fifth on how many there are", () => {
  const lines = [0, 1, 3, 9].map((ahead) => said("ahead", {}, ahead).line.join(" "));
  assert.deepEqual(lines, ["", "1st you", "1st 2nd 3rd you", "1st 2nd 7 more you"]);
});
