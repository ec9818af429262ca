"""Statements made of a question and its reference answer, by the grammar of either language.

``When was Rome founded?`` with ``753 BC`` becomes ``Rome was founded in 753 BC.``; Chinese keeps
its question words where the answer stands, so the answer takes their place. People wrote the
questions in their own words, so the statements paraphrase the passage as an answer would.
Questions of other forms are left out.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

_BE = frozenset(("is", "was", "were", "are"))
_HAVE = frozenset(("has", "have", "had"))
_DO = frozenset(("do", "does", "did"))
_MODALS = "can could will would should may might must"
_AUXILIARIES = _BE | _HAVE | _DO | frozenset(_MODALS.split())
_PLACED_BY = "in on at from to for with of by during under through into after"
_PREPOSITIONS = frozenset(_PLACED_BY.split())
_OTHER_WORDS = (
    "the a an this that his her its their not be which what no some them themselves him it"
)
_NO_VERB = frozenset(_OTHER_WORDS.split())
_QUESTION = re.compile(
    r"(?:(?P<before>\w+) )?(?P<wh>who|whom|what|which|when|where|how many|how much|how long|how old"
    r"|how far|how tall|how high|how large) (?P<after>.+)",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"\b(?:which|who|that|or|whose|when)\b")
_PARTICIPLE = re.compile(
    r"[a-z]{2,}ed|made|built|found|held|born|known|sent|led|lost|won|put|set|cut|done|seen|gone"
    r"|kept|taught|brought|bought|thought|sold|told|paid|said|left|met|drawn|thrown|grown|shown"
    r"|begun|sung|spent|written|given|taken|spoken|chosen|driven|fought|become"
)
_MAX_ANSWER_CHARS = {"en": 90, "zh": 30}


@dataclass(frozen=True, slots=True)
class Statement:
    """What is said; the answer as it stands in it; and what kind of thing was asked for."""

    said: str
    answer: str
    kind: str


def statement(question: str, answer: str, language: str, verbs: frozenset[str]) -> Statement | None:
    """Make a statement of a question and its answer, or None where the form is not known.

    Args:
        question: As asked.
        answer: The reference answer.
        language: ``en`` or ``zh``.
        verbs: English words that stand as verbs behind an auxiliary; see `bare_verbs`.
    """
    if len(answer) > _MAX_ANSWER_CHARS[language] or "\n" in answer:
        return None
    answer = answer.strip(" .。，,；;")
    return _english(question, answer, verbs) if language == "en" else _chinese(question, answer)


def bare_verbs(texts: list[str]) -> frozenset[str]:
    """Collect the words that follow ``to``, ``did not``, ``will`` and the like at least twice."""
    lead = r"\b(?:to|will|would|can|could|must|should|may|might|(?:did|does|do) not) ([a-z]{2,})\b"
    counts = Counter(word for text in texts for word in re.findall(lead, text))
    return frozenset(w for w, n in counts.items() if n > 1) - _NO_VERB


def _english(question: str, answer: str, verbs: frozenset[str]) -> Statement | None:
    match = _QUESTION.fullmatch(question.strip(" ?"))
    before = (match["before"] or "").lower() if match else ""
    if match is None or (before and before not in _PREPOSITIONS):
        return None
    wh, rest = match["wh"].lower(), match["after"].split()
    at = next((i for i, w in enumerate(rest) if w in _AUXILIARIES), len(rest))
    if _CLAUSE.search(match["after"]) or (before and at == len(rest)):
        return None
    if at == len(rest):  # the asked for is the subject: who wrote, what causes
        said = f"{answer} {' '.join(rest)}" if wh in ("who", "what") else ""
    else:
        said = _told(wh, before, _named(wh, " ".join(rest[:at]), answer), rest[at:], verbs)
    return Statement(f"{said[0].upper()}{said[1:]}.", answer, wh) if said else None


def _named(wh: str, noun: str, answer: str) -> str:
    """The answer with the noun that the question gives it: ``the country France``."""
    if not noun or set(noun.lower().split()) & set(answer.lower().split()):
        return answer
    return f"{answer} {noun}" if wh.startswith("how") else f"the {noun} {answer}"


def _told(wh: str, before: str, named: str, rest: list[str], verbs: frozenset[str]) -> str:
    """The statement where ``rest`` begins with the auxiliary; empty where it cannot be made."""
    auxiliary, tail = rest[0], rest[1:]
    if not tail:
        return ""
    if not before and _is_verb(auxiliary, tail[0], verbs):
        return " ".join([named, *rest])
    verb = next((i for i in range(1, len(tail)) if _is_verb(auxiliary, tail[i], verbs)), None)
    if not before and wh in ("when", "where") and named.split()[0].lower() not in _PREPOSITIONS:
        before = "in"
    placed = f"{before} {named}".strip()
    if verb is not None and tail[verb - 1].lower() not in _NO_VERB:
        return " ".join([*tail[:verb], auxiliary, *tail[verb:], placed])
    if auxiliary not in _BE or verb is not None:
        return ""
    return " ".join([*tail, auxiliary, placed] if before else [named, *rest])


def _is_verb(auxiliary: str, word: str, verbs: frozenset[str]) -> bool:
    if auxiliary in _BE | _HAVE:
        return _PARTICIPLE.fullmatch(word) is not None
    return word in verbs or (word == "be" and auxiliary not in _DO)


_ASKED = re.compile(
    "(?:什么时候|什么时间|什麼時候|何时|何時|几时|(?:哪|何)一?[年月日天]|什么地方|哪里|哪裡|哪儿|何处|何地"
    "|哪国|哪(?:一|两|几|些|三|四|五|六)?(?:个|位|种|家|部|座|条|项|支|届|场|本|首|类|所|只|名|大|款|间|方面|批|次)?"
    "|什么样的|什么|什麼|甚么|谁|誰|多少|几|何人|何种|何物|多[长大高远重久宽深])"
)
_MANNER = re.compile("为什么|為什麼|为何|怎|如何|原因|哪些|吗|嗎|多大程度|是否|呢[^？?]")
_PERSON, _PLACE = re.compile("谁|誰|位|人|名"), re.compile("里|裡|地|处|国|儿|城|省|市|区")


def _chinese(question: str, answer: str) -> Statement | None:
    asked = question.strip().rstrip("？?。 呢啊")
    found = list(_ASKED.finditer(asked))
    if len(found) != 1 or _MANNER.search(question):
        return None
    match = found[0]
    behind = asked[match.end() :]
    repeated = next((n for n in range(4, 0, -1) if answer.endswith(behind[:n]) and behind[:n]), 0)
    said = asked[: match.start()] + answer + behind[repeated:]
    around = match[0] + behind[:2]
    kind = "who" if _PERSON.search(around) else "where" if _PLACE.search(around) else "what"
    return Statement(said + "。", answer, kind)
