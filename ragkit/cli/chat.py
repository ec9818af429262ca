"""``ragkit chat``: a conversation over an index, or with the model itself."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli.models.model_options import (
    ModelName,
    Options,
    Think,
    chat_name,
    model_options,
)
from ragkit.cli.options import (
    Explain,
    Extractive,
    IndexName,
    K,
    Kinds,
    Paths,
    SearchMode,
    Settings,
    Where,
    configured,
    open_pipeline,
    restriction,
)
from ragkit.cli.output import (
    counted,
    place,
    print_doubtful,
    print_orders,
    print_receipt,
    print_sources,
    say,
)
from ragkit.cli.progress import shown_until
from ragkit.cli.talk import Command, talk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.pipeline import Pipeline
    from ragkit.query.conversation import Conversation


def chat(
    index: IndexName = "",
    k: K = None,
    mode: SearchMode = None,
    model: ModelName = None,
    extractive: Extractive = False,
    plain: Annotated[
        bool, typer.Option("--plain", help="Talk with the model itself; look at no document.")
    ] = False,
    system: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="System text, besides ragkit's rules; with --plain it replaces the model's own.",
        ),
    ] = "",
    option: Options = [],  # noqa: B006 -- typer copies it
    think: Think = None,
    path: Paths = [],  # noqa: B006 -- typer copies it
    kind: Kinds = [],  # noqa: B006 -- typer copies it
    where: Where = [],  # noqa: B006 -- typer copies it
    explain: Explain = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Talk about the documents of an index. `/help` lists the commands.

    A question may refer to earlier ones; every answer has its sources. Ctrl-C stops an answer,
    Ctrl-D ends the conversation; nothing of it is kept unless it is saved. If standard input is
    no terminal, each of its lines is a turn. `--option` goes with `--plain` only.
    """
    named = "none" if extractive else model
    if plain:
        _talk_plainly(settings, named, system, option, think)
        return
    if option:
        msg = "only a conversation with the model itself takes it: add --plain, or use --set"
        raise typer.BadParameter(msg, param_hint="--option")

    config, _ = configured(settings, models__chat=named, search__mode=mode, answer__think=think)
    with open_pipeline(index, config) as rag:
        conversation = rag.chat(system=system, k=k, **restriction(path, kind, where))
        talk(IndexSession(rag, conversation, explain=explain))


def _talk_plainly(
    settings: Sequence[str],
    named: str | None,
    system: str,
    option: Sequence[str],
    think: bool | None,
) -> None:
    """Talk with the model itself."""
    from ragkit.cli.models.plain_chat import ModelSession
    from ragkit.models.choose import ollama_client

    config, _ = configured(settings, models__chat=named)
    name, options = chat_name(config, named=bool(named)), model_options(option, "--option")
    with ollama_client(config.models) as client:
        talk(ModelSession(client, name, config, system=system, options=options, think=think))


class IndexSession:
    """Answers from an index; see `ragkit.cli.talk.Talker`.

    Args:
        rag: The index; it must exist.
        conversation: Over it.
        explain: Show with each answer what was searched for, and its receipt.

    Raises:
        IndexNotFoundError: There is no such index.
    """

    def __init__(self, rag: Pipeline, conversation: Conversation, *, explain: bool) -> None:
        stats = rag.stats()
        self.greeting = f"{rag.path.name}, {counted(stats.documents, 'document')}."
        self.commands = (
            Command(
                "/sources",
                "the places that the last answer relies on, with their words",
                self._show_sources,
            ),
            Command(
                "/save FILE",
                "write the conversation: Markdown if FILE ends in .md, else JSON",
                self._save,
            ),
        )
        self._conversation, self._explain = conversation, explain
        self._saved: set[Path] = set()

    def clear(self) -> None:
        """Forget the turns; the system text stays."""
        self._conversation.clear()

    def answer(self, text: str) -> None:
        """Print an answer with its sources and its doubts.

        Raises:
            RagkitError: There is no answer; the turn is forgotten.
            KeyboardInterrupt: The answer was stopped; the turn is forgotten.
        """
        from ragkit.cli.stream import print_answer_stream  # with its records, 30 ms of an import

        with closing(self._conversation.stream(text)) as events:
            answer = print_answer_stream(shown_until(events, "Searching and reading …"))
        for number, where in dict.fromkeys((c.number, place(c)) for c in answer.citations):
            typer.echo(f"  [{number}] {where}")
        print_doubtful(answer)
        print_orders(answer)
        if answer.searched:
            say(f"(searched for: {answer.searched})")
        if answer.receipt.turns_dropped:
            say(f"(the oldest {answer.receipt.turns_dropped} turns did not fit the window)")
        if answer.receipt.done_reason == "length":
            say("(cut at answer.reserve_tokens)")
        if self._explain:
            print_receipt(answer)

    def _show_sources(self, _: str) -> None:
        turns = self._conversation.turns
        if turns and turns[-1].citations:
            print_sources(turns[-1])
        else:
            say("(no sources: the last answer cites nothing)" if turns else "(no answer yet)")

    def _save(self, name: str) -> None:
        if not name:
            say("/save needs a file name")
            return
        path = Path(name).expanduser()
        if path.exists() and path not in self._saved:
            say(f"{path} exists already; nothing was written")
            return
        try:
            self._conversation.save(path)
        except OSError as exc:
            say(f"{path}: not written: {exc.strerror or exc}")
            return
        self._saved.add(path)
        say(f"({len(self._conversation.turns)} turns saved to {path})")


COMMANDS = {"chat": chat}
