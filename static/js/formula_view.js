// @ts-check
// KaTeX draws into an element and never makes a string of HTML. Loaded when the first formula is seen.

/** @type {Promise<any> | null} */
let library = null;

/** @param {HTMLElement} source holds the TeX as text; becomes the formula, or stays as it is where KaTeX refuses */
export function drawFormula(source) {
  const tex = source.textContent ?? "";
  const isDisplay = source.dataset.display === "1";
  source.classList.replace("formula-source", "formula-drawn");
  if (isDisplay && !source.closest("div.formula")) source.classList.add("formula");
  library ??= import("katex");
  library.then(({ default: katex }) => {
    const options = { displayMode: isDisplay, throwOnError: false, strict: "ignore", trust: false, maxSize: 20, maxExpand: 500 };
    katex.render(tex, source, options);
    const box = /** @type {HTMLElement | null} */ (source.closest(".formula"));
    if (box && box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  }).catch(() => {
    source.textContent = tex;
  });
}
