// One question and what came back: the text as it comes, then the answer with its marks and sources.

import { ask, viewAddress } from "./api.js";
import { drawAnswer, drawComing, statusMark, STATUSES } from "./answer_view.js";
import { announce, button, download, element, icon } from "./dom.js";
import { failureNotice } from "./failures.js";
import { answerAsMarkdown } from "./proof.js";
import { count, t } from "./words.js";

/** An empty turn: `{node, body}`. */
export function makeTurn(question) {
  const body = element("div", { class: "reply" });
  const node = element("article", { class: "turn" }, element("h2", { class: "asked" }, question), body);
  return { node, body, question };
}

/**
 * Ask, and show what comes. Gives the answer as the server wrote it, null if there is none.
 * @param asked The body of the request.
 * @param options `signal` stops it; `show(citations, position, opener)` shows a place; `again()` asks anew.
 */
export async function answerTurn(turn, asked, options) {
  const coming = new Coming(turn.body);
  let raw = null;
  try {
    for await (const event of ask(asked, options.signal)) {
      if (event.name === "text") coming.add(event.data);
      else if (event.name === "thinking") coming.think(event.data.text);
      else if (event.name === "retract") coming.retract();
      else if (event.name === "answer") raw = event.raw;
      else if (event.name === "error") throw Object.assign(new Error(event.data.message), event.data);
    }
    if (!raw) throw Object.assign(new Error(""), { type: "Unreachable" });
    coming.end();
    showAnswer(turn, raw, { ...options, index: asked.index });
    announce(spoken(JSON.parse(raw)));
  } catch (exc) {
    coming.end();
    const isStopped = exc.name === "AbortError";
    turn.body.append(isStopped ? stoppedNotice() : failureNotice(exc));
    if (coming.text) turn.body.lastChild.prepend(element("p", {}, t(isStopped ? "stopped" : "unfinished")));
    turn.body.append(element("p", { class: "actions" }, button("again", t("again"), options.again)));
    announce(isStopped ? t("stopped") : turn.body.querySelector(".failure")?.textContent || t("answerFailed"));
    return null;
  }
  return raw;
}

function stoppedNotice() {
  return element("div", { class: "notice" });
}

/** The text of an answer while it comes, drawn at most once a frame. */
class Coming {
  constructor(body) {
    this.text = "";
    this.isQuoted = false;
    this.waiting = 0;
    this.node = element("div", { class: "answer-text coming" });
    this.line = element("p", { class: "quiet working" }, t("searching"));
    body.replaceChildren(this.line, this.node);
    this.body = body;
    this.reasoning = null;
  }

  add({ text, quoted }) {
    this.text += text;
    this.isQuoted ||= Boolean(quoted);
    this.line.textContent = t("answering");
    this.waiting ||= requestAnimationFrame(() => this.draw());
  }

  think(text) {
    if (!this.reasoning) {
      const words = element("div", { class: "reasoning-text" });
      this.reasoning = element("details", { class: "reasoning" }, element("summary", {}, t("thinking")), words);
      this.body.insertBefore(this.reasoning, this.node);
    }
    this.reasoning.lastChild.append(text);
  }

  retract() {
    this.think(this.text);
    this.text = "";
    this.draw();
  }

  draw() {
    this.waiting = 0;
    this.node.replaceChildren(drawComing(this.text, this.isQuoted));
  }

  end() {
    cancelAnimationFrame(this.waiting);
    this.draw();
    this.line.remove();
    this.node.classList.remove("coming");
  }
}

/** Show an answer that is there, from the server or from the history. */
export function showAnswer(turn, raw, { index, show, whyNot }) {
  const answer = JSON.parse(raw);
  const link = (number, sentence) => citationLink(answer, number, sentence, { index, show });
  const text = element("div", { class: "answer-text" }, drawAnswer(answer, link));
  const reasoning = turn.body.querySelector(".reasoning");
  if (answer.refused) text.classList.add("notice");
  else if (answer.chat_model === null) text.classList.add("quotation");
  turn.body.replaceChildren(
    ...[reasoning, heading(answer), text, summary(answer), sources(answer, { index, show }), footer(answer, raw, whyNot)]
      .filter(Boolean),
  );
}

function heading(answer) {
  if (!answer.closest.length) return null;
  return element("p", { class: "quiet closest-heading" }, element("strong", {}, t("closest")), ` ${t("closestNote")}`);
}

/** A link to the place that a number of a sentence stands for. */
function citationLink(answer, number, sentence, { index, show }) {
  const own = (sentence?.citations || []).find((at) => answer.citations[at].number === number);
  const position = own ?? answer.citations.findIndex((citation) => citation.number === number);
  const citation = answer.citations[position];
  if (!citation) return null;
  const label = `${t("source", { number })}: ${placeName(citation)}`;
  return element("a", {
    class: "cite",
    href: viewAddress(index, citation),
    title: placeName(citation),
    "aria-label": label,
    click: (event) => opened(event, () => show(answer.citations, position, event.currentTarget)),
  }, String(number));
}

function opened(event, act) {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return; // the browser's own ways of opening
  event.preventDefault();
  act();
}

/** A citation's document and page. */
export function placeName(citation) {
  return citation.page === null ? citation.path : `${citation.path}, ${t("page", { number: citation.page })}`;
}

/** How many sentences have which status; what the signs mean, on demand. */
function summary(answer) {
  if (answer.refused || answer.closest.length || !answer.sentences.length) return null;
  const numbers = STATUSES.map((status) => [status, answer.sentences.filter((s) => s.status === status).length]);
  const shown = numbers.filter(([, number]) => number).map(([status, number]) =>
    element("span", { class: `tally tally-${status}` }, icon(status), `${count(number)} ${t(status)}`));
  const meanings = STATUSES.map((status) =>
    element("li", {}, statusMark(status), element("span", {}, element("strong", {}, t(status)), ` ${t(`${status}Long`)}`)));
  return element("details", { class: "summary" },
    element("summary", {}, ...shown, element("span", { class: "quiet" }, t("marks"))),
    element("ul", { class: "legend" }, meanings));
}

function sources(answer, { index, show }) {
  if (!answer.citations.length) return null;
  const rows = new Map();
  answer.citations.forEach((citation, position) => {
    const key = JSON.stringify([citation.number, citation.doc_id, citation.page]);
    if (!rows.has(key)) rows.set(key, position);
  });
  const items = [...rows.values()].map((position) => {
    const citation = answer.citations[position];
    const attributes = {
      href: viewAddress(index, citation),
      click: (event) => opened(event, () => show(answer.citations, position, event.currentTarget)),
    };
    return element("li", {},
      element("span", { class: "number", "aria-hidden": "true" }, String(citation.number)),
      element("div", {},
        element("a", attributes, citation.path),
        element("span", { class: "quiet" }, detail(citation)),
        element("p", { class: "snippet" }, citation.quote.replace(/\s+/g, " ")),
        citation.to_model ? element("p", { class: "notice small" }, icon("warning"), t("toModel")) : null));
  });
  return element("section", { class: "sources" }, element("h3", {}, t("sources")), element("ol", {}, items));
}

function detail(citation) {
  const page = citation.page === null ? [] : [t("page", { number: citation.page })];
  const parts = [...page, ...citation.heading];
  return parts.length ? ` · ${parts.join(" › ")}` : "";
}

function footer(answer, raw, whyNot) {
  const seconds = answer.seconds.toFixed(1);
  const made = answer.chat_model === null
    ? t("madeNone", { seconds }) : t("made", { model: answer.chat_model, seconds });
  const dropped = answer.receipt?.dropped?.length || 0;
  const name = answer.question.replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 40).replace(/^-|-$/g, "") || "answer";
  return element("footer", { class: "after" },
    element("p", { class: "quiet" },
      answer.searched && answer.searched !== answer.question
        ? element("span", {}, t("searched", { text: answer.searched })) : null,
      element("span", {}, made),
      dropped ? element("span", {}, t("dropped", { count: count(dropped) })) : null),
    element("p", { class: "actions" },
      button("download", t("saveMarkdown"), () => download(`${name}.md`, "text/markdown", answerAsMarkdown(answer))),
      button("download", t("saveJson"), () => download(`${name}.json`, "application/json", raw),
        { title: t("saveHint") }),
      whyNot ? button("why", t("whyNot"), () => whyNot(answer.searched || answer.question)) : null));
}

/** What a screen reader says of an answer: its words once, and how it stands. */
function spoken(answer) {
  const tallies = STATUSES.map((status) => [status, answer.sentences.filter((s) => s.status === status).length])
    .filter(([, number]) => number).map(([status, number]) => `${number} ${t(status)}`);
  const words = answer.text.replace(/ ?\[\d{1,3}\]/g, "");
  return `${t("answerReady")}: ${words} ${answer.refused ? "" : tallies.join(", ")}`;
}
