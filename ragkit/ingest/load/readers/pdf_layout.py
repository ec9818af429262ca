"""The text of a PDF page from the places of its pieces: raised text, columns, tables, doubles.

pypdf's order, which is that of the content, is kept wherever the pieces do not tell otherwise.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from ragkit.ingest.load.readers.column_names import is_number, names_columns
from ragkit.ingest.load.readers.table_grid import TableGrid
from ragkit.text.raising import lower_text, raise_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ragkit.ingest.load.readers.pdf_content import Shown

_SAME_LINE = 0.35  # of the height: how far baselines of one line lie apart
_SMALL = 0.88  # of the height of what it stands behind: raised and lowered text
_RAISED, _LOWERED = (0.15, 0.9), (-0.5, -0.08)
_NEAR = 0.6  # of the height: the gap before raised text
_CELL_GAP = 1.3  # of the height: the gap between cells or columns
_DOUBLE = 0.13  # of the height: how far a text lies from its double
_PROSE_WORDS = 3.2
_LEAST_PROSE_LINES = 3
_FAR = 2.6  # of the height: the distance of lines that end a table
_ANY_HEIGHT = 1e6
_EDGE = 3.0  # points: how far the left edges of a column's cells lie apart


class Line(NamedTuple):
    """A line of a page: its text, and where it stands; ``height`` is that of its letters."""

    text: str
    y: float
    height: float


def page_text(shown: Sequence[Shown]) -> str:
    """Put the shown texts of a page together, in order.

    Args:
        shown: Those that are seen.
    """
    pieces = [shown[i] for i in _without_doubles(shown)]
    texts = _shifted(pieces)
    blocks = _blocks(pieces)
    return "".join(_joined(texts, blocks))


def _joined(texts: list[str], blocks: list[_Block]) -> Iterator[str]:
    inside = {i: block for block in blocks for i in block.pieces}
    last = "\n"
    for i, text in enumerate(texts):
        block = inside.get(i)
        if block is not None:
            if i != min(block.pieces):
                continue
            text = f"{block.written(texts)}\n"
            if not last.endswith("\n"):
                yield "\n"
        elif last.endswith((" ", "\n")):
            text = text.lstrip(" ")
        if text:
            yield text
            last = text


def top_lines(shown: Sequence[Shown]) -> tuple[Line, Line] | None:
    """The uppermost two lines of a page; None if there are fewer."""
    lines = _lines([s for s in shown if s.is_level and s.text.strip()])[:2]
    return (_as_line(lines[0]), _as_line(lines[1])) if len(lines) > 1 else None


def _as_line(pieces: Sequence[Shown]) -> Line:
    text = " ".join("".join(piece.text for piece in pieces).split())
    return Line(text, pieces[0].y, max(piece.height for piece in pieces))


def _without_doubles(shown: Sequence[Shown]) -> list[int]:
    """Number the texts that are not drawn a second time at the same place (bold, shadows)."""
    seen: dict[str, list[Shown]] = {}
    kept: list[int] = []
    for i, piece in enumerate(shown):
        text = piece.text.strip()
        most = _DOUBLE * min(piece.height, _ANY_HEIGHT)
        same = seen.setdefault(text, [])
        if text and any(
            abs(s.x - piece.x) <= most and abs(s.y - piece.y) <= most and s.height == piece.height
            for s in same[-8:]
        ):
            _hand_on_space(shown, kept, piece)
            continue
        same.append(piece)
        kept.append(i)
    return kept


def _hand_on_space(shown: Sequence[Shown], kept: list[int], dropped: Shown) -> None:
    """Give the line end behind a text that is left out to the one before it."""
    if kept and dropped.text.endswith("\n") and not shown[kept[-1]].text.endswith("\n"):
        shown[kept[-1]].text = shown[kept[-1]].text.rstrip() + "\n"


# Raised text -------------------------------------------------------------------------------------


def _shifted(pieces: Sequence[Shown]) -> list[str]:
    """The texts of pieces; what stands raised or lowered is written on the line."""
    texts = [piece.text for piece in pieces]
    base = 0
    for i in range(1, len(pieces)):
        shift = _shift(pieces[base], pieces[i - 1], pieces[i])
        if not shift:
            if base < i - 1 and _is_same_line(pieces[base], pieces[i]):
                gap = pieces[i].x - pieces[i - 1].end
                apart = gap > 0.15 * pieces[base].height or texts[i - 1].endswith(" ")
                texts[i - 1] = texts[i - 1].rstrip() + (" " if apart else "")
            base = i
            continue
        texts[i - 1] = texts[i - 1].rstrip("\n") if i - 1 > base else texts[i - 1].rstrip()
        before = texts[base][-24:] if i - 1 == base else ""
        white = texts[i][len(texts[i].rstrip()) :]
        bare = texts[i].strip()
        write = raise_text if shift > 0 else lower_text
        texts[i] = (write(before, bare) if before else bare) + white
    return texts


def _shift(base: Shown, before: Shown, piece: Shown) -> int:
    """Say whether a piece stands raised (1) or lowered (-1) behind another."""
    if not (base.is_level and piece.is_level) or not piece.text.strip() or not base.text.strip():
        return 0
    height = base.height
    if not 0 < piece.height <= _SMALL * height or height > _ANY_HEIGHT:
        return 0
    if not -_NEAR * height <= piece.x - before.end <= _NEAR * height:
        return 0
    up = (piece.y - base.y) / height
    if _RAISED[0] <= up <= _RAISED[1]:
        return 1
    return -1 if _LOWERED[0] <= up <= _LOWERED[1] else 0


def _is_same_line(one: Shown, other: Shown) -> bool:
    return abs(one.y - other.y) <= _SAME_LINE * min(one.height, other.height)


# Columns and tables ------------------------------------------------------------------------------


@dataclass
class _Segment:
    """Pieces of one line without a wide gap between them, by number."""

    pieces: list[int]
    left: float
    right: float


@dataclass
class _Block:
    """Lines of several segments below each other, whose segments stand in columns."""

    rows: list[list[_Segment]]
    columns: list[float]  # where each begins, from left to right

    @property
    def pieces(self) -> set[int]:
        return {i for row in self.rows for segment in row for i in segment.pieces}

    def written(self, texts: Sequence[str]) -> str:
        """As columns of prose one after the other, or as the rows of a table."""
        cells = [self._cells(row, texts) for row in self.rows]
        if self.is_prose(texts):
            columns = ("\n".join(filter(None, column)) for column in zip(*cells, strict=True))
            return "\n".join(columns)
        cells = _unwrapped(cells)
        grid = TableGrid()
        is_header = names_columns(cells[0], cells[1:], unless=False)
        for row in cells:
            for cell in row:
                grid.add(cell)
            grid.end_row(is_marked=is_header)
            is_header = False
        return "\n".join(grid.lines())

    def is_prose(self, texts: Sequence[str]) -> bool:
        """Say whether the columns hold sentences that go on from line to line."""
        counts = [len(t.split()) for row in self.rows for t in self._cells(row, texts) if t]
        return (
            len(self.columns) <= 3
            and len(self.rows) >= _LEAST_PROSE_LINES
            and sum(counts) / len(counts) >= _PROSE_WORDS
        )

    def place(self, segment: _Segment) -> int:
        """The number of the column in which a segment stands."""
        return max(bisect_right(self.columns, segment.left + _EDGE) - 1, 0)

    def _cells(self, row: list[_Segment], texts: Sequence[str]) -> list[str]:
        cells = [""] * len(self.columns)
        for segment in row:
            place = self.place(segment)
            text = " ".join("".join(texts[i] for i in segment.pieces).split())
            cells[place] = f"{cells[place]} {text}".strip()
        return cells


def _unwrapped(rows: list[list[str]]) -> list[list[str]]:
    """Join what a cell could not hold on one line: a row of one text, below one, not in front."""
    made: list[list[str]] = []
    for row in rows:
        filled = [i for i, cell in enumerate(row) if cell]
        place = filled[0] if len(filled) == 1 else 0
        above = made[-1][place] if made and place else ""
        if above and not is_number(row[place]):
            made[-1][place] = f"{above} {row[place]}"
        else:
            made.append(list(row))
    return made


def _blocks(pieces: Sequence[Shown]) -> list[_Block]:
    """Find where lines of several columns are drawn row by row."""
    level = [i for i, piece in enumerate(pieces) if piece.is_level and piece.text.strip()]
    if len(level) < 4 or any(pieces[i].height > _ANY_HEIGHT for i in level):
        return []
    rows = [_segments(row, pieces) for row in _numbered_lines(level, pieces)]
    found: list[_Block] = []
    run: list[list[_Segment]] = []
    for row in [*rows, []]:
        if row and (len(row) > 1 or _fits_below(row, run, pieces)) and _follows(row, run, pieces):
            run.append(row)
            continue
        found += _made_blocks(run, pieces)
        run = [row] if len(row) > 1 else []
    return found


def _made_blocks(run: list[list[_Segment]], pieces: Sequence[Shown]) -> list[_Block]:
    while run and len(run[-1]) == 1:
        run = run[:-1]
    if sum(len(row) > 1 for row in run) < 2:
        return []
    starts = [s for span in _columns(run) for s in _starts(span, run)]
    if len(starts) < 2 or max(map(len, run)) > len(starts) * 2:
        return []
    block = _Block(run, starts)
    if _is_by_columns(block) or not _is_unbroken(block, len(pieces)):
        return []
    return [block]


def _numbered_lines(level: list[int], pieces: Sequence[Shown]) -> list[list[int]]:
    """Pieces by line, from top to bottom, each from left to right."""
    ordered = sorted(level, key=lambda i: (-pieces[i].y, pieces[i].x))
    lines: list[list[int]] = []
    for i in ordered:
        if lines and _is_same_line(pieces[lines[-1][0]], pieces[i]):
            lines[-1].append(i)
        else:
            lines.append([i])
    return [sorted(line, key=lambda i: pieces[i].x) for line in lines]


def _lines(pieces: Sequence[Shown]) -> list[list[Shown]]:
    return [[pieces[i] for i in line] for line in _numbered_lines(list(range(len(pieces))), pieces)]


def _segments(line: list[int], pieces: Sequence[Shown]) -> list[_Segment]:
    segments: list[_Segment] = []
    for i in line:
        piece = pieces[i]
        if segments and piece.x - segments[-1].right <= _CELL_GAP * piece.height:
            segments[-1].pieces.append(i)
            segments[-1].right = max(segments[-1].right, piece.end)
        else:
            segments.append(_Segment([i], piece.x, piece.end))
    return segments


def _follows(row: list[_Segment], run: list[list[_Segment]], pieces: Sequence[Shown]) -> bool:
    """Say whether a row stands near below the last of a run."""
    if not run:
        return True
    above, below = pieces[run[-1][0].pieces[0]], pieces[row[0].pieces[0]]
    return above.y - below.y <= _FAR * max(above.height, below.height)


def _fits_below(row: list[_Segment], run: list[list[_Segment]], pieces: Sequence[Shown]) -> bool:
    """Say whether a row of one segment is a cell of the table above it."""
    if not any(len(above) > 1 for above in run):
        return False
    segment = row[0]
    return len(_columns([*run, row])) == len(_columns(run)) and any(
        abs(segment.left - other.left) <= pieces[segment.pieces[0]].height
        for above in run
        for other in above
    )


def _columns(rows: Iterable[list[_Segment]]) -> list[tuple[float, float]]:
    """The spans that segments fill, joined where they overlap: what is between is a gutter."""
    spans = sorted((s.left, s.right) for row in rows for s in row)
    columns: list[tuple[float, float]] = []
    for left, right in spans:
        if columns and left <= columns[-1][1]:
            columns[-1] = (columns[-1][0], max(columns[-1][1], right))
        else:
            columns.append((left, right))
    return columns


def _starts(span: tuple[float, float], rows: list[list[_Segment]]) -> list[float]:
    """Where the columns in a span begin: one that long cells join to the next is parted again."""
    inside = [[s.left for s in row if span[0] <= s.left <= span[1]] for row in rows]
    if all(len(lefts) < 2 for lefts in inside):
        return [span[0]]
    lefts = sorted(left for row in inside for left in row)
    starts = [span[0]]
    for left, following in pairwise(lefts):
        if left - starts[-1] > _EDGE and following - left <= _EDGE:
            starts.append(left)
    return starts


def _is_by_columns(block: _Block) -> bool:
    """Say whether the content has one column after the other already."""
    order = sorted(
        (min(segment.pieces), block.place(segment)) for row in block.rows for segment in row
    )
    places = [place for _, place in order]
    return places == sorted(places)


def _is_unbroken(block: _Block, count: int) -> bool:
    """Say whether the block's pieces follow each other in the content, or nearly so."""
    pieces = block.pieces
    return max(pieces) - min(pieces) < len(pieces) + max(4, count // 10)
