"""``ragkit embed``: texts as vectors."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli.options import Backend, Settings, configured_embedder
from ragkit.cli.output import print_json, say, shortened
from ragkit.cli.terminal import STDIN, clean, stdin_lines
from ragkit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.protocols import Embedder, Vectors

_log = logging.getLogger(__name__)
_TEXT_CHARS = 60


def embed(
    texts: Annotated[
        list[str],
        typer.Argument(metavar="TEXT...", help="Texts; `-` reads one a line of standard input."),
    ],
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="MODEL", help="In place of `models.embedder`."),
    ] = None,
    backend: Backend = None,
    query: Annotated[
        bool, typer.Option("--query", help="Embed as questions, with the prefix for these.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE.npy", dir_okay=False, help="Write a NumPy file instead."
        ),
    ] = None,
    similarity: Annotated[
        bool, typer.Option("--similarity", help="Print the cosine of each two texts instead.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print the cosines as JSON; vectors always are.")
    ] = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Embed texts, and print their vectors as JSON.

    Vectors have unit length. Texts are embedded as passages unless --query is given.
    """
    from ragkit.models.choose import new_embedder

    config, _ = configured_embedder(settings, model, backend)
    given, embedder = _texts(texts), new_embedder(config.models)
    if embedder is None:
        msg = "models.embedder = none: name a model with --model"
        raise ConfigError(msg)
    # Asked for first: a model that runs elsewhere is refused here, before it is sent a text.
    _log.debug("Embedding with %s, digest %s", embedder.name, embedder.digest)
    vectors = _embedded(embedder, given, query=query)
    if output:
        _save(vectors, output)
    if similarity:
        _print_similarity(vectors, given, json=json)
    elif not output:
        _print_vectors(vectors)


def _texts(words: Sequence[str]) -> list[str]:
    """The texts to embed.

    Raises:
        ConfigError: One of them is empty, or there are none.
    """
    given: list[str] = []
    for word in words:
        given += stdin_lines() if word == STDIN else [clean(word)]
    if not given or not all(text.strip() for text in given):
        msg = "there is no vector for an empty text"
        raise ConfigError(msg)
    return given


def _embedded(embedder: Embedder, texts: Sequence[str], *, query: bool) -> Vectors:
    import numpy as np

    if query:
        return np.stack([embedder.embed_query(text) for text in texts])
    return embedder.embed_documents(texts)


def _save(vectors: Vectors, path: Path) -> None:
    import numpy as np

    try:
        with path.open("wb") as file:  # np.save would add a suffix to a mere name
            np.save(file, vectors)
    except OSError as exc:
        msg = f"--output {path}: {exc.strerror}"
        raise ConfigError(msg) from exc
    say(f"{len(vectors)} vectors of {vectors.shape[1]} values in {path}")


def _print_vectors(vectors: Vectors) -> None:
    import orjson

    # Of float32 it writes the shortest digits that mean the same; json would write twice as many.
    rows = (orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY).decode() for row in vectors)
    typer.echo("[\n" + ",\n".join(rows) + "\n]")


def _print_similarity(vectors: Vectors, texts: Sequence[str], *, json: bool) -> None:
    from ragkit.models.vectors import cosine_similarity

    table = cosine_similarity(vectors, vectors).astype(float).round(4).tolist()
    if json:
        print_json({"texts": texts, "cosine": table})
        return
    typer.echo("".join(f"{number:>8}" for number in ["", *range(1, len(texts) + 1)]))
    for number, (row, text) in enumerate(zip(table, texts, strict=True), start=1):
        cosines = "".join(f"{cosine:8.3f}" for cosine in row)
        typer.echo(f"{number:>8}{cosines}   {shortened(text, _TEXT_CHARS)}")


COMMANDS = {"embed": embed}
