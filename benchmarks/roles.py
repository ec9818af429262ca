"""Sentences with doer and object swapped: of the passages where names show them, and made ones."""

from __future__ import annotations

import re
from itertools import permutations
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

_NAME = r"(?:the )?[A-Z][a-z]+(?: [A-Z][a-z]+)*"
_ACT = re.compile(
    rf"(?P<a>{_NAME}) (?P<verb>[a-z]{{3,}}(?:ed|s)|led|beat|took|gave|sent|told) (?P<b>{_NAME})\b"
)

_NO_NAMES = frozenset(
    [
        "They",
        "He",
        "She",
        "It",
        "This",
        "These",
        "Those",
        "We",
        "You",
        "I",
        "In",
        "His",
        "Her",
        "Their",
        "Some",
        "Many",
        "Others",
    ]
)
_PEOPLE = {
    "en": [
        "landlord",
        "tenant",
        "manager",
        "employee",
        "buyer",
        "seller",
        "teacher",
        "pupil",
        "bank",
        "customer",
    ],
    "zh": ["房东", "租客", "经理", "员工", "买方", "卖方", "老师", "学生", "银行", "客户"],
}
_VERBS = {
    "en": (
        ("pays", "paid"),
        ("informs", "informed"),
        ("sues", "sued"),
        ("visits", "visited"),
        ("supervises", "supervised"),
        ("compensates", "compensated"),
    ),
    "zh": (("支付", ""), ("通知", ""), ("起诉", ""), ("拜访", ""), ("监督", ""), ("赔偿", "")),
}


class Swapped(NamedTuple):
    """A passage, a sentence that it says, and one that it says the other way round."""

    text: str
    true: str
    false: str


def swapped_names(text: str) -> Iterator[str]:
    """The English sentences with two names around a verb in a passage, the names swapped."""
    for match in _ACT.finditer(text):
        if {match["a"], match["b"]}.isdisjoint(_NO_NAMES):
            said = f"{match['b']} {match['verb']} {match['a']}."
            yield said[0].upper() + said[1:]


def made(language: str, rng: random.Random) -> Iterator[Swapped]:
    """Sentences of two people and an act, each in a passage of its own wording."""
    for (one, other), verb in (
        (pair, verb) for pair in permutations(_PEOPLE[language], 2) for verb in _VERBS[language]
    ):
        maker = _english if language == "en" else _chinese
        yield maker(one, other, verb, rng)


def _english(one: str, other: str, verb: tuple[str, str], rng: random.Random) -> Swapped:
    now, done = verb
    text = rng.choice(
        (
            f"In general the {one} {now} the {other} before the end of the month. Rain is likely.",
            f"The {one} {now} the {other} at the office, unless both have agreed otherwise.",
            f"Under this contract the {other} is {done} by the {one} once a year.",
        )
    )
    forms = (lambda a, b: f"The {a} {now} the {b}.", lambda a, b: f"The {b} is {done} by the {a}.")
    say, deny = rng.choice(forms), rng.choice(forms)
    return Swapped(text, say(one, other), deny(other, one))


def _chinese(one: str, other: str, verb: tuple[str, str], rng: random.Random) -> Swapped:
    act = verb[0]
    text = rng.choice(
        (
            f"一般来说，{one}应当在月底以前{act}{other}。可能下雨。",
            f"根据本合同，{one}每年{act}{other}一次，双方另有约定的除外。",
        )
    )
    forms = (lambda a, b: f"{a}{act}{b}。", lambda a, b: f"{a}应当{act}{b}。")
    say, deny = rng.choice(forms), rng.choice(forms)
    return Swapped(text, say(one, other), deny(other, one))
