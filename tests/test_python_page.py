"""The pages for Python developers: their code runs, with the real packages where it needs some."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from commands import write_files
from library_script import use
from packages import need

ROOT = Path(__file__).parent.parent
FILES = {
    "notice.md": "---\nauthor: Wang\n---\n# Notice\n\nThe notice period is three months.\n",
    "travel.txt": "Rail travel is booked by the office, second class.\n",
}
AFTER_A_REBUILD = """
import asyncio
from pathlib import Path
Path("handbook/new.md").write_text("The notice period is six weeks in the first year.")
with Pipeline.open("./handbook-index") as writer:
    writer.index()
    writer.rebuild("files")
"""


def run_page(page: str, folder: Path, more: str = "") -> str:
    """Run the Python of a page, and more behind it, in a folder with a handbook."""
    write_files(folder / "handbook", FILES)
    code = re.findall(r"```python\n(.*?)```", page_text(page), re.DOTALL)
    run = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", "\n".join([*code, more])],
        cwd=folder,
        env={
            **{key: os.environ[key] for key in ("PATH", "PYTHONPATH") if key in os.environ},
            "HOME": str(folder),
            "RAGKIT_MODELS_EMBEDDER": "none",
            "RAGKIT_MODELS_CHAT": "none",
        },
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def page_text(page: str) -> str:
    """A page without what is written from the docstrings."""
    return (ROOT / "docs" / page).read_text("utf-8").partition("## Reference")[0]


def test_the_code_of_the_python_page_runs(tmp_path: Path) -> None:
    said = run_page("python.md", tmp_path)

    for line in (
        "2 files",
        "The notice period is three months.",
        "['mail/1']",
        "# Desk\n\nThe desk closes at five.\n('parking',)",
        "add {'added': 1, 'changed': 0, 'removed': 0, 'failed': 0, 'chunks': 2, 'embedded': 0}",
        "['Another thing.']",
        "Rail travel is booked by the office",
        "served: The notice period is three months. [1]",
        "1 ['notice.md']",
        "the question is empty: write",
    ):
        assert line in said


@pytest.mark.parametrize(
    ("page", "package", "more"),
    [
        (
            "langchain.md",
            "langchain_core",
            "found = asyncio.run(retriever.ainvoke('notice period'))\n"
            "print([d.metadata['source'] for d in found], found[0].metadata.get('author'))\n",
        ),
        (
            "llamaindex.md",
            "llama_index",
            "found = asyncio.run(retriever.aretrieve('notice period'))\n"
            "places = [f.node.metadata for f in found]\n"
            "print([p['file_path'] for p in places], places[0].get('author'))\n",
        ),
    ],
)
def test_a_retriever_finds_passages_also_after_a_rebuild(
    page: str, package: str, more: str, tmp_path: Path
) -> None:
    need(package, f"{package} is not installed: `pip install --group integrations`")
    said = run_page(page, tmp_path, AFTER_A_REBUILD + more)

    first = said.partition("[")[0]
    assert first.startswith("notice.md ")
    assert "The notice period is three months." in first
    assert said.splitlines()[-1] == "['notice.md', 'new.md'] Wang"


def test_a_program_that_uses_all_of_the_library_runs(tmp_path: Path) -> None:
    told = use(tmp_path)

    assert told[:3] == ["a.fee", "lunch", "Lunch is at noon."]
    assert told.count("The fee is five dollars [1].") >= 3
    assert told[-3:] == ["lunch.memo", "memo", "1"]  # by entry points alone
    assert {"True", "holds", "one", "embed", "rerank", "chat", "prove", "rebuild"} <= set(told)


def test_the_whole_library_passes_a_strict_type_checker() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "tests/library_script.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout
