"""``ragkit generate``: a model's own words, without documents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragkit.cli.models.model_options import (
    ModelName,
    Options,
    System,
    Think,
    chat_name,
    model_options,
    prompt_text,
    reply_format,
)
from ragkit.cli.options import Json, Settings, configured
from ragkit.cli.output import end_interrupted, print_json, say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ragkit.config import Config
    from ragkit.models.ollama import GenerateCall, Generated, OllamaClient


def generate(
    prompt: Annotated[
        str, typer.Argument(metavar="PROMPT", help="The prompt; `-` reads standard input.")
    ],
    model: ModelName = None,
    system: System = "",
    option: Options = [],  # noqa: B006 -- typer copies it
    form: Annotated[
        str | None,
        typer.Option("--format", metavar="json|FILE", help="JSON, or JSON as in a schema's file."),
    ] = None,
    image: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE", exists=True, dir_okay=False, help="An image to look at; repeatable."
        ),
    ] = [],  # noqa: B006 -- typer copies it
    think: Think = None,
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Let a model write. It sees no document and nothing is checked: `ragkit ask` does that."""
    from ragkit.models.choose import ollama_client
    from ragkit.models.ollama import GenerateCall
    from ragkit.text.tokens import estimate_tokens

    config, _ = configured(settings, models__chat=model)
    name, text = chat_name(config, named=bool(model)), prompt_text(prompt)
    options, shape = model_options(option, "--option"), reply_format(form)
    images = [path.read_bytes() for path in image]
    with ollama_client(config.models) as client:
        call = GenerateCall(
            name,
            text,
            system=system,
            images=images,
            options=with_window(client, name, options, config),
            format=shape,
            think=think,
            # A prompt over the window is to be refused, not cut.
            truncate=False,
            shift=False,
        )
        reply = _follow(client, call, show=not json)
    estimated = estimate_tokens(system) + estimate_tokens(text)
    say_if_prompt_cut(estimated, reply.metrics.prompt_tokens, call.options["num_ctx"])
    if json:
        print_json(reply)
    else:
        say_if_cut(reply.done_reason)


def with_window(
    client: OllamaClient, name: str, options: Mapping[str, Any], config: Config
) -> dict[str, Any]:
    """Options with the window that `ragkit ask` uses, unless they say another one.

    A model that is asked with another window is loaded anew.

    Raises:
        ConfigError: The model runs elsewhere, and ``models.allow_remote`` is off.
        ModelError: The server does not answer, or has no such model.
    """
    from ragkit.models.ollama import OllamaChat

    client.refuse_remote_name(name)
    if "num_ctx" in options:
        return dict(options)
    window = min(config.answer.num_ctx, OllamaChat(client, name).context_tokens)
    return {"num_ctx": window, **options}


def say_if_cut(done_reason: str) -> None:
    """Tell the person if a reply was ended before the model ended it."""
    if done_reason == "length":
        say("(cut: the window, or num_predict, is used up; see --option num_ctx=TOKENS)")


def say_if_prompt_cut(estimated: int, read: int | None, window: Any) -> None:  # noqa: ANN401 -- below
    """Warn if a model did not read the whole prompt: older servers cut it without a word.

    Args:
        estimated: What the prompt should take, tokens.
        read: What the model counted; None if it does not say.
        window: As it was asked for, by a person perhaps; what is no number is not compared.
    """
    from ragkit.query.reply import was_cut

    if isinstance(window, int) and was_cut(estimated, read, window):
        say(
            f"ragkit: warning: the model read {read} tokens of a prompt of about {estimated} "
            f"(window {window}): it was cut on the way; see --option num_ctx=TOKENS"
        )


def _follow(client: OllamaClient, call: GenerateCall, *, show: bool) -> Generated:
    """Print a reply as it comes; returns it whole. Ctrl-C stops the model."""
    from dataclasses import replace

    from ragkit.cli.stream import ReplyPrinter, print_reply

    printer = ReplyPrinter(show=show)
    try:
        last = print_reply(client.generate_stream(call), lambda r: (r.text, r.thinking), printer)
    except KeyboardInterrupt:
        end_interrupted("the model was stopped")
    return replace(last, text=printer.text, thinking=printer.thinking)


COMMANDS = {"generate": generate}
