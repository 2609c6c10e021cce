// @ts-check
// A page beside the chat: its sidebar, and nothing else that moves.
import { Words, readJson } from "./i18n.js";
import { Sidebar } from "./sidebar.js";

const root = document.getElementById("sidebar");
if (root) new Sidebar(root, { words: new Words(readJson("r1-words"), document.documentElement.lang), current: () => null });
