// Takes files and folders into an index, where the server's owner allows it, and shows the progress.

import { cancel, post, put, read, watch } from "./api.js";
import { announce, button, element } from "./dom.js";
import { failureNotice } from "./failures.js";
import { count, t } from "./words.js";

const FIRST_NAME = "documents";
const RUNNING = ["running", "cancelling"];

/** Where the progress of a job is told. */
export function tellingBox() {
  return element("div", { class: "intake-told" });
}

/** The part of the documents' dialog that adds to an index; `done` is called when a job is over. */
export function intake(page, done, told = tellingBox()) {
  const files = element("input", { type: "file", multiple: true, id: "intake-files", hidden: true });
  const add = (chosen) => send(page.index, [...chosen], told, done);
  files.addEventListener("change", () => add(files.files));
  const drop = element("div", { class: "drop" },
    button("add", t("addFiles"), () => files.click()), files,
    element("p", { class: "quiet" }, t("dropHere")));
  drop.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("is-over");
  });
  drop.addEventListener("dragleave", () => drop.classList.remove("is-over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("is-over");
    add(event.dataTransfer.files);
  });
  return element("section", { class: "intake" },
    element("h3", {}, t("add")), drop, folderForm(page, told, done), told);
}

/** What makes the first index: its name, and what is put into it; `done` as above. */
export function firstIndex(page, done) {
  const name = element("input", { type: "text", id: "first-name", maxlength: 100, autocomplete: "off", value: FIRST_NAME });
  const target = { info: page.info, get index() { return name.value.trim() || FIRST_NAME; } };
  return [
    element("label", { class: "field" }, element("span", {}, t("indexName")), name),
    intake(target, (told) => done(told, target.index)),
  ];
}

function folderForm(page, told, done) {
  const roots = page.info.roots || [];
  if (!roots.length) return null;
  const folder = element("input", { type: "text", required: true, autocomplete: "off", value: roots[0], list: "intake-roots" });
  const start = (event) => {
    event.preventDefault();
    attempt(told, () => run(page.index, [folder.value], told, done));
  };
  return element("form", { class: "field", submit: start },
    element("label", { class: "field" }, element("span", {}, t("addFolder")), folder),
    element("datalist", { id: "intake-roots" }, roots.map((root) => element("option", { value: root }))),
    element("button", { type: "submit" }, t("add")));
}

/** Show what a piece of work fails with. */
async function attempt(told, work) {
  try {
    await work();
  } catch (exc) {
    told.replaceChildren(failureNotice(exc));
  }
}

async function send(index, files, told, done) {
  if (!files.length) return;
  await attempt(told, async () => {
    for (const [at, file] of files.entries()) {
      bar(told, t("sending", { name: file.name }), at, files.length);
      await put(`/uploads/${encodeURIComponent(index)}/${encodeURIComponent(file.name)}`, file);
    }
    await run(index, [], told, done);
  });
}

/** Bring an index up to date, and follow that to its end. */
async function run(index, folders, told, done) {
  let job = await post("/jobs", { index, folders });
  const stop = button("stop", t("stop"), () => attempt(told, () => cancel(`/jobs/${job.id}`)));
  for await (const event of watch(`/jobs/${job.id}/events`)) {
    if (event.name !== "job") continue;
    job = event.data;
    if (RUNNING.includes(job.state)) follow(told, job, stop);
  }
  if (RUNNING.includes(job.state)) job = await read(`/jobs/${job.id}`);
  const words = ended(job);
  announce(words);
  told.replaceChildren(job.error ? failureNotice(job.error) : element("p", { class: "notice" }, words));
  done(told);
}

function follow(told, job, stop) {
  const progress = job.progress;
  const name = progress?.path || "";
  bar(told, t("reading", { name }), progress?.files_done ?? 0, progress?.files_total ?? 0, stop);
}

function bar(told, words, value, most, ...others) {
  const shown = most ? element("progress", { max: most, value }) : element("progress", {});
  shown.setAttribute("aria-label", words);
  told.replaceChildren(element("p", { class: "quiet" }, words), shown, ...others);
}

function ended(job) {
  if (job.state === "cancelled") return t("jobCancelled");
  const report = job.report || {};
  const number = (...names) => count(names.reduce((sum, name) => sum + (report[name] || []).length, 0));
  return t("jobDone", {
    added: number("added", "changed"), failed: number("failed", "unreadable", "stale"), skipped: number("skipped"),
  });
}
