"""Gates: conditions on figures that a build must meet."""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING

from ragkit.errors import ConfigError
from ragkit.evaluate.figures import ORDER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ragkit.evaluate.intervals import Figure

_HOLDS = {">=": operator.ge, "<=": operator.le}
_GATE = re.compile(r"(?P<name>.+?)\s*(?P<sign>>=|<=)\s*(?P<bound>[-+]?\d*\.?\d+)\s*")


def gate_failures(gates: Sequence[str], told: Mapping[str, Figure]) -> list[str]:
    """The gates that do not hold, each with the value that it failed on.

    Args:
        gates: ``NAME>=VALUE`` or ``NAME<=VALUE``, the name as printed.
        told: The figures.

    Raises:
        ConfigError: A gate cannot be read or names a figure that was not measured.
    """
    failed = []
    for gate in gates:
        name, sign, bound = parse_gate(gate)
        if name not in told:
            msg = f"--gate {gate!r}: this set gives no such figure; it gives {', '.join(told)}"
            raise ConfigError(msg)
        value = told[name].value
        if not _HOLDS[sign](value, bound):
            failed.append(f"{name} is {value:.4f}, not {sign} {bound:g}")
    return failed


def parse_gate(gate: str) -> tuple[str, str, float]:
    """The name, sign and bound of a gate.

    >>> parse_gate("nDCG@10 >= 0.9")
    ('nDCG@10', '>=', 0.9)

    Raises:
        ConfigError: It cannot be read, or no figure has its name.
    """
    found = _GATE.fullmatch(gate)
    if not found:
        msg = f"--gate {gate!r}: expected NAME>=VALUE or NAME<=VALUE"
        raise ConfigError(msg)
    name = found["name"].strip()
    if name not in ORDER:
        msg = f"--gate {gate!r}: no figure has this name; there are {', '.join(ORDER)}"
        raise ConfigError(msg)
    return name, found["sign"], float(found["bound"])
