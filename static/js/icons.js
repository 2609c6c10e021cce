// @ts-check
// Icons of the sprite; its hashed address is told by the page.

const SVG = "http://www.w3.org/2000/svg";

/** @param {string} name @param {string} [extra] class @returns {SVGSVGElement} */
export function icon(name, extra = "") {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", `icon ${extra}`.trim());
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `${document.documentElement.dataset.icons ?? "/static/icons.svg"}#i-${name}`);
  svg.append(use);
  return svg;
}
