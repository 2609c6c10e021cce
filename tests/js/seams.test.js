// @ts-check
import test from "node:test";
import assert from "node:assert/strict";
import { Answer } from "../../static/js/answer.js";
import { cut } from "../../static/js/seams.js";

const seam = (/** @type {number} */ text) => ({ thinking: 0, text, tokens: 1, host: "local", engine: "vLLM", reason: "" });

test("a text is cut where it went on, also within a sentence", () => {
  assert.deepEqual(cut("one two three", [seam(3), seam(7)]), ["one", " two", " three"]);
});

test("code, formulas and tables stay whole: the seam comes behind them", () => {
  assert.deepEqual(cut("a\n```py\nx = 1\n```\nb", [seam(9)]), ["a\n```py\nx = 1\n```\n", "b"]);
  assert.deepEqual(cut("$$a+b$$ c", [seam(4)]), ["$$a+b$$", " c"]);
  assert.deepEqual(cut("| a | b |\n|---|---|\n| 1 | 2 |\n\nend", [seam(24)]), ["| a | b |\n|---|---|\n| 1 | 2 |\n\n", "end"]);
});

test("in the gap the text stays, a place in the line is shown, and the next attempt's snapshot brings the seam", () => {
  const answer = new Answer("one");
  answer.apply({ type: "d", g: 1, f: "1-0", s: "1-1", k: "a", d: "half" });
  assert.equal(answer.apply({ type: "waiting", g: 1, ahead: 1 }), "ignored");
  answer.apply({ type: "stage", g: 1, stage: "gap" });
  assert.equal(answer.apply({ type: "waiting", g: 1, ahead: 1 }), "changed");
  assert.deepEqual([answer.answer, answer.isInGap, answer.waiting?.ahead], ["half", true, 1]);
  answer.apply({ type: "snapshot", g: 1, s: "2-0", thinking: "", answer: "half", last: true, seams: [seam(4)] });
  answer.apply({ type: "d", g: 1, f: "2-0", s: "2-1", k: "a", d: " done" });
  assert.deepEqual([answer.answer, answer.isInGap, answer.seams.length, answer.waiting], ["half done", false, 1, null]);
});
