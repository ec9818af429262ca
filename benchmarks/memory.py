"""How much memory ingest needs, and whether that grows with the corpus."""

from __future__ import annotations

from harness import (
    HUGE,
    LARGE,
    Row,
    Scope,
    absolute,
    fresh,
    index_command,
    model_server,
    print_rows,
    ragkit,
    ratio,
)


def measure(scope: Scope) -> list[Row]:
    """All rows of this question; each size once, since a peak varies little."""
    if scope.quick:
        return []
    peaks, sizes = {}, {}
    with model_server() as url:
        for files in (LARGE, HUGE):
            corpus = scope.corpus(files)
            sizes[files] = sum(file.stat().st_size for file in corpus.rglob("*.md")) / 1e6
            command = index_command(corpus, fresh(scope.work / "index-memory"), batched=True)
            peaks[files] = ragkit(*command, url=url).peak_mb
    fresh(scope.work / "index-memory")
    large, huge = f"{sizes[LARGE]:.0f} MB", f"{sizes[HUGE]:.0f} MB"
    return [
        absolute(f"peak memory of ingest, {huge} of text", 250, "MB", ragkit=peaks[HUGE]),
        ratio(f"peak memory of ingest, {huge} against {large} of text", 1.2, "MB",
              floor=peaks[LARGE], ragkit=peaks[HUGE]),
    ]  # fmt: skip


if __name__ == "__main__":
    print_rows(measure, __doc__ or "")
