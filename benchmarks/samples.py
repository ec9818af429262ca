"""Samples of the question sets, small enough to be asked by several embedders."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ragkit.evaluate import read_questions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ragkit.evaluate.dataset import Question, QuestionSet

T = TypeVar("T")

ARTICLES = {"European Union law", "Immune system", "Normans", "Yuan dynasty"}
"""Of squad2-noanswer: every second one."""

MANUAL_BYTES = range(1501, 9000)
"""Size of the pages of a manual that are taken."""

PAGE_BYTES = 6000
"""Size up to which a web page is taken."""


@dataclass(frozen=True)
class Asked:
    """A question of a sample: the paths that answer it, none if it has no answer; its article.

    The article is that of the set, and the title of the document's for XQuAD, in English for both
    languages; "" where a set has none.
    """

    text: str
    answerable: bool
    gold: list[str]
    article: str


def write_samples(sets: Path, work: Path) -> None:
    """Write each sample as ``docs/`` and ``asked.jsonl`` below `work`, the same each time.

    Args:
        sets: The folder of the question sets.
        work: A folder to write to.
    """
    _Samples(sets, work).write()


def read_asked(work: Path, name: str) -> list[Asked]:
    """The questions of a sample; none if it is of documents alone."""
    lines = (work / name / "asked.jsonl").read_text("utf-8").splitlines()
    return [Asked(**json.loads(line)) for line in lines]


class _Samples:
    def __init__(self, sets: Path, work: Path) -> None:
        self._sets, self._work = sets, work
        self._wide, self._narrow = random.Random(7), random.Random(5)  # noqa: S311 -- no secret

    def write(self) -> None:
        """All of them, in an order that the draws depend on."""
        for name in ("xquad-en", "xquad-zh", "en-to-zh", "zh-to-en"):
            about = self._read(name if name.startswith("xquad") else f"xquad-{name}")
            self._keep(name, about, _files(about.folder), self._drawn(about.questions, 200))
        squad, cmrc = self._read("squad2-noanswer"), self._read("cmrc2018-noanswer")
        asked = [
            self._drawn([q for q in squad.questions if q.answerable is a], 400)
            for a in (True, False)
        ]
        self._squad(squad, asked)
        laws = self._laws()
        claims = self._claims()
        self._pages()
        self._manuals()
        self._cmrc(cmrc)
        self._speech()
        law_set, law_docs, law_asked = laws
        few = self._narrow.sample(law_asked, 70)
        others = self._narrow.sample(law_docs, 30)
        self._keep("stard", law_set, sorted(_gold(few) | set(others)), few)
        claim_set, claim_asked = claims
        few = self._narrow.sample(claim_asked, 60)
        self._keep("scifact", claim_set, sorted(_gold(few)), few)

    def _squad(self, squad: QuestionSet, asked: Sequence[Sequence[Question]]) -> None:
        lines = (self._sets / squad.name / "corpus.jsonl").read_text("utf-8").splitlines()
        titles = [json.loads(line)["title"].replace("_", " ") for line in lines]
        docs = [
            p for p, title in zip(_files(squad.folder), titles, strict=True) if title in ARTICLES
        ]
        groups = {f"sq:{title.replace(' ', '_')}" for title in ARTICLES}
        few = [[q for q in half if q.group in groups][:180] for half in asked]
        self._keep("squad", squad, docs, [*few[0], *few[1]])

    def _laws(self) -> tuple[QuestionSet, list[str], list[Question]]:
        laws = self._read("stard-a")
        asked = self._drawn(laws.questions, 120)
        more = self._drawn(_files(laws.folder), 200)
        return laws, sorted(_gold(asked) | set(more)), asked

    def _claims(self) -> tuple[QuestionSet, list[Question]]:
        claims = self._read("scifact-train")
        asked = self._drawn(claims.questions, 120)
        self._drawn(_files(claims.folder), 120)
        return claims, asked

    def _pages(self) -> None:
        pages = self._read("dureader-search-a")
        asked = self._drawn(pages.questions, 40)
        docs = {p for p in _gold(asked) if (_folder(pages) / p).stat().st_size < PAGE_BYTES}
        few = [question for question in asked if docs & question.relevant.keys()]
        self._keep("dureader", pages, sorted(docs), few)

    def _manuals(self) -> None:
        folder = self._sets / "docs-fastapi"
        small = [
            page
            for page in _files(folder / "en")
            if (folder / "en" / page).stat().st_size in MANUAL_BYTES
        ]
        english = self._drawn(small, 22)
        both = sorted(page for page in english if (folder / "zh" / page).is_file())
        pages = [f"en/{page}" for page in sorted(english)[:10]]
        # As many as are translated among the first ones drawn.
        translated = sorted(f"zh/{p}" for p in [q for q in english if q in both][:14])[:6]
        self._write("manuals", folder, [*pages, *translated], [])
        reports = self._sets / "docs-ntsb-pdf"
        self._write("reports", reports, self._drawn(_files(reports), 5), [])

    def _cmrc(self, cmrc: QuestionSet) -> None:
        parts = [[q for q in cmrc.questions if q.answerable is a] for a in (True, False)]
        few = [self._narrow.sample(part, 75) for part in parts]
        others = self._narrow.sample(_files(cmrc.folder), 80)
        self._keep("cmrc", cmrc, sorted(_gold(few[0]) | set(others)), [*few[0], *few[1]])

    def _speech(self) -> None:
        """Questions alone, to be asked of other samples: about a speech and about earnings."""
        about = self._read("chunk-evidence")
        asked = random.Random(3).sample(about.questions, 60)  # noqa: S311 -- no secret
        self._keep("chunk-evidence", about, [], asked)

    def _read(self, name: str) -> QuestionSet:
        return read_questions(self._sets / name, self._work / "sets" / name)

    def _drawn(self, items: Iterable[T], count: int) -> list[T]:
        listed = list(items)
        return self._wide.sample(listed, min(count, len(listed)))

    def _keep(
        self, name: str, about: QuestionSet, docs: Sequence[str], asked: Sequence[Question]
    ) -> None:
        titles = self._titles(about) if about.name.startswith("xquad") else {}
        rows = [
            Asked(q.text, q.answerable, list(gold), q.group or titles.get(next(iter(gold), ""), ""))
            for q in asked
            for gold in [q.relevant]
        ]
        self._write(name, _folder(about), docs, rows)

    def _titles(self, about: QuestionSet) -> dict[str, str]:
        """The article of each document of XQuAD, whose Chinese half has no titles."""
        lines = (self._sets / about.name / "corpus.jsonl").read_text("utf-8").splitlines()
        names = [json.loads(line)["_id"].partition(":")[2].rpartition("-")[0] for line in lines]
        files = _files(about.folder)
        return {p: name.replace("_", " ") for p, name in zip(files, names, strict=True)}

    def _write(self, name: str, folder: Path, docs: Sequence[str], asked: Sequence[Asked]) -> None:
        shutil.rmtree(self._work / name, ignore_errors=True)
        (self._work / name).mkdir(parents=True)
        for path in docs:
            copy = self._work / name / "docs" / path
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / path, copy)
        lines = [json.dumps(asdict(one), ensure_ascii=False) for one in asked]
        (self._work / name / "asked.jsonl").write_text("\n".join(lines), "utf-8")


def _folder(about: QuestionSet) -> Path:
    if about.folder is None:
        msg = f"{about.name} brings no documents"
        raise ValueError(msg)
    return about.folder


def _files(folder: Path | None) -> list[str]:
    kinds = {".md", ".txt", ".pdf", ".html"}
    found = folder.rglob("*") if folder else ()
    return sorted(str(p.relative_to(folder)) for p in found if p.suffix in kinds and folder)


def _gold(asked: Iterable[Question]) -> set[str]:
    return {path for question in asked for path in question.relevant}
