// @ts-check
// Where the keyboard leads in a list of choices: arrows, Home, End, and the first letters of a name. No DOM.

/** Letters typed within this time belong together. */
const TOGETHER_MS = 700;

export class ChoiceKeys {
  constructor() {
    this.typed = "";
    this.typedAt = -TOGETHER_MS;
  }

  /**
   * @param {string} key as the keyboard event names it
   * @param {number} at index of the present choice, -1 for none
   * @param {string[]} names of all choices
   * @param {number} now ms
   * @returns {number | null} index to go to; null: not a key of this list
   */
  next(key, at, names, now) {
    const { length } = names;
    if (length === 0) return null;
    switch (key) {
      case "ArrowDown": return (at + 1) % length;
      case "ArrowUp": return (at - 1 + length) % length;
      case "Home": return 0;
      case "End": return length - 1;
    }
    const isLetter = [...key].length === 1 && (key !== " " || this.#isTyping(now));
    return isLetter ? this.#type(key, at, names, now) : null;
  }

  /** @param {number} now */
  #isTyping(now) {
    return now - this.typedAt < TOGETHER_MS;
  }

  /** The same letter again walks through the names that begin with it. @param {string} key @param {number} at @param {string[]} names @param {number} now */
  #type(key, at, names, now) {
    const letter = key.toLowerCase();
    const isAgain = this.#isTyping(now) && this.typed === letter;
    this.typed = this.#isTyping(now) && !isAgain ? this.typed + letter : letter;
    this.typedAt = now;
    const from = this.typed.length > 1 ? Math.max(at, 0) : at + 1;
    for (let step = 0; step < names.length; step += 1) {
      const index = (from + step) % names.length;
      if (names[index].toLowerCase().startsWith(this.typed)) return index;
    }
    return at < 0 ? 0 : at;
  }
}
