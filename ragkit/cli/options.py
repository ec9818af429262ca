"""Options that several commands share, and the pipeline they open."""

from __future__ import annotations

import re
from datetime import date, datetime, time
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_type_hints

import typer

from ragkit.cli.terminal import text_or_stdin
from ragkit.errors import ConfigError, IndexMismatchError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ragkit.config import Config
    from ragkit.pipeline import Pipeline
    from ragkit.records import Condition, Operator

_CONDITION = re.compile(r"\s*([^<>=]*[^<>=\s])\s*(<=|>=|=|<|>)\s*(.*?)\s*", re.DOTALL)


def _question(context: typer.Context, text: str) -> str:
    if context.resilient_parsing:  # the shell completes a line: nobody types a question yet
        return text
    text = text_or_stdin(text)
    if not text.strip():
        msg = "it is empty"
        raise typer.BadParameter(msg)
    return text


Question = Annotated[
    str,
    typer.Argument(
        metavar="QUESTION",
        help="A question or words, in any language; `-` reads standard input.",
        callback=_question,
    ),
]


def complete_index(begun: str) -> list[str]:
    """The names of indexes that begin so, for the shell's completion."""
    from ragkit.config import load_config
    from ragkit.store.locate import find_indexes, indexes_folder

    try:
        folder = indexes_folder(load_config()[0].indexes)
    except ConfigError:  # told by the command itself; a message would stand in the line one types
        return []
    return [path.name for path in find_indexes(folder) if path.name.startswith(begun)]


def complete_mode(begun: str) -> list[str]:
    """The modes of search that begin so."""
    from ragkit.records import Mode

    return [mode for mode in get_args(Mode) if mode.startswith(begun)]


def complete_kind(begun: str) -> list[str]:
    """The kinds of documents that begin so, those of installed readers too."""
    from ragkit.ingest.load.formats import FORMATS, Formats

    kinds = [*(row.kind for row in FORMATS), *Formats().installed]
    return [kind for kind in kinds if kind.startswith(begun)]


def complete_backend(begun: str) -> list[str]:
    """The places that vectors come from that begin so."""
    from ragkit.config import ModelSettings

    backends = get_args(get_type_hints(ModelSettings)["backend"])
    return [backend for backend in backends if backend.startswith(begun)]


IndexName = Annotated[
    str,
    typer.Option(
        "--index",
        "-i",
        metavar="NAME|PATH|URL",
        help="Which index; optional if there is only one or `ragkit use` chose one.",
        autocompletion=complete_index,
    ),
]
AnIndex = Annotated[
    str,
    typer.Argument(
        metavar="INDEX", help="The index: its name, path or URL.", autocompletion=complete_index
    ),
]
ServedIndexes = Annotated[
    list[str],
    typer.Option(
        "--index",
        "-i",
        metavar="NAME|PATH|URL",
        help="An index to serve; repeatable. None: all in the folder of indexes.",
        autocompletion=complete_index,
    ),
]
NewEmbedder = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="Embedding model on the server; `none`: search by words alone.",
    ),
]
Backend = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Where vectors come from: auto, ollama, openai or embedded.",
        autocompletion=complete_backend,
    ),
]
Moment = Annotated[
    str, typer.Argument(metavar="RUN|DATE", help="A run of `ragkit log`, or a day or time.")
]
AsOf = Annotated[
    str | None,
    typer.Option(
        metavar="RUN|DATE",
        help="The index as it was after that run of `ragkit log`, or at the end of that day, e.g. "
        "2026-03-31, or at that time, e.g. 2026-03-31T14:00 (local).",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Settings = Annotated[
    list[str],
    typer.Option(
        "--set", metavar="NAME=VALUE", help="Change a setting for this run; see `ragkit config`."
    ),
]
K = Annotated[
    int | None, typer.Option("--k", "-k", min=1, metavar="N", help="How many passages to find.")
]
SearchMode = Annotated[
    str | None,
    typer.Option(
        "--mode",
        metavar="MODE",
        help="dense, keyword or hybrid.",
        autocompletion=complete_mode,
    ),
]
Paths = Annotated[
    list[str],
    typer.Option("--path", metavar="GLOB", help="Only documents whose path matches; repeatable."),
]
Kinds = Annotated[
    list[str],
    typer.Option(
        "--kind",
        metavar="KIND",
        help="Only documents of a kind, e.g. pdf; repeatable.",
        autocompletion=complete_kind,
    ),
]
Where = Annotated[
    list[str],
    typer.Option(
        "--where",
        metavar="CONDITION",
        help="Only documents whose metadata are so: 'author=Chen', 'year=2023|2024', "
        "'date>=2024-03'; repeatable, all must hold.",
    ),
]
Chat = Annotated[
    str | None, typer.Option(metavar="MODEL", help="Chat model: a name, `gguf:PATH`, or `none`.")
]
Extractive = Annotated[
    bool, typer.Option("--extractive", help="Quote the closest passages; ask no chat model.")
]
PasswordFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Passwords, one a line, that are tried on encrypted PDF and office files.",
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print nothing unless something goes wrong.")
]
Explain = Annotated[
    bool, typer.Option("--explain", help="Show ranks, scores and what was left out.")
]


def configured(settings: Sequence[str], **named: Any) -> tuple[Config, dict[str, str]]:  # noqa: ANN401 -- values of any setting
    """Read the configuration with ``--set`` values and named options on top.

    Args:
        settings: ``name=value`` texts.
        named: Settings with ``__`` for the dot; None where the option was not given.

    Returns:
        As `ragkit.config.load_config`.
    """
    from ragkit.config import load_config

    values: dict[str, Any] = {}
    for text in settings:
        name, separator, value = text.partition("=")
        if not separator:
            msg = f"--set {text!r}: expected NAME=VALUE"
            raise ConfigError(msg)
        values[name.strip()] = value.strip()
    values |= {k.replace("__", "."): v for k, v in named.items() if v is not None}
    return load_config(values)


def configured_embedder(
    settings: Sequence[str],
    name: str | None,
    backend: str | None,
    **named: Any,  # noqa: ANN401 -- values of any setting
) -> tuple[Config, dict[str, str]]:
    """As `configured`, with an embedding model named on the command line.

    Args:
        settings: ``name=value`` texts.
        name: The model. Without a backend it is one on the configured server, else on Ollama's;
            ``none``: no model.
        backend: Where it is.
        named: Further settings.
    """
    chosen = named | {"models__embedder": name, "models__backend": backend}
    config, sources = configured(settings, **chosen)
    if name and not backend and config.models.backend not in {"ollama", "openai"}:
        return configured(settings, **chosen | {"models__backend": "ollama"})
    return config, sources


def open_pipeline(
    index: str, config: Config, sources: Sequence[Path] = (), *, named_embedder: bool = False
) -> Pipeline:
    """The pipeline over an index.

    Args:
        index: The ``--index`` option.
        config: Settings.
        sources: What is to be indexed: an index that holds it, or a new one, is meant.
        named_embedder: An embedder was asked for by name: an index that was built with another
            one is then refused, and one without vectors gets them.

    Raises:
        IndexNotFoundError: There is no such index, and nothing to make one of.
        IndexMismatchError: No embedder was asked for, by name, and the index has one.
    """
    from ragkit.models.choose import new_embedder
    from ragkit.pipeline import Pipeline
    from ragkit.store.locate import index_location, unknown_index
    from ragkit.store.open import index_exists

    path = index_location(index, config.indexes, sources)
    if not sources and not index_exists(path):
        raise unknown_index(path)
    embedder = new_embedder(config.models) if named_embedder else None
    rag = Pipeline(path, config, embedder=embedder)
    if named_embedder and embedder is None and rag.exists and rag.store.embedder:
        name = rag.store.embedder["name"]
        msg = (
            f"{rag.location} has vectors of {name}; leave out `--embedder none` to go on with it, "
            "or build it without vectors with `ragkit rebuild --embedder none`"
        )
        raise IndexMismatchError(msg, rag.location, stored=name, given=config.models.embedder)
    return rag


def moment(text: str | None, option: str = "--as-of") -> int | datetime | None:
    """What a generation's number or a date stands for; a day stands for its end.

    Args:
        text: As it was given; a time without a zone is local.
        option: Its name, for the error.
    """
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        when = datetime.fromisoformat(text)
        if _is_day(text):
            when = datetime.combine(when.date(), time.max)
        return when if when.tzinfo else when.astimezone()
    except (ValueError, OverflowError) as exc:  # the latter at the ends of the calendar
        msg = (
            f"{option} {text!r}: expected the number of a run, as `ragkit log` lists them, or a "
            "date such as 2026-03-31 or 2026-03-31T14:00"
        )
        raise ConfigError(msg) from exc


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def nothing_to_find(
    rag: Pipeline, paths: Sequence[str], kinds: Sequence[str], where: Sequence[str] = ()
) -> str:
    """Why no document is within a search's restriction; "" if one is.

    Args:
        rag: What was searched.
        paths: Of the restriction.
        kinds: Of the restriction.
        where: Its conditions, given only if nothing at all was found.
    """
    documents = rag.documents() if paths or kinds else []
    there = sorted({document.kind for document in documents})
    if missing := [kind for kind in kinds if kind not in there]:
        return f"no document is of the kind {', '.join(missing)}; there are: {', '.join(there)}"
    if paths and not any(fnmatchcase(d.path, glob) for d in documents for glob in paths):
        return f"no document's path matches {' or '.join(paths)}; `ragkit list` names all"
    return f"no passage found meets --where {' --where '.join(where)}" if where else ""


def restriction(
    paths: Sequence[str], kinds: Sequence[str], where: Sequence[str] = ()
) -> Mapping[str, Any]:
    """The ``restrict`` argument of a search, from its options."""
    from ragkit.records import Filter

    return {"restrict": Filter(tuple(paths), tuple(kinds), tuple(map(_condition, where)))}


def _condition(text: str) -> Condition:
    """What ``author=Chen|Lee`` stands for."""
    from ragkit.records import Condition

    found = _CONDITION.fullmatch(text)
    if found is None:
        msg = f"--where {text!r}: expected FIELD=VALUE, or <, <=, > or >= in place of ="
        raise ConfigError(msg)
    name, value = found[1], found[3]
    operator: Operator = found[2]  # type: ignore[assignment]  # the pattern has these alone
    if operator == "=" and "|" in value:
        return Condition(name, "in", tuple(_scalar(part.strip()) for part in value.split("|")))
    return Condition(name, operator, _scalar(value))


def _scalar(text: str) -> str | bool:
    """A value as it was typed; as a number it is compared with numbers all the same."""
    return text == "true" if text in ("true", "false") else text
