// @ts-check
// The page's words in the reader's language: a catalogue that the server wrote into the page.

/** @typedef {Record<string, string | {one?: string, other: string}>} Catalogue */

export class Words {
  /** @param {Catalogue} catalogue @param {string} language BCP 47 */
  constructor(catalogue, language) {
    this.catalogue = catalogue;
    this.language = language;
    this.plurals = new Intl.PluralRules(language);
    // Chinese groups from five digits on: 1204, 12,040.
    const useGrouping = /** @type {any} */ (language.startsWith("zh") ? "min2" : true);
    this.numbers = new Intl.NumberFormat(language, { useGrouping });
  }

  /**
   * @param {string} key
   * @param {Record<string, string | number>} [values] for {name}; `n` chooses the plural
   * @returns {string} the key itself where the catalogue lacks it, so that a gap is seen
   */
  say(key, values = {}) {
    const entry = this.catalogue[key];
    if (entry === undefined) return key;
    const text = typeof entry === "string" ? entry : this.#plural(entry, Number(values.n));
    return text.replace(/\{(\w+)\}/g, (whole, name) => {
      const value = values[name];
      return value === undefined ? whole : typeof value === "number" ? this.number(value) : value;
    });
  }

  /** @param {string} key */
  has(key) {
    return key in this.catalogue;
  }

  /** @param {number} value */
  number(value) {
    return this.numbers.format(value);
  }

  /** @param {Date} at @returns {string} the hour alone where it is today */
  time(at) {
    const isToday = at.toDateString() === new Date().toDateString();
    const style = isToday ? {} : { dateStyle: /** @type {"medium"} */ ("medium") };
    return new Intl.DateTimeFormat(this.language, { ...style, timeStyle: "short" }).format(at);
  }

  /** @param {{one?: string, other: string}} entry @param {number} n */
  #plural(entry, n) {
    return this.plurals.select(n) === "one" && entry.one !== undefined ? entry.one : entry.other;
  }
}

/** @param {string} id of a JSON script element @returns {any} */
export function readJson(id) {
  const element = document.getElementById(id);
  return element ? JSON.parse(element.textContent ?? "null") : null;
}
