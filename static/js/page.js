// @ts-check
// A page beside the chat: its sidebar, bells of models, and lines about those that have got ready.
import { Words, readJson } from "./i18n.js";
import { ReadyLines } from "./ready_lines.js";
import { Sidebar } from "./sidebar.js";
import { TellMe } from "./tell_me.js";

const words = new Words(readJson("r1-words"), document.documentElement.lang);
const root = document.getElementById("sidebar");
if (root) new Sidebar(root, { words, current: () => null });
const ready = document.querySelector("[data-ready-lines]");
if (ready instanceof HTMLElement) new ReadyLines(ready);
new TellMe(words);
