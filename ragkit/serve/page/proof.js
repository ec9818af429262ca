// An answer as a Markdown text that a person can pass on.

import { unitsOf } from "./offsets.js";
import { placeName } from "./turn.js";
import { t } from "./words.js";

const LOOSE = /([\\`*_[\]<>|#!])/g;

/** The answer, how each sentence stands, and each source with its quotation. */
export function answerAsMarkdown(answer) {
  const units = unitsOf(answer.text);
  const lines = [`# ${plain(answer.question)}`, "", answer.text.replace(/[<>!]/g, "\\$&"), ""];
  const open = answer.sentences.filter((s) => s.status === "unsupported" || s.status === "uncited");
  if (!answer.refused && open.length) {
    lines.push(`**${t("unsupported")}, ${t("uncited")}**`, "");
    for (const sentence of open) {
      lines.push(`- ${t(sentence.status)}: ${plain(answer.text.slice(units(sentence.start), units(sentence.end)))}`);
    }
    lines.push("");
  }
  if (answer.citations.length) lines.push(`## ${t("sources")}`, "");
  for (const citation of answer.citations) {
    lines.push(`- \\[${citation.number}\\] ${plain(placeName(citation))}`, `  > ${plain(citation.quote)}`, "");
    lines.push(`  sha256 ${citation.file_sha256}, ${citation.start}–${citation.end}`, "");
  }
  return `${lines.join("\n").trimEnd()}\n`;
}

/** A text on one line, with nothing in it that Markdown or HTML would take for its own. */
function plain(text) {
  return text.replace(/\s+/g, " ").replace(LOOSE, "\\$1");
}
