"""Draw docs/demo.svg: the README's terminal picture, from a real run in a folder of its own."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

HERE = Path(__file__).parent
COMMANDS = [
    ["index", "corpora/accident-reports", "corpora/everyday-law-zh", "--index", "demo"],
    ["ask", "How many minutes had the White Plains pilot flown his new airplane?"],
    ["ask", "房东知道房客转租，多久不提异议就算同意？"],
    ["ask", "Which engine did the Wright brothers build?"],
]


def main() -> None:
    """Run the commands and record what they print."""
    console = Console(record=True, width=100, file=io.StringIO())
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(HERE.parent / "corpora", Path(folder) / "corpora")
        environment = {**os.environ, "OLLAMA_HOST": "127.0.0.1:9", "PYTHONUTF8": "1"}
        environment["RAGKIT_INDEXES"] = "indexes"
        for words in COMMANDS:
            run = subprocess.run(  # noqa: S603 -- our own command
                [sys.executable, "-m", "ragkit", *words],
                cwd=folder, env=environment, check=True, text=True, encoding="utf-8",
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            shown = " ".join(f'"{w}"' if " " in w or not w.isascii() else w for w in words)
            console.print(Text(f"$ ragkit {shown}", style="bold green"))
            for line in run.stdout.splitlines():
                text = line.lstrip(" ")
                console.print(Padding(Text(text), (0, 0, 0, len(line) - len(text))))
            console.print()
    svg = re.sub(r"@font-face {.*?}\s*", "", console.export_svg(title="ragkit"), flags=re.DOTALL)
    (HERE / "demo.svg").write_text(svg, "utf-8")  # without fonts that a page would fetch


if __name__ == "__main__":
    main()
