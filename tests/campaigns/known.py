"""The faults that the campaigns found, by number, and how each shows."""

from __future__ import annotations

import re

FAULTS = {
    "V7": "a wrong field of a hit or a document is served",
    "V8": "`check` does not see the damage",
    "V9": "a traceback on a damaged index",
    "V13": "a signal ends the interpreter",
    "V14": "a damaged log takes commits back in silence",
    "V15": "damaged codes give fewer or other hits in silence",
    "V16": "a generation or a file that a kill left is not put right by the next run",
    "V19": "a raw message without advice",
    "V20": "what a command that ended well wrote does not outlive a power cut",
}
_RULES = (
    # campaign, case, kind of violation, number
    ("corruption", "rbq", "other-hits.*", "V15"),
    ("corruption", "wal", "older-state|other-(hits|info).*", "V14"),
    ("corruption", ".*", "(served|list)-wrong:.*|other-info.*", "V7"),
    ("corruption", ".*", "(other-hits|refused)-check-clean.*", "V8"),
    ("corruption", ".*", "traceback:check", "V8"),
    ("corruption", ".*", "traceback:.*", "V9"),
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


OPEN: frozenset[str] = frozenset()
"""Faults that are not mended yet: the short runs in the suite pass over them, `make` does not.

Whoever mends one takes it out of here.
"""
