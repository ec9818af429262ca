"""``ragkit search`` and ``why-not``: what is found for a question, and why something is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

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
    Where,
    configured,
    moment,
    nothing_to_find,
    open_pipeline,
    restriction,
)
from ragkit.cli.output import (
    place,
    print_json,
    print_table,
    ranks_text,
    say,
    say_waiting,
    shortened,
)
from ragkit.cli.snippets import snippet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.records import Hit

SHOWN = 5
Document = Annotated[
    str,
    typer.Argument(
        metavar="[PATH[:PAGE]]",
        help="The document that should answer, as `ragkit list` names it, or a page of it.",
    ),
]
Expected = Annotated[
    str, typer.Option(metavar="PATH[:PAGE]", help="Another way to name the document.")
]
Words = Annotated[
    str, typer.Option(metavar="WORDS", help="Words of the passage that should answer.")
]
WithAnswer = Annotated[
    bool,
    typer.Option("--answer", help="Answer too, and tell if the passage was used."),
]


def search(
    question: Question,
    index: IndexName = "",
    k: K = None,
    mode: SearchMode = None,
    path: Paths = [],  # noqa: B006 -- typer copies it
    kind: Kinds = [],  # noqa: B006 -- typer copies it
    where: Where = [],  # noqa: B006 -- typer copies it
    as_of: AsOf = None,
    explain: Explain = False,
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Find the passages that speak about a question. No chat model is asked."""
    config, _ = configured(settings, search__mode=mode)
    with open_pipeline(index, config) as rag:
        hits = rag.search(question, k=k, as_of=moment(as_of), **restriction(path, kind, where))
        say_waiting(rag.stats())
        reason = "" if hits else nothing_to_find(rag, path, kind, where)
    if json:
        print_json(hits)
        return
    _print_hits(hits, question, explain=explain)
    if not hits:
        say(f"Nothing found: {reason}" if reason else "Nothing found.")


def _print_hits(hits: Sequence[Hit], question: str, *, explain: bool) -> None:
    for hit in hits:
        score = "" if hit.score is None else f"  cosine {hit.score:.3f}"
        typer.echo(f"{hit.rank}. {place(hit)}{score}")
        if explain:
            typer.echo(f"   {ranks_text(hit)}")
        typer.echo(f"   {snippet(hit.text, question)}\n")


def why_not(
    question: Question,
    document: Document = "",
    expect: Expected = "",
    text: Words = "",
    answer: WithAnswer = False,
    index: IndexName = "",
    k: K = None,
    mode: SearchMode = None,
    path: Paths = [],  # noqa: B006 -- typer copies it
    kind: Kinds = [],  # noqa: B006 -- typer copies it
    where: Where = [],  # noqa: B006 -- typer copies it
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Tell at which stage a passage that should answer a question was lost."""
    if bool(document) == bool(expect):
        msg = "name the document that should answer, once"
        raise typer.BadParameter(msg, param_hint="PATH")
    config, _ = configured(settings, search__mode=mode, search__k=k)
    document, page = _place(document or expect)
    with open_pipeline(index, config) as rag:
        try:
            told = rag.why_not(
                question,
                document,
                page=page,
                text=text,
                answer=answer,
                **restriction(path, kind, where),
            )
        except ValueError as exc:
            raise typer.BadParameter(str(exc), param_hint="PATH") from exc
    if json:
        print_json(told)
        return
    named = told.path if page is None else f"{told.path}, page {page}"
    typer.echo(f"{named}: {told.stage}\n  {told.reason}")
    if not told.standings:
        return
    rows = [("rank", "meaning", "words", "cosine", "page", "characters", "text")]
    for s in told.standings[:SHOWN]:
        ranks = ["-" if rank is None else str(rank) for rank in (s.rank, s.dense, s.keyword)]
        cosine = "-" if s.score is None else f"{s.score:.3f}"
        place_in = ("-" if s.page is None else str(s.page), f"{s.start}-{s.end}")
        rows.append((*ranks, cosine, *place_in, shortened(s.text, 50)))  # type: ignore[arg-type]  # seven texts
    typer.echo()
    print_table(rows)
    if len(told.standings) > SHOWN:
        typer.echo(f"and {len(told.standings) - SHOWN} more passages")


def _place(expect: str) -> tuple[str, int | None]:
    document, separator, page = expect.rpartition(":")
    return (document, int(page)) if separator and page.isdigit() else (expect, None)


COMMANDS = {"search": search, "why-not": why_not}
