"""A conversation over an index, line by line."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ragkit.cli.output import place, print_doubtful, print_orders, print_receipt, print_sources, say
from ragkit.cli.stream import ReplyPrinter
from ragkit.cli.values import clean
from ragkit.protocols import TextDelta, ThinkingDelta
from ragkit.records import Answer

if TYPE_CHECKING:
    from ragkit.pipeline import Pipeline
    from ragkit.query.conversation import Conversation

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
