// What went wrong, as a sentence of the page's language with the server's own words below it.

import { element, icon } from "./dom.js";
import { t } from "./words.js";

const NAMES = {
  Unreachable: "errorUnreachable",
  ModelUnavailableError: "errorModelUnavailable",
  ModelError: "errorModel",
  ModelNotFoundError: "errorModel",
  ModelResponseError: "errorModel",
  EmbeddingFailedError: "errorModel",
  InputError: "errorInput",
  FilterError: "errorInput",
  PromptTruncatedError: "errorInput",
};

/** The sentence for a failure. */
export function failureSentence(exc) {
  if (exc.status === 429) return t("errorBusy");
  if (exc.status === 401) return t("errorToken");
  if (NAMES[exc.type]) return t(NAMES[exc.type]);
  return t(/^(Index|Store|Format)/.test(exc.type || "") ? "errorIndex" : "errorOther");
}

/** A notice of a failure. */
export function failureNotice(exc) {
  if (!exc.type) console.error(exc); // a fault of this page: its place is worth knowing
  return element("div", { class: "notice failure", role: "alert" },
    element("p", {}, icon("warning"), element("strong", {}, failureSentence(exc))),
    exc.message ? element("p", { class: "said" }, exc.message) : null,
    exc.status === 401 ? element("p", {}, element("a", { href: "/login" }, t("login"))) : null);
}
