// Draws an answer's text: its sentences with their marks, its [n] as links.

import { element, hidden, icon } from "./dom.js";
import { blocksOf, piecesOf } from "./markup.js";
import { unitsOf } from "./offsets.js";
import { t } from "./words.js";

export const STATUSES = ["quoted", "supported", "unsupported", "uncited"];

/** An answer's text that is still coming: without marks, since nothing is checked yet. */
export function drawComing(text, isPlain) {
  return draw({ text, isPlain, sentences: [], closest: [], link: null });
}

/**
 * An answer's text.
 * @param answer As the server gave it.
 * @param link Makes the link for a number in a sentence; the sentence is null outside of all.
 */
export function drawAnswer(answer, link) {
  const units = unitsOf(answer.text);
  const here = (span) => ({ ...span, start: units(span.start), end: units(span.end) });
  return draw({
    text: answer.text,
    isPlain: answer.chat_model === null,
    sentences: answer.refused ? [] : answer.sentences.map(here),
    closest: answer.closest.map(here),
    link,
  });
}

function draw(shown) {
  const made = document.createDocumentFragment();
  const state = { ...shown, left: new Map(), list: null };
  const blocks = blocksOf(shown.text, shown.isPlain);
  const parts = blocks.map((block) => partsOf(block, state));
  for (const part of parts.flat()) if (part.sentence) state.left.set(part.sentence, part);
  blocks.forEach((block, index) => placeBlock(made, block, parts[index], state));
  return made;
}

/** The pieces of a block, cut where a sentence or a closest span begins or ends. */
function partsOf(block, { text, isPlain, sentences, closest }) {
  const isCode = block.kind === "code";
  const whole = { start: block.start, end: block.end, isBold: false, isCode: false, cites: null };
  const pieces = isCode ? [whole] : piecesOf(text, block.start, block.end, isPlain);
  const within = (span) => span.start < block.end && block.start < span.end;
  const spans = { sentences: sentences.filter(within), closest: closest.filter(within) };
  const edges = [...spans.sentences, ...spans.closest].flatMap((span) => [span.start, span.end]);
  return pieces.flatMap((piece) => cut(piece, edges)).map((part) => ({
    ...part,
    sentence: holder(spans.sentences, part),
    isClosest: Boolean(holder(spans.closest, part)),
  }));
}

function cut(piece, edges) {
  if (piece.cites !== null) return [piece];
  const inner = edges.filter((edge) => piece.start < edge && edge < piece.end);
  const places = [piece.start, ...[...new Set(inner)].sort((a, b) => a - b), piece.end];
  return places.slice(1).map((end, index) => ({ ...piece, start: places[index], end }));
}

function holder(spans, part) {
  return spans.find((span) => span.start <= part.start && part.end <= span.end) || null;
}

function placeBlock(made, block, parts, state) {
  const drawn = drawParts(parts, state);
  if (block.kind === "li") {
    const isNumbered = block.number !== null;
    const tag = isNumbered ? "OL" : "UL";
    if (!state.list || state.list.tagName !== tag) {
      state.list = element(tag, isNumbered ? { start: block.number } : {});
      made.append(state.list);
    }
    state.list.append(element("li", {}, drawn));
    return;
  }
  state.list = null;
  const tags = { p: ["p", {}], h: ["p", { class: "subheading" }], code: ["pre", { tabindex: "0" }] };
  made.append(element(...tags[block.kind], drawn));
}

function drawParts(parts, state) {
  const drawn = [];
  let open = null;
  for (const part of parts) {
    const node = drawPart(part, state);
    if (!part.sentence) {
      drawn.push(node);
      open = null;
      continue;
    }
    if (open?.sentence !== part.sentence) {
      const { status } = part.sentence;
      open = { sentence: part.sentence, node: element("span", { class: "sentence", "data-status": status }) };
      drawn.push(open.node);
    }
    open.node.append(node);
    if (state.left.get(part.sentence) === part) putBehind(open.node, node, statusMark(part.sentence.status));
  }
  return drawn;
}

/** Put the sign of a status behind a sentence, on the line of what the sentence ends with. */
function putBehind(sentence, last, sign) {
  const kept = element("span", { class: "kept" });
  if (last.nodeType === Node.TEXT_NODE) {
    const end = [...last.data].pop() || "";
    last.data = last.data.slice(0, last.data.length - end.length);
    kept.append(end);
  } else if (last.classList.contains("cite")) kept.append(last);
  kept.append(sign);
  sentence.append(kept);
}

function drawPart(part, { text, link }) {
  const words = text.slice(part.start, part.end);
  if (part.cites !== null) {
    const drawn = link?.(part.cites, part.sentence);
    return drawn || element("span", { class: "cite" }, String(part.cites));
  }
  if (part.isClosest) return element("mark", { class: "closest" }, words);
  if (part.isCode) return element("code", {}, words);
  return part.isBold ? element("strong", {}, words) : document.createTextNode(words);
}

/** The sign of a status: a picture, a word for screen readers, and its meaning on hovering. */
export function statusMark(status) {
  const label = `${t(status)}: ${t(`${status}Long`)}`;
  return element("span", { class: `status status-${status}`, title: label }, icon(status), hidden(` (${t(status)}) `));
}
