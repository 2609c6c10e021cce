// @ts-check
// All generations this tab follows: routes frames to them, resumes after a reconnect, returns credit. No DOM.
import { ACK_BYTES, ACK_MS, NOTHING, ack, stop, unwatch, watch } from "./protocol.js";
import { Answer } from "./answer.js";

/** @typedef {import("./protocol.js").Frame} Frame */

export class Following {
  /**
   * @param {{send: (frame: Frame) => boolean, onChange: (answer: Answer, frame: Frame) => void}} options
   */
  constructor({ send, onChange }) {
    this.send = send;
    this.onChange = onChange;
    /** @type {Map<string, Answer>} by generation */
    this.answers = new Map();
    /** @type {Map<number, string>} this socket's short number → generation */
    this.numbers = new Map();
    /** @type {Map<number, {bytes: number, s: string}>} received and not yet acknowledged */
    this.owed = new Map();
    /** @type {any} */ this.ackTimer = undefined;
  }

  /** @param {Answer} answer */
  add(answer) {
    this.answers.set(answer.generation, answer);
    if (answer.isLive) this.send(watch(answer.generation, answer.s));
  }

  /** @param {string} generation */
  drop(generation) {
    if (this.answers.delete(generation)) this.send(unwatch(generation));
  }

  /** A new socket has said hello: numbers of the old one mean nothing any more. */
  resume() {
    this.numbers.clear();
    this.owed.clear();
    for (const answer of this.answers.values()) {
      answer.forgetResync();
      if (!answer.isLive) continue;
      this.send(watch(answer.generation, answer.s));
      // Whether the old socket still carried the wish to stop is not known; stopping twice is stopping.
      if (answer.isStopping) this.send(stop(answer.generation));
    }
  }

  /** @param {Frame} frame @returns {Answer | null} the generation that the frame belonged to */
  receive(frame) {
    if (frame.type === "watching") this.numbers.set(frame.g, frame.generation);
    const generation = frame.generation ?? this.numbers.get(frame.g);
    const answer = generation ? this.answers.get(generation) : undefined;
    if (frame.type === "d" || frame.type === "snapshot") this.#owe(frame);
    if (!answer) return null;
    const outcome = answer.apply(frame);
    if (outcome === "resync") this.send(watch(answer.generation, answer.s || NOTHING));
    if (outcome === "changed") this.onChange(answer, frame);
    if (frame.type === "settled") this.#settle();
    return answer;
  }

  /** Credit comes back by bytes or by time, whichever is first. @param {Frame} frame */
  #owe(frame) {
    const size = (frame.d ?? "").length + (frame.thinking ?? "").length + (frame.answer ?? "").length;
    const owed = this.owed.get(frame.g) ?? { bytes: 0, s: NOTHING };
    this.owed.set(frame.g, { bytes: owed.bytes + size, s: frame.s });
    if (owed.bytes + size >= ACK_BYTES) this.#settle();
    else this.ackTimer ??= setTimeout(() => this.#settle(), ACK_MS);
  }

  #settle() {
    clearTimeout(this.ackTimer);
    this.ackTimer = undefined;
    for (const [g, { s }] of this.owed) this.send(ack(g, s));
    this.owed.clear();
  }
}
