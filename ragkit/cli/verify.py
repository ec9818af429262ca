"""``ragkit verify``: an answer checked again, against the index and the files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli.options import IndexName, Json, PasswordFile, Settings, configured, open_pipeline
from ragkit.cli.output import place, print_json, shortened
from ragkit.cli.terminal import STDIN
from ragkit.errors import LoadError
from ragkit.store.locate import url_scheme

if TYPE_CHECKING:
    from ragkit.verify.answers import SentenceCheck, Verification
    from ragkit.verify.resolver import CitationCheck

FAILED = 1


def verify(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="What `ragkit ask --json` printed; `-` for stdin."),
    ],
    index: IndexName = "",
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Fail as well if a sentence is not shown to be in the documents."
        ),
    ] = False,
    password_file: PasswordFile = None,
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Check an answer again: its quotes, its documents, and each of its sentences.

    Needs no model. The index is the one that the answer names. Exit code 1 if something is no
    longer as the answer records it: a document changed or vanished, a quote does not stand at
    its place, a sentence is not what it was judged to be.
    """
    from ragkit.records import to_json
    from ragkit.verify.answers import read_answer

    answer = read_answer(_read(file), "standard input" if file == STDIN else file)
    config, _ = configured(settings, load__password_file=password_file)
    with open_pipeline(index or _as_path(answer.index), config) as rag:
        found = rag.verify(answer)
    if json:
        print_json({"holds": found.holds, "proved": found.proved, **to_json(found)})
    else:
        typer.echo(f"{shortened(answer.question)}\n")
        _print(found)
    if not found.holds or (strict and not found.proved):
        raise typer.Exit(FAILED)


def _read(file: str) -> bytes:
    if file == STDIN:
        return sys.stdin.buffer.read() if sys.stdin else b""  # None if it was closed
    try:
        return Path(file).read_bytes()
    except OSError as exc:
        msg = f"{file} cannot be read: {exc.strerror}"
        raise LoadError(msg, file) from exc


def _as_path(index: str) -> str:
    """The recorded index as a URL or a path, even if it is a bare folder name."""
    return index if url_scheme(index) else str(Path.cwd() / index)


def _print(found: Verification) -> None:
    for sentence in found.sentences:
        typer.echo(f"{sentence.status:<12} {shortened(sentence.text)}{_recorded(sentence)}")
    for check in found.citations:
        _print_citation(check)
    if not (found.sentences or found.citations):
        typer.echo("It says that the documents do not answer; there is nothing to verify.")
        return
    proved = sum(s.status in ("quoted", "supported") for s in found.sentences)
    typer.echo(
        f"\n{'Everything' if found.holds else 'NOT everything'} is as the answer records it; "
        f"{proved} of {len(found.sentences)} sentences are shown to be in the documents."
    )


def _recorded(sentence: SentenceCheck) -> str:
    if sentence.recorded == sentence.status:
        return ""
    return f"  (recorded: {sentence.recorded or 'no such sentence'})"


def _print_citation(check: CitationCheck) -> None:
    cited = check.citation
    detail = f": {check.detail}" if check.detail else ""
    typer.echo(f"\n[{cited.number}] {place(cited)}")
    typer.echo(f"    {check.state}{detail}")
    if check.file:
        line = f":{check.line}" if check.line else ""
        start, end = (cited.start, cited.end) if check.start is None else (check.start, check.end)
        typer.echo(f"    {check.file}{line}  characters {start}-{end}")
    # What stands in the file is shown with its surroundings, what does not as it was recorded.
    before, after = (" ".join(t.split()) for t in (check.before, check.after))
    typer.echo(f"    {before} «{shortened(cited.quote)}» {after}".rstrip())


COMMANDS = {"verify": verify}
