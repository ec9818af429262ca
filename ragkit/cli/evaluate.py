"""``ragkit evaluate``."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragkit.cli.options import IndexName, Json, K, SearchMode, Settings, configured
from ragkit.cli.output import on_terminal, print_json, print_table, say, shortened
from ragkit.cli.progress import LINE_EVERY_S, progress_shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ragkit.config import Config
    from ragkit.evaluate import Change, QuestionSet, Trial

WORK = ".evaluate"

Source = Annotated[
    Path,
    typer.Argument(
        metavar="SET",
        help="A BEIR folder, a folder with docs/ and questions.jsonl, or a file of questions.",
    ),
]
Answers = Annotated[
    bool, typer.Option("--answers", help="Answer the questions too, and judge the answers.")
]
Chat = Annotated[
    str | None, typer.Option(metavar="MODEL", help="Chat model: a name, `gguf:PATH`, or `none`.")
]
Compare = Annotated[
    list[str],
    typer.Option(metavar="NAME=VALUE", help="Compare with this setting, question by question."),
]
Gate = Annotated[
    list[str],
    typer.Option(metavar="FIGURE>=VALUE", help="End in code 1 unless this holds; also <=."),
]
Save = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Keep what was found and answered.")
]
Against = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Tell what has changed since --save.")
]
Plot = Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the figures: .png or .svg.")]
Small = Annotated[
    bool, typer.Option("--small", help="Only the questions that the set marks as its sample.")
]
Limit = Annotated[int | None, typer.Option(min=1, help="Only so many questions.")]
Work = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Where indexes and vectors are kept between runs."),
]


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("evaluate")(evaluate)


def evaluate(
    source: Source,
    index: IndexName = "",
    answers: Answers = False,
    chat: Chat = None,
    k: K = None,
    mode: SearchMode = None,
    compare: Compare = [],  # noqa: B006 -- typer copies it
    gate: Gate = [],  # noqa: B006 -- typer copies it
    save: Save = None,
    against: Against = None,
    plot: Plot = None,
    small: Small = False,
    limit: Limit = None,
    work: Work = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Measure retrieval and answers on questions whose answers are known.

    docs/evaluate.md explains the forms of a set and every figure. The first run embeds documents
    and questions; later ones take the vectors from the work folder.
    """
    from ragkit import evaluate as stage

    named = {"search__mode": mode, "search__k": k, "models__chat": chat}
    config, _ = configured(settings, **named)
    work = work or config.indexes / WORK
    asked = _chosen(stage.read_questions(source, work / source.name), small=small, limit=limit)
    run = _Run(asked, index, work, answers=answers, quiet=quiet or json)
    trials = run.trials(config)
    report: dict[str, Any] = {"set": asked.name, "questions": len(trials)}
    report["figures"] = stage.figures(trials)
    series = {asked.name: report["figures"]}
    if compare:
        label = " ".join(compare)
        others = run.trials(configured([*settings, *compare], **named)[0])
        series[label] = stage.figures(others)
        report["compared"] = {"with": label, "differences": stage.differences(trials, others)}
    if against:
        report["changes"] = stage.changes(against, trials)
    if save:
        stage.save(trials, save)
    if plot:
        stage.plot(series, plot)
    if json:
        print_json(_plain(report))
    else:
        _print(report)
    _judge(stage.gate_failures(gate, report["figures"]))


class _Run:
    """Asks one question set under different settings."""

    def __init__(
        self, asked: QuestionSet, index: str, work: Path, *, answers: bool, quiet: bool
    ) -> None:
        self._asked, self._index, self._work = asked, index, work
        self._answers, self._quiet = answers, quiet

    def trials(self, config: Config) -> list[Trial]:
        from ragkit.evaluate import evaluate, opened

        with (
            progress_shown(quiet=self._quiet) as show,
            opened(self._asked, config, self._work, index=self._index, on_progress=show) as rag,
            _questions_shown(len(self._asked.questions), quiet=self._quiet) as step,
        ):
            return evaluate(self._asked, rag, answers=self._answers, on_question=step)


def _chosen(asked: QuestionSet, *, small: bool, limit: int | None) -> QuestionSet:
    questions = [q for q in asked.questions if q.is_small or not small][:limit]
    if not questions:
        msg = "the set has no such questions"
        raise typer.BadParameter(msg)
    return replace(asked, questions=tuple(questions))


@contextmanager
def _questions_shown(total: int, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """Show on stderr how many questions were asked; yields what to call after each."""
    if quiet:
        yield lambda: None
    elif on_terminal():
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("questions", total=total)
            yield lambda: bar.advance(task)
    else:
        asked, told = 0, time.monotonic()

        def line() -> None:
            nonlocal asked, told
            asked += 1
            if time.monotonic() - told >= LINE_EVERY_S:
                told = time.monotonic()
                say(f"{asked} of {total} questions")

        yield line


def _print(report: Mapping[str, Any]) -> None:
    typer.echo(f"{report['set']}: {report['questions']} questions\n")
    rows = [("figure", "value", "95 % interval", "questions")]
    for name, figure in report["figures"].items():
        form = _form(name)
        interval = f"{figure.low:{form}} to {figure.high:{form}}"
        rows.append((name, f"{figure.value:{form}}", interval, str(figure.count)))
    print_table(rows)
    if compared := report.get("compared"):
        typer.echo(f"\nWith {compared['with']}\n")
        table = [("figure", "before", "after", "difference, 95 % interval", "p")]
        for name, d in compared["differences"].items():
            form = _form(name)
            change = f"{d.second - d.first:+{form}}, {d.low:+{form}} to {d.high:+{form}}"
            table.append((name, f"{d.first:{form}}", f"{d.second:{form}}", change, f"{d.p:.3f}"))
        print_table(table)
    if "changes" in report:
        _print_changes(report["changes"])


def _form(name: str) -> str:
    from ragkit.evaluate import is_share

    return ".4f" if is_share(name) else ".1f"


def _print_changes(changes: Sequence[Change]) -> None:
    typer.echo(f"\n{len(changes)} questions are dealt with otherwise than before")
    for change in changes:
        typer.echo(f"\n{shortened(change.text)}")
        if change.refused is not None:
            typer.echo("  now refused" if change.refused else "  no longer refused")
        for sign, passages in (("-", change.lost), ("+", change.gained)):
            for passage in passages:
                typer.echo(f"  {sign} {passage}")
        if change.before is not None and change.after is not None:
            typer.echo(f"  before: {shortened(change.before)}")
            typer.echo(f"  now:    {shortened(change.after)}")


def _plain(value: Any) -> Any:  # noqa: ANN401 -- whatever a report holds
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _judge(failures: Sequence[str]) -> None:
    for failure in failures:
        say(f"ragkit: gate: {failure}")
    if failures:
        raise typer.Exit(1)
