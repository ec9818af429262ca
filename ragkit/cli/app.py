"""The ``ragkit`` command: its subcommands, and what an error ends in."""

from __future__ import annotations

import gc
import logging
import sys
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from ragkit import errors
from ragkit._version import __version__
from ragkit.cli.output import end_interrupted, say_error
from ragkit.cli.terminal import StderrHandler, VisibleFormatter, guard_descriptors, guard_stdout

EXIT_CODES: dict[type[errors.RagkitError], int] = {
    errors.RagkitError: 1,
    errors.ConfigError: 2,
    errors.InputError: 2,
    errors.LoadError: 1,
    errors.UnsupportedFormatError: 1,
    errors.ModelError: 13,
    errors.ModelUnavailableError: 13,
    errors.ModelNotFoundError: 13,
    errors.ModelResponseError: 13,
    errors.EmbeddingFailedError: 13,
    errors.PromptTruncatedError: 13,
    errors.StoreError: 1,
    errors.IndexNotFoundError: 10,
    errors.IndexExistsError: 1,
    errors.ForeignFilesError: 1,
    errors.IndexLockedError: 11,
    errors.IndexMismatchError: 12,
    errors.IndexChangedError: 12,
    errors.IndexCorruptError: 12,
    errors.FormatVersionError: 12,
    errors.StorageFullError: 1,
    errors.StoreUnavailableError: 1,
    errors.UnsupportedByStoreError: 1,
    errors.ServerError: 1,
    errors.CitationError: 1,
    errors.FilterError: 2,
}


def exit_code(exc: errors.RagkitError) -> int:
    """What a command that ends with an error exits with; a store may have errors of its own."""
    return next(EXIT_CODES[kind] for kind in type(exc).__mro__ if kind in EXIT_CODES)


# Each command and the module of this package that has it, in the order of the help.
GROUPS = {
    "Every day": {
        "index": "index",
        "watch": "watch",
        "ask": "ask",
        "chat": "chat",
        "serve": "serve",
        "mcp": "mcp",
        "search": "search",
        "verify": "verify",
        "list": "inspect",
        "remove": "index",
        "accept": "index",
        "move": "maintain",
        "indexes": "indexes",
        "use": "indexes",
        "delete": "indexes",
    },
    "Look closer": {
        "info": "inspect",
        "log": "history",
        "diff": "history",
        "check": "inspect",
        "why-not": "search",
        "rebuild": "index",
        "compact": "maintain",
        "backup": "maintain",
        "restore": "maintain",
        "copy": "maintain",
        "evaluate": "evaluate",
    },
    "Models and set-up": {
        "doctor": "doctor.doctor",
        "config": "config",
        "trust": "config",
        "models": "models.look",
        "generate": "models.generate",
        "embed": "models.embed",
    },
}
COMMANDS = {name: module for group in GROUPS.values() for name, module in group.items()}

EPILOG = """
\b
Examples:
  ragkit index ~/docs
  ragkit ask "How long is the notice period?"
  ragkit search --mode keyword --path "contracts/*" "notice period"

Exit codes: 0 done, 1 failed, 2 usage, 3 some files failed, 10 no such index, 11 index locked, 12
index mismatched or damaged, 13 model unavailable, 130 interrupted.
"""


_COLLECT_AFTER = 50_000  # objects made and not let go of; Python's own is 700
_WHOLE = 1000  # characters; no summary is as long


class _Commands(TyperGroup):
    """The commands; Ctrl-C ends in one line, whatever version of typer would make of it."""

    def invoke(self, *context: Any) -> Any:  # noqa: ANN401 -- typer's context class moved
        try:
            return super().invoke(*context)
        except KeyboardInterrupt:
            end_interrupted("what was committed is kept")

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 -- as above
        """Write the commands in their groups, each with its whole first sentence."""
        for title, names in GROUPS.items():
            commands = [(name, self.get_command(ctx, name)) for name in names]
            rows = [
                (name, command.get_short_help_str(limit=_WHOLE))
                for name, command in commands
                if command
            ]
            with formatter.section(title):
                formatter.write_dl(rows)


def make_app(*names: str) -> typer.Typer:
    """The command line.

    Args:
        names: The commands that it has; none: all of them.
    """
    app = typer.Typer(
        name="ragkit",
        cls=_Commands,
        help="Ask your own documents, on your own machine.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog=EPILOG,
    )
    app.callback()(_options)
    for name in names or COMMANDS:
        command = import_module(f"ragkit.cli.{COMMANDS[name]}").COMMANDS[name]
        if isinstance(command, typer.Typer):
            app.add_typer(command)
        else:
            app.command(name)(command)
    return app


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"ragkit {__version__}")
        raise typer.Exit


def _options(
    _version: bool = typer.Option(
        False, "--version", help="Print the version.", callback=_print_version, is_eager=True
    ),
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Say more on stderr."),
) -> None:
    handler = StderrHandler()
    handler.setFormatter(VisibleFormatter("%(message)s"))
    logger = logging.getLogger("ragkit")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.DEBUG if verbose else logging.WARNING)


def main() -> None:
    """Run the command line and exit with the code of what happened."""
    # What a command loads is no garbage: to look for cycles in it took a tenth of a cold `ask`.
    gc.set_threshold(_COLLECT_AFTER)
    guard_descriptors()
    guard_stdout()
    # To make all commands takes 0.1 s; the one that is named is enough.
    named = [name for name in sys.argv[1:2] if name in COMMANDS]
    try:
        make_app(*named)()
    except errors.RagkitError as exc:
        say_error(exc)
        sys.exit(exit_code(exc))
    finally:
        gc.freeze()  # to look for cycles in all that is left took another 0.07 s at the exit
