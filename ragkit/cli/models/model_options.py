"""Options of the commands that speak with a model itself, and what their texts mean."""

from __future__ import annotations

import json
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragkit.cli.options import configured
from ragkit.cli.output import say
from ragkit.cli.terminal import text_or_stdin
from ragkit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ragkit.config import Config
    from ragkit.models.ollama import OllamaClient
    from ragkit.models.ollama.calls import Format

# The server's options; what older versions had besides (mirostat, tfs_z...) newer ones pass over.
KNOWN_OPTIONS = frozenset({
    "draft_num_predict", "frequency_penalty", "main_gpu", "min_p", "num_batch", "num_ctx",
    "num_gpu", "num_keep", "num_predict", "num_thread", "presence_penalty", "repeat_last_n",
    "repeat_penalty", "seed", "stop", "temperature", "top_k", "top_p", "typical_p", "use_mmap",
})  # fmt: skip
ModelName = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", metavar="MODEL", help="Chat model to use instead of `models.chat`."
    ),
]
ServerModel = Annotated[
    str, typer.Argument(metavar="NAME", help="The model; its tag may be left out.")
]
System = Annotated[
    str, typer.Option(metavar="TEXT", help="System text, in place of the model's own.")
]
Options = Annotated[
    list[str],
    typer.Option(
        "--option",
        metavar="NAME=VALUE",
        help="Option of the model, such as temperature=0.2, num_ctx=8192, stop=END; repeatable.",
    ),
]
Think = Annotated[
    bool | None,
    typer.Option(
        "--think/--no-think",
        help="Let a model that can reason do so first, or not.",
    ),
]


@contextmanager
def ollama_server(settings: Sequence[str]) -> Iterator[OllamaClient]:
    """The Ollama server that is configured; of several the first."""
    from ragkit.models.choose import ollama_client

    config, _ = configured(settings)
    with ollama_client(config.models) as client:
        yield client


def chat_name(config: Config, *, named: bool = False) -> str:
    """The chat model on the Ollama server.

    Args:
        config: Where it is set.
        named: It was named for this command, which speaks to that server only.

    Raises:
        ConfigError: The setting names none, a model file, or a model on another server.
    """
    name = config.models.chat
    elsewhere = config.models.backend == "openai" and not named
    if elsewhere or name in {"", "none"} or name.startswith(("gguf:", "openai:")):
        msg = f"models.chat = {name!r} is no model on the Ollama server; name one with --model"
        raise ConfigError(msg)
    return name


def model_options(texts: Sequence[str], option: str) -> dict[str, Any]:
    """As `typed_values`; what the server would pass over without a word is told on stderr."""
    values = typed_values(texts, option)
    for name in [name for name in values if name not in KNOWN_OPTIONS]:
        close = get_close_matches(name, KNOWN_OPTIONS, 1)
        meant = f"; did you mean {close[0]}?" if close else ""
        unknown = f"{option} {name}: Ollama knows no such option and passes it over"
        say(f"ragkit: warning: {unknown}{meant}")
    return values


def typed_values(texts: Sequence[str], option: str) -> dict[str, Any]:
    """Options of a model from ``name=value`` texts.

    A value that is one in JSON is that, and any other is a text. ``stop`` is always a list of
    texts, one for each time it is given; of another name the last value holds.

    Args:
        texts: As given.
        option: Where, for the error.

    Raises:
        ConfigError: One has no name or no ``=``.

    >>> typed_values(["temperature=0.2", "num_ctx=8192", "stop=1", "stop=END"], "--option")
    {'temperature': 0.2, 'num_ctx': 8192, 'stop': ['1', 'END']}
    """
    values: dict[str, Any] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        name = name.strip()
        if not separator or not name:
            msg = f"{option} {text!r}: expected NAME=VALUE"
            raise ConfigError(msg)
        if name == "stop":
            values.setdefault(name, []).append(value)
        else:
            values[name] = _typed(value.strip())
    return values


def _typed(text: str) -> Any:  # noqa: ANN401 -- any JSON value
    try:
        return json.loads(text, parse_constant=str)  # JSON has no NaN; Python reads one
    except ValueError:
        return text


def reply_format(text: str | None) -> Format | None:
    """The format that a reply is to have: ``json``, or a JSON schema from a file.

    Raises:
        ConfigError: The file cannot be read, or holds no JSON object.
    """
    if text is None or text == "json":
        return text  # type: ignore[return-value]  # narrowed to the literal by the line above
    try:
        schema = json.loads(Path(text).expanduser().read_text("utf-8"))
    except (OSError, ValueError) as exc:
        msg = f"--format {text}: not a readable JSON schema: {exc}"
        raise ConfigError(msg) from exc
    if not isinstance(schema, dict):
        msg = f"--format {text}: a JSON schema is an object, this is not"
        raise ConfigError(msg)
    return schema


def prompt_text(text: str) -> str:
    """A prompt as given, or all of standard input for ``-``.

    Raises:
        ConfigError: It is empty.
    """
    given = text_or_stdin(text)
    if not given.strip():
        msg = "the prompt is empty"
        raise ConfigError(msg)
    return given
