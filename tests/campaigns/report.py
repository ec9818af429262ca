"""The results of campaigns as JSON, and the page that is made of them."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from campaigns.known import FAULTS
from ragkit._version import __version__

HERE = Path(__file__).parent
PAGE = HERE / "RESULTS.md"
_HEAD = """# What the campaigns found

Made from `results/*.json` by the programs beside this page; [README.md](README.md) says what each
does, what a point is, and how to run it. A point is violated where a promise of docs/format.md or
of the command was broken there. `before` marks the runs against the store as it was before its
faults were mended: they show that the programs can fail.
"""

_COLUMNS = (
    "points", "violated", "killed", "done", "harmless", "refused with an error",
    "check finds, answers right", "other hits, check finds", "other hits, check clean",
    "refused, check clean", "older state served", "older state, told", "list or info wrong",
    "hit served wrong", "traceback", "crash or hang",
)  # fmt: skip
"""Columns of the tables, in this order; others come after them."""


def commit() -> str:
    """The commit that is checked out; "" outside git."""
    git = ["git", "-C", str(HERE), "rev-parse", "--short", "HEAD"]
    return subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()


def machine() -> dict[str, Any]:
    """Where and with what it ran."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "load": [round(load, 1) for load in os.getloadavg()],
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "ragkit": __version__,
        **{name: version(name) for name in ("numpy", "faiss-cpu")},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def write_results(path: Path, found: dict[str, Any]) -> None:
    """Write the results of one campaign, and the page anew if they lie where it looks."""
    path.parent.mkdir(exist_ok=True)
    _replace(path, json.dumps(machine() | found, indent=1, ensure_ascii=False) + "\n")
    if path.parent == HERE / "results":
        _replace(PAGE, page())


def _replace(path: Path, text: str) -> None:
    """Write a file as a whole: another campaign may end at the same time."""
    made = path.with_name(f".{path.name}.{os.getpid()}")
    made.write_text(text)
    made.replace(path)


def page() -> str:
    """The page of all results there are."""
    files = sorted((HERE / "results").glob("*.json"))
    return "\n".join([_HEAD, *(_section(json.loads(f.read_text())) for f in files)])


def _section(found: dict[str, Any]) -> str:
    title = found["campaign"] + (f" ({found['label']})" if found.get("label") else "")
    lines = [
        f"## {title}",
        "",
        f"{found['date'][:10]}, commit {found['commit']}; {found['cpu']}, {found['cores']} cores, "
        f"load {found['load'][0]}; {found['system']}, Python {found['python']}, SQLite "
        f"{found['sqlite']}, NumPy {found['numpy']}, FAISS {found['faiss-cpu']}.",
        f"`{found['command']}`, seed {found['seed']}: **{found['points']} points, "
        f"{found['violations']} violated**, {found['seconds']} s, "
        f"{found['seconds_for_100_points']} s of one worker for 100 points.",
        "",
    ]
    lines += _table(found["cases"])
    if found["points_by_fault"]:
        lines += ["", "| fault | points | what |", "|---|---|---|"]
        for number, count in found["points_by_fault"].items():
            lines.append(f"| {number} | {count} | {FAULTS.get(number, 'not numbered yet')} |")
        lines += ["", "| violation | times | first at | e.g. |", "|---|---|---|---|"]
        for kind, one in found["kinds"].items():
            detail = one["detail"].replace("|", "\\|").replace("\n", " ")[:120]
            lines.append(f"| {kind} | {one['count']} | {one['points'][0]} | {detail} |")
    return "\n".join(lines) + "\n"


def _table(cases: dict[str, dict[str, int]]) -> list[str]:
    found = sorted({column for counts in cases.values() for column in counts})
    columns = sorted(found, key=lambda c: _COLUMNS.index(c) if c in _COLUMNS else len(_COLUMNS))
    lines = ["| case | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, counts in cases.items():
        lines.append(f"| {name} | " + " | ".join(str(counts.get(c, 0)) for c in columns) + " |")
    return lines
