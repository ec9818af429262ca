"""Run every measurement and write the results.

    python benchmarks/run.py            # about fifteen minutes on two cores
    python benchmarks/run.py --quick    # once, small: to see that everything works; writes nothing
    python benchmarks/run.py --only search update

Each script runs as a process of its own, one after the other, and prints its rows as JSON. The
results go to ``benchmarks/results/DATE.json`` and, as a table, to ``benchmarks/RESULTS.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpus import SEED
from harness import HERE, REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Sequence

SCRIPTS = ("helptime", "update", "kill", "ingest", "memory", "servers", "search", "log_size")
HEADER = (
    "| what | at most | measured | floor | ragkit | met |\n| --- | --- | --- | --- | --- | --- |\n"
)


def machine() -> dict[str, Any]:
    """Where and with what it was measured."""
    packages = ("numpy", "faiss-cpu", "requests", "orjson", "typer")
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "load_before": [round(load, 2) for load in os.getloadavg()],
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **{name: version(name) for name in packages},
        "corpus": f"benchmarks/corpus.py, seed {SEED}, 200, 2,000 and 20,000 files",
        "command": "python benchmarks/run.py",
    }


def _commit() -> str:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(REPOSITORY), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "ragkit")
    return git("rev-parse", "--short", "HEAD") + (" with changes" if changed else "")


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def measure(work: Path, scripts: Sequence[str], *, quick: bool) -> list[dict[str, Any]]:
    """The rows of scripts; one that fails says so and the others go on."""
    rows: list[dict[str, Any]] = []
    for script in scripts:
        print(f"{script} …", file=sys.stderr, flush=True)
        command = [sys.executable, str(HERE / f"{script}.py"), "--work", str(work)]
        done = subprocess.run(
            [*command, *(["--quick"] if quick else [])], stdout=subprocess.PIPE, check=False
        )
        if done.returncode:
            print(f"{script} failed", file=sys.stderr)
            continue
        rows += [row | {"script": script} for row in json.loads(done.stdout)]
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    return HEADER + "".join(_line(row) for row in rows)


def _line(row: dict[str, Any]) -> str:
    is_ratio = row["measured"] != row["ragkit"]
    unit = "×" if is_ratio else row["unit"]
    floor = "" if row["floor"] is None else f"{row['floor']:g} {row['unit']}"
    cells = (
        row["what"],
        f"{row['figure']:g} {unit}",
        f"{row['measured']:g} {unit}",
        floor,
        f"{row['ragkit']:g} {row['unit']}",
        "yes" if row["met"] else "**no**",
    )
    return f"| {' | '.join(cells)} |\n"


def page(where: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """The whole page of results."""
    facts = "\n".join(f"- {name}: {value}" for name, value in where.items())
    return (
        "# Results\n\nWritten by `python benchmarks/run.py`; the [README](README.md) says what is "
        "measured and how. Times are medians; the floor ran in turn with ragkit.\n\n"
        f"{table(rows)}\n## Where\n\n{facts}\n"
    )


def main() -> int:
    """Measure all; exit code 1 where a figure was not reached or a script failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="once, on 200 files only")
    parser.add_argument(
        "--only", nargs="+", choices=SCRIPTS, help="these; the others' rows of the same day stay"
    )
    given = parser.parse_args()
    where = machine()
    scripts = given.only or SCRIPTS
    file = HERE / "results" / f"{where['date'][:10]}.json"
    with tempfile.TemporaryDirectory(prefix="ragkit-bench-") as work:
        rows = measure(Path(work), scripts, quick=given.quick)
    print(table(rows))
    if not given.quick:
        if given.only and file.exists():
            kept = json.loads(file.read_text("utf-8"))["rows"]
            rows = [row for row in kept if row["script"] not in scripts] + rows
        file.parent.mkdir(exist_ok=True)
        text = json.dumps({"machine": where, "rows": rows}, indent=2, ensure_ascii=False)
        file.write_text(text + "\n", encoding="utf-8")
        (HERE / "RESULTS.md").write_text(page(where, rows), encoding="utf-8")
    is_complete = {row["script"] for row in rows} >= set(scripts)
    return 0 if is_complete and all(row["met"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
