// Keys: Escape closes what is open; single letters act outside of text, where they are wanted.

import { byId } from "./dom.js";
import { settings } from "./settings_store.js";

/** The letters, with what each does. */
function actions(page) {
  return {
    "/": () => page.question.focus(),
    c: () => page.begin(),
    d: () => page.dialogs.documents.open(),
    h: () => page.dialogs.history.open(),
    s: () => page.dialogs.settings.open(),
    n: () => page.panel.step(1),
    p: () => page.panel.step(-1),
  };
}

/** Listen to keys. */
export function listen(page) {
  const known = actions(page);
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") {
      if (page.running && document.activeElement === byId("question")) page.running.abort();
      else page.panel.close();
      return;
    }
    const isTyping = event.target.matches("input, textarea, select");
    if (!settings.shortcuts || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!Object.hasOwn(known, event.key)) return;
    event.preventDefault();
    known[event.key]();
  });
}
