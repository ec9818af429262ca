// Finds the little of Markdown that models write: paragraphs, lists, headings, code, bold, [n].
// It gives places in the text alone, so that sentences can be marked whatever stands in them.

const INLINE = /`([^`\n]+)`|\*\*(?=\S)([\s\S]*?\S)\*\*|\[(\d{1,3})\]/g;
const ITEM = /^([ \t]*)([-*+•]|\d{1,3}[.)])[ \t]+/;
const HEADING = /^#{1,6}[ \t]+/;

/** The blocks of a text: `{kind: "p" | "li" | "h" | "code", start, end, number}`; `number` of an item. */
export function blocksOf(text, isPlain) {
  const blocks = [];
  let open = null;
  let fence = null;
  for (const { start, end } of linesOf(text)) {
    const line = text.slice(start, end);
    if (!isPlain && line.trimStart().startsWith("```")) {
      if (fence) blocks.push(fence);
      fence = fence ? null : { kind: "code", start: end + 1, end: end + 1 };
      open = null;
    } else if (fence) {
      fence.end = end;
    } else if (!line.trim()) {
      open = null;
    } else {
      open = placed(blocks, open, { line, start, end, isPlain });
    }
  }
  if (fence && fence.end > fence.start) blocks.push(fence);
  return blocks;
}

function placed(blocks, open, { line, start, end, isPlain }) {
  const item = isPlain ? null : ITEM.exec(line);
  const heading = isPlain ? null : HEADING.exec(line);
  if (item || heading) {
    const begun = { kind: item ? "li" : "h", start: start + (item || heading)[0].length, end };
    if (item) begun.number = /\d/.test(item[2]) ? parseInt(item[2], 10) : null;
    blocks.push(begun);
    return item ? begun : null;
  }
  if (open) {
    open.end = end;
    return open;
  }
  blocks.push({ kind: "p", start, end });
  return blocks.at(-1);
}

function* linesOf(text) {
  let start = 0;
  while (start <= text.length) {
    const found = text.indexOf("\n", start);
    const end = found < 0 ? text.length : found;
    yield { start, end };
    start = end + 1;
  }
}

/** The pieces of a part of a text: `{start, end, isBold, isCode, cites}`; `cites` a number or null. */
export function piecesOf(text, start, end, isPlain, isBold = false) {
  const pieces = [];
  const add = (from, to, more = {}) => {
    if (to > from) pieces.push({ start: from, end: to, isBold, isCode: false, cites: null, ...more });
  };
  let done = start;
  for (const found of text.slice(start, end).matchAll(INLINE)) {
    const at = start + found.index;
    const after = at + found[0].length;
    if (isPlain && !found[3]) continue;
    add(done, at);
    if (found[3]) add(at, after, { cites: Number(found[3]) });
    else if (found[1]) add(at + 1, after - 1, { isCode: true });
    else pieces.push(...piecesOf(text, at + 2, after - 2, isPlain, true));
    done = after;
  }
  add(done, end);
  return pieces;
}
