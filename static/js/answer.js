// @ts-check
// What one generation has said so far, as this tab knows it. No DOM: the view draws it, tests drive it.
import { NOTHING, compare, position } from "./protocol.js";

/** @typedef {import("./protocol.js").Frame} Frame */
/** @typedef {"waiting" | "released" | "running" | "done" | "stopped" | "failed"} State */

/** @type {Record<string, string>} stages that tell why the thought ends */
const THINKING_ENDS = { answer_now: "asked", budget_used_up: "budget" };
export const LIVE = ["waiting", "released", "running"];

export class Answer {
  /**
   * @param {string} generation
   * @param {{message?: string | null, after?: string, thinking?: string, answer?: string, state?: State}} [known]
   */
  constructor(generation, { message = null, after = NOTHING, thinking = "", answer = "", state = "waiting" } = {}) {
    this.generation = generation;
    this.message = message;
    this.s = after;
    this.thinking = thinking;
    this.answer = answer;
    /** @type {State} */
    this.state = state;
    this.stage = "";
    this.reason = "";
    /** "length": the model was cut off at a limit. */
    this.finish = "";
    this.tokens = { thinking: 0, answer: 0 };
    /** @type {any} */
    this.usage = null;
    this.sha256 = "";
    /** @type {import("./waiting_words.js").Waiting | null} */
    this.waiting = null;
    this.isInGap = false;
    this.isStopping = false;
    /** An attempt has ended, and the next one has not begun: the text stays and waits. */
    this.isInGap = state === "waiting" && thinking + answer !== "";
    /** "asked" or "budget": the thought did not end by itself. */
    this.thinkingEnd = "";
    this.isAnswerAsked = false;
    /** @type {import("./seams.js").Seam[]} */
    this.seams = [];
    this.isResyncing = false;
    /** @type {{thinking: string, answer: string} | null} pieces of a snapshot that has not ended */
    this.pieces = null;
  }

  get isLive() {
    return LIVE.includes(this.state);
  }

  /**
   * @param {Frame} frame a frame of this generation
   * @returns {"changed" | "ignored" | "resync"} resync: text is missing, watch again after `s`
   */
  apply(frame) {
    switch (frame.type) {
      case "d": return this.#delta(frame);
      case "snapshot": return this.#snapshot(frame);
      case "waiting": return this.#wait(frame);
      case "stage": return this.#move(frame);
      case "settled": return this.#settle(frame);
      case "watching": return this.#watched(frame);
      default: return "ignored";
    }
  }

  /** A new socket: what was asked on the old one is not coming. */
  forgetResync() {
    this.isResyncing = false;
    this.pieces = null;
  }

  /** @param {Frame} frame */
  #delta(frame) {
    if (!this.isLive || compare(frame.s, this.s) <= 0) return "ignored";
    if (!this.#follows(frame.f)) {
      const isAsked = this.isResyncing;
      this.isResyncing = true;
      return isAsked ? "ignored" : "resync";
    }
    this.s = frame.s;
    this.isResyncing = false;
    const channel = frame.k === "t" ? "thinking" : "answer";
    this[channel] += frame.d;
    if (typeof frame.n === "number") this.tokens[channel] = frame.n;
    this.stage = channel === "thinking" ? "thinking" : "answering";
    this.state = "running";
    this.waiting = null;
    this.isInGap = false;
    return "changed";
  }

  /**
   * A delta carries on where we are; or it is the first of an attempt and nothing is shown yet.
   * With text on the page a higher attempt has to say first, by a snapshot, what it starts from.
   * @param {string} from
   */
  #follows(from) {
    if (from === this.s) return true;
    const isEmpty = this.thinking === "" && this.answer === "";
    return isEmpty && position(from)[1] === 0 && compare(from, this.s) >= 0;
  }

  /** Pieces replace what is shown when the last one is here; only that one carries the place. @param {Frame} frame */
  #snapshot(frame) {
    if (frame.replace || !this.pieces) this.pieces = { thinking: "", answer: "" };
    this.pieces.thinking += frame.thinking ?? "";
    this.pieces.answer += frame.answer ?? "";
    if (frame.last === false) return "ignored";
    const whole = this.pieces;
    this.pieces = null;
    if (!this.isLive || compare(frame.s, this.s) < 0) return "ignored";
    this.isResyncing = false;
    this.s = frame.s;
    this.thinking = whole.thinking;
    this.answer = whole.answer;
    this.seams = frame.seams ?? [];
    if (frame.n) this.tokens = { thinking: frame.n.t ?? 0, answer: frame.n.a ?? 0 };
    return "changed";
  }

  /** @param {Frame} frame */
  #wait(frame) {
    if (!this.isLive || (!this.isInGap && (this.answer || this.thinking))) return "ignored";
    this.waiting = {
      ahead: frame.ahead ?? 0, low: frame.low ?? null, high: frame.high ?? null, told: performance.now(), reason: frame.reason ?? null,
    };
    return "changed";
  }

  /** @param {Frame} frame */
  #move(frame) {
    if (!this.isLive) return "ignored";
    if (frame.stage in THINKING_ENDS) {
      this.thinkingEnd = THINKING_ENDS[frame.stage];
      return "changed";
    }
    this.isInGap = frame.stage === "gap";
    this.stage = frame.stage;
    if (frame.stage !== "queued") this.waiting = null;
    return "changed";
  }

  /** @param {Frame} frame */
  #watched(frame) {
    this.pieces = null;
    if (frame.message) this.message = frame.message;
    if (this.isLive && LIVE.includes(frame.state) && frame.state !== this.state) {
      this.state = frame.state;
      return "changed";
    }
    return "ignored";
  }

  /** @param {Frame} frame */
  #settle(frame) {
    if (!this.isLive) return "ignored";
    this.state = frame.state;
    this.reason = frame.reason ?? "";
    this.finish = frame.finish ?? "";
    this.usage = frame.usage ?? null;
    this.sha256 = frame.sha256 ?? "";
    this.waiting = null;
    this.isStopping = false;
    if (this.usage) {
      this.tokens = { thinking: this.usage.thinking_tokens ?? 0, answer: this.usage.answer_tokens ?? 0 };
    }
    return "changed";
  }
}
