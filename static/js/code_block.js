// @ts-check
// A block of code: its language, a Copy button, colours once it is finished.
import { copyText } from "./clipboard.js";
import { icon } from "./icons.js";
import { fragment } from "./html.js";

const ALIASES = /** @type {Record<string, string>} */ ({
  py: "python", js: "javascript", ts: "typescript", sh: "bash", zsh: "bash", "c++": "cpp", "c#": "csharp",
  html: "xml", yml: "yaml", rb: "ruby", rs: "rust", golang: "go", md: "markdown", docker: "dockerfile", console: "shell",
});
const LANGUAGES = [
  "bash", "c", "cpp", "csharp", "css", "diff", "dockerfile", "go", "ini", "java", "javascript", "json", "kotlin", "latex", "lua",
  "makefile", "markdown", "nginx", "perl", "php", "powershell", "python", "r", "ruby", "rust", "scala", "shell", "sql", "swift", "typescript", "xml", "yaml",
];
/** Colouring longer code would hold up the page. */
const LONGEST = 60_000;
/** @type {Map<string, Promise<any>>} */
const loading = new Map();

/** @param {HTMLPreElement} pre @param {import("./i18n.js").Words} words @param {boolean} isFinished */
export function dressCode(pre, words, isFinished) {
  const code = pre.querySelector("code");
  if (!code) return;
  const language = pre.dataset.language ?? "";
  const frame = document.createElement("div");
  frame.className = "code";
  const head = document.createElement("div");
  head.className = "code__head";
  const name = document.createElement("span");
  name.textContent = language || words.say("code");
  head.append(name, copyButton(code, words));
  pre.replaceWith(frame);
  pre.tabIndex = 0;
  frame.append(head, pre);
  if (isFinished) colour(code, language);
}

/** @param {HTMLElement} code @param {import("./i18n.js").Words} words */
function copyButton(code, words) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "code__copy";
  button.setAttribute("aria-label", words.say("copy_code"));
  const label = document.createElement("span");
  label.textContent = words.say("copy");
  button.append(icon("copy", "icon--small"), label);
  button.addEventListener("click", async () => {
    label.textContent = words.say((await copyText(code.textContent ?? "")) ? "copied" : "copy_failed");
    setTimeout(() => (label.textContent = words.say("copy")), 1600);
  });
  return button;
}

/** @param {HTMLElement} code @param {string} language */
async function colour(code, language) {
  const name = ALIASES[language.toLowerCase()] ?? language.toLowerCase();
  const text = code.textContent ?? "";
  if (!LANGUAGES.includes(name) || text.length > LONGEST) return;
  const highlighter = await load(name).catch(() => null);
  if (highlighter) code.replaceChildren(fragment(highlighter.highlight(text, { language: name }).value));
}

/** @param {string} name @returns {Promise<any>} highlight.js with that language */
function load(name) {
  if (!loading.has(name)) {
    const both = Promise.all([import("highlight.js"), import(`highlight.js/languages/${name}`)]);
    loading.set(name, both.then(([core, grammar]) => {
      core.default.registerLanguage(name, grammar.default);
      return core.default;
    }));
  }
  return /** @type {Promise<any>} */ (loading.get(name));
}
