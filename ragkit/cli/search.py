"""``ragkit search``."""

from __future__ import annotations

import typer

from ragkit.cli.options import (
    AsOf,
    Explain,
    IndexName,
    Json,
    K,
    Kinds,
    Paths,
    Question,
    SearchMode,
    Settings,
    configured,
    open_pipeline,
    restriction,
)
from ragkit.cli.output import print_hits, print_json, say


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("search")(search)


def search(
    question: Question,
    index: IndexName = "",
    k: K = None,
    mode: SearchMode = None,
    path: Paths = [],  # noqa: B006 -- typer copies it
    kind: Kinds = [],  # noqa: B006 -- typer copies it
    as_of: AsOf = None,
    explain: Explain = False,
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Find the passages that speak about a question. No chat model is asked."""
    from ragkit.records import to_json

    config, _ = configured(settings, search__mode=mode)
    with open_pipeline(index, config) as rag:
        hits = rag.search(question, k=k, as_of=as_of, **restriction(path, kind))
    if json:
        print_json([to_json(hit) for hit in hits])
        return
    print_hits(hits, explain=explain)
    if not hits:
        say("Nothing found.")
