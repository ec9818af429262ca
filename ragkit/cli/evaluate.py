"""``ragkit evaluate``: questions whose answers are known, asked and measured."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragkit.cli.options import (
    Backend,
    Chat,
    IndexName,
    Json,
    K,
    SearchMode,
    Settings,
    configured,
)
from ragkit.cli.output import print_json, print_table, say, shortened
from ragkit.cli.progress import ingest_progress, question_progress
from ragkit.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ragkit.config import Config
    from ragkit.evaluate import Change, Difference, Figure, QuestionSet, Saved, Trial

WORK = ".evaluate"
SHAPING = ("split.", "load.", "models.backend", "models.embed", "models.query_", "models.document_")
"""How the names of settings begin that hold when an index is built, and not after."""

MISSING_NAMED = 5
_AS_IT_SHOULD_BE = {"right", "rightly refused"}


def _writable(file: Path | None) -> Path | None:
    if file and not file.parent.is_dir():
        msg = f"there is no folder {file.parent}"
        raise typer.BadParameter(msg)
    return file


def _picture(file: Path | None) -> Path | None:
    from ragkit.evaluate import check_picture

    if file:
        check_picture(file)
    return _writable(file)


def _gates(gates: list[str]) -> list[str]:
    from ragkit.evaluate import parse_gate

    for gate in gates:
        parse_gate(gate)
    return gates


Source = Annotated[
    Path,
    typer.Argument(
        metavar="SET",
        help="A BEIR folder, a folder with docs/ and questions.jsonl, or a file of questions.",
    ),
]
Answers = Annotated[
    bool | None,
    typer.Option(
        "--answers/--search-only",
        help="Answer the questions too, or only search for them; by default they are answered if "
        "the set knows answers.",
        show_default=False,
    ),
]
Figures = Annotated[
    bool, typer.Option("--figures", help="Print the figures too, not only what became of each.")
]
Compare = Annotated[
    list[str],
    typer.Option(metavar="NAME=VALUE", help="Compare with this setting, question by question."),
]
Gate = Annotated[
    list[str],
    typer.Option(
        metavar="FIGURE>=VALUE",
        help="End in code 1 unless this holds; also <=.",
        callback=_gates,
    ),
]
Save = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Save what was found and answered, for --against.", callback=_writable
    ),
]
Against = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Tell what has changed since that --save.")
]
Plot = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Draw the figures: .png or .svg.", callback=_picture),
]
Small = Annotated[
    bool, typer.Option("--small", help="Ask only the questions that the set marks as its sample.")
]
Limit = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Ask only so many questions, from all of the set."),
]
Work = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Where indexes and vectors are kept between runs."),
]


def evaluate(
    source: Source,
    index: IndexName = "",
    answers: Answers = None,
    figures: Figures = False,
    chat: Chat = None,
    backend: Backend = None,
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
    from ragkit.store.locate import indexes_folder

    stage.need_extra()  # told before an hour of work, as all else that can be wrong
    named = {"models.backend": backend, "models.chat": chat, "search.mode": mode, "search.k": k}
    given = [*settings, *_as_settings(named)]
    config, other = (configured([*given, *more])[0] for more in ([], compare))
    work = work or indexes_folder(config.indexes) / WORK
    asked = _chosen(stage.read_questions(source, work / source.name), small=small, limit=limit)
    saved = _saved(against, asked) if against else None
    _refuse_unheard(compare, asked)
    if answers is None:
        answers = any(question.answers for question in asked.questions)
    run = _Run(asked, index, work, answers=answers, quiet=quiet or json)
    trials = run.trials(config)
    report = {"set": asked.name, "settings": given, **_told(trials)}
    if answers:
        report["outcomes"] = _outcomes(asked, trials)
    if compare:
        report["compared"] = _compared(compare, trials, run.trials(other))
    if saved is not None:
        report |= _since(saved, trials)
    _keep(report, trials, save=save, plot=plot)
    if json:
        print_json(report)
    else:
        _print_report(report, figures=figures or not answers)
    _judge(stage.gate_failures(gate, report["figures"]))


def _keep(
    report: Mapping[str, Any], trials: Sequence[Trial], *, save: Path | None, plot: Path | None
) -> None:
    """Write the files that were asked for."""
    from ragkit import evaluate as stage

    if save:
        stage.save(trials, save)
    if plot:
        stage.plot(_series(report), plot)


def _outcomes(asked: QuestionSet, trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """What became of each question."""
    return [
        {"id": q.id, "question": q.text, "outcome": t.outcome, "said": t.answer}
        | {"expected": list(q.answers) or sorted(q.relevant)}
        for q, t in zip(asked.questions, trials, strict=True)
    ]


def _since(saved: Saved, trials: Sequence[Trial]) -> dict[str, Any]:
    """What has changed since an earlier run, and how many of its questions were asked again."""
    from ragkit.evaluate import changes

    asked_before = sum(trial.id in saved for trial in trials)
    return {"asked_before": asked_before, "changes": changes(saved, trials)}


def _compared(
    settings: Sequence[str], trials: Sequence[Trial], others: Sequence[Trial]
) -> dict[str, Any]:
    """The figures under other settings, and how they differ, question by question."""
    from ragkit.evaluate import differences

    told = _told(others)
    return {"settings": settings, **told, "differences": differences(trials, others)}


def _chosen(asked: QuestionSet, *, small: bool, limit: int | None) -> QuestionSet:
    questions = [q for q in asked.questions if q.is_small or not small]
    if not questions:
        msg = "no question of this set is marked as small" if small else "the set is empty"
        raise typer.BadParameter(msg)
    if limit and limit < len(questions):  # from all of the set: it may be ordered by subject
        questions = [questions[i * len(questions) // limit] for i in range(limit)]
    return replace(asked, questions=tuple(questions))


def _saved(file: Path, asked: QuestionSet) -> Saved:
    """What was kept of an earlier run of the same questions, or of some of them."""
    from ragkit.evaluate import read_saved

    saved = read_saved(file)
    if not any(question.id in saved for question in asked.questions):
        msg = f"{file} has none of these questions; there is nothing to compare"
        raise LoadError(msg, file)
    return saved


def _refuse_unheard(compare: Sequence[str], asked: QuestionSet) -> None:
    """Refuse to compare an index, which is there already, with itself."""
    unheard = [name for name in compare if asked.folder is None and name.startswith(SHAPING)]
    if unheard:
        msg = (
            f"--compare {unheard[0].partition('=')[0]}: it shapes an index when it is built; "
            "give a set with documents, or evaluate a second index and use --save and --against"
        )
        raise typer.BadParameter(msg)


def _as_settings(values: Mapping[str, object]) -> list[str]:
    return [f"{name}={value}" for name, value in values.items() if value is not None]


@dataclass(frozen=True, slots=True)
class _Run:
    """Asks one question set under different settings."""

    asked: QuestionSet
    index: str
    work: Path
    answers: bool
    quiet: bool

    def trials(self, config: Config) -> list[Trial]:
        from ragkit.evaluate import evaluate, missing_documents, opened

        with ExitStack() as open_until_asked:
            with ingest_progress(quiet=self.quiet) as show:
                rag = open_until_asked.enter_context(
                    opened(self.asked, config, self.work, index=self.index, on_progress=show)
                )
            if missing := missing_documents(self.asked, rag):
                named, more = ", ".join(missing[:MISSING_NAMED]), len(missing) - MISSING_NAMED
                others = f" and {more} more" if more > 0 else ""
                say(f"expected, but not in the index: {named}{others}")
            with question_progress(len(self.asked.questions), quiet=self.quiet) as step:
                return evaluate(self.asked, rag, answers=self.answers, on_question=step)


def _told(trials: Sequence[Trial]) -> dict[str, Any]:
    from ragkit.evaluate import figures

    return {"questions": len(trials), "figures": figures(trials)}


def _series(report: Mapping[str, Any]) -> dict[str, Any]:
    """The figures by what they are of, for the plot."""
    compared = report.get("compared")
    further = {" ".join(compared["settings"]): compared["figures"]} if compared else {}
    return {report["set"]: report["figures"], **further}


def _print_report(report: Mapping[str, Any], *, figures: bool) -> None:
    typer.echo(f"{report['set']}: {report['questions']} questions\n")
    outcomes = report.get("outcomes")
    if outcomes:
        _print_outcomes(outcomes)
    if figures:
        typer.echo("\n" * bool(outcomes), nl=False)
        _print_figures(report["figures"])
    if compared := report.get("compared"):
        typer.echo(f"\nWith {' '.join(compared['settings'])}\n")
        _print_differences(report["figures"], compared["figures"], compared["differences"])
    if "changes" in report:
        typer.echo()
        _print_changes(report["changes"], report["asked_before"], answers=bool(outcomes))


def _print_outcomes(outcomes: Sequence[Mapping[str, Any]]) -> None:
    """Print how many questions ended how, then each, with what was said if that was not right."""
    from ragkit.evaluate import OUTCOMES

    counts = Counter(told["outcome"] for told in outcomes)
    typer.echo(", ".join(f"{counts[name]} {name}" for name in OUTCOMES if counts[name]) + "\n")
    for told in sorted(outcomes, key=lambda told: OUTCOMES.index(told["outcome"])):
        typer.echo(f"{told['outcome']:<17}{shortened(told['question'])}")
        if told["outcome"] in _AS_IT_SHOULD_BE:
            continue
        if told["expected"]:
            typer.echo(f"{'':<17}expected: {shortened(' / '.join(told['expected']))}")
        typer.echo(f"{'':<17}said:     {shortened(told['said'] or '')}")


def _print_figures(told: Mapping[str, Figure]) -> None:
    """Print figures as a table."""
    rows = [("figure", "value", "95 % interval", "questions")]
    for name, figure in told.items():
        form = _form(name)
        interval = f"{figure.low:{form}} to {figure.high:{form}}"
        rows.append((name, f"{figure.value:{form}}", interval, str(figure.count)))
    print_table(rows)


def _print_differences(
    first: Mapping[str, Figure], second: Mapping[str, Figure], told: Mapping[str, Difference]
) -> None:
    """Print a comparison as a table; only values if no question has one of its own."""
    rows = [("figure", "before", "after", "difference, 95 % interval", "p")]
    for name in {**first, **second}:
        form = _form(name)
        before, after = (f"{f[name].value:{form}}" if name in f else "" for f in (first, second))
        change, p = "", ""
        if d := told.get(name):
            before, after, p = f"{d.first:{form}}", f"{d.second:{form}}", f"{d.p:.3f}"
            change = f"{d.second - d.first:+{form}}, {d.low:+{form}} to {d.high:+{form}}"
        rows.append((name, before, after, change, p))
    print_table(rows)


def _form(name: str) -> str:
    from ragkit.evaluate import is_share

    return ".4f" if is_share(name) else ".1f"


def _print_changes(changes: Sequence[Change], compared: int, *, answers: bool) -> None:
    """Print each question that has other evidence or another answer than before."""
    count = len(changes) or ("No answer" if answers else "Nothing")
    typer.echo(f"{count} changed, {compared} compared")
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


def _judge(failures: Sequence[str]) -> None:
    for failure in failures:
        say(f"ragkit: gate: {failure}")
    if failures:
        raise typer.Exit(1)


COMMANDS = {"evaluate": evaluate}
