"""The page of `quality.py`: its rows as tables, beside plain BM25."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


@dataclass(frozen=True)
class Baseline:
    """The best BM25 of several on a set; None: not measured.

    From the BASELINES.md that comes with the sets: bm25s, the Lucene variant, title and text
    joined, English stems or Chinese words or pairs of characters, two pairs of k1 and b; the
    folder sets in windows of a fixed number of characters.
    """

    ndcg: float | None = None
    recall5: float | None = None
    recall20: float | None = None
    auc: float | None = None
    span5: float | None = None
    answer5: float | None = None
    document5: float | None = None


BM25 = {
    "chunk-evidence": Baseline(span5=0.8486),  # windows of 800: 4,000 characters in the top five
    "cmrc2018-dev": Baseline(0.9845, 0.9966, 0.9994),
    "cmrc2018-noanswer": Baseline(0.9926, 1.0, 1.0, auc=0.9411),
    "dureader-search-a": Baseline(0.9184, 0.9698, 0.9953),
    "mixed-folder (en)": Baseline(recall5=0.9938, recall20=1.0, auc=0.5434, answer5=0.9313),
    "mixed-folder (zh)": Baseline(recall5=1.0, recall20=1.0, answer5=0.9766),
    "scifact-train": Baseline(0.6826, 0.7362, 0.8509),
    "squad2-noanswer": Baseline(0.8904, 0.9424, 0.9829, auc=0.5711),
    "stard-a": Baseline(0.4765, 0.4984, 0.6466),
    "xquad-en": Baseline(0.9676, 0.9890, 0.9927),
    "xquad-en-to-zh": Baseline(0.1133, 0.1457, 0.1628),
    "xquad-zh": Baseline(0.9686, 0.9902, 0.9963),
    "xquad-zh-to-en": Baseline(0.1101, 0.1273, 0.1273),
}

WITHIN = 0.005
"""A hybrid search may fall this far below the better of BM25 and our dense search."""

Figures = dict[str, Any]
Table = dict[str, dict[str, Figures]]


def page(
    where: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    reranked: Mapping[str, Any] | None = None,
) -> str:
    """The whole page of results; `reranked` is what ``rerank.py`` wrote, if it did."""
    table: Table = {}
    for row in rows:
        table.setdefault(row["set"], {})[row["setting"]] = row["figures"]
    shown = "\n".join(
        part for part in (_ranking(table, reranked or {}), _best(table), _answers(table)) if part
    )
    return (
        "# Quality\n\nWritten by `python benchmarks/quality.py`; "
        "[docs/evaluate.md](../docs/evaluate.md) says what each figure means. "
        'In brackets: the 95 % interval over the questions. "Answer in top 5" says little where '
        "the references are not in the documents' words: stard-a, dureader-search-a and the sets "
        "across languages.\n\n"
        f"{shown}\n{where_section(where)}{_measured_at(rows)}{_where_reranked(reranked)}"
    )


def _measured_at(rows: Sequence[Mapping[str, Any]]) -> str:
    """Which sets were measured at which commit: a page may hold those of several."""
    sets: dict[str, list[str]] = {}
    for row in rows:
        named = sets.setdefault(row["commit"], [])
        if row["set"] not in named:
            named.append(row["set"])
    return "".join(f"- sets at {commit}: {', '.join(named)}\n" for commit, named in sets.items())


def where_section(where: Mapping[str, Any]) -> str:
    """The last section of a page: where and with what it was measured."""
    return "\n".join(["## Where\n", *(f"- {name}: {value}" for name, value in where.items()), ""])


def _where_reranked(reranked: Mapping[str, Any] | None) -> str:
    if reranked is None:
        return ""
    told = reranked["machine"]
    return f"- hybrid + rerank: {told['date']}, {told['chat']}, {told['command']}\n"


def _ranking(table: Table, reranked: Mapping[str, Any]) -> str:
    """nDCG@10 of every setting, and whether hybrid holds against the better of the others."""
    settings = [s for s in next(iter(table.values()), {}) if "answered" not in s]
    changes = {row["set"]: row["nDCG@10"] for row in reranked.get("rows", ())}
    lines = []
    for name, told in table.items():
        values = {s: told[s]["nDCG@10"] for s in settings}
        baseline = BM25.get(name, Baseline()).ndcg
        cells = [_number(baseline), *(f"{v['value']:.4f}" for v in values.values())]
        if "hybrid" in values:
            cells[-1] = with_interval(values["hybrid"])
            cells.append(_verdict(values, baseline))
        cells.append(_change(changes.get(name)))
        lines.append([name, *cells])
    return markdown(
        "nDCG@10",
        [
            *("set", "BM25", *settings),
            f"hybrid ≥ the better of BM25 and dense, within {WITHIN}",
            "hybrid → hybrid + rerank, on a few questions",
        ],
        lines,
    )


def _verdict(values: Mapping[str, Figures], baseline: float | None) -> str:
    better = max(baseline or 0.0, values["dense"]["value"])
    holds = values["hybrid"]["value"] >= better - WITHIN
    return "yes" if holds else f"**no**: {values['hybrid']['value'] - better:+.4f}"


def _change(told: Figures | None) -> str:
    if told is None:
        return ""
    ends = f"[{told['low']:+.2f}, {told['high']:+.2f}]"
    return f"{told['first']:.2f} → {told['second']:.2f} {ends}, n={told['count']}"


def _best(table: Table) -> str:
    """What hybrid search finds besides, beside BM25 where that is known."""
    known = {
        "R@5": "recall5",
        "R@20": "recall20",
        "Success@1": "",
        "span recall@5": "span5",
        "characters@5": "",
        "answer in top 5": "answer5",
        "page in top 5": "",
        "refusal AUC": "auc",
        "refusal precision": "",
        "refusal recall": "",
        "answerable kept": "",
    }
    lines = []
    for name, told in table.items():
        for figure, field in known.items():
            if found := told.get("hybrid", {}).get(figure):
                baseline = getattr(BM25.get(name, Baseline()), field) if field else None
                lines.append([name, figure, _number(baseline), with_interval(found)])
    return markdown("Hybrid search", ["set", "figure", "BM25", "ragkit"], lines)


def _answers(table: Table) -> str:
    """Answers to the samples, quoted word for word from the passages."""
    wanted = ["exact match", "F1", "answer contains the reference", "verbatim share"]
    wanted += ["citation precision", "citation recall"]
    lines = [
        [name, *(with_interval(figures[f]) if f in figures else "" for f in wanted)]
        for name, told in table.items()
        for setting, figures in told.items()
        if "answered" in setting
    ]
    return markdown("Extractive answers to each set's sample", ["set", *wanted], lines)


def markdown(title: str, head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A section of one table; "" without lines."""
    if not lines:
        return ""
    return "\n".join([f"## {title}\n", *_rows(head, lines), ""])


def _rows(head: Sequence[str], lines: Sequence[Sequence[str]]) -> Iterator[str]:
    for cells in (head, ["---"] * len(head), *lines):
        yield f"| {' | '.join(cells)} |"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def with_interval(figure: Figures) -> str:
    """A value with the ends of its interval."""
    form = ".4f" if figure["high"] <= 1 else ".1f"
    return f"{figure['value']:{form}} [{figure['low']:{form}}, {figure['high']:{form}}]"
