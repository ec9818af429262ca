// "Why was my document not used?": at which stage of a question a document was lost.

import { post, read } from "./api.js";
import { byId, element, icon } from "./dom.js";
import { failureNotice } from "./failures.js";
import { adviceFor, count, t } from "./words.js";

const MOST_NAMES = 2000;

export class WhyNotDialog {
  constructor(page) {
    this.page = page;
    this.node = byId("why-not");
    this.body = byId("why-not-body");
  }

  /** Ask about a question of the conversation, or one that is typed. */
  async open(question = "") {
    const asked = element("input", { type: "text", required: true, maxlength: 20000, value: question });
    const path = element("input", { type: "text", required: true, list: "why-not-names", autocomplete: "off" });
    const words = element("input", { type: "text", autocomplete: "off" });
    const told = element("div", { class: "why-told", role: "status" });
    const names = element("datalist", { id: "why-not-names" });
    const send = (event) => {
      event.preventDefault();
      this.ask({ question: asked.value, path: path.value, text: words.value, index: this.page.index }, told);
    };
    this.body.replaceChildren(
      element("form", { class: "why-form", submit: send },
        field("question", asked), field("whyPath", path), field("whyText", words), names,
        element("button", { type: "submit", class: "primary" }, t("whyAsk"))),
      told);
    this.node.showModal();
    (question ? path : asked).focus();
    const { documents } = await read("/documents", { index: this.page.index }).catch(() => ({ documents: [] }));
    names.replaceChildren(...documents.slice(0, MOST_NAMES).map((entry) => element("option", { value: entry.path })));
  }

  async ask(body, told) {
    told.replaceChildren(element("p", { class: "quiet" }, t("loading")));
    try {
      told.replaceChildren(...drawn(await post("/why-not", body)));
    } catch (exc) {
      told.replaceChildren(failureNotice(exc));
    }
  }
}

function field(name, input) {
  return element("label", { class: "field" }, element("span", {}, t(name)), input);
}

function drawn(found) {
  const isThere = found.stage === "used" || found.stage === "given";
  const nodes = [
    element("p", { class: "why-stage" }, icon(isThere ? "supported" : "unsupported"),
      element("strong", {}, t(`why_${found.stage.replace(" ", "_")}`))),
  ];
  const advice = adviceFor(found.stage);
  if (advice) nodes.push(element("p", {}, advice));
  if (found.stage !== "given") nodes.push(element("p", { class: "said", lang: "en" }, found.reason)); // it speaks of an option of the command
  const ranked = found.standings.filter((standing) => standing.rank !== null).slice(0, 3);
  const rows = (ranked.length ? ranked : found.standings.slice(0, 3)).map((standing) => {
    const rank = standing.rank === null ? t("whyNoRank") : t("whyRank", { rank: count(standing.rank) });
    const page = standing.page === null ? "" : ` · ${t("page", { number: standing.page })}`;
    return element("li", {}, element("span", { class: "quiet" }, rank + page),
      element("p", { class: "snippet" }, standing.text.replace(/\s+/g, " ").slice(0, 200)));
  });
  return rows.length ? [...nodes, element("ul", { class: "rows" }, rows)] : nodes;
}
