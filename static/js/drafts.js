// @ts-check
// What is being written, kept per conversation in the browser, and until the site has accepted it.

const LONGEST_KEPT = 100_000;

export class Drafts {
  /** @param {Storage | Map<string, string>} store */
  constructor(store) {
    this.store = store;
  }

  /** @param {string} place conversation id, or "new" @returns {string} */
  read(place) {
    try {
      return (this.store instanceof Map ? this.store.get(name(place)) : this.store.getItem(name(place))) ?? "";
    } catch {
      return "";
    }
  }

  /** @param {string} place @param {string} text */
  keep(place, text) {
    try {
      if (text === "" || text.length > LONGEST_KEPT) this.#remove(place);
      else if (this.store instanceof Map) this.store.set(name(place), text);
      else this.store.setItem(name(place), text);
    } catch {
      // Storage full or forbidden: the text is still in the field.
    }
  }

  /** @param {string} place */
  #remove(place) {
    if (this.store instanceof Map) this.store.delete(name(place));
    else this.store.removeItem(name(place));
  }
}

/** @param {string} place */
function name(place) {
  return `r1.draft.${place}`;
}

/**
 * Enter sends, unless it closes an input method's window. Safari reports that Enter after compositionend.
 * @param {{key: string, shiftKey: boolean, isComposing: boolean, keyCode: number, timeStamp: number}} event
 * @param {number} composedAt time stamp of the last compositionend, ms
 */
export function sends(event, composedAt) {
  if (event.key !== "Enter" || event.shiftKey) return false;
  return !event.isComposing && event.keyCode !== 229 && event.timeStamp - composedAt > 50;
}
