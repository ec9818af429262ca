// The settings that matter, kept in this browser.

import { byId, element } from "./dom.js";
import { change, settings } from "./settings_store.js";
import { count, t } from "./words.js";

const KEYS = [
  ["Enter", "keySend"], ["/", "keyQuestion"], ["n p", "keyNext"], ["c", "keyNew"], ["d", "documents"],
  ["h", "history"], ["s", "settings"], ["Esc", "keyClose"],
];

export class SettingsDialog {
  constructor(page) {
    this.page = page;
    this.node = byId("settings");
    this.body = byId("settings-body");
  }

  open() {
    this.draw();
    this.node.showModal();
  }

  draw() {
    const usual = this.page.info?.search.k ?? 8;
    this.body.replaceChildren(
      choice("language", [["", t("system")], ["en", "English"], ["zh", "中文"]], () => this.speak()),
      choice("theme", [["", t("system")], ["light", t("light")], ["dark", t("dark")]], applyTheme),
      choice("k", [["", t("numberDefault", { count: count(usual) })], ...["4", "8", "12", "20", "40"].map((k) => [k, k])], null, "number"),
      choice("mode", [["", t("modeDefault")], ...["hybrid", "dense", "keyword"].map((m) => [m, t(m)])]),
      check("extractive"), check("strict"), check("shortcuts"),
      element("h3", {}, t("keys")),
      element("dl", { class: "keys" }, KEYS.flatMap(([keys, words]) => [
        element("dt", {}, keys.split(" ").map((key) => element("kbd", {}, key))), element("dd", {}, t(words)),
      ])));
  }

  speak() {
    this.page.speak();
    this.draw();
    byId("setting-language").focus();
  }
}

function applyTheme() {
  if (settings.theme) document.documentElement.dataset.theme = settings.theme;
  else delete document.documentElement.dataset.theme;
}

function choice(name, options, act = null, words = name) {
  const made = element("select", {
    id: `setting-${name}`,
    change: (event) => {
      change({ [name]: event.target.value });
      act?.();
    },
  }, options.map(([value, label]) => element("option", { value, selected: value === settings[name] }, label)));
  return element("label", { class: "field" }, element("span", {}, t(words)), made);
}

function check(name) {
  const made = element("input", {
    type: "checkbox", id: `setting-${name}`, checked: settings[name],
    change: (event) => change({ [name]: event.target.checked }),
  });
  return element("label", { class: "check" }, made, element("span", {}, t(name)));
}
