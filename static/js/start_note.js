// @ts-check
// "Notify me when it starts": a note of the browser where it may, and the page's title until somebody looks.

/** Asks for leave: browsers do that only over a safe line, and only in a click. */
export function mayNote() {
  if (isSecureContext && "Notification" in window && Notification.permission === "default") Notification.requestPermission();
}

/** @param {string} sentence @param {string} tag of several notes with the same tag the last one stays */
export function announce(sentence, tag) {
  if (!document.hidden) return;
  if (isSecureContext && "Notification" in window && Notification.permission === "granted") new Notification(sentence, { tag });
  const title = document.title;
  document.title = `● ${sentence}`;
  const restore = () => {
    if (document.hidden) return;
    document.removeEventListener("visibilitychange", restore);
    document.title = title;
  };
  document.addEventListener("visibilitychange", restore);
}
