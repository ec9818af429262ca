"""How many texts ragkit makes of a corpus, and how the floor must cut to make as many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragkit.config import LoadSettings, SplitSettings
from ragkit.ingest.load import Parser, load_document
from ragkit.ingest.prepare import own_title
from ragkit.ingest.split import embedding_text, split

if TYPE_CHECKING:
    from pathlib import Path

MAX_TOKENS = 2000  # what nomic-embed-text reads at once, its prefix taken off
MOST_APART = 0.02


@dataclass(frozen=True)
class Cut:
    """Windows of `size` characters every `stride`; texts of the floor and of ragkit."""

    size: int
    stride: int
    floor_texts: int
    ragkit_texts: int

    @property
    def options(self) -> tuple[str, ...]:
        """For the command line of `floor.py`."""
        return "--size", str(self.size), "--stride", str(self.stride)


def texts_of(folder: Path) -> dict[str, list[str]]:
    """The texts that ragkit embeds, without the model's prefix, by the path of their file."""
    found = {}
    with Parser(LoadSettings()) as parser:
        for file in sorted(folder.rglob("*.md")):
            document = load_document(file, root=folder, settings=LoadSettings(), parser=parser)
            chunks = split(document, SplitSettings(), max_tokens=MAX_TOKENS)
            title = own_title(document)
            found[document.path] = [embedding_text(chunk, title) for chunk in chunks]
    return found


def equal_cut(folder: Path) -> Cut:
    """Find the cut that gives the floor as many texts, of the same mean length.

    Raises:
        RuntimeError: No cut comes within two per cent.
    """
    lengths = [len(file.read_text("utf-8")) for file in folder.rglob("*.md")]
    ragkit = [len(text) for texts in texts_of(folder).values() for text in texts]

    def windows(stride: int) -> int:
        return sum(-(-length // stride) for length in lengths)

    stride = min(range(200, 2000), key=lambda s: abs(windows(s) - len(ragkit)))
    cut = Cut(sum(ragkit) // len(ragkit), stride, windows(stride), len(ragkit))
    if abs(cut.floor_texts / cut.ragkit_texts - 1) > MOST_APART:
        msg = f"the floor would embed {cut.floor_texts} texts and ragkit {cut.ragkit_texts}"
        raise RuntimeError(msg)
    return cut
