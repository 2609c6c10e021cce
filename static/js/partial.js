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
