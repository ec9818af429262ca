"""What the commands print: results on stdout, JSON or for people."""

from __future__ import annotations

import codecs
import json
import sys
from collections import Counter
from dataclasses import is_dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn
from unicodedata import east_asian_width

import typer

from ragkit.cli.terminal import tell
from ragkit.text.visible import escaped, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ragkit.protocols import StoreStats
    from ragkit.records import (
        Answer,
        Citation,
        Estimate,
        FileOutcome,
        Found,
        Hit,
        IndexReport,
        Passage,
    )

QUOTE_CHARS = 240
NEAREST = 3
NOTES_SHOWN = 20
_PICTURES = frozenset(f"no reader for .{s}" for s in ("png", "jpg", "jpeg", "tif", "tiff"))
KINDS_SHOWN = 5
INTERRUPTED = 130
_NEXT_UNIT = 1000
_MINUTES_FROM_S = 100


def print_json(value: Any) -> None:  # noqa: ANN401 -- JSON values and records
    """Print a value as JSON, one document, readable, and in its own script if that can be."""
    encoding = sys.stdout.encoding if sys.stdout else "utf-8"  # None if it was closed
    ascii_only = codecs.lookup(encoding).name != "utf-8"
    text = json.dumps(value, ensure_ascii=ascii_only, indent=2, default=_plain)
    typer.echo(escaped(text))


def _plain(value: object) -> object:
    if is_dataclass(value):
        from ragkit.records import to_json

        return to_json(value)
    return value.isoformat() if isinstance(value, datetime) else str(value)


def on_one_line(text: str) -> str:
    r"""A text whose line ends are spaces: a file's name may hold some, and writes no lines here.

    >>> on_one_line("a.txt\nfailed: b.txt")
    'a.txt failed: b.txt'
    """
    return " ".join(text.splitlines())


def say(text: str) -> None:
    """Tell the person something that is not a result."""
    tell(visible(text))


def say_error(exc: Exception) -> None:
    """Tell the person what went wrong, with the notes that were added to it on its way."""
    say(f"ragkit: {exc}")
    for note in getattr(exc, "__notes__", ()):
        say(f"({note})")


def on_terminal() -> bool:
    """Whether stderr is a terminal, so that a bar can be drawn."""
    return sys.stderr is not None and sys.stderr.isatty()  # None: it was closed


def end_interrupted(kept: str) -> NoReturn:
    """End the command after Ctrl-C, telling what is kept of the work."""
    say(f"ragkit: interrupted; {kept}")
    raise typer.Exit(INTERRUPTED) from None


def size_text(size_bytes: float) -> str:
    """A size for people, in decimal units.

    >>> size_text(274302450), size_text(900)
    ('274.3 MB', '900 B')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < _NEXT_UNIT:
            return f"{size_bytes:.0f} B" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= _NEXT_UNIT
    return f"{size_bytes:.1f} TB"


def counted(number: int, noun: str) -> str:
    """A number of things.

    >>> counted(1, "document"), counted(1200, "passage")
    ('1 document', '1,200 passages')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def duration_text(seconds: float) -> str:
    """A time for people, rounded as an estimate is.

    >>> duration_text(0.4), duration_text(42), duration_text(250), duration_text(5400)
    ('1 s', '42 s', '4 min', '1 h 30 min')
    """
    if seconds < _MINUTES_FROM_S:
        return f"{max(1, round(seconds))} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def local_time(moment: str) -> str:
    """A moment of ISO 8601 as the clock on this machine's wall shows it, to the second."""
    return f"{datetime.fromisoformat(moment).astimezone():%Y-%m-%d %H:%M:%S}"


def run_state(state: str) -> str:
    """What became of a run, for people: the index calls it closed, open or interrupted.

    >>> run_state("closed"), run_state("interrupted")
    ('done', 'interrupted')
    """
    return {"closed": "done", "open": "at work"}.get(state, state)


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows with their columns aligned; the first row is the heading."""
    widths = [max(map(_columns, cells)) for cells in zip(*rows, strict=True)]
    for row in rows:
        typer.echo("  ".join(map(padded, row, widths)).rstrip())


def padded(text: str, width: int) -> str:
    """A text, and behind it the spaces that fill so many columns of a terminal.

    >>> padded("law", 6) + "|", padded("法律", 6) + "|"
    ('law   |', '法律  |')
    """
    return text + " " * (width - _columns(text))


def _columns(text: str) -> int:
    """How many columns a text takes: a Chinese character takes two."""
    return len(text) + sum(east_asian_width(character) in "WF" for character in text)


def place(record: Hit | Passage | Citation) -> str:
    """Where something stands, for people: path, page, heading."""
    parts = [record.path]
    if record.page is not None:
        parts.append(f"page {record.page}")
    if record.heading:
        parts.append(" › ".join(record.heading))
    if _is_from_picture(record):
        parts.append("read from a picture")
    if getattr(record, "to_model", False):
        parts.append("speaks to a language model")
    return on_one_line(" · ".join(parts))


def _is_from_picture(record: Hit | Passage | Citation) -> bool:
    """Whether text recognition read some of it: letters may be wrong."""
    from ragkit.records import Passage, read_from_picture

    if isinstance(record, Passage):
        return read_from_picture(record.metadata, (page.number for page in record.pages))
    return record.from_picture


def shortened(text: str, limit: int = QUOTE_CHARS) -> str:
    """A text on one line, cut at a word if it is too long."""
    line = " ".join(text.split())
    if len(line) <= limit:
        return line
    cut = line[:limit]
    return (cut.rsplit(" ", 1)[0] if " " in cut[limit // 2 :] else cut) + " …"


def ranks_text(hit: Hit | Found) -> str:
    """The ranks and scores of a hit, and what moved it where."""
    ranks = hit.ranks
    parts = [
        "dense: not found" if ranks.dense is None else f"dense: rank {ranks.dense}",
        "keyword: not found"
        if ranks.keyword is None
        else f"keyword: rank {ranks.keyword}, BM25 {ranks.bm25:.2f}",
    ]
    if ranks.fused is not None:
        parts.append(f"fused {ranks.fused:.5f}")
    if ranks.by_score is not None:
        parts.append(f"diversity: {ranks.by_score} → {ranks.before_rerank or hit.rank}")
    if ranks.before_rerank is not None:
        grade = "" if ranks.grade is None else f", grade {ranks.grade}"
        parts.append(f"rerank: {ranks.before_rerank} → {hit.rank}{grade}")
    return " · ".join([*parts, f"characters {hit.start}-{hit.end}"])


def print_answer(answer: Answer, *, explain: bool) -> None:
    """Print for people what comes after an answer's text, which was streamed already."""
    if answer.refused:
        _say_nearest(answer)
    if answer.citations:
        typer.echo("\nSources")
        print_sources(answer)
    print_doubtful(answer)
    print_orders(answer)
    if explain:
        print_receipt(answer)


def _say_nearest(answer: Answer) -> None:
    """Say what came nearest to a refused question: its asker may judge otherwise."""
    pages = ((f.path, "" if f.page is None else f", page {f.page}") for f in answer.receipt.found)
    nearest = list(dict.fromkeys(path + page for path, page in pages))[:NEAREST]
    if nearest:
        say(f"(nearest: {'; '.join(nearest)}; `ragkit search` shows the passages)")


def say_waiting(stats: StoreStats) -> None:
    """Say how much of an index can only be found by its words so far."""
    if stats.waiting:
        say(
            f"(vectors of {stats.waiting:,} of {stats.chunks:,} passages are not made yet: "
            "run `ragkit index`)"
        )


def print_sources(answer: Answer) -> None:
    """Print the places that an answer relies on, each once, with the words that it does not show.

    An answer that quotes shows them.
    """
    places: dict[tuple[int, str], list[str]] = {}
    for citation in answer.citations:
        quotes = places.setdefault((citation.number, place(citation)), [])
        quotes += () if answer.closest else (shortened(citation.quote),)
    for (number, where), quotes in places.items():
        typer.echo(f"  [{number}] {where}")
        for quote in dict.fromkeys(quotes):
            typer.echo(f"      “{quote}”")


def print_doubtful(answer: Answer) -> None:
    """Print the sentences of an answer that the documents do not show to be true."""
    doubtful = [s for s in answer.sentences if s.status in {"unsupported", "uncited"}]
    if doubtful:
        typer.echo("\nNot shown to be in the documents")
        for sentence in doubtful:
            typer.echo(f"  {shortened(answer.text[sentence.start : sentence.end])}")
    for conversion in answer.receipt.conversions:
        typer.echo(f"  ({conversion})")


def print_orders(answer: Answer) -> None:
    """Print the places that tell a model what to reply; it was not given them."""
    if found := [d for d in answer.receipt.dropped if d.reason == "order"]:
        typer.echo("\nLeft out, since it tells a model what to reply")
        for dropped in found:
            typer.echo(f"  {dropped.path}  characters {dropped.start}-{dropped.end}")


def print_receipt(answer: Answer) -> None:
    """Print who answered, from how much, and what was left out."""
    receipt = answer.receipt
    typer.echo("\nReceipt")
    if answer.searched:
        typer.echo(f"  searched  {answer.searched}")
    typer.echo(f"  found     {len(receipt.found)}")
    for found in receipt.found:
        score = "" if found.score is None else f"  {found.score:.3f}"
        typer.echo(f"    {found.rank}. {found.path}{score}\n       {ranks_text(found)}")
    typer.echo(f"  embedder  {answer.embedder or 'none: searched by words'}")
    typer.echo(f"  answer by {_who(answer)}")
    if answer.chat_model:
        typer.echo(
            f"  prompt    {_count(receipt.prompt_tokens)} tokens, estimated "
            f"{receipt.prompt_tokens_estimated}, window {receipt.num_ctx}, "
            f"{receipt.reserve_tokens} kept for the answer"
        )
    if receipt.turns_given or receipt.turns_dropped:
        typer.echo(
            f"  turns     {receipt.turns_given} sent along, {receipt.turns_dropped} left out"
        )
    typer.echo(f"  passages  {receipt.passages_given} given, {len(receipt.dropped)} left out")
    for dropped in receipt.dropped:
        typer.echo(f"    {dropped.reason}: {dropped.path} {dropped.start}-{dropped.end}")
    if receipt.citations_removed or receipt.links_removed:
        typer.echo(
            f"  taken out {receipt.citations_removed} citations and {receipt.links_removed} links "
            "that name nothing given"
        )
    typer.echo(f"  time      {answer.seconds:.2f} s")


def _who(answer: Answer) -> str:
    receipt = answer.receipt
    if answer.refused and not receipt.passages_given:
        if not receipt.found:
            return "nobody: nothing was found"
        reasons = {dropped.reason for dropped in receipt.dropped}
        if "budget" in reasons:
            return "nobody: none of what was found fits the window (answer.num_ctx)"
        if "order" in reasons:
            return "nobody: what was found only tells a model what to reply"
        return "nobody: what was found is too little evidence (answer.min_evidence)"
    return answer.chat_model or "quoting (no chat model)"


def _count(number: int | None) -> str:
    return "unknown number of" if number is None else str(number)


def print_report(report: IndexReport, *, verbose: bool, pictures: bool = True) -> None:
    """Print an ingest's account for people.

    Args:
        report: The account.
        verbose: Name every file.
        pictures: Say what text recognition would add.
    """
    empty = set(report.without_text).intersection(report.added)
    counts = {
        "added": len(report.added) - len(empty),
        "added without text": len(empty),
        "changed": len(report.changed),
        "moved": len(report.moved),
        "removed": len(report.removed),
        "unchanged": len(report.unchanged),
        f"skipped ({skipped_in_short(report.skipped)})": len(report.skipped),
        "stale": len(report.stale),
        "failed": len(report.failed),
    }
    head = "Nothing was changed. It would be: " if report.dry_run else ""
    said = [f"{count} {what}" for what, count in counts.items() if count]
    typer.echo(head + (", ".join(said) or "no files"))
    if report.estimate and report.estimate.passages:
        typer.echo(_estimate_text(report.estimate))
    done = {"embedded": report.embedded, "reused": report.reused}
    if report.chunks or any(done.values()):
        parts = [f"{count:,} {what}" for what, count in done.items() if count]
        said = [f"{counted(report.chunks, 'passage')} written", *parts, f"{report.seconds:.1f} s"]
        typer.echo(", ".join(said))
    if report.dry_run or verbose:
        for what in ("added", "changed", "moved", "removed"):
            _print_lines(what, getattr(report, what))
    if verbose:
        _print_lines("unchanged", report.unchanged)
    _print_outcomes(report, verbose=verbose)
    if pictures:
        _tell_pictures(report)


def _estimate_text(estimate: Estimate) -> str:
    passages = f"About {counted(estimate.passages, 'passage')}, judged by the sizes of files"
    if estimate.seconds is None:
        return f"{passages}; how long that takes is unknown, since no run was measured here yet"
    return f"{passages}; about {duration_text(estimate.seconds)} at the pace of {estimate.basis}"


def skipped_in_short(skipped: Sequence[FileOutcome]) -> str:
    """How many files were skipped for which suffix or reason, the most frequent first.

    >>> from ragkit.records import FileOutcome
    >>> skipped_in_short([FileOutcome("a.pptx", "no reader for .pptx"), FileOutcome("b", "empty")])
    '1 .pptx, 1 empty'
    """
    kinds = Counter(outcome.reason.removeprefix("no reader for ") for outcome in skipped)
    shown = [f"{count} {kind}" for kind, count in kinds.most_common(KINDS_SHOWN)]
    rest = len(skipped) - sum(count for _, count in kinds.most_common(KINDS_SHOWN))
    return ", ".join([*shown, f"{rest} others"] if rest else shown)


def _print_outcomes(report: IndexReport, *, verbose: bool) -> None:
    if verbose or report.dry_run:
        _print_lines("skipped", (f"{o.path}: {o.reason}" for o in report.skipped))
    _print_lines("failed", (f"{o.path}: {o.reason}" for o in report.failed))
    _print_lines("stale", (f"{o.path}: old text kept: {o.reason}" for o in report.stale))
    _print_lines("not read", (f"{o.path}: {o.reason}" for o in report.unreadable))
    scans = {
        path: [page for page in pages if page not in report.failed_pages.get(path, ())]
        for path, pages in report.pages_without_text.items()
        if path not in report.without_text
    }
    _print_lines(
        "no text on",
        (f"{path}: page {_numbers(pages)}" for path, pages in scans.items() if pages),
    )
    _print_lines("no text in", report.without_text)
    # Files with pages that failed come first: what others lack is seldom missed.
    notes = sorted(report.notes, key=lambda note: note.path not in report.failed_pages)
    shown = notes if verbose else notes[:NOTES_SHOWN]
    _print_lines("noted", (f"{note.path}: {note.reason}" for note in shown))
    if len(notes) > len(shown):
        _print_lines("noted", [f"{len(notes) - len(shown)} more; `ragkit list` has all"])


def unread_pictures(report: IndexReport) -> tuple[int, int]:
    """How many pages without text and how many pictures text recognition would read.

    Both are 0 where it is installed.
    """
    from ragkit.ingest.load.ocr import has_ocr

    if has_ocr():
        return 0, 0
    failed = {path: set(pages) for path, pages in report.failed_pages.items()}
    pages = sum(
        len(set(pages) - failed.get(path, set()))
        for path, pages in report.pages_without_text.items()
    )
    return pages, sum(outcome.reason.lower() in _PICTURES for outcome in report.skipped)


def _tell_pictures(report: IndexReport) -> None:
    """Say what text recognition would add, where it is not installed."""
    pages, pictures = unread_pictures(report)
    if not (pages or pictures):
        return
    from ragkit.extras import install_command

    what = [counted(pages, "page without text")] if pages == 1 else []
    what += [f"{pages:,} pages without text"] if pages > 1 else []
    what += [counted(pictures, "picture")] if pictures else []
    _print_lines(
        "not read",
        [f"{' and '.join(what)}, for want of the extra `ocr` (430 MB): {install_command('ocr')}"],
    )


def _print_lines(what: str, lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(f"  {what:<10} {on_one_line(line)}")


def _numbers(pages: Sequence[int]) -> str:
    return ", ".join(map(str, pages))
