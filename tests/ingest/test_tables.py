"""Tables: merged cells are filled, names of columns are known, and every chunk has them."""

from __future__ import annotations

import pytest

from ragkit.config import SplitSettings
from ragkit.ingest.load.readers import table_grid
from ragkit.ingest.load.readers.column_names import names_columns
from ragkit.ingest.load.readers.html import read_html
from ragkit.ingest.split import split
from ragkit.ingest.split.scanners import column_names
from ragkit.records import Chunk, Document


def html(table: str) -> str:
    return read_html(f"<!doctype html><table>{table}</table>".encode(), "a.html").text


def test_a_cell_over_rows_belongs_to_each_of_them() -> None:
    assert html(
        "<tr><th>Season<th>Craft<th>Fee<tr><td rowspan=2>Winter<td>Canoe<td>18<tr><td>Dinghy<td>33"
    ) == (
        "| Season | Craft | Fee |\n|---|---|---|\n| Winter | Canoe | 18 |\n| Winter | Dinghy | 33 |"
    )


def test_names_over_columns_stand_over_each_of_them() -> None:
    assert (
        html(
            "<tr><th rowspan=2>Craft<th colspan=2>Member<tr><th>Day<th>Week"
            "<tr><td>Canoe<td>30<td>150"
        )
        == "| Craft | Member Day | Member Week |\n|---|---|---|\n| Canoe | 30 | 150 |"
    )


def test_a_title_over_all_columns_stands_above_the_table() -> None:
    table = "<tr><th colspan=2>Fees of 2031<tr><th>Craft<th>Fee<tr><td>Canoe<td>30"
    assert html(table) == "Fees of 2031\n| Craft | Fee |\n|---|---|\n| Canoe | 30 |"


def test_a_row_of_one_cell_over_all_columns_is_said_once() -> None:
    table = "<tr><th>Craft<th>Fee<tr><td colspan=2>Winter<tr><td>Canoe<td>30"
    assert html(table) == "| Craft | Fee |\n|---|---|\n| Winter |\n| Canoe | 30 |"


def test_a_table_that_names_no_columns_has_no_rule() -> None:
    assert html("<tr><td>Rent<td>450<tr><td>Deposit<td>900") == "| Rent | 450 |\n| Deposit | 900 |"
    assert html("<tr><td>Tenant<td>Bo<tr><td>Boat<td>Gull") == "| Tenant | Bo |\n| Boat | Gull |"


def test_a_bar_in_a_cell_parts_no_cells() -> None:
    assert html("<tr><td>a|b<td>c<tr><td>d<td>e").split("\n")[0] == "| a\\|b | c |"
    assert column_names(" a\\|b | c |") == "a|b | c"


def test_what_a_cell_over_a_million_rows_says_again_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(table_grid, "_MOST_FILLED", 1_000)
    wide = f"<tr><td colspan=256 rowspan=999999>{'t' * 300}<td>y"
    text = html(wide + "".join(f"<tr><td>z{i}" for i in range(50)))
    assert len(text) < 3 * 256 * 310
    assert "| z49 |" in text


def test_a_long_text_over_columns_is_said_once() -> None:
    long = "t" * 301
    text = html(f"<tr><td>a<td>b<td>c<tr><td colspan=2>{long}<td>d<tr><td colspan=2>short<td>e")
    assert text.count(long) == 1
    assert "| short | short | e |" in text


def test_enormous_spans_are_bounded() -> None:
    text = html("<tr><td colspan=99999 rowspan=99999>x<td>y<tr><td>z")
    assert len(text) < 5_000
    assert "z" in text


@pytest.mark.parametrize(
    ("first", "below", "is_header"),
    [
        (["Region", "2021", "2022"], [["North", "410", "437"], ["South", "388", "391"]], True),
        (["Berth", "2031-05-01", "2031-05-02"], [["E1", "free", "taken"]], True),
        (["Item", "2023"], [["Canoe", "30"], ["Dinghy", "55"]], True),
        (["Load", "10%", "20%", "30%"], [["Beam", "1.2", "2.5", "3.1"]], True),
        (["Name", "City"], [["Ada", "London"], ["Bo", "Rome"]], True),
        (["2021-01-05", "12", "ok"], [["2021-01-06", "14", "ok"]], False),
        (["1", "2"], [["3", "4"]], False),
        (["2021", "410"], [["2022", "437"]], False),
        (["Paris", "open"], [["Paris", "shut"], ["Rome", "shut"]], False),
        (["Fee", "Fee"], [["1", "2"]], True),
    ],
)
def test_the_first_row_names_columns_by_several_signs(
    first: list[str], below: list[list[str]], *, is_header: bool
) -> None:
    assert names_columns(first, below) is is_header


def chunks(text: str, kind: str) -> list[Chunk]:
    document = Document("d", "/r", "a", "T", kind, text, "", len(text), 0, None)
    return list(split(document, SplitSettings(60, 0)))


ROWS = [f"Model {n} | {2 * n + 1} | {3 * n + 7}" for n in range(1, 60)]


@pytest.mark.parametrize("kind", ["markdown", "html", "docx", "text", "pdf"])
def test_every_chunk_of_a_table_has_the_names_of_its_columns(kind: str) -> None:
    table = "\n".join(f"| {row} |" for row in ("Craft | Fee | Guest fee", "---|---|---", *ROWS))
    found = chunks(f"Some words.\n\n{table}\n\nOther words.", kind)
    inside = [c for c in found if c.text.startswith("| Model")]
    assert len(inside) > 5
    assert {c.heading for c in inside} == {("Craft | Fee | Guest fee",)}
    assert all(c.heading == () for c in found if c not in inside)


def test_a_markdown_table_without_outer_bars_is_a_table() -> None:
    table = "\n".join(("Craft | Fee | Guest", "--- | :---: | ---", *ROWS))
    found = chunks(f"# Fees\n\n{table}\n\nEnd of it.", "markdown")
    assert {c.heading for c in found[1:-1]} == {("Fees", "Craft | Fee | Guest")}
    assert all("\n" not in c.text or c.text.count("|") for c in found)


def test_a_table_without_names_lends_none() -> None:
    table = "\n".join(f"| {row} |" for row in ROWS)
    assert {c.heading for c in chunks(table, "markdown")} == {()}
