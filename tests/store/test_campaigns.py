"""The campaigns in short, and the parts that they rest on."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from campaigns import shim
from campaigns.disk import Disk
from campaigns.known import OPEN
from commands import REPOSITORY

pytestmark = pytest.mark.skipif(bool(shim.why_not()), reason=shim.why_not())

_CASES = ("create", "index", "compact", "backup", "restore", "erase")
_EACH = [word for case in _CASES for word in ("--only", case)]
SHORT = [
    pytest.param("crash", ("--only", "index", "--count", "8"), id="crash"),
    pytest.param("crash", (*_EACH, "--count", "8"), id="crash of each", marks=pytest.mark.long),
    pytest.param("powerloss", ("--only", "remove", "--count", "12"), id="powerloss"),
    pytest.param("corruption", ("--only", "rich", "--count", "8"), id="corruption"),
    pytest.param(
        "faults", ("--only", "index", "--count", "8"), id="faults", marks=pytest.mark.long
    ),
]


@pytest.mark.parametrize(("name", "only"), SHORT)
def test_a_short_campaign_meets_no_fault_but_those_that_are_open(
    name: str, only: tuple[str, ...], tmp_path: Path
) -> None:
    words = [*only, "--parallel", "1", "--no-results", "--log", str(tmp_path / "log")]
    done = subprocess.run(
        [sys.executable, REPOSITORY / "tests/campaigns" / f"{name}.py", *words],
        env=os.environ | {"PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'tests'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert found["points"] == found["planned"] >= 8, done.stderr
    assert found["points_by_fault"].keys() <= OPEN, json.dumps(found["kinds"], indent=1)


WRITES = """
import os, sys
folder = sys.argv[1]
os.mkdir(folder + "/in")
fd = os.open(folder + "/in/file", os.O_RDWR | os.O_CREAT)
print(os.write(fd, b"one"), flush=True)
os.fsync(fd)
print(os.pwrite(fd, b"two!", 3), flush=True)
os.rename(folder + "/in/file", folder + "/in/new")
os.unlink(folder + "/in/new")
"""


def struck(folder: Path, mode: int, at: int) -> subprocess.CompletedProcess[str]:
    """Run `WRITES` in a folder, struck at one call."""
    strike = shim.Strike(folder, mode, at, folder.with_suffix(".log"))
    variables = {"LD_PRELOAD": str(shim.compiled())} | strike.variables
    command = [sys.executable, "-c", WRITES, str(folder)]
    folder.mkdir()
    return subprocess.run(
        command, env=os.environ | variables, capture_output=True, text=True, check=False
    )


def test_the_library_counts_the_calls_that_change_files_and_keeps_their_data(
    tmp_path: Path,
) -> None:
    assert struck(tmp_path / "a", shim.COUNT, 0).returncode == 0
    calls = list(shim.read_log(tmp_path / "a.log"))
    assert [call.kind for call in calls] == [
        shim.MKDIR, shim.CREATE, shim.WRITE, shim.SYNC, shim.WRITE, shim.RENAME, shim.UNLINK,
    ]  # fmt: skip
    assert [(c.offset, c.data) for c in calls if c.data] == [(0, b"one"), (3, b"two!")]
    assert calls[5].target == str(tmp_path / "a/in/new")


def test_the_library_kills_tears_shortens_and_refuses_at_the_call_that_was_named(
    tmp_path: Path,
) -> None:
    killed = struck(tmp_path / "killed", shim.KILL, 5)
    assert killed.returncode == -9
    assert (tmp_path / "killed/in/file").read_bytes() == b"one"
    assert struck(tmp_path / "torn", shim.TORN, 5).returncode == -9
    assert (tmp_path / "torn/in/file").read_bytes() == b"onetw"
    assert struck(tmp_path / "short", shim.SHORT, 5).stdout.split() == ["3", "2"]
    assert "No space left" in struck(tmp_path / "full", shim.FULL, 4).stderr
    assert "Input/output error" in struck(tmp_path / "eio", shim.BROKEN, 6).stderr


def test_a_power_cut_spares_what_was_synced_and_nothing_else(tmp_path: Path) -> None:
    struck(tmp_path / "run", shim.COUNT, 0)
    calls = list(shim.read_log(tmp_path / "run.log"))
    base = tmp_path / "base"
    base.mkdir()
    disk = Disk(base, tmp_path / "run", calls)
    dice = random.Random(1)  # noqa: S311 -- a fixed seed
    assert disk.cut(5, dice, keep=1) == {"in": None, "in/file": b"onetwo!"}
    assert disk.cut(6, dice, keep=1) == {"in": None, "in/new": b"onetwo!"}
    assert disk.cut(7, dice, keep=1) == {"in": None}
    assert disk.cut(7, dice, keep=0) == {}  # no folder was synced
    seen = {json.dumps(disk.cut(7, dice, keep=0.5), default=repr) for _ in range(200)}
    assert {"{}", '{"in": null}', '{"in": null, "in/file": "b\'one\'"}'} <= seen
    assert all("one" in state for state in seen if "file" in state or "new" in state)
