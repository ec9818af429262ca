// The conversations that this browser kept of an index.

import { button, byId, element } from "./dom.js";
import { forgetTalks, talksOf } from "./settings_store.js";
import { count, shownLanguage, t } from "./words.js";

export class HistoryDialog {
  constructor(page) {
    this.page = page;
    this.node = byId("history");
    this.body = byId("history-body");
  }

  open() {
    this.draw();
    this.node.showModal();
  }

  draw() {
    const { index } = this.page;
    const talks = talksOf(index);
    this.body.replaceChildren(element("p", { class: "quiet" }, talks.length ? t("historyNote") : t("noHistory")));
    if (!talks.length) return;
    this.body.append(element("ul", { class: "rows" }, talks.map((talk) => this.row(talk))));
    this.body.append(element("p", { class: "actions" }, surely("remove", t("forgetAll"), () => this.forget(null))));
  }

  row(talk) {
    const at = new Date(talk.at).toLocaleString(shownLanguage(), { dateStyle: "medium", timeStyle: "short" });
    const number = talk.turns.length;
    const turns = number === 1 ? t("oneTurn") : t("turns", { count: count(number) });
    const name = talk.turns[0]?.question ?? "";
    return element("li", {},
      element("div", { class: "row-head" },
        button(null, name, () => this.resume(talk), { class: "link" }),
        surely("remove", t("forget"), () => this.forget(talk.id), name)),
      element("p", { class: "quiet" }, `${at} · ${turns}`));
  }

  resume(talk) {
    this.node.close();
    this.page.begin(talk);
  }

  forget(id) {
    forgetTalks(this.page.index, id);
    if (id === null || id === this.page.talk.id) this.page.begin();
    this.draw();
    this.node.querySelector("[data-closes]").focus();
  }
}

/** A button that acts when it is pressed twice. */
function surely(picture, words, act, of = "") {
  let isSure = false;
  const label = of ? { "aria-label": `${words}: ${of}` } : {};
  const made = button(picture, words, () => {
    if (isSure) {
      act();
      return;
    }
    isSure = true;
    made.lastChild.textContent = t("forgetAsk");
    made.setAttribute("aria-label", t("forgetAsk"));
    made.classList.add("sure");
  }, label);
  return made;
}
