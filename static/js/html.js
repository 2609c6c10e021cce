// @ts-check
// The only module that writes HTML. Everything passes DOMPurify, which hands out a TrustedHTML of its own policy.
import DOMPurify from "dompurify";

const RULES = {
  USE_PROFILES: { html: true },
  FORBID_TAGS: ["style", "form", "input", "button", "textarea", "select", "img", "video", "audio", "picture", "source"],
  FORBID_ATTR: ["style", "id", "name"],
  ALLOW_DATA_ATTR: true,
  RETURN_TRUSTED_TYPE: true,
};

DOMPurify.addHook("afterSanitizeAttributes", (/** @type {Element} */ node) => {
  if (node.nodeName === "A" && node.hasAttribute("href")) {
    node.setAttribute("target", "_blank");
    node.setAttribute("rel", "noopener noreferrer nofollow");
  }
});

/**
 * @param {string} markup from a model's text, so from anybody
 * @returns {DocumentFragment}
 */
export function fragment(markup) {
  const template = document.createElement("template");
  template.innerHTML = /** @type {any} */ (DOMPurify.sanitize(markup, RULES));
  return template.content;
}
