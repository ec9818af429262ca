"""How long ``ragkit --help`` takes; it must load neither FAISS nor NumPy nor requests."""

from __future__ import annotations

import sys

from harness import Row, Scope, absolute, interleaved, print_rows, ragkit, run, seconds


def measure(scope: Scope) -> list[Row]:
    """The row of this question; the floor is an interpreter that does nothing."""
    cases = {
        "floor": lambda: run([sys.executable, "-c", "print()"]),
        "ragkit": lambda: ragkit("--help"),
    }
    runs = interleaved(cases, scope.repeats(11))
    floor, ours = seconds(runs["floor"]), seconds(runs["ragkit"])
    return [absolute("ragkit --help, whole process", 0.25, "s", ragkit=ours, floor=floor)]


if __name__ == "__main__":
    print_rows(measure, __doc__ or "")
