"""The error tree: drawn whole, each class with an exit code, catchable at the root."""

from __future__ import annotations

import inspect
import re

import pytest

from ragkit import errors
from ragkit.cli.app import EXIT_CODES, exit_code
from ragkit.errors import IndexCorruptError, RagkitError, StoreError, first_cause
from ragkit.store.remote.snapshot import MissingIndexError

DOCUMENTED = {0, 1, 2, 3, 10, 11, 12, 13, 130}


def tree(root: type[RagkitError] = RagkitError, depth: int = 0) -> list[tuple[str, int]]:
    """Each class of the module with its depth, parents first."""
    below = [c for c in root.__subclasses__() if c.__module__ == errors.__name__]
    return [(root.__name__, depth), *(row for c in below for row in tree(c, depth + 1))]


def test_the_docstring_draws_the_tree_as_it_is() -> None:
    drawn = re.findall(r"^    ([│├└─ ]*)(\w+Error)\b", inspect.getdoc(errors) or "", re.MULTILINE)

    assert [(name, len(branch) // 4) for branch, name in drawn] == tree()


def test_every_error_has_an_exit_code() -> None:
    assert {cls.__name__ for cls in EXIT_CODES} == {name for name, _ in tree()}
    assert set(EXIT_CODES.values()) <= DOCUMENTED


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("ConfigError", 2),
        ("LoadError", 1),
        ("IndexNotFoundError", 10),
        ("IndexLockedError", 11),
        ("IndexMismatchError", 12),
        ("IndexCorruptError", 12),
        ("ModelUnavailableError", 13),
        ("ModelNotFoundError", 13),
    ],
)
def test_exit_codes_are_those_that_scripts_rely_on(name: str, code: int) -> None:
    assert EXIT_CODES[getattr(errors, name)] == code


def test_an_error_of_a_stores_own_exits_as_the_documented_one_above_it() -> None:
    class RowTornError(IndexCorruptError):
        """One of a store that another package brings."""

    assert exit_code(RowTornError("torn", "x")) == 12
    assert exit_code(MissingIndexError("gone", "x")) == exit_code(StoreError("x", "x")) == 1


def test_the_module_imports_nothing_of_ragkit() -> None:
    source = inspect.getsource(errors)

    assert not re.search(r"^\s*(from|import) ragkit", source, re.MULTILINE)


def test_each_docstring_says_when_in_its_first_line() -> None:
    for name, _ in tree():
        first = (inspect.getdoc(getattr(errors, name)) or "").splitlines()[0]
        assert first.endswith("."), name


def test_the_first_cause_is_told_without_its_number() -> None:
    with pytest.raises(ValueError, match="outer") as told:
        _refused()
    assert first_cause(told.value) == "Connection refused"
    assert first_cause(KeyError()) == "KeyError"


def _refused() -> None:
    try:
        raise ConnectionRefusedError(111, "Connection refused")
    except OSError as exc:
        msg = "outer"
        raise ValueError(msg) from exc
