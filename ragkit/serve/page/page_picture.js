// The pages of a PDF as pictures, with the words of a place marked on them.

import { address, read } from "./api.js";
import { element } from "./dom.js";
import { t } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const NOT_DRAWN = new Set([400, 415, 501]); // no page, no PDF, nothing here that draws

/** The pictures of a place's pages, null where there is none; it throws if the file was changed. */
export async function pagePictures(index, found) {
  const { doc_id, start, end } = found;
  try {
    const { pages } = await read("/page-marks", { index, doc_id, start, end });
    return pages.length ? pages.map((page) => figure(index, found, page)) : null;
  } catch (exc) {
    if (NOT_DRAWN.has(exc.status)) return null;
    throw exc;
  }
}

function figure(index, found, page) {
  const name = t("pageOf", { number: page.number, path: found.path });
  const source = address("/page-picture", { index, doc_id: found.doc_id, page: page.number });
  const picture = element("img", {
    src: source, alt: name, width: Math.round(page.width), height: Math.round(page.height),
  });
  const isPart = !page.is_whole ? element("figcaption", { class: "quiet" }, t("partlyMarked")) : null;
  return element("figure", { class: "page-picture" },
    element("div", { class: "page-sheet" }, picture, marks(page)), isPart);
}

/** Rectangles over the words; they lie on the picture whatever its size. */
function marks(page) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 1 1");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  for (const [left, top, right, bottom] of page.boxes) {
    const box = document.createElementNS(SVG, "rect");
    const sides = { x: left, y: top, width: right - left, height: bottom - top };
    for (const [side, value] of Object.entries(sides)) box.setAttribute(side, value);
    svg.append(box);
  }
  return svg;
}
