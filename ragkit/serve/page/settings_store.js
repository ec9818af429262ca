// What this browser keeps: settings, and the conversations of each index.

const SETTINGS = "ragkit.settings";
const TALKS = "ragkit.talks.";
const MOST_TALKS = 100;

const DEFAULTS = {
  language: "", theme: "", k: "", mode: "", strict: false, extractive: false, shortcuts: true,
  index: "",
};

function readKept(key, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

function keep(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

export const settings = { ...DEFAULTS, ...readKept(SETTINGS, {}) };

/** Change settings, and keep them. */
export function change(values) {
  Object.assign(settings, values);
  keep(SETTINGS, settings);
}

/** The conversations of an index, newest first: `{id, at, turns: [{question, raw}]}`. */
export function talksOf(index) {
  const found = readKept(TALKS + index, []);
  return Array.isArray(found) ? found : [];
}

/** Keep a conversation; the oldest go where there is no room. False: not even one fits. */
export function keepTalk(index, talk) {
  const others = talksOf(index).filter((other) => other.id !== talk.id);
  const all = [talk, ...others].slice(0, MOST_TALKS);
  while (all.length) {
    if (keep(TALKS + index, all)) return true;
    all.pop();
  }
  return false;
}

/** Forget one conversation of an index, or all. */
export function forgetTalks(index, id = null) {
  const left = id === null ? [] : talksOf(index).filter((talk) => talk.id !== id);
  if (left.length) keep(TALKS + index, left);
  else localStorage.removeItem(TALKS + index);
}
