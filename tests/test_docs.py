"""The documentation against the program: commands, settings, errors, links and code that runs."""

from __future__ import annotations

import pkgutil
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer.main

from ragkit import errors
from ragkit.cli import app as command_line
from ragkit.cli.app import EXIT_CODES, make_app
from ragkit.config import Config, settings
from ragkit.ingest.load.formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
PAGES = sorted(page for folder in ("*", "*/*") for page in ROOT.glob(f"{folder}.md"))
SOURCES = sorted(
    file for folder in ("ragkit", "benchmarks") for file in ROOT.glob(f"{folder}/**/*.py")
)


def commands_of(group: Any, *words: str) -> Iterator[tuple[str, Any]]:
    """Every command by its words, those of groups within groups too."""
    for name, command in getattr(group, "commands", {}).items():
        yield " ".join((*words, name)), command
        yield from commands_of(command, *words, name)


COMMANDS = dict(commands_of(typer.main.get_command(make_app())))


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_and_a_section_in_the_reference(name: str) -> None:
    level = "###" if " " in name else "##"
    assert COMMANDS[name].help
    assert f"\n{level} ragkit {name}\n" in (ROOT / "docs/cli.md").read_text("utf-8")


def test_the_commands_of_groups_are_known_too() -> None:
    assert {"models pull", "models blob upload"} <= set(COMMANDS)


def test_every_command_has_its_module() -> None:
    assert {words.split()[0] for words in COMMANDS} == set(command_line.COMMANDS)


@pytest.mark.parametrize("name", sorted(command_line.COMMANDS))
def test_a_command_made_alone_is_whole(name: str) -> None:
    alone = typer.main.get_command(make_app(name))
    shown = {words: _signature(command) for words, command in commands_of(alone)}
    whole = {words: _signature(command) for words, command in COMMANDS.items()}
    expected = {words for words in whole if words == name or words.startswith(f"{name} ")}
    assert expected <= shown.keys()
    assert shown.items() <= whole.items()


def _signature(command: Any) -> str:
    return repr([(p.name, p.opts, p.help, p.default) for p in command.params])


def test_every_setting_is_in_the_settings_page_with_its_variable() -> None:
    page = (ROOT / "docs/settings.md").read_text("utf-8")
    missing = [s.name for s in settings(Config()) if f"| `{s.name}` |" not in page]
    assert missing == []
    assert all(f"`{s.env}` |" in page for s in settings(Config()))


def test_every_format_is_in_the_formats_page_with_its_files() -> None:
    page = (ROOT / "docs/formats.md").read_text("utf-8")
    rows = {line.split("|")[1].strip(" `"): line for line in page.splitlines() if line[:3] == "| `"}

    assert list(rows) == [row.kind for row in FORMATS]
    for row in FORMATS:
        shown = set(re.findall(r"`(\S+)`", rows[row.kind]))
        assert {key.removeprefix("*") for key in row.keys} <= shown
        assert row.about
        assert row.about in rows[row.kind]


def test_generated_pages_are_those_that_make_checks() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    generated = {f"docs/{page.name}" for page in PAGES if "[[[cog" in page.read_text("utf-8")}

    for command in ("cog --check", "cog -r"):
        assert generated == set(makefile.split(command)[1].splitlines()[0].split())


def test_every_exit_code_is_documented() -> None:
    page = (ROOT / "docs/cli.md").read_text("utf-8")
    assert {code for code in EXIT_CODES.values() if f"\n| {code} |" not in page} == set()


def test_the_error_tree_in_the_docstring_is_the_real_one() -> None:
    drawn = set(re.findall(r"[A-Z]\w+Error", errors.__doc__ or ""))
    real = {name for name in vars(errors) if name.endswith("Error")}
    assert drawn == real


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8"))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []


def named(pattern: str) -> set[tuple[str, str]]:
    """What the pages and the sources name, each with the file that names it."""
    return {
        (found, str(file.relative_to(ROOT)))
        for file in (*PAGES, *SOURCES)
        for found in re.findall(rf"(?<![\w./~-]){pattern}", file.read_text("utf-8"))
    }


def test_files_that_are_named_exist() -> None:
    found = named(r"(?:ragkit|tests|benchmarks|docs)/[\w./-]+\.(?:py|md|txt)\b")

    assert ("ragkit/protocols.py", "docs/models.md") in found
    assert {pair for pair in found if not (ROOT / pair[0]).exists()} == set()


def test_modules_and_their_members_that_are_named_can_be_imported() -> None:
    found = named(r"ragkit(?:\.[A-Za-z]\w*)+")

    assert ("ragkit.models.openai", "docs/openai.md") in found
    groups = {"ragkit.readers", "ragkit.splitters", "ragkit.stores"}  # of entry points
    others = {"ragkit.toml", *groups}
    unknown = {pair for pair in found if not _can_be_imported(pair[0])}
    assert {pair for pair in unknown if pair[0] not in others} == set()


def _can_be_imported(name: str) -> bool:
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


@pytest.mark.long
@pytest.mark.parametrize(
    ("page", "files", "said"),
    [
        (
            "README.md",
            ("accident-reports/*white-plains.pdf", "accident-reports/*elyria.pdf"),
            ["2 documents added", "55 minutes prior to the accident.", "impacted a tree."],
        ),
        (
            "README.zh-CN.md",
            ("everyday-law-zh/劳动合同法.md", "everyday-law-zh/房屋租赁.md"),
            [
                "新增 2 个文档",
                "六个月内",
                "试用期内提前三日通知用人单位，可以解除劳动合同。",
            ],
        ),
    ],
    ids=["en", "zh"],
)
def test_python_of_the_readme_runs(
    page: str, files: tuple[str, ...], said: list[str], tmp_path: Path
) -> None:
    # Those files that the answers come from; to embed all of them takes three times as long.
    for file in (found for pattern in files for found in (ROOT / "corpora").glob(pattern)):
        copy = tmp_path / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    run = subprocess.run(
        [sys.executable, "-X", "utf8", "-W", "error", "-c", "\n".join(python_blocks(page))],
        cwd=tmp_path,
        env={
            "OLLAMA_HOST": "127.0.0.1:9",
            "PATH": "",
            "HOME": str(tmp_path),
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert [words for words in said if words not in run.stdout] == []


def python_blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)


def test_commands_of_the_readmes_exist() -> None:
    for page in ("README.md", "README.zh-CN.md"):
        used = re.findall(r"^(?:\.venv/bin/)?ragkit (\w+)", (ROOT / page).read_text("utf-8"), re.M)
        assert set(used) <= set(COMMANDS)
        assert {"index", "ask", "search", "list", "info", "remove", "config", "doctor"} <= set(used)
