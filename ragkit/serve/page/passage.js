// The panel that shows a cited place in its document, with what stands around it.

import { read } from "./api.js";
import { button, byId, element } from "./dom.js";
import { failureNotice } from "./failures.js";
import { unitsOf } from "./offsets.js";
import { pagePictures } from "./page_picture.js";
import { t } from "./words.js";

const AROUND = 1500;
const FURTHER = 4000;

/** The panel; it knows the citations among which one can go on and back. */
export class PassagePanel {
  constructor() {
    this.node = byId("passage");
    this.body = byId("passage-body");
    this.title = byId("passage-title");
    this.opener = null;
    this.drawsPages = false;
    this.citations = [];
    this.position = 0;
    byId("passage-close").addEventListener("click", () => this.close());
    byId("passage-next").addEventListener("click", () => this.step(1));
    byId("passage-previous").addEventListener("click", () => this.step(-1));
  }

  get isOpen() {
    return !this.node.hidden;
  }

  /** Show one of some citations of an index; `opener` has the focus again when the panel closes. */
  async open(index, citations, position, opener) {
    Object.assign(this, { index, citations, position });
    if (opener && !this.node.contains(opener)) this.opener = opener;
    this.node.hidden = false;
    byId("workspace").classList.add("split");
    this.covers(true);
    await this.show(citations[position]);
    this.title.focus();
  }

  close() {
    if (!this.isOpen) return;
    this.node.hidden = true;
    byId("workspace").classList.remove("split");
    this.covers(false);
    this.mark(null);
    (this.opener?.isConnected ? this.opener : byId("question")).focus();
  }

  step(by) {
    const count = this.citations.length;
    if (!this.isOpen || count < 2) return;
    this.position = (this.position + by + count) % count;
    this.show(this.citations[this.position]);
  }

  /** On a narrow screen the panel lies over everything: nothing below it can be reached. */
  covers(isOpen) {
    const isNarrow = matchMedia("(max-width: 60rem)").matches;
    for (const under of [byId("main"), document.querySelector(".bar")]) under.inert = isOpen && isNarrow;
  }

  mark(citation) {
    const wanted = citation ? `doc=${citation.doc_id}&start=${citation.start}&end=${citation.end}` : null;
    for (const link of document.querySelectorAll("a.cite")) {
      const isShown = wanted !== null && link.getAttribute("href").endsWith(wanted);
      if (isShown) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }

  async show(citation) {
    for (const id of ["passage-next", "passage-previous"]) byId(id).hidden = this.citations.length < 2;
    this.title.textContent = citation.path || "";
    this.placeLine(citation.page ?? null, citation.heading || []);
    this.body.replaceChildren(element("p", { class: "quiet" }, t("loading")));
    this.mark(citation);
    const { doc_id, start, end } = citation;
    try {
      const found = await read("/passages", { index: this.index, doc_id, start, end, around: AROUND });
      if (this.citations[this.position] !== citation) return; // another was asked for meanwhile
      this.title.textContent = found.path;
      this.placeLine(citation.page ?? pageAt(found, start), found.heading);
      this.body.replaceChildren(...this.drawn(found));
      this.toMark();
      if (found.kind === "pdf" && this.drawsPages) await this.showPages(citation, found);
    } catch (exc) {
      this.body.replaceChildren(failureNotice(exc));
      if (citation.quote) {
        this.body.append(element("p", {}, t("goneQuote")), element("blockquote", {}, citation.quote));
      }
    }
  }

  placeLine(page, heading) {
    const parts = page === null ? heading : [t("page", { number: page }), ...heading];
    byId("passage-place").textContent = parts.join(" › ");
  }

  /** Show the pages of a place as pictures, with its text behind a button. */
  async showPages(citation, found) {
    let pictures;
    try {
      pictures = await pagePictures(this.index, found);
    } catch (exc) {
      if (this.citations[this.position] === citation) this.body.prepend(failureNotice(exc));
      return;
    }
    if (!pictures || this.citations[this.position] !== citation) return;
    const text = element("div", { class: "as-text", hidden: true }, ...this.body.childNodes);
    const sheets = element("div", { class: "as-pages" }, ...pictures);
    const toggle = button("documents", t("asText"), () => {
      text.hidden = !text.hidden;
      sheets.hidden = !text.hidden;
      toggle.lastChild.textContent = t(text.hidden ? "asText" : "asPage");
      if (text.hidden) toBox(this.body);
      else this.toMark();
    }, { id: "passage-view" });
    this.body.replaceChildren(element("p", { class: "further" }, toggle), sheets, text);
    await Promise.allSettled(pictures.map((picture) => picture.querySelector("img").decode()));
    toBox(this.body);
  }

  drawn(found) {
    const { text, text_start: first } = found;
    const units = unitsOf(text);
    const [from, to] = [units(found.start - first), units(found.end - first)];
    const pages = new Set();
    const paper = element("div", { class: "paper" });
    const before = piece(text.slice(0, from), first, found.pages, pages);
    const marked = text.slice(from, to);
    paper.append(...before);
    if (marked) {
      paper.append(element("mark", { class: "place", id: "place", "aria-label": t("place") },
        ...piece(marked, found.start, found.pages, pages)));
    }
    paper.append(...piece(text.slice(to), found.end, found.pages, pages));
    return [this.further(found, paper, -1), paper, this.further(found, paper, 1)];
  }

  /** The button that shows more of the document above (-1) or below (1). */
  further(found, paper, way) {
    let edge = way < 0 ? found.text_start : found.text_end;
    const isEnd = () => (way < 0 ? edge <= 0 : edge >= found.length);
    const line = element("p", { class: "further" });
    const known = new Set(found.pages.map((page) => page.number));
    const load = async () => {
      const start = way < 0 ? Math.max(0, edge - FURTHER) : edge;
      const end = way < 0 ? edge : Math.min(found.length, edge + FURTHER);
      try {
        const more = await read("/passages", { index: this.index, doc_id: found.doc_id, start, end, around: 0 });
        const nodes = piece(more.text, start, more.pages, known);
        const height = this.body.scrollHeight;
        if (way < 0) paper.prepend(...nodes);
        else paper.append(...nodes);
        if (way < 0) this.body.scrollTop += this.body.scrollHeight - height;
        edge = way < 0 ? start : end;
        fill();
      } catch (exc) {
        line.replaceChildren(failureNotice(exc));
      }
    };
    const fill = () => {
      const words = way < 0 ? ["documentStart", "above"] : ["documentEnd", "below"];
      const picture = way < 0 ? "up" : "down";
      line.replaceChildren(isEnd()
        ? element("span", { class: "quiet" }, t(words[0]))
        : button(picture, t(words[1]), load));
    };
    fill();
    return line;
  }

  toMark() {
    const mark = byId("place");
    if (!mark) return;
    const above = mark.getBoundingClientRect().top - this.body.getBoundingClientRect().top;
    this.body.scrollTop += above - this.body.clientHeight / 4;
  }
}

/** Scroll a picture to its first mark. */
function toBox(body) {
  const box = body.querySelector(".page-sheet rect");
  if (!box) return;
  const above = box.getBoundingClientRect().top - body.getBoundingClientRect().top;
  body.scrollTop += above - body.clientHeight / 4;
}

/** A part of a document as nodes, with a line where a page begins that was not named before. */
function piece(text, start, pages, named) {
  const units = unitsOf(text);
  const nodes = [];
  let done = 0;
  for (const page of pages) {
    if (named.has(page.number) || page.end <= start) continue;
    const at = units(Math.max(0, page.start - start));
    if (at >= text.length) break;
    named.add(page.number);
    nodes.push(text.slice(done, at), element("span", { class: "page-line" }, t("page", { number: page.number })));
    done = at;
  }
  nodes.push(text.slice(done));
  return nodes.filter((node) => node !== "");
}

function pageAt(found, start) {
  return found.pages.find((page) => page.start <= start && start < page.end)?.number ?? null;
}
