// @ts-check
// The chat page: one socket, one thread, one composer, one list.
import { Composer } from "./composer.js";
import { Foretold } from "./foretold.js";
import { ConnectionLine } from "./connection_line.js";
import { Following } from "./following.js";
import { Words, readJson } from "./i18n.js";
import { Menu } from "./menu.js";
import { post } from "./partial.js";
import { answerNow, ask, goOn, regenerate, stop, uuid } from "./protocol.js";
import { Queued } from "./queued.js";
import { ReadyLines } from "./ready_lines.js";
import { Sidebar } from "./sidebar.js";
import { Socket } from "./socket.js";
import { TellMe } from "./tell_me.js";
import { Thread } from "./thread.js";
import { settledAsWritten } from "./sha256.js";
import { toast } from "./toast.js";
import { Wall } from "./wall.js";

/** @typedef {import("./protocol.js").Frame} Frame */

class Chat {
  constructor() {
    const page = document.documentElement.dataset;
    this.words = new Words(readJson("r1-words"), document.documentElement.lang);
    this.conversation = document.body.dataset.conversation || null;
    this.following = new Following({ send: (frame) => this.socket.send(frame), onChange: (answer, frame) => this.#grew(answer, frame) });
    this.connection = new ConnectionLine(need("connection"), this.words);
    this.socket = new Socket({
      url: `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/`,
      tab: uuid(), assets: page.assets ?? "",
      onFrame: (frame) => this.#receive(frame),
      onConnection: (connection) => this.connection.tell(connection),
    });
    this.sidebar = new Sidebar(need("sidebar"), { words: this.words, current: () => this.conversation });
    this.composer = new Composer(/** @type {HTMLFormElement} */ (need("composer")), {
      words: this.words, place: this.conversation ?? "new",
      onSend: (wish) => this.#send(wish), onStop: () => this.#stop(), onModel: () => this.#isOtherModel(),
    });
    this.foretold = new Foretold(this.composer, { conversation: () => this.conversation });
    this.wall = new Wall(/** @type {HTMLElement} */ (document.querySelector(".dock")), {
      words: this.words, model: () => this.composer.model, conversation: () => this.conversation,
      onChange: (isUp) => this.composer.setWalled(isUp), onSendTo: (model) => this.#sendTo(model),
    });
    this.ready = new ReadyLines(/** @type {HTMLElement} */ (document.querySelector("[data-ready-lines]")), {
      onAsk: (model) => this.#askItNow(model),
    });
    new TellMe(this.words);
    this.queued = new Queued(need("queued"), {
      drafts: this.composer.drafts, place: this.composer.place, onEdit: (text) => this.composer.giveBack(text),
    });
    this.thread = new Thread(need("thread"), {
      words: this.words, following: this.following, modelName: () => this.composer.modelName, modelKey: () => this.composer.model,
      onContinue: (message) => this.#continue(message), onAnswerNow: (answer) => this.#answerNow(answer), onStop: () => this.#stop(),
      onRegenerate: (message, model) => this.#regenerate(message, model), onChange: () => this.#busy(),
    });
    /** @type {Map<string, {text: string, id: string}>} wishes that are not accepted yet, by key; id of their frame */
    this.asked = new Map();
    /** Stop was pressed before the site had accepted what was asked. */
    this.isUnwanted = false;
    /** Kind of state that the list shows for this conversation. */
    this.listed = "";
    /** Code of the reason why this conversation's answer waits. */
    this.awaited = "";
    this.#menus();
    this.thread.adopt();
    this.#offerQueued();
    this.thread.stick();
    this.socket.connect();
    addEventListener("online", () => this.socket.hurry());
    document.addEventListener("visibilitychange", () => !document.hidden && this.socket.hurry());
  }

  /** @param {{text: string, model: string, think: string, effort?: string}} wish @param {string} key */
  #send(wish, key = uuid()) {
    if (this.asked.size > 0 || this.thread.live) return this.queued.put(wish.text);
    const frame = ask({ key, ...wish, conversation: this.conversation });
    this.asked.set(key, { text: wish.text, id: frame.id });
    document.body.classList.remove("is-empty");
    this.thread.showAsked(key, wish.text);
    this.composer.sent(wish.text);
    this.#busy();
    this.socket.wish(frame);
  }

  /** @param {string} message @param {string} [model] another one: then an answer that still waits leaves the line */
  #regenerate(message, model = "") {
    const { live } = this.thread;
    if (this.asked.size > 0 || (live && !(model && live.waiting))) return;
    const key = uuid();
    if (model) this.composer.picker.chooseKey(model);
    const frame = regenerate(message, key, model);
    this.asked.set(key, { text: "", id: frame.id });
    this.thread.showRegenerating(key, message, model && { key: model, name: this.composer.picker.nameOf(model) });
    this.#busy();
    this.socket.wish(frame);
  }

  /** The text stays where it is until the server shows it as going on. @param {string} message */
  #continue(message) {
    if (this.asked.size > 0 || this.thread.live) return;
    const key = uuid();
    const frame = goOn(message, key);
    this.asked.set(key, { text: "", id: frame.id });
    this.#busy();
    this.socket.wish(frame);
  }

  /** @param {import("./answer.js").Answer} answer */
  #answerNow(answer) {
    answer.isAnswerAsked = true;
    this.socket.send(answerNow(answer.generation));
    this.thread.changed(answer);
  }

  #stop() {
    const { live } = this.thread;
    if (!live) {
      // Nothing to name yet: it is stopped as soon as the site has accepted it.
      this.isUnwanted = this.asked.size > 0;
      return this.#busy();
    }
    live.isStopping = true;
    this.composer.setStopping();
    this.socket.send(stop(live.generation));
  }

  /** @param {Frame} frame */
  #receive(frame) {
    this.following.receive(frame);
    switch (frame.type) {
      case "hello": return this.#greeted(frame);
      case "accepted": return this.#accepted(frame);
      case "error": return this.#refused(frame);
      case "user": return void this.#rung(frame);
      case "settled": return void this.#settled(frame);
    }
  }

  /** @param {Frame} frame */
  #greeted(frame) {
    this.following.resume();
    const isMissing = (frame.live ?? []).some((/** @type {any} */ live) =>
      live.conversation === this.conversation && !this.following.answers.has(live.generation));
    if (isMissing && this.conversation) this.#reload(this.conversation);
    if (this.connection.wasLost()) this.#rung({ type: "user" });
  }

  /** @param {Frame} frame */
  #accepted(frame) {
    if (!this.asked.delete(frame.key)) return;
    this.composer.arrived();
    this.wall.forget();
    if (!this.conversation) this.#open(frame.conversation);
    if (!this.thread.accept(frame)) this.#reload(frame.conversation);
    if (this.isUnwanted) this.#stop();
    this.isUnwanted = false;
    this.#refreshList();
  }

  /** A new chat has become a conversation. @param {string} conversation */
  #open(conversation) {
    this.conversation = conversation;
    document.body.dataset.conversation = conversation;
    this.composer.moveTo(conversation);
    this.queued.moveTo(conversation);
    history.replaceState(null, "", `/c/${conversation}/`);
  }

  /** @param {Frame} frame */
  #refused(frame) {
    const key = `reason.${frame.code}`;
    // A window ends on a full minute; whole seconds and the way here have blurred it.
    const minute = Math.round((Date.now() / 1000 + (frame.retry_after ?? 0)) / 60);
    const time = this.words.time(new Date(minute * 60_000));
    const sentence = this.words.has(key) ? this.words.say(key, { n: frame.limit ?? 0, time }) : frame.text ?? "";
    const entry = [...this.asked].find(([, wish]) => wish.id === frame.id);
    if (!frame.id) return this.composer.tell(sentence);
    if (!entry) return;
    const [wish, { text }] = entry;
    this.asked.delete(wish);
    this.isUnwanted = false;
    this.thread.refuse(wish);
    if (!text && this.conversation) this.#reload(this.conversation);
    if (text) {
      this.#offerQueued();
      this.composer.giveBack(text);
    }
    if (!this.conversation) document.body.classList.add("is-empty");
    this.#explain(frame, sentence);
    this.#busy();
  }

  /** A limit has more to say than a sentence. @param {Frame} frame @param {string} sentence */
  async #explain(frame, sentence) {
    const isLimit = frame.code === "quota_used_up" || frame.code === "no_price";
    const isSaid = isLimit && (await this.wall.refuse(/** @type {any} */ (frame)));
    if (!isSaid) this.composer.tell(sentence);
  }

  /** The draft, to a model that the limits allow. @param {string} model */
  #sendTo(model) {
    if (!this.#askItNow(model)) return;
    this.composer.setWalled(false);
    if (this.composer.field.value.trim() !== "") this.composer.form.requestSubmit();
  }

  /** Something of this user's changed elsewhere. @param {Frame} frame */
  async #rung(frame) {
    const what = /** @type {string[]} */ (frame.what ?? []);
    if (what.includes("signed_out")) return location.assign("/signin/");
    if (what.length === 0 || what.includes("ready")) this.#refreshModels();
    if (what.length === 0 || what.includes("quota")) this.wall.refresh();
    if (what.length === 1 && (what[0] === "ready" || what[0] === "quota")) return;
    await this.#refreshList();
    const { conversation } = this;
    const leaf = conversation ? this.sidebar.leafOf(conversation) : "";
    if (conversation && leaf && leaf !== this.thread.leaf && this.asked.size === 0) this.#reload(conversation);
  }

  /** What is told under the field and above it is about the model that is chosen. */
  #isOtherModel() {
    this.wall?.forget();
    this.foretold?.refresh();
  }

  #refreshModels() {
    this.ready.refresh();
    this.composer.picker.refresh();
  }

  /** @param {string} model @returns {boolean} */
  #askItNow(model) {
    const isChosen = this.composer.picker.chooseKey(model);
    if (isChosen) this.composer.field.focus();
    return isChosen;
  }

  /** @param {import("./answer.js").Answer} answer @param {Frame} frame */
  #grew(answer, frame) {
    this.thread.changed(answer);
    this.#showInList(answer);
    this.#isOtherwiseAwaited(answer);
    if (frame.type !== "d") this.#busy();
  }

  /** What is done for a model has changed: its note under the field says the same. @param {import("./answer.js").Answer} answer */
  #isOtherwiseAwaited({ waiting }) {
    const code = waiting?.reason?.code ?? "";
    if (code === this.awaited) return;
    this.awaited = code;
    this.composer.picker.refresh();
  }

  /** @param {import("./answer.js").Answer} answer */
  #showInList(answer) {
    const isThinking = answer.thinking !== "" && answer.answer === "";
    const kind = !answer.isLive ? "" : answer.waiting ? "waiting" : isThinking ? "thinking" : "running";
    if (!this.conversation || kind === this.listed) return;
    this.listed = kind;
    this.sidebar.setState(this.conversation, kind ? { kind, text: this.words.say(`list.${kind}`) } : null);
  }

  /** @param {Frame} frame */
  async #settled(frame) {
    const generation = frame.generation ?? this.following.numbers.get(frame.g);
    const answer = generation ? this.following.answers.get(generation) : null;
    if (answer && this.conversation && !(await settledAsWritten(answer))) this.#reload(this.conversation);
    this.#busy();
    this.#refreshList();
    this.wall.refresh();
    this.foretold.refresh();
    if (frame.state === "failed") return this.#offerQueued();
    const next = this.thread.live ? null : this.queued.take();
    if (next) this.#send({ text: next.text, model: this.composer.model, think: this.composer.think, effort: this.composer.effort }, next.key);
  }

  /** No answer is on its way that the next question could wait for: back into the field with it. */
  #offerQueued() {
    const next = this.thread.live ? null : this.queued.take();
    if (next) this.composer.giveBack(next.text);
  }

  /** @param {string} conversation */
  async #reload(conversation) {
    await this.thread.reload(conversation);
    if (this.asked.size === 0) this.#offerQueued();
  }

  async #refreshList() {
    await this.sidebar.refresh();
    const title = this.conversation ? this.sidebar.titleOf(this.conversation) : "";
    if (title) this.#retitle(title);
  }

  #busy() {
    const { live } = this.thread;
    this.composer.setBusy(live !== null || this.asked.size > 0);
    if (live?.isStopping || this.isUnwanted) this.composer.setStopping();
  }

  #menus() {
    const button = document.getElementById("conversation-menu-button");
    const panel = document.getElementById("conversation-menu");
    const rename = () => this.conversation && this.sidebar.rename(this.conversation, (title) => this.#retitle(title));
    if (button && panel) {
      const menu = new Menu(button, panel);
      panel.querySelector("[data-rename]")?.addEventListener("click", () => (menu.close(), rename()));
      const lock = /** @type {HTMLElement | null} */ (panel.querySelector("[data-local-only]"));
      lock?.addEventListener("click", () => this.#keepFromClouds(lock));
      panel.querySelector("[data-delete]")?.addEventListener("click", () => (menu.close(), this.#delete()));
    }
    document.addEventListener("keydown", (event) => {
      if (event.key === "F2" && !event.isComposing) rename();
      if ((event.metaKey || event.ctrlKey) && event.shiftKey && event.key.toLowerCase() === "o") location.assign("/");
    });
    for (const starter of document.querySelectorAll("[data-starter]")) {
      starter.addEventListener("click", () => this.composer.fill(/** @type {HTMLElement} */ (starter).dataset.starter ?? ""));
    }
  }

  /** @param {string} title */
  #retitle(title) {
    document.title = `${title} · R1 Web`;
    const head = document.querySelector(".topbar__title");
    if (head) head.textContent = title;
  }

  /** @param {HTMLElement} lock */
  async #keepFromClouds(lock) {
    if (!this.conversation) return;
    const on = lock.getAttribute("aria-checked") !== "true";
    const isKept = await post(`/c/${this.conversation}/local-only/`, { on: on ? "1" : "0" });
    if (isKept) lock.setAttribute("aria-checked", String(on));
    else toast(this.words.say("not_changed"));
  }

  #delete() {
    if (!this.conversation) return;
    const title = document.querySelector(".topbar__title")?.textContent ?? "";
    this.sidebar.remove(this.conversation, title, () => {
      this.conversation = null;
      history.replaceState(null, "", "/");
      document.body.classList.add("is-empty");
      this.thread.root.replaceChildren();
      this.thread.adopt();
      this.composer.startAnew();
      this.queued.startAnew();
    });
  }
}

/** @param {string} id @returns {HTMLElement} */
function need(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

// 'Today' in the list and the times of limits are the reader's; the server learns his zone from this.
const zone = `time_zone=${Intl.DateTimeFormat().resolvedOptions().timeZone}`;
const isNews = !document.cookie.split("; ").includes(zone);
document.cookie = `${zone}; path=/; max-age=31536000; samesite=lax`;
const chat = new Chat();
if (isNews) chat.wall.refresh();
document.body.dataset.ready = "1";
