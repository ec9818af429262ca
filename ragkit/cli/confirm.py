"""Ask before something is deleted."""

from __future__ import annotations

import typer

from ragkit.cli.output import end_interrupted, say
from ragkit.cli.terminal import stdin_lines

_ANSWERS = {"y": True, "yes": True, "n": False, "no": False, "": False}


def confirm_deletion(question: str) -> None:
    """Ask the person, who has to say yes.

    Raises:
        typer.Exit: The answer is no; nobody is there to give one; Ctrl-C.
    """
    try:
        agreed = _agreed(question)
    except KeyboardInterrupt:
        say("")
        end_interrupted("nothing was deleted")
    if agreed is None:
        say("\nNothing was deleted; --yes deletes without asking.")
    elif not agreed:
        say("Nothing was deleted.")
    if not agreed:
        raise typer.Exit(1)


def _agreed(question: str) -> bool | None:
    """Whether the person said yes, asked until it is clear; None at the end of input."""
    while True:
        typer.echo(f"{question} [y/N] ", nl=False, err=True)
        line = next(stdin_lines(), None)
        if line is None:
            return None
        if (answer := line.strip().lower()) in _ANSWERS:
            return _ANSWERS[answer]
