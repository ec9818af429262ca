// Starts the page: chooses the index, takes questions, and joins the parts.

import { read } from "./api.js";
import { byId, element, icon } from "./dom.js";
import { DocumentsDialog } from "./documents.js";
import { failureNotice } from "./failures.js";
import { firstIndex } from "./intake.js";
import { HistoryDialog } from "./history.js";
import { PassagePanel } from "./passage.js";
import { SettingsDialog } from "./settings.js";
import { change, keepTalk, settings } from "./settings_store.js";
import { listen } from "./shortcuts.js";
import { answerTurn, makeTurn, showAnswer } from "./turn.js";
import { WhyNotDialog } from "./why_not.js";
import { choose, count, shownLanguage, t, writeWords } from "./words.js";

const MOST_TURNS = 30;

class Page {
  constructor() {
    this.info = null;
    this.states = new Map();
    this.index = "";
    this.talk = emptyTalk();
    this.running = null;
    this.panel = new PassagePanel();
    this.whyNot = new WhyNotDialog(this);
    this.question = byId("question");
    const openDocument = (place, opener) => this.panel.open(this.index, [place], 0, opener);
    this.dialogs = {
      documents: new DocumentsDialog(this, openDocument),
      history: new HistoryDialog(this),
      settings: new SettingsDialog(this),
    };
  }

  async start() {
    this.speak();
    for (const node of document.querySelectorAll("[data-icon]")) node.prepend(icon(node.dataset.icon));
    this.wire();
    try {
      this.info = await read("/info");
    } catch (exc) {
      byId("welcome").append(failureNotice(exc));
      return;
    }
    this.panel.drawsPages = this.info.pictures;
    const asked = new URLSearchParams(location.search);
    this.offer([asked.get("index"), settings.index]);
    if (asked.get("doc")) this.view(asked);
    else this.question.focus();
    await this.refresh();
  }

  /** Show which indexes there are, and go over to the first of some names that is one. */
  offer(wanted) {
    const names = this.info.indexes;
    byId("index").replaceChildren(...names.map((name) => element("option", { value: name }, name)));
    this.take(wanted.find((name) => names.includes(name)) ?? names[0] ?? "");
  }

  /** Show everything in the language that is chosen. */
  speak() {
    choose(settings.language);
    writeWords();
    if (this.running) this.describe();
    else this.redraw();
  }

  wire() {
    byId("index").addEventListener("change", (event) => {
      this.take(event.target.value);
      this.refresh();
    });
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.question.addEventListener("input", () => this.grow());
    this.question.addEventListener("keydown", (event) => {
      const isComposing = event.isComposing || event.keyCode === 229; // Enter chooses a character
      if (event.key !== "Enter" || event.shiftKey || isComposing) return;
      event.preventDefault();
      this.submit();
    });
    byId("stop").addEventListener("click", () => this.running?.abort());
    byId("new-talk").addEventListener("click", () => this.begin());
    for (const [name, dialog] of Object.entries(this.dialogs)) {
      byId(`open-${name}`).addEventListener("click", () => dialog.open());
    }
    for (const node of document.querySelectorAll("[data-closes]")) {
      node.addEventListener("click", () => node.closest("dialog").close());
    }
    listen(this);
  }

  grow() {
    this.question.style.height = "auto";
    this.question.style.height = `${Math.min(this.question.scrollHeight + 2, innerHeight / 3)}px`;
  }

  /** Go over to an index. */
  take(name) {
    this.index = name;
    byId("index").value = name;
    change({ index: name });
    this.begin();
  }

  /** Begin a conversation, or go on with one that was kept. */
  begin(talk = emptyTalk()) {
    this.running?.abort();
    this.panel.close();
    this.talk = talk;
    this.redraw();
    this.question.focus();
  }

  redraw() {
    byId("turns").replaceChildren();
    for (const { question, raw } of this.talk.turns) {
      const turn = makeTurn(question);
      byId("turns").append(turn.node);
      showAnswer(turn, raw, this.shower());
    }
    this.describe();
  }

  shower() {
    const { index } = this;
    const show = (citations, at, opener) => this.panel.open(index, citations, at, opener);
    return { index, show, whyNot: (question) => this.whyNot.open(question) };
  }

  /** Learn how the indexes stand. */
  async refresh() {
    const { indexes } = await read("/indexes");
    this.states = new Map(indexes.map((state) => [state.name, state]));
    this.describe();
  }

  /** Say what the index is, before the first question. */
  describe() {
    const isNew = !this.talk.turns.length && !byId("turns").childElementCount;
    byId("welcome").hidden = !isNew;
    document.body.classList.toggle("is-new", isNew);
    this.question.placeholder = t(isNew ? "ask" : "askNext");
    this.offerFirst();
    byId("no-chat").hidden = this.info?.chat !== "none";
    if (this.info) byId("index-facts").textContent = this.facts();
  }

  /** Have the first index made here, where that is allowed and there is none. */
  offerFirst() {
    const box = byId("first");
    const isWanted = Boolean(this.info?.allow_index) && !this.index;
    if (!isWanted || box.lang === shownLanguage() || box.querySelector("progress")) return;
    box.lang = shownLanguage();
    box.replaceChildren(...firstIndex(this, (told, name) => this.madeFirst(told, name)));
    box.hidden = false;
  }

  /** Go over to the index that was made, and show what was told of it. */
  async madeFirst(told, name) {
    try {
      this.info = await read("/info");
    } catch (exc) {
      told.append(failureNotice(exc));
      return;
    }
    if (!this.info.indexes.length) return;
    this.offer([name]);
    byId("first").replaceChildren(told);
    await this.refresh();
  }

  facts() {
    if (!this.index) return t(this.info.allow_index ? "firstIndex" : "noIndex");
    const state = this.states.get(this.index);
    if (!state) return "";
    if (state.error) return `${t("brokenIndex")} ${state.error.message}`;
    const numbers = { documents: count(state.documents), chunks: count(state.chunks) };
    const parts = [t(state.documents === 1 ? "oneFact" : "facts", numbers)];
    if (state.stale) parts.push(t("staleFacts", { count: count(state.stale) }));
    if (state.is_indexing) parts.push(t("indexing"));
    return parts.join(" ");
  }

  submit() {
    const words = this.question.value.trim();
    if (!words || this.running || !this.index) return;
    this.question.value = "";
    this.grow();
    this.ask(words);
  }

  async ask(words) {
    const turn = makeTurn(words);
    byId("turns").append(turn.node);
    this.describe();
    this.bringUp(turn.node);
    this.working(new AbortController());
    const { talk, index } = this;
    const raw = await answerTurn(turn, this.body(words), {
      ...this.shower(),
      signal: this.running.signal,
      again: () => {
        if (this.running) return;
        turn.node.remove();
        this.ask(words);
      },
    });
    this.working(null);
    if (raw === null) return;
    talk.turns.push({ question: words, raw });
    talk.at = Date.now();
    if (!keepTalk(index, talk)) turn.body.append(element("p", { class: "quiet" }, t("historyFull")));
  }

  /** Show a turn from its question on, with room below for its answer; only the talk scrolls. */
  bringUp(node) {
    const talk = byId("talk");
    const above = node.previousElementSibling;
    if (above) {
      above.style.minHeight = "";
      node.style.minHeight = `${talk.clientHeight - 32}px`;
    }
    talk.scrollTop += node.getBoundingClientRect().top - talk.getBoundingClientRect().top;
  }

  working(running) {
    this.running = running;
    byId("send").hidden = Boolean(running);
    byId("stop").hidden = !running;
  }

  body(question) {
    const turns = this.talk.turns.slice(-MOST_TURNS).map((turn) => ({
      question: turn.question, text: JSON.parse(turn.raw).text,
    }));
    return {
      question, turns, index: this.index,
      k: settings.k ? Number(settings.k) : null,
      mode: settings.mode || null,
      strict: settings.strict || null,
      extractive: settings.extractive,
    };
  }

  /** Show the place that the page's address names. */
  view(asked) {
    const [start, end] = ["start", "end"].map((name) => Number(asked.get(name)) || 0);
    this.panel.open(this.index, [{ doc_id: asked.get("doc"), start, end }], 0, this.question);
  }
}

function emptyTalk() {
  return { id: `${Date.now()}-${Math.random().toString(36).slice(2, 8)}`, at: Date.now(), turns: [] };
}

new Page().start();
