// @ts-check
import test from "node:test";
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { pathToFileURL } from "node:url";
import path from "node:path";
import { Blocks } from "../../static/js/blocks.js";
import { closingDollar, formulas } from "../../static/js/formulas.js";

const library = path.resolve(import.meta.dirname ?? new URL(".", import.meta.url).pathname, "../../static/vendor/markdown-it/markdown-it.esm.min.mjs");
const hasLibrary = existsSync(library);

async function parser() {
  const { default: MarkdownIt } = await import(pathToFileURL(library).href);
  const md = new MarkdownIt("default", { html: false, linkify: true });
  md.use(formulas);
  return md;
}

/** The page after a text has arrived in pieces of `size` characters. */
function grown(blocks, text, size) {
  let page = "";
  let tail = "";
  for (let end = size; ; end += size) {
    const step = blocks.grow(text.slice(0, end));
    assert.equal(step.restart, false);
    page += step.finished.join("");
    tail = step.tail;
    if (end >= text.length) return page + tail;
  }
}

const TEXT = [
  "# Title", "", "A paragraph with *emphasis* and $x^2$ that costs $5 and $6.", "", "1. one", "2. two", "", "   more of two", "",
  "```python", "def f():", "", "    return 1", "```", "", "| a | b |", "|---|---|", "| 1 | 2 |", "", "$$", "\\frac{1}{2}", "", "+ 3", "$$",
  "", "> quoted", "", "\\[ a = b \\]", "", "Last \\(y\\) line <script>alert(1)</script>",
].join("\n");

test("a text in pieces of any size becomes what the whole text becomes", { skip: !hasLibrary }, async () => {
  const md = await parser();
  const whole = md.render(TEXT);
  for (const size of [1, 2, 3, 7, 50, 5000]) assert.equal(grown(new Blocks(md), TEXT, size), whole, `pieces of ${size}`);
});

test("finished blocks are handed out once", { skip: !hasLibrary }, async () => {
  const blocks = new Blocks(await parser());
  assert.equal(blocks.grow("one\n\ntwo").finished.length, 1);
  assert.equal(blocks.grow("one\n\ntwo and more").finished.length, 0);
  assert.deepEqual(blocks.grow("one\n\ntwo and more\n\nthree").finished, ["<p>two and more</p>\n"]);
});

test("a text that is no continuation starts anew", { skip: !hasLibrary }, async () => {
  const blocks = new Blocks(await parser());
  blocks.grow("one\n\ntwo");
  assert.deepEqual(blocks.grow("other"), { restart: true, finished: [], tail: "<p>other</p>\n" });
});

test("HTML of the model is text", { skip: !hasLibrary }, async () => {
  const { tail } = new Blocks(await parser()).grow("<img src=x onerror=alert(1)>");
  assert.ok(!tail.includes("<img"));
});

test("a hundred thousand brackets do not hang the page", { skip: !hasLibrary }, async () => {
  const blocks = new Blocks(await parser());
  assert.ok(blocks.grow("[".repeat(100_000)).tail.length >= 100_000);
  assert.ok(blocks.grow(">".repeat(100_000)).tail.length > 0);
});

test("an unfinished formula is kept in one block", { skip: !hasLibrary }, async () => {
  const { tail } = new Blocks(await parser()).grow("before\n\n$$\na\n\nb");
  assert.match(tail, /formula-open/);
});

test("money is no formula", () => {
  assert.equal(closingDollar("$5 and $6", 0), -1);
  assert.equal(closingDollar("$ x$", 0), -1);
  assert.equal(closingDollar("$x$", 0), 2);
  assert.equal(closingDollar("$a\\$b$", 0), 5);
});
