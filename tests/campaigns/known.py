"""The faults that the campaigns found, by number, and how each shows."""

from __future__ import annotations

import re

FAULTS = {
    "V3": "a model that was replaced writes its vectors into the new index",
    "V4": "an open reader never notices a rebuild, or meets no index during its swap",
    "V5": "a killed run on named files makes the next `ragkit index` take the whole folder",
    "V6": "an error while an index is created leaves it damaged for good",
    "V7": "a wrong field of a hit or a document is served",
    "V8": "`check` does not see the damage",
    "V9": "a traceback on a damaged index",
    "V10": "a traceback of an error of the operating system in rebuild",
    "V11": "a killed rebuild leaves a whole index lying about",
    "V13": "a signal ends the interpreter",
    "V14": "a damaged log takes commits back in silence",
    "V15": "damaged codes give fewer or other hits in silence",
    "V16": "a generation or a file that a kill left is not put right by the next run",
    "V19": "a raw message without advice",
    "V20": "what a command that ended well wrote does not outlive a power cut",
}
_RULES = (
    # campaign, case, kind of violation, number
    ("crash|faults", ".*", "reader-(stale|error).*", "V4"),
    ("crash|powerloss|faults", "index-named", "again-other-state", "V5"),
    ("powerloss|faults|crash", "create|index-named", "again-failed|.*-refused|check-must:.*", "V6"),
    ("powerloss|faults|crash", "create|index-named", "refused:.*|state-unreadable", "V6"),
    (".*", "create|index-named", r"leftover:ix/catalog\.db\.new.*", "V6"),
    ("corruption", "rbq", "other-hits.*", "V15"),
    ("corruption", "wal", "older-state|other-(hits|info).*", "V14"),
    ("corruption", ".*", "(served|list)-wrong:.*|other-info.*", "V7"),
    ("corruption", ".*", "(other-hits|refused)-check-clean.*", "V8"),
    ("corruption", ".*", "traceback:check", "V8"),
    ("corruption", ".*", "traceback:.*", "V9"),
    ("crash|powerloss|faults", "rebuild.*", "traceback:.*", "V10"),
    ("crash|powerloss|faults", "rebuild.*", r"leftover:\.ix.*", "V11"),
    ("corruption", ".*", "crash.*", "V13"),
    (".*", ".*", "generation-open|left:orphans|leftover:.*f16|leftover:.*rbq", "V16"),
    ("faults", ".*", "unclear-message", "V19"),
    ("powerloss", ".*", "state-lost", "V20"),
)
NEW = "new"


def number_of(campaign: str, case: str, kind: str) -> str:
    """The number of the fault that a violation shows; `NEW` where none is known."""
    for campaigns, cases, kinds, number in _RULES:
        given = ((campaigns, campaign), (cases, case), (kinds, kind))
        if all(re.fullmatch(pattern, text) for pattern, text in given):
            return number
    return NEW


OPEN = frozenset(FAULTS)
"""Faults that are not mended yet: the short runs in the suite pass over them, `make` does not.

Whoever mends one takes it out of here.
"""
