"""What the hints tell to install can be installed, and is not the other project named ragkit."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from ragkit.extras import install_command

ROOT = Path(__file__).parents[1]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
    "optional-dependencies"
]


@pytest.mark.parametrize("extra", EXTRAS)
def test_a_hint_names_the_packages_of_the_extra_for_this_platform(extra: str) -> None:
    here = [Requirement(line) for line in EXTRAS[extra]]
    names = {r.name for r in here if r.marker is None or r.marker.evaluate()}
    told = [word.strip("'") for word in install_command(extra).split()[2:]]
    assert {Requirement(word).name for word in told} == names
    assert "ragkit" not in names


@pytest.mark.parametrize(
    "extra",
    [e if e == "embedded" else pytest.param(e, marks=pytest.mark.long) for e in EXTRAS],
)
def test_pip_can_do_what_a_hint_says(extra: str) -> None:
    command = install_command(extra).replace("'", "").split()[1:]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *command, "--dry-run", "--ignore-installed", "--no-deps"],
        capture_output=True,
        text=True,
        check=False,
    )
    if "NewConnectionError" in done.stderr:
        pytest.skip("no package index can be reached from here")
    assert done.returncode == 0, done.stderr
    assert "Would install" in done.stdout
