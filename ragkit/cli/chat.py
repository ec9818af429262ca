"""``ragkit chat``."""

from __future__ import annotations

import sys
from contextlib import closing, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from ragkit.cli.models.model_options import (
    ModelName,
    Options,
    Think,
    chat_name,
    clean,
    model_options,
    stdin_lines,
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
    configured,
    open_pipeline,
    restriction,
)
from ragkit.cli.output import (
    end_interrupted,
    place,
    print_doubtful,
    print_orders,
    print_receipt,
    print_sources,
    say,
)
from ragkit.cli.stream import ReplyPrinter
from ragkit.errors import RagkitError
from ragkit.protocols import TextDelta, ThinkingDelta
from ragkit.records import Answer

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
        bool, typer.Option("--plain", help="With the model itself; no document is looked at.")
    ] = False,
    system: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="System text; with --plain in place of the model's own, else besides the rules.",
        ),
    ] = "",
    option: Options = [],  # noqa: B006 -- typer copies it
    think: Think = None,
    path: Paths = [],  # noqa: B006 -- typer copies it
    kind: Kinds = [],  # noqa: B006 -- typer copies it
    explain: Explain = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Talk about the documents of an index. `/help` lists what can be said besides.

    Questions may lean on those before them; every answer has its sources. Ctrl-C stops an answer,
    Ctrl-D ends the conversation; nothing of it is kept unless it is saved. Where standard input
    is no terminal, each of its lines is a turn. `--option` goes with `--plain` only.
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
        conversation = rag.chat(system=system, k=k, **restriction(path, kind))
        talk(IndexSession(rag, conversation, explain=explain))


def _talk_plainly(
    settings: Sequence[str],
    named: str | None,
    system: str,
    option: Sequence[str],
    think: bool | None,
) -> None:
    """Talk with the model itself."""
    from ragkit.cli.models.plain_chat import Session
    from ragkit.models.choose import ollama_client

    config, _ = configured(settings, models__chat=named)
    name, options = chat_name(config, named=bool(named)), model_options(option, "--option")
    with ollama_client(config.models) as client:
        talk(Session(client, name, config, system=system, options=options, think=think))


_PROMPT = "> "


class Talker(Protocol):
    """Takes lines, and answers those that are no command."""

    @property
    def greeting(self) -> str:
        """With whom one talks."""

    def take(self, line: str) -> bool:
        """Do what a line says, or answer it; False ends the conversation."""


def talk(talker: Talker) -> None:
    """Hold a conversation with whoever is at standard input."""
    if sys.stdin.isatty():
        _converse(talker)
    else:
        _read_turns(talker)


def _converse(talker: Talker) -> None:
    """Hold a conversation at a terminal; an error ends a turn, not the conversation."""
    with suppress(ImportError):  # not on Windows, whose console edits lines itself
        import readline  # noqa: F401 -- its import gives input() line editing and a history
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    say(f"{talker.greeting} /help for help, /quit or Ctrl-D to end.")
    while True:
        try:
            if not talker.take(input(_PROMPT)):
                return
        except EOFError:
            typer.echo()
            return
        except KeyboardInterrupt:
            say("\n(stopped; /quit ends)")
        except RagkitError as exc:
            say(f"ragkit: {exc}")


def _read_turns(talker: Talker) -> None:
    """Take each line of standard input as a turn. An error, or Ctrl-C, ends it."""
    try:
        for line in stdin_lines():
            if not talker.take(line):
                return
    except KeyboardInterrupt:
        end_interrupted("the model was stopped")


_HELP = """\
/sources    the places that the last answer relies on, with their words
/save FILE  write the conversation: Markdown where FILE ends in .md, else JSON
/clear      forget what was said; the system text stays
/help       this
/quit       end; so does Ctrl-D
Ctrl-C stops an answer. A line that begins with a space is never a command."""


class IndexSession:
    """Takes lines, and answers from an index what is no command.

    Args:
        rag: The index; it must exist.
        conversation: Over it.
        explain: Show with each answer what was searched for, and its receipt.

    Raises:
        IndexNotFoundError: There is no such index.
    """

    def __init__(self, rag: Pipeline, conversation: Conversation, *, explain: bool) -> None:
        stats = rag.stats()
        self.greeting = f"{rag.path.name}, {stats.documents} documents."
        self._conversation, self._explain = conversation, explain
        self._saved: set[Path] = set()

    def take(self, line: str) -> bool:
        """Do what a line says, or answer it; False ends the conversation.

        Raises:
            RagkitError: There is no answer; the turn is forgotten.
            KeyboardInterrupt: The answer was stopped; the turn is forgotten.
        """
        command, _, rest = line.rstrip().partition(" ")
        if command == "/quit":
            return False
        if command == "/save":
            self._save(clean(rest).strip())
        elif command == "/sources":
            self._show_sources()
        elif command == "/clear":
            self._conversation.clear()
            say("(cleared)")
        elif command == "/help":
            say(_HELP)
        elif command.startswith("/") and command[1:].isalpha():
            say(f"{command} is no command; /help lists them")
        elif line.strip():
            self._answer(clean(line).strip())
        return True

    def _answer(self, question: str) -> None:
        answer = self._stream(question)
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

    def _stream(self, question: str) -> Answer:
        """Print an answer as it comes; returns it."""
        printer = ReplyPrinter()
        try:
            with closing(self._conversation.stream(question)) as events:
                for event in events:
                    if isinstance(event, Answer):
                        return event
                    if isinstance(event, ThinkingDelta):
                        printer.add("", event.text)
                    elif isinstance(event, TextDelta):
                        printer.add(event.text)
        finally:
            printer.end()
        msg = "the stream ended without an answer"
        raise TypeError(msg)

    def _show_sources(self) -> None:
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
