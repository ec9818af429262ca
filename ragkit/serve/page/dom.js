// Makes elements. Text goes in as text nodes and attributes alone: nothing here reads HTML.

const SVG = "http://www.w3.org/2000/svg";

const PATHS = {
  quoted: ["M2.8 10.2c0-3.2 1.1-5.2 3.6-6.2M2.8 10.2a1.7 1.7 0 1 0 3.4 0a1.7 1.7 0 1 0-3.4 0",
    "M9.2 10.2c0-3.2 1.1-5.2 3.6-6.2M9.2 10.2a1.7 1.7 0 1 0 3.4 0a1.7 1.7 0 1 0-3.4 0"],
  supported: ["M3 8.6l3.3 3.2L13 4.6"],
  unsupported: ["M8 2.2L14.4 13.4H1.6Z", "M8 6.4v3.2M8 11.3v.3"],
  uncited: ["M8 2.3a5.7 5.7 0 1 0 0 11.4a5.7 5.7 0 1 0 0-11.4", "M5.4 8h5.2"],
  fresh: ["M8 3v10M3 8h10"],
  documents: ["M4 2h5.5L12.5 5v9H4Z", "M6.3 7.5h4M6.3 10.5h4"],
  history: ["M8 2.3a5.7 5.7 0 1 1-5.4 3.9M2.3 2.6v3.7H6", "M8 5v3.3l2.2 1.3"],
  settings: ["M2.5 4.5h6M11.5 4.5h2M2.5 11.5h2M7.5 11.5h6", "M10 3v3M6 10v3"],
  send: ["M8 13V3M3.8 7.2L8 3l4.2 4.2"],
  stop: ["M4.5 4.5h7v7h-7Z"],
  download: ["M8 2.5v7.7M4.6 7L8 10.3 11.4 7M3 13.3h10"],
  close: ["M4 4l8 8M12 4l-8 8"],
  up: ["M3.8 10L8 5.8l4.2 4.2"],
  down: ["M3.8 6L8 10.2 12.2 6"],
  again: ["M13.4 7.5a5.5 5.5 0 1 0-1.7 4.4M13.5 3.2v4.2H9.4"],
  remove: ["M3 4.5h10M6.3 4.5V2.8h3.4v1.7M4.5 4.5l.6 9h5.8l.6-9"],
  warning: ["M8 2.2L14.4 13.4H1.6Z", "M8 6.4v3.2M8 11.3v.3"],
  why: ["M8 2.3a5.7 5.7 0 1 0 0 11.4a5.7 5.7 0 1 0 0-11.4", "M6.2 6.4c.2-1.3 3.6-1.4 3.6.4c0 1.2-1.8 1.2-1.8 2.5M8 11.1v.3"],
  add: ["M8 3v10M3 8h10"],
};

/** An element with attributes and children; a function is a listener, a string child is text. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") made.addEventListener(name, value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

/** A small picture without a name: the text beside it says what it means. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", `icon icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  for (const line of PATHS[name]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", line);
    svg.append(path);
  }
  return svg;
}

/** Text for screen readers alone. */
export function hidden(text) {
  return element("span", { class: "hidden" }, text);
}

/** A button with an icon before its words. */
export function button(picture, words, onClick, attributes = {}) {
  const content = picture ? [icon(picture), element("span", {}, words)] : [words];
  return element("button", { type: "button", click: onClick, ...attributes }, ...content);
}

export function byId(id) {
  return document.getElementById(id);
}

/** Say something to screen readers, once. */
export function announce(text) {
  byId("said").textContent = text;
}

/** Have the browser keep a text as a file. */
export function download(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
