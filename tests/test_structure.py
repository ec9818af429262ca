"""The shape of the package and of its tests: what a newcomer may rely on.

What the other tools hold stands with them: layers in import-linter, parameters in ruff.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections import defaultdict
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from ragkit.cli.app import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "ragkit"
# The packages in these mirror each other, module by module: models/ollama/chat, models/openai/chat.
MIRRORED = ("ragkit.models", "ragkit.store")
MOST_ATTRIBUTES = 19
MOST_LOOSE_FILES = 12


def dotted(path: Path) -> str:
    """The name by which a file of the package is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = {dotted(path): ast.parse(path.read_text("utf-8")) for path in PACKAGE.rglob("*.py")}
PACKAGES = sorted(dotted(path) for path in PACKAGE.rglob("__init__.py"))
MODULES = sorted(TREES.keys() - set(PACKAGES))
CLASSES = [
    (module, node)
    for module, tree in TREES.items()
    for node in tree.body
    if isinstance(node, ast.ClassDef)
]


def shared(names: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """Names with more than one home, given pairs of name and home."""
    homes = defaultdict(set)
    for name, home in names:
        homes[name].add(home)
    return {name: found for name, found in homes.items() if len(found) > 1}


def test_no_two_modules_share_a_name() -> None:
    commands = {f"ragkit.cli.{module}" for module in COMMANDS.values()}

    def home(module: str) -> str:
        seam = module.rsplit(".", 2)[0]
        return seam if seam in MIRRORED else module

    others = [module for module in MODULES if module not in commands]
    assert shared((module.rpartition(".")[2], home(module)) for module in others) == {}


def test_no_two_public_classes_share_a_name() -> None:
    public = [(node.name, module) for module, node in CLASSES if not node.name.startswith("_")]

    assert shared(public) == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_hides_no_module_behind_a_name(package: str) -> None:
    children = [module for module in TREES if module.rpartition(".")[0] == package]
    for child in children:
        importlib.import_module(child)
    found = vars(sys.modules[package])
    exported = {name for name, value in found.items() if not isinstance(value, ModuleType)}
    exported |= set(found.get("__all__", ()))

    # A package's own name hides nothing: `ragkit.ingest.split.split` may stand.
    assert exported & {child.rpartition(".")[2] for child in children} == set()


def own_attributes(node: ast.ClassDef) -> set[str]:
    """The fields that a class declares, and what its methods assign to ``self``."""
    fields = {
        line.target.id
        for line in node.body
        if isinstance(line, ast.AnnAssign)
        and isinstance(line.target, ast.Name)
        and "ClassVar" not in ast.unparse(line.annotation)
    }
    return fields | {
        part.attr
        for part in ast.walk(node)
        if isinstance(part, ast.Attribute)
        and isinstance(part.ctx, ast.Store)
        and isinstance(part.value, ast.Name)
        and part.value.id == "self"
    }


def test_no_class_carries_twenty_attributes() -> None:
    classes = {node.name: node for _, node in CLASSES}

    def attributes(node: ast.ClassDef) -> set[str]:
        bases = [classes[name] for name in map(ast.unparse, node.bases) if name in classes]
        return own_attributes(node).union(*map(attributes, bases))

    carried = {f"{module}.{node.name}": len(attributes(node)) for module, node in CLASSES}
    assert {name: count for name, count in carried.items() if count > MOST_ATTRIBUTES} == {}


def test_few_modules_lie_loose_in_the_package() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= MOST_LOOSE_FILES


def test_every_module_says_what_it_is_for() -> None:
    assert [module for module, tree in TREES.items() if not ast.get_docstring(tree)] == []


def test_every_test_asserts_something() -> None:
    def asserts(node: ast.AST) -> bool:
        parts = list(ast.walk(node))
        calls = [ast.unparse(part.func) for part in parts if isinstance(part, ast.Call)]
        return any(isinstance(part, ast.Assert) for part in parts) or any(
            call in checks or call.rpartition(".")[2].startswith("assert_") for call in calls
        )

    silent = []
    for path in (ROOT / "tests").rglob("test_*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
        functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
        checks = {"pytest.raises"}
        checks |= {node.name for node in functions if asserts(node)}
        tests = [node for node in functions if node.name.startswith("test_")]
        silent += [f"{path.name}: {node.name}" for node in tests if not asserts(node)]

    assert silent == []
