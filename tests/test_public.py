"""The front door: what can be imported, and what importing it costs."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
from importlib import import_module
from types import ModuleType

import pytest

import ragkit
from ragkit import errors, protocols, records

HEAVY = {"numpy", "faiss", "requests", "typer", "sqlite3", "sqlite_utils", "pypdf", "rich"}

RECORDS = [module.name for module in pkgutil.iter_modules(records.__path__)]


def all_modules_after(code: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after running the code."""
    script = f"import json, sys\n{code}\nprint('\\n' + json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def modules_after(code: str) -> set[str]:
    """The top-level ones of them."""
    return {name.partition(".")[0] for name in all_modules_after(code)}


def test_every_public_name_can_be_imported() -> None:
    scope: dict[str, object] = {}
    exec("from ragkit import *", scope)  # noqa: S102 -- the statement is what is tested

    assert set(scope) - {"__builtins__"} == set(ragkit.__all__)
    assert dir(ragkit) == sorted(ragkit.__all__)
    assert len(ragkit.__all__) == len(set(ragkit.__all__))
    assert not any(isinstance(value, ModuleType) for value in scope.values())


def test_every_error_and_record_and_protocol_is_public() -> None:
    def classes(module: ModuleType) -> set[str]:
        return {
            name
            for name, value in vars(module).items()
            if isinstance(value, type)
            and value.__module__ == module.__name__
            and not name.startswith("_")
        }

    homes = [errors, protocols, *(import_module(f"ragkit.records.{m}") for m in RECORDS)]

    assert set().union(*map(classes, homes)) <= set(ragkit.__all__)


def test_the_records_package_has_the_public_names_of_its_modules() -> None:
    defined = {
        name
        for module in RECORDS
        for name, value in vars(import_module(f"ragkit.records.{module}")).items()
        if not name.startswith("_")
        and getattr(value, "__module__", "").startswith("ragkit.records")
    }

    assert defined <= set(records.__all__)
    assert all(hasattr(records, name) for name in records.__all__)
    assert len(records.__all__) == len(set(records.__all__))
    with pytest.raises(AttributeError, match=r"'ragkit\.records' has no attribute 'Hot'"):
        records.Hot  # noqa: B018 -- the access is what is tested


def test_an_unknown_name_is_an_attribute_error_that_names_it() -> None:
    with pytest.raises(AttributeError, match="module 'ragkit' has no attribute 'Pipelin'"):
        ragkit.Pipelin  # noqa: B018 -- the access is what is tested


def test_importing_ragkit_loads_nothing_heavy() -> None:
    assert not HEAVY & modules_after("import ragkit")


def test_records_errors_and_settings_load_nothing_heavy() -> None:
    assert not HEAVY & modules_after("from ragkit import Config, Hit, RagkitError, Embedder")


def test_help_loads_no_engine_and_no_http() -> None:
    code = (
        "sys.argv = ['ragkit', '--help']\n"
        "from ragkit.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
    )
    loaded = modules_after(code)

    assert "typer" in loaded
    assert not {"faiss", "numpy", "requests", "pypdf", "lxml"} & loaded


def test_listing_an_index_and_the_help_load_nothing_heavy() -> None:
    """A search needs NumPy, a list of documents does not: 0.1 s."""
    needless = {"numpy", "faiss", "requests", "sqlite_utils", "pypdf", "rich"}
    assert not needless & modules_after("import ragkit.store.open\nfrom ragkit import Pipeline")
    code = "from ragkit.cli.app import make_app\nmake_app()"
    script = f"{code}\nimport sys; print('ragkit.records' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert not needless & modules_after(code)
    assert done.stdout.strip() == b"False"


def test_a_question_needs_no_record_of_an_ingest() -> None:
    """Each of their classes takes about a millisecond to make."""
    loaded = all_modules_after("from ragkit import Pipeline\nimport ragkit.query.ask")

    assert {"ragkit.records.answered", "ragkit.records.hits"} <= loaded
    assert not {"ragkit.records.documents", "ragkit.records.reports"} & loaded
