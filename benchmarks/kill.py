"""What an ingest that is killed halfway sends again, and whether the index is right after."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from harness import (
    REPOSITORY,
    SMALL,
    Row,
    Scope,
    absolute,
    fresh,
    index_command,
    print_rows,
    ragkit,
    ragkit_command,
)
from texts import texts_of

sys.path.insert(0, str(REPOSITORY / "tests"))
from ollama_double.server import OllamaServer, Request, Settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

UNCOMMITTED = 256 + 4 * 32  # texts between two commits, and the batches that are under way
PATH = "/api/embeddings"


def measure(scope: Scope) -> list[Row]:
    """The worst of several kills."""
    corpus, index = scope.corpus(SMALL), scope.work / "index-killed"
    texts = sum(len(of_file) for of_file in texts_of(corpus).values())
    worst = max(
        (_killed(corpus, fresh(index), texts) for _ in range(scope.repeats(3))),
        key=lambda counts: counts["sent_twice"],
    )
    return [
        absolute("kill -9 at half of an ingest: texts sent twice", UNCOMMITTED, "texts",
                 ragkit=worst["sent_twice"], **worst),
        absolute("kill -9 at half of an ingest: chunks missing after the next run", 0, "chunks",
                 ragkit=texts - worst["chunks_after"]),
    ]  # fmt: skip


def _killed(corpus: Path, index: Path, texts: int) -> dict[str, int]:
    """Kill an ingest when half of its texts have arrived, run it again, and check the index."""
    with OllamaServer(Settings(dim=768, latency_s=0.001)) as server:
        process = subprocess.Popen(
            ragkit_command(*index_command(corpus, index)),
            env={**os.environ, "OLLAMA_HOST": server.url},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while len(server.requests) < texts // 2:
            if process.poll() is not None:
                msg = f"ended with {process.returncode} before it could be killed"
                raise RuntimeError(msg)
            time.sleep(0.005)
        process.kill()
        process.wait()
        sent = len(server.requests)
        before = _prompts(server.requests[:sent])
        ragkit(*index_command(corpus, index), url=server.url)
        after = _prompts(server.requests[sent:])
    ragkit("check", "--index", index)
    held = sum(d["chunks"] for d in ragkit("list", "--index", index, "--json").json)
    return {
        "texts": texts,
        "sent_before": len(before),
        "sent_after": len(after),
        "sent_twice": len(set(before) & set(after)),
        "chunks_after": held,
    }


def _prompts(requests: Sequence[Request]) -> list[str]:
    """The texts of requests; one that the kill cut off is not whole."""
    return [r.json["prompt"] for r in requests if r.path == PATH and isinstance(r.json, dict)]


if __name__ == "__main__":
    print_rows(measure, __doc__ or "")
