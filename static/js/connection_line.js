// @ts-check
// One quiet line that says when the page is cut off.

/** A loss is told only if it lasts: most are over in a blink. */
const TELL_LOSS_MS = 1200;

export class ConnectionLine {
  /** @param {HTMLElement} line @param {import("./i18n.js").Words} words */
  constructor(line, words) {
    this.line = line;
    this.words = words;
    this.isLost = false;
    /** @type {any} */
    this.timer = undefined;
  }

  /** @returns {boolean} whether there was a loss since the last call */
  wasLost() {
    const { isLost } = this;
    this.isLost = false;
    return isLost;
  }

  /** @param {import("./socket.js").Connection} connection */
  tell(connection) {
    if (connection === "lost") {
      this.isLost = true;
      // Every failed try says "lost" again; the first one counts.
      this.timer ??= setTimeout(() => (this.line.hidden = false), TELL_LOSS_MS);
      return;
    }
    clearTimeout(this.timer);
    this.timer = undefined;
    if (connection === "open") this.line.hidden = true;
    else if (connection === "refused") this.#sentAway();
  }

  /** The site wants no more frames of this page: signed out elsewhere, most likely. */
  #sentAway() {
    this.line.hidden = false;
    /** @type {HTMLElement} */ (this.line.querySelector("[data-text]")).textContent = this.words.say("signed_out");
    const leave = (/** @type {Response} */ answer) => answer.type === "opaqueredirect" && location.assign("/signin/");
    fetch("/conversations/", { redirect: "manual" }).then(leave, () => {});
  }
}
