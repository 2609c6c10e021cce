// @ts-check
// Pieces of page made by the server. XMLHttpRequest parses them itself, so no string of HTML is ever written here.

/**
 * @param {string} url
 * @returns {Promise<Document | null>} null: signed out, gone, or no connection
 */
export function fetchPartial(url) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open("GET", url);
    request.responseType = "document";
    request.setRequestHeader("X-Requested-With", "XMLHttpRequest");
    request.timeout = 15_000;
    request.onload = () => resolve(request.status === 200 ? request.responseXML : null);
    request.onerror = request.ontimeout = () => resolve(null);
    request.send();
  });
}

/**
 * Puts a piece of a fresh page in place of the shown one, but only where it says something else, and not while the
 * keyboard stands on it. It stays marked as the page that is open.
 * @param {ParentNode} root @param {Document | null} page @param {string} which
 */
export function renew(root, page, which) {
  const shown = root.querySelector(which);
  const fresh = page?.querySelector(which);
  if (!shown || !fresh || shown === document.activeElement) return;
  if (shown.hasAttribute("aria-current")) fresh.setAttribute("aria-current", "page");
  if (!shown.isEqualNode(fresh)) shown.replaceWith(document.adoptNode(fresh));
}

/**
 * @param {string} url
 * @param {Record<string, string>} fields
 * @returns {Promise<boolean>} whether the site did it
 */
export async function post(url, fields = {}) {
  const token = document.querySelector("meta[name=csrf-token]")?.getAttribute("content") ?? "";
  try {
    const answer = await fetch(url, {
      method: "POST",
      headers: { "X-CSRFToken": token },
      body: new URLSearchParams(fields),
      redirect: "error",
    });
    return answer.ok;
  } catch {
    return false;
  }
}
