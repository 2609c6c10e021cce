// @ts-check
import test from "node:test";
import assert from "node:assert/strict";
import { Answer } from "../../static/js/answer.js";
import { ConnectionLine } from "../../static/js/connection_line.js";
import { Following } from "../../static/js/following.js";
import { Words } from "../../static/js/i18n.js";
import { CLOSE, compare, parse, uuid } from "../../static/js/protocol.js";
import { Socket, retryAfter } from "../../static/js/socket.js";
import { Drafts, sends } from "../../static/js/drafts.js";

const delta = (/** @type {string} */ f, /** @type {string} */ s, /** @type {string} */ d, k = "a") => ({ type: "d", g: 1, f, s, k, d });

test("deltas in order become the text, each channel apart", () => {
  const answer = new Answer("one");
  assert.equal(answer.apply(delta("1-0", "1-1", "Hm", "t")), "changed");
  assert.equal(answer.apply(delta("1-1", "1-3", "46")), "changed");
  assert.deepEqual([answer.thinking, answer.answer, answer.s], ["Hm", "46", "1-3"]);
});

test("a repeated delta is dropped", () => {
  const answer = new Answer("one");
  answer.apply(delta("1-0", "1-2", "ab"));
  assert.equal(answer.apply(delta("1-0", "1-2", "ab")), "ignored");
  assert.equal(answer.apply(delta("1-0", "1-1", "a")), "ignored");
  assert.equal(answer.answer, "ab");
});

test("a gap asks once for what is missing", () => {
  const answer = new Answer("one");
  answer.apply(delta("1-0", "1-1", "a"));
  assert.equal(answer.apply(delta("1-2", "1-3", "c")), "resync");
  assert.equal(answer.apply(delta("1-3", "1-4", "d")), "ignored");
  assert.equal(answer.apply(delta("1-1", "1-4", "bcd")), "changed");
  assert.equal(answer.answer, "abcd");
});

test("a higher attempt waits for its snapshot, a lower one is dropped", () => {
  const answer = new Answer("one");
  answer.apply(delta("1-0", "1-2", "old"));
  assert.equal(answer.apply(delta("2-0", "2-1", "new")), "resync");
  assert.equal(answer.answer, "old");
  answer.apply({ type: "snapshot", g: 1, s: "2-1", thinking: "", answer: "new", last: true });
  assert.equal(answer.apply(delta("1-2", "1-3", "zombie")), "ignored");
  assert.deepEqual([answer.answer, answer.s], ["new", "2-1"]);
});

test("a snapshot in pieces replaces at its last piece", () => {
  const answer = new Answer("one", { after: "1-1", answer: "x" });
  answer.apply({ type: "snapshot", g: 1, s: "1-9", thinking: "a", answer: "", last: false });
  assert.equal(answer.answer, "x");
  answer.apply({ type: "snapshot", g: 1, s: "1-9", thinking: "b", answer: "yz", last: true });
  assert.deepEqual([answer.thinking, answer.answer, answer.s], ["ab", "yz", "1-9"]);
});

test("a settled answer takes no more text", () => {
  const answer = new Answer("one");
  answer.apply(delta("1-0", "1-1", "a"));
  answer.apply({ type: "settled", g: 1, state: "done", usage: { thinking_tokens: 0, answer_tokens: 1 } });
  assert.equal(answer.apply(delta("1-1", "1-2", "b")), "ignored");
  assert.equal(answer.tokens.answer, 1);
});

test("a settled answer knows whether it was cut off", () => {
  const answer = new Answer("one");
  answer.apply({ type: "settled", g: 1, state: "done", finish: "length" });
  assert.equal(answer.finish, "length");
});

test("whatever is dropped, doubled or reordered, the end is the engine's text", () => {
  const text = Array.from({ length: 60 }, (_, at) => `t${at} `);
  for (let seed = 1; seed <= 200; seed++) {
    let state = seed;
    const chance = () => (state = (state * 1103515245 + 12345) % 2147483648) / 2147483648;
    const answer = new Answer("one");
    /** @param {string} after */
    const rest = (after) => delta(after, "1-60", text.slice(Number(after.split("-")[1])).join(""));
    const frames = text.map((part, at) => delta(`1-${at}`, `1-${at + 1}`, part));
    for (const frame of frames) {
      const copies = chance() < 0.2 ? 0 : chance() < 0.2 ? 2 : 1;
      for (let copy = 0; copy < copies; copy++) answer.apply(frame);
      if (chance() < 0.1) answer.apply(frames[Math.floor(chance() * 60)]);
    }
    answer.apply(rest(answer.s === "0-0" ? "1-0" : answer.s));
    assert.equal(answer.answer, text.join(""), `seed ${seed}`);
  }
});

test("after a reconnect every live answer is watched from where it is", () => {
  /** @type {any[]} */
  const sent = [];
  const following = new Following({ send: (frame) => Boolean(sent.push(frame)), onChange: () => {} });
  following.add(new Answer("one"));
  following.receive({ type: "watching", generation: "one", g: 7, state: "running" });
  following.receive({ ...delta("1-0", "1-4", "abcd"), g: 7 });
  following.resume();
  const watches = sent.filter((frame) => frame.type === "watch");
  assert.deepEqual(watches.map((frame) => frame.after), ["0-0", "1-4"]);
});

test("a wish to stop that the old socket may have swallowed is sent again", () => {
  /** @type {any[]} */
  const sent = [];
  const following = new Following({ send: (frame) => Boolean(sent.push(frame)), onChange: () => {} });
  const [stopping, other] = [new Answer("one"), new Answer("two")];
  following.add(stopping);
  following.add(other);
  stopping.isStopping = true;
  following.resume();
  assert.deepEqual(sent.slice(2).map((frame) => [frame.type, frame.generation]), [["watch", "one"], ["stop", "one"], ["watch", "two"]]);
});

test("16 KiB of text are acknowledged at once, with the newest number", () => {
  /** @type {any[]} */
  const sent = [];
  const following = new Following({ send: (frame) => Boolean(sent.push(frame)), onChange: () => {} });
  following.add(new Answer("one"));
  following.receive({ type: "watching", generation: "one", g: 7, state: "running" });
  following.receive({ ...delta("1-0", "1-4", "x".repeat(17_000)), g: 7 });
  assert.deepEqual(sent.at(-1), { type: "ack", g: 7, s: "1-4" });
});

class FakeSocket {
  sent = /** @type {any[]} */ ([]);
  onopen = () => {};
  onmessage = (/** @type {any} */ _event) => {};
  onclose = (/** @type {any} */ _event) => {};
  send(/** @type {string} */ text) { this.sent.push(JSON.parse(text)); }
  close() {}
  say(/** @type {any} */ frame) { this.onmessage({ data: JSON.stringify(frame) }); }
}

test("a wish is sent again after a reconnect until the site has accepted it", () => {
  /** @type {FakeSocket[]} */
  const sockets = [];
  const open = () => /** @type {any} */ (sockets[sockets.push(new FakeSocket()) - 1]);
  const socket = new Socket({ url: "ws://x", tab: "t", assets: "", open, onFrame: () => {}, onConnection: () => {} });
  socket.connect();
  sockets[0].onopen();
  assert.equal(sockets[0].sent[0].type, "hello");
  sockets[0].say({ type: "hello", v: 1, live: [] });
  socket.wish({ type: "ask", id: "i", key: "k" });
  sockets[0].onclose({ code: 1006 });
  socket.hurry();
  sockets[1].onopen();
  sockets[1].say({ type: "hello", v: 1, live: [] });
  assert.equal(sockets[1].sent.at(-1).key, "k");
  sockets[1].say({ type: "accepted", id: "i", key: "k" });
  assert.equal(socket.wishes.size, 0);
  sockets[1].onclose({ code: CLOSE.RIGHTS });
});

test("who was sent away stays away, everybody else comes back with jitter", () => {
  assert.equal(retryAfter(0, CLOSE.RIGHTS, 0.5), null);
  assert.equal(retryAfter(0, CLOSE.RESTART, 0.5), 1500);
  assert.ok(/** @type {number} */ (retryAfter(9, 1006, 1)) <= 15_000);
  assert.ok(/** @type {number} */ (retryAfter(0, 1006, 0)) > 0);
});

test("unknown frames and rubbish are ignored", () => {
  assert.equal(parse("{"), null);
  assert.equal(parse('{"type":"tomorrow"}'), null);
  assert.equal(parse("[]"), null);
});

test("positions compare by attempt, then by number", () => {
  assert.ok(compare("2-0", "1-99") > 0);
  assert.ok(compare("1-9", "1-10") < 0);
});

test("ids are random UUIDs without crypto.randomUUID", () => {
  assert.match(uuid(), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.notEqual(uuid(), uuid());
});

test("Enter sends, but never while an input method is open or just closed", () => {
  const enter = { key: "Enter", shiftKey: false, isComposing: false, keyCode: 13, timeStamp: 1000 };
  assert.equal(sends(enter, 0), true);
  assert.equal(sends({ ...enter, shiftKey: true }, 0), false);
  assert.equal(sends({ ...enter, isComposing: true }, 0), false);
  assert.equal(sends({ ...enter, keyCode: 229 }, 0), false);
  assert.equal(sends(enter, 970), false);
});

test("drafts are kept per conversation and go when empty", () => {
  const drafts = new Drafts(new Map());
  drafts.keep("new", "hello");
  assert.equal(drafts.read("new"), "hello");
  assert.equal(drafts.read("other"), "");
  drafts.keep("new", "");
  assert.equal(drafts.read("new"), "");
});

test("words fill places and choose plurals", () => {
  const words = new Words({ tokens: { one: "{n} token", other: "{n} tokens" }, hi: "Hi {name}" }, "en");
  assert.equal(words.say("tokens", { n: 1 }), "1 token");
  assert.equal(words.say("tokens", { n: 1204 }), "1,204 tokens");
  assert.equal(words.say("hi", { name: "Min" }), "Hi Min");
  assert.equal(words.say("gap"), "gap");
});

test("a loss that lasts is told however many tries fail meanwhile, and taken back", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const line = /** @type {any} */ ({ hidden: true });
  const connection = new ConnectionLine(line, new Words({}, "en"));
  for (let tries = 0; tries < 4; tries++) {
    connection.tell("lost");
    context.mock.timers.tick(400);
  }
  assert.equal(line.hidden, false);
  connection.tell("open");
  assert.equal(line.hidden, true);
  assert.deepEqual([connection.wasLost(), connection.wasLost()], [true, false]);
});

test("a time of today is an hour, a later one has its day", () => {
  const words = new Words({}, "en");
  const now = new Date();
  assert.match(words.time(now), /^\d+:\d\d\s[AP]M$/);
  assert.match(words.time(new Date(now.getTime() + 48 * 3600_000)), /\d{4}, \d+:\d\d\s[AP]M$/);
});
