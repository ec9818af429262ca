"""What the Tab key completes, in a real bash."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import Shell, write_files

COMMAND = Path(sys.executable).with_name("ragkit")
# What bash does at Tab: the words so far, the last of them being completed; each line is one Tab.
SCRIPT = """
eval "$(_RAGKIT_COMPLETE=source_bash ragkit)"
while read -r -a words; do
    COMP_WORDS=("${words[@]//_/}") COMP_CWORD=$((${#words[@]} - 1)) COMPREPLY=()
    _ragkit_completion ragkit
    echo "${COMPREPLY[*]}"
done
"""


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.skipif(not COMMAND.exists(), reason="needs the installed command")
def test_modes_kinds_backends_and_indexes_are_completed(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    write_files(tmp_path / "staff", {"a.txt": "The key hangs in the hall.\n"})
    shell("index", "staff", "--embedder", "none")
    typed = {
        "ragkit search --mode _": "dense keyword hybrid",
        "ragkit ask --kind ht": "html",
        "ragkit index --backend e": "embedded",
        "ragkit ask --index s": "staff",
        "ragkit use _": "staff",
        "ragkit why": "why-not",
    }

    assert tabs(shell, *typed) == list(typed.values())
    (tmp_path / "ragkit.toml").write_text("indexes = ", "utf-8")
    assert tabs(shell, "ragkit use _") == [""]  # and no error in the line that is typed


def tabs(shell: Shell, *typed: str) -> list[str]:
    path = f"{COMMAND.parent}{os.pathsep}{os.environ['PATH']}"
    run = subprocess.run(
        ["bash", "-c", SCRIPT],
        cwd=shell.folder,
        env=shell.env | {"PATH": path, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        input="\n".join(typed) + "\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.stderr == ""
    return run.stdout.splitlines()
