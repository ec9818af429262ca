// The documents of an index with their state, and the files that are none with the reasons.

import { read } from "./api.js";
import { button, byId, element, icon } from "./dom.js";
import { failureNotice } from "./failures.js";
import { intake } from "./intake.js";
import { count, t } from "./words.js";

const AT_ONCE = 200;
const SIGNS = {
  indexed: "supported", stale: "warning", without_text: "uncited",
  failed: "warning", skipped: "uncited", unreadable: "warning",
};

export class DocumentsDialog {
  constructor(page, openDocument) {
    this.page = page;
    this.openDocument = openDocument;
    this.node = byId("documents");
    this.body = byId("documents-body");
  }

  async open() {
    if (!this.page.index) return;
    this.body.replaceChildren(element("p", { class: "quiet" }, t("loading")));
    this.node.showModal();
    try {
      this.draw(await read("/documents", { index: this.page.index }));
    } catch (exc) {
      this.body.replaceChildren(failureNotice(exc));
    }
  }

  /** Show the documents; `told` has what is told of the job before. */
  draw({ documents, not_indexed: others }, told = undefined) {
    const wanting = (entry) => (entry.state === "indexed" ? 1 : 0); // what needs a look comes first
    const all = [...others, ...documents].sort((a, b) => wanting(a) - wanting(b));
    const rows = element("ul", { class: "rows" });
    const filter = element("input", { type: "search", id: "documents-filter", autocomplete: "off" });
    const show = (most) => {
      const words = filter.value.trim().toLocaleLowerCase();
      const found = all.filter((entry) => `${entry.path} ${entry.title ?? ""}`.toLocaleLowerCase().includes(words));
      rows.replaceChildren(...found.slice(0, most).map((entry) => this.row(entry)));
      if (!found.length) rows.append(element("li", { class: "quiet" }, t("noDocuments")));
      const left = found.length - most;
      if (left > 0) rows.append(element("li", {}, button("down", t("more", { count: count(left) }), () => show(most + AT_ONCE))));
    };
    filter.addEventListener("input", () => show(AT_ONCE));
    const adds = this.page.info.allow_index ? intake(this.page, (box) => this.changed(box), told) : null;
    this.body.replaceChildren(...[adds,
      element("p", { class: "quiet" }, t("documentsCount", { documents: count(documents.length), others: count(others.length) })),
      element("p", {}, button("why", t("whyNot"), () => this.why())),
      element("label", { class: "field" }, element("span", {}, t("filter")), filter), rows].filter(Boolean));
    show(AT_ONCE);
    filter.focus();
  }

  /** Show what a job changed, and what was told of it. */
  async changed(told) {
    this.page.refresh();
    try {
      this.draw(await read("/documents", { index: this.page.index }), told);
    } catch (exc) {
      told.append(failureNotice(exc));
    }
  }

  why() {
    this.node.close();
    this.page.whyNot.open(this.page.talk.turns.at(-1)?.question ?? "");
  }

  row(entry) {
    const state = element("span", { class: `state state-${entry.state}` }, icon(SIGNS[entry.state]), t(entry.state));
    const name = entry.doc_id
      ? button(null, entry.path, () => this.show(entry), { class: "link" })
      : element("span", { class: "name" }, entry.path);
    return element("li", {}, element("div", { class: "row-head" }, name, state),
      ...facts(entry).map((line) => element("p", { class: "quiet" }, line)));
  }

  show(entry) {
    this.node.close();
    this.openDocument({ doc_id: entry.doc_id, path: entry.path, start: 0, end: 0 }, byId("open-documents"));
  }
}

function facts(entry) {
  if (!entry.doc_id) return [entry.reason];
  const sizes = [entry.kind, entry.pages ? t("pages", { count: count(entry.pages) }) : null,
    t("passages", { count: count(entry.chunks) })].filter(Boolean).join(" · ");
  const empty = entry.pages_without_text?.length
    ? t("pagesWithoutText", { pages: entry.pages_without_text.join(", ") }) : null;
  return [sizes, entry.stale, empty, ...(entry.notes || []).map(String)].filter(Boolean);
}
