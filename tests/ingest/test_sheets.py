"""Spreadsheets: rows that explain themselves, sheets as pages, numbers as they are shown."""

from __future__ import annotations

import contextlib
import random
import struct
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from office_files import (
    archive,
    bomb,
    odf,
    odf_manifest,
    relations,
    rewritten,
    with_password_bit,
    xlsb,
    xlsx,
)

from ragkit.config import LoadSettings, SplitSettings
from ragkit.errors import LoadError
from ragkit.ingest.load import Parser, load_document
from ragkit.ingest.load.formats import Parsed, read_with
from ragkit.ingest.load.readers.hidden_cells import HiddenCells
from ragkit.ingest.load.readers.number_formats import parse_format
from ragkit.ingest.load.readers.sheets import cell_text, read_sheets, sheet_lines
from ragkit.ingest.load.readers.xls_cells import read_xls_cells
from ragkit.ingest.load.readers.zip_parts import OLE
from ragkit.ingest.split import split

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SAMPLES = Path(__file__).parent.parent / "samples"
ROWS: list[list[str | float]] = [["Craft", "Fee"], ["Yacht", 12], ["Ferry", 80.5]]


def pages(parsed: Parsed) -> dict[int, str]:
    return {page.number: parsed.text[page.start : page.end] for page in parsed.pages}


def test_sheets_are_pages_that_begin_with_their_name_and_rows_name_their_columns() -> None:
    made = xlsx(
        {"数据": ROWS, "Empty": [], "Note": [["# only a text"]], "Old": ROWS}, hidden=["Old"]
    )
    found = read_sheets(made, "a.xlsx")
    assert pages(found) == {
        1: "# 数据\n\nCraft: Yacht; Fee: 12\nCraft: Ferry; Fee: 80.5",
        3: "# Note\n\n#\u00a0only a text",
    }
    assert found.metadata == {"notes": ["the hidden sheet 'Old' was left out"]}


CORE = (
    '<p xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:t="http://purl.org/dc/terms/">'
    "<dc:title>Fees</dc:title><dc:creator>Chen</dc:creator><t:created>2024-03-31T08:00:00Z"
    "</t:created></p>"
)
META = (
    '<m xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:n="urn:oasis:names:tc:opendocument:'
    'xmlns:meta:1.0"><dc:title>Fees</dc:title><n:initial-creator>Chen</n:initial-creator>'
    "<n:creation-date>2024-03-31T08:00:00Z</n:creation-date></m>"
)


def test_properties_of_a_workbook_are_its_metadata() -> None:
    ods = odf(
        "", kind="spreadsheet", parts={"META-INF/manifest.xml": odf_manifest(""), "meta.xml": META}
    )
    for made in (xlsx({"Fees": ROWS}, parts={"docProps/core.xml": CORE}), ods):
        found = read_sheets(made, "a")
        said = {key: found.metadata[key] for key in ("author", "created")}
        assert (found.title, said) == (
            "Fees",
            {"author": "Chen", "created": "2024-03-31T08:00:00Z"},
        )


def test_every_kind_of_workbook_is_read_whatever_its_name_says() -> None:
    text = "# Fees\n\nCraft: Yacht; Fee: 12\nCraft: Ferry; Fee: 80.5"
    cells = ["".join(f"<table:table-cell {_odf_value(v)}" for v in row) for row in ROWS]
    table = "".join(f"<table:table-row>{row}</table:table-row>" for row in cells)
    ods = odf(
        f'<table:table table:name="Fees">{table}</table:table>',
        kind="spreadsheet",
        parts={"META-INF/manifest.xml": odf_manifest("")},
    )
    for made in (xlsx({"Fees": ROWS}), xlsb("Fees", ROWS), ods):
        assert read_sheets(made, "a.xls").text == text


def _odf_value(value: str | float) -> str:
    if isinstance(value, str):
        return f'office:value-type="string"><text:p>{value}</text:p></table:table-cell>'
    text = f"<text:p>{value}</text:p></table:table-cell>"
    return f'office:value-type="float" office:value="{value}">{text}'


def test_an_old_workbook_is_read_with_its_dates_and_merged_cells() -> None:
    found = read_sheets((SAMPLES / "fees.xls").read_bytes(), "fees.xls")
    assert pages(found)[1].split("\n") == [
        "# 数据",
        "",
        "Craft: Yacht; Fee: 12; Day: 2024-03-05; At: 2024-03-05 14:07; Share: 19.0%; Paid: TRUE; "
        "Big: 1,234,567.50; Price: € 12.50; Err: #DIV/0!",
        "Craft: Ferry; Fee: 0.3; Day: 2024-12-31; At: 07:40; Share: 7.5%; Paid: FALSE; "
        "Big: 100,000,000,000,000,000,000.00; Price: -€ 3.00; Err: #N/A",
        "Craft: Pier; Day: 3 m",
        "Craft: North; Fee: 1",
        "Craft: North; Fee: 2",
    ]
    assert pages(found)[4] == (
        "# Groups\n\nName: Ann; Member Day: 1; Member Night: 2; column 4: 26:30:00\n"
        "Name: Bob; Member Day: 3; Member Night: 4"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12.0, "12"),
        (0.1 + 0.2, "0.3"),
        (1e20, "1e+20"),
        (-0.5, "-0.5"),
        (float("inf"), "inf"),
        (True, "TRUE"),
        (date(2024, 3, 5), "2024-03-05"),
        (datetime(2024, 3, 5), "2024-03-05"),  # noqa: DTZ001 -- cells have no time zone
        (datetime(2024, 3, 5, 14, 7, 9), "2024-03-05 14:07:09"),  # noqa: DTZ001
        (time(7, 40), "07:40"),
        (timedelta(hours=26, minutes=30), "26:30:00"),
        ("PT26H30M00S", "26:30:00"),
        (" a\n b ", "a b"),
    ],
)
def test_values_are_written_as_people_see_them(value: object, text: str) -> None:
    assert cell_text(value) == text


@pytest.mark.parametrize(
    ("code", "number", "text"),
    [
        ("0%", 0.19, "19%"),
        ("0.00%", 0.0755, "7.55%"),
        ("#,##0.00", 1234567.5, "1,234,567.50"),
        ("#,##0.00\\ [$€-407]", -3, "-3.00 €"),
        ('"USD "#,##0;[Red]-#,##0', 1200, "USD 1,200"),
        ("_-* #,##0.00_-", 5, "5.00"),
        ("0.##", 2.5, "2.5"),
        ("0.##", 2, "2"),
        ("0,", 12_345, "12"),
        ('0" kg"', 7, "7 kg"),
        ("0.0", -0.01, "0.0"),
        ("000", 7, "7"),
    ],
)
def test_number_formats_show_what_a_cell_shows(code: str, number: float, text: str) -> None:
    found = parse_format(code)
    assert found
    assert found.show(number) == text


@pytest.mark.parametrize("code", ["General", "yyyy-mm-dd", "h:mm", "@", "# ?/?", "0.00E+00", ""])
def test_what_is_no_plain_number_format_is_left_alone(code: str) -> None:
    assert parse_format(code) is None


def test_the_numbers_of_a_workbook_are_written_in_the_formats_of_their_cells() -> None:
    rows: list[list[str | float]] = [
        ["Craft", "Share", "Fee"],
        ["Yacht", 0.19, 1200],
        ["Ferry", 0.5, 7],
    ]
    made = xlsx(
        {"S": rows},
        formats=["0%", "#,##0.00 &quot;EUR&quot;"],
        styles={"B2": 1, "B3": 1, "C2": 2},
    )
    assert read_sheets(made, "a.xlsx").text.split("\n")[2:] == [
        "Craft: Yacht; Share: 19%; Fee: 1,200.00 EUR",
        "Craft: Ferry; Share: 50%; Fee: 7",
    ]


# Beside the values -------------------------------------------------------------------------------

SHOWN = """# Fees

Fee: [Comment by Ann: in euros]
Craft: Yacht; Fee: 1,234.57 [Comment by Ann: net of tax]
Craft: Ferry; Fee: #DIV/0!
Craft: #N/A; Fee: 7.00"""
SEEN: list[list[str | float]] = [
    ["Craft", "Fee"],
    ["Yacht", 1234.567],
    ["Ferry", "#DIV/0!"],
    ["#N/A", 7],
]
SAID = {(0, 1): ("Ann", "in euros"), (1, 1): ("Ann", "Ann:\nnet of tax")}
COMMENTS = (
    "<comments><authors><author>Ann</author></authors><commentList>"
    '<comment ref="B1" authorId="0"><text><t>in euros</t></text></comment><comment ref="B2" '
    'authorId="0"><text><r><t>Ann:\n</t></r><r><t>net of tax</t></r><rPh><t>x</t></rPh></text>'
    "</comment></commentList></comments>"
)


def seen_xlsx(parts: Mapping[str, str], beside: Mapping[str, tuple[str, str]]) -> bytes:
    return xlsx(
        {"Fees": SEEN},
        formats=["#,##0.00"],
        styles={"B2": 1, "B4": 1},
        parts={**parts, "xl/worksheets/_rels/sheet1.xml.rels": relations(beside)},
    )


def seen_ods() -> bytes:
    note = "<office:annotation><dc:creator>Ann</dc:creator><text:p>{}</text:p></office:annotation>"
    string, number = (
        f'<table:table-cell office:value-type="{kind}"' for kind in ("string", "float")
    )
    error = f'{string} calcext:value-type="error"><text:p>{{}}</text:p></table:table-cell>'
    rows = [
        f"{string}><text:p>Craft</text:p></table:table-cell>{string}>{note.format('in euros')}"
        "<text:p>Fee</text:p></table:table-cell>",
        f'{string}><text:p>Yacht</text:p></table:table-cell>{number} office:value="1234.567">'
        f"{note.format('net of tax')}<text:p>1,234.57</text:p></table:table-cell>",
        f"{string}><text:p>Ferry</text:p></table:table-cell>{error.format('#DIV/0!')}",
        f"{error.format('#N/A')}{number} office:value='7'><text:p>7.00</text:p></table:table-cell>",
    ]
    table = "".join(f"<table:table-row>{row}</table:table-row>" for row in rows)
    calc = 'xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0"'
    return odf(
        f'<table:table table:name="Fees" {calc}>{table}</table:table>',
        kind="spreadsheet",
        parts={"META-INF/manifest.xml": odf_manifest("")},
    )


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(
            seen_xlsx({"xl/comments1.xml": COMMENTS}, {"c": ("comments", "../comments1.xml")}),
            id="XLSX",
        ),
        pytest.param(xlsb("Fees", SEEN, code="#,##0.00", comments=SAID), id="XLSB"),
        pytest.param(seen_ods(), id="ODS"),
    ],
)
def test_numbers_errors_and_comments_are_what_people_see(made: bytes) -> None:
    assert read_sheets(made, "a").text == SHOWN


def test_an_old_workbook_shows_its_formats_errors_comments_and_boxes() -> None:
    assert read_sheets((SAMPLES / "notes.xls").read_bytes(), "notes.xls").text.split("\n")[2:] == [
        "Fee: [Comment by Ann: in euros]",
        "Craft: Yacht; Fee: 1,234.57 [Comment by Ann: net of tax]; Share: 7.5%",
        "Craft: Ferry; Fee: 7.00; Share: #DIV/0!",
        "Craft: Tug; Fee: #N/A; Share: #N/A",
        "Ask the harbour office first.",
    ]


def test_a_thread_of_comments_is_read_once_and_with_its_names() -> None:
    thread = (
        '<t><threadedComment ref="B3" personId="p"><text>Why?</text></threadedComment>'
        '<threadedComment ref="B3" personId="q"><text>No fee yet.</text></threadedComment>'
        '<threadedComment ref="D9" personId="q"><text>Stays.</text></threadedComment></t>'
    )
    old = COMMENTS.replace("B1", "B3").replace("in euros", "[Threaded comment] Why?")
    persons = '<l><person id="p" displayName="Bo"/><person id="q" displayName="Cy"/></l>'
    made = seen_xlsx(
        {
            "xl/comments1.xml": old,
            "xl/threadedComments/t.xml": thread,
            "xl/persons/person.xml": persons,
            "xl/_rels/workbook.xml.rels": relations(
                {
                    "r1": ("worksheet", "worksheets/sheet1.xml"),
                    "p": ("person", "persons/person.xml"),
                }
            ),
        },
        {
            "c": ("comments", "../comments1.xml"),
            "t": ("threadedComment", "../threadedComments/t.xml"),
        },
    )
    assert read_sheets(made, "a.xlsx").text.split("\n")[3:] == [
        "Craft: Ferry; Fee: #DIV/0! [Comment by Bo: Why?] [Comment by Cy: No fee yet.]",
        "Craft: #N/A; Fee: 7.00",
        "[Comment by Cy: Stays.]",
    ]


DRAWN = (
    '<d xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
    'xmlns:c="http://schemas.openxmlformats.org/drawingml/2006/chart" xmlns:r="http://schemas.'
    'openxmlformats.org/officeDocument/2006/relationships"><sp><nvSpPr><cNvPr id="1"/></nvSpPr>'
    "<txBody><a:p><a:r><a:t>Ask </a:t></a:r><a:r><a:t>first.</a:t></a:r></a:p></txBody></sp>"
    '<sp><nvSpPr><cNvPr id="2" hidden="1"/></nvSpPr><txBody><a:p><a:r><a:t>no</a:t></a:r></a:p>'
    '</txBody></sp><pic><cNvPr id="3" descr="A plan of the pier"/></pic>'
    '<pic><cNvPr id="4" descr="image1.png"/></pic><c:chart r:id="k"/></d>'
)
CHART = (
    '<c:chartSpace xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
    'xmlns:c="http://schemas.openxmlformats.org/drawingml/2006/chart"><c:chart><c:title><c:tx>'
    "<c:rich><a:p><a:r><a:t>Fees by craft</a:t></a:r></a:p></c:rich></c:tx></c:title><c:plotArea>"
    "<c:barChart><c:ser><c:tx><c:strRef><c:strCache><c:pt idx='0'><c:v>Day</c:v></c:pt>"
    "</c:strCache></c:strRef></c:tx></c:ser></c:barChart><c:valAx><c:title><c:tx><c:rich><a:p><a:r>"
    "<a:t>EUR</a:t></a:r></a:p></c:rich></c:tx></c:title></c:valAx></c:plotArea></c:chart>"
    "</c:chartSpace>"
)


def test_boxes_pictures_and_charts_of_a_sheet_stand_below_its_rows() -> None:
    made = seen_xlsx(
        {
            "xl/drawings/d.xml": DRAWN,
            "xl/drawings/_rels/d.xml.rels": relations({"k": ("chart", "../charts/c.xml")}),
            "xl/charts/c.xml": CHART,
        },
        {"d": ("drawing", "../drawings/d.xml")},
    )
    assert read_sheets(made, "a.xlsx").text.split("\n")[5:] == [
        "Ask first.",
        "[A plan of the pier]",
        "[Chart: Fees by craft; axes: EUR; series: Day]",
    ]


@pytest.mark.parametrize(
    ("cell", "note"),
    [
        ('<c r="B2"><f>1+1</f><v></v></c>', "1 cell holds a formula"),
        ('<c r="B2"><f>1+1</f><v/></c><c r="C2"><f si="0"/></c>', "2 cells hold"),
        ('<c r="B2"><f>1+1</f></c><c r="C2"><f>B2</f><v /></c>', "2 cells hold formulas"),
        ('<c r="B2" t="str"><f>""</f><v></v></c>', ""),
        ('<c r="B2"><f>1+1</f><v>2</v></c>', ""),
    ],
)
def test_formulas_without_a_value_are_told(cell: str, note: str) -> None:
    made = rewritten(
        xlsx({"S": [["Craft", "Fee"], ["Yacht", 12]]}),
        lambda part: part.replace('<c r="B2"><v>12</v></c>', cell),
    )
    notes = read_sheets(made, "a.xlsx").metadata.get("notes", [])
    assert [said[: len(note)] for said in notes] == ([note] if note else [])


def test_boxes_and_charts_of_an_opendocument_sheet_are_read() -> None:
    chart = (
        '<o xmlns:c="urn:oasis:names:tc:opendocument:xmlns:chart:1.0" '
        'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><c:chart><c:title><text:p>Fees</text:p></c:title><c:plot-area>'
        "<c:axis><c:title><text:p>EUR</text:p></c:title></c:axis></c:plot-area></c:chart></o>"
    )
    made = odf(
        '<table:table table:name="S"><table:shapes><draw:frame><draw:text-box><text:p>Ask first.'
        '</text:p></draw:text-box></draw:frame><draw:frame><draw:object xlink:href="./Object 1"/>'
        "<svg:desc>A chart of fees</svg:desc></draw:frame></table:shapes></table:table>",
        kind="spreadsheet",
        parts={"META-INF/manifest.xml": odf_manifest(""), "Object 1/content.xml": chart},
    )
    assert read_sheets(made, "a.ods").text == (
        "# S\n\nAsk first.\n[A chart of fees]\n[Chart: Fees; axes: EUR]"
    )


def test_a_float_written_as_it_is_held_is_a_plain_number_and_repeated_cells_show_theirs() -> None:
    cell = '<table:table-cell office:value-type="float" office:value="{}"{}><text:p>{}</text:p>'
    plain = cell.format("0.30000000000000004", "", "0.30000000000000004") + "</table:table-cell>"
    shown = cell.format("0.5", ' table:number-columns-repeated="2"', "50.0") + "</table:table-cell>"
    row = f'<table:table-row table:number-rows-repeated="2">{plain}{shown}</table:table-row>'
    made = odf(
        f'<table:table table:name="S">{row}</table:table>',
        kind="spreadsheet",
        parts={"META-INF/manifest.xml": odf_manifest("")},
    )
    row = "column 1: 0.3; column 2: 50.0; column 3: 50.0"
    assert read_sheets(made, "a.ods").text == f"# S\n\n{row}\n{row}"


def test_an_old_workbook_of_damaged_records_is_read_or_fails_clearly() -> None:
    data, chance = (SAMPLES / "notes.xls").read_bytes(), random.Random(14)  # noqa: S311
    for _ in range(60):
        broken = bytearray(data)
        for _ in range(8):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        for looks in read_xls_cells(bytes(broken)).values():
            assert all(row >= 0 for row in looks.shown)
        with contextlib.suppress(LoadError):
            read_with(read_sheets, bytes(broken), "a.xls")


# Hidden rows and columns -------------------------------------------------------------------------

PRICES: list[list[str | float]] = [
    ["Craft", "Cost", "Fee"],
    ["Yacht", 7, 12],
    ["Ghost", 8, 13],
    ["Ferry", 9, 80.5],
]
SEEN_PRICES = "# Fees\n\nCraft: Yacht; Fee: 12\nCraft: Ferry; Fee: 80.5"
ALL_PRICES = (
    "# Fees\n\nCraft: Yacht; Cost: 7; Fee: 12\nCraft: Ghost; Cost: 8; Fee: 13\n"
    "Craft: Ferry; Cost: 9; Fee: 80.5"
)
PRICES_NOTE = "left out: 1 hidden row and 1 hidden column of the sheet 'Fees'"


def hidden_xlsx(row: str, columns: str, behind: str = "") -> bytes:
    """The prices; the third row has attributes, columns and a filter are stated."""
    return rewritten(
        xlsx({"Fees": PRICES}),
        lambda part: (
            part.replace('<row r="3"', f'<row r="3" {row}')
            .replace("<sheetData>", f"<cols>{columns}</cols><sheetData>")
            .replace("</sheetData>", f"</sheetData>{behind}")
        ),
    )


def hidden_ods(visibility: str, group: str = "{}") -> bytes:
    def one(cells: Sequence[str | float], attributes: str = "") -> str:
        inner = "".join(f"<table:table-cell {_odf_value(value)}" for value in cells)
        return f"<table:table-row {attributes}>{inner}</table:table-row>"

    third = group.format(one(PRICES[2], f'table:visibility="{visibility}"'))
    rows = one(PRICES[0]) + one(PRICES[1]) + third + one(PRICES[3])
    columns = "" if group != "{}" or visibility == "filter" else ODS_COLUMNS
    return odf(
        f'<table:table table:name="Fees">{columns}{rows}</table:table>',
        kind="spreadsheet",
        parts={"META-INF/manifest.xml": odf_manifest("")},
    )


ODS_COLUMNS = '<table:table-column/><table:table-column table:visibility="collapse"/>'
COLUMN = '<col min="1" max="1" width="9"/><col min="2" max="2" width="0" hidden="1"/>'
FILTER = '<autoFilter ref="A1:C4"><filterColumn colId="0"><filters/></filterColumn></autoFilter>'
GROUP = '<table:table-row-group table:display="false">{}</table:table-row-group>'


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(hidden_xlsx('spans="1:3" hidden="1"', COLUMN), id="XLSX"),
        pytest.param(hidden_xlsx('hidden="true"', COLUMN, '<autoFilter ref="A1:C4"/>'), id="open"),
        pytest.param(xlsb("Fees", PRICES, hidden=([2], [1])), id="XLSB"),
        pytest.param(hidden_ods("collapse"), id="ODS"),
    ],
)
def test_hidden_rows_and_columns_are_left_out_and_told(made: bytes) -> None:
    found = read_sheets(made, "a")
    assert (found.text, found.metadata["notes"]) == (SEEN_PRICES, [PRICES_NOTE])


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(hidden_xlsx('hidden="1"', "<col/>", FILTER), id="XLSX filter"),
        pytest.param(
            hidden_xlsx('hidden="1" outlineLevel="1"', COLUMN.replace("/>", ' outlineLevel="2"/>')),
            id="XLSX group",
        ),
        pytest.param(hidden_ods("filter"), id="ODS filter"),
        pytest.param(hidden_ods("collapse", GROUP), id="ODS group"),
    ],
)
def test_rows_that_a_filter_or_a_closed_group_hides_are_read(made: bytes) -> None:
    found = read_sheets(made, "a")
    assert (found.text, found.metadata) == (ALL_PRICES, {})


def test_rows_of_a_filtered_table_are_read() -> None:
    made = hidden_xlsx('hidden="1"', "<col/>")
    table = {
        "xl/worksheets/_rels/sheet1.xml.rels": relations({"t": ("table", "../tables/table1.xml")}),
        "xl/tables/table1.xml": f'<table ref="A1:C4">{FILTER}</table>',
    }
    assert "Ghost" not in read_sheets(made, "a.xlsx").text
    made = rewritten(made, lambda part: part, table)
    assert read_sheets(made, "a.xlsx").text == ALL_PRICES


def test_an_old_workbook_leaves_out_its_hidden_rows_and_columns() -> None:
    data = bytearray((SAMPLES / "notes.xls").read_bytes())
    row = data.index(struct.pack("<HHH", 0x208, 16, 2)) + 4
    data[row + 12] |= 0x20
    column = data.index(struct.pack("<HHHH", 0x7D, 12, 0, 0x100)) + 4
    data[column : column + 4] = struct.pack("<HH", 1, 1)
    data[column + 8] |= 1
    found = read_sheets(bytes(data), "notes.xls")
    assert found.text.split("\n")[2:] == [
        "Craft: Yacht; Share: 7.5%",
        "Craft: Tug; Share: #N/A",
        "Ask the harbour office first.",
    ]
    assert found.metadata["notes"] == [PRICES_NOTE]


@pytest.mark.parametrize(
    ("hidden", "lines"),
    [
        pytest.param(HiddenCells({1}), "Plan|Name: Ann; Day: 1; Night: 2 [late]; At: N", id="row"),
        pytest.param(
            HiddenCells({2}), "Plan|Name: Ann; Member: 1; Member: 2 [late]; At: N", id="second row"
        ),
        pytest.param(
            HiddenCells(columns={0}),
            "Plan|Member Day: 1; Member Night: 2 [late]; At: N",
            id="first",
        ),
        pytest.param(
            HiddenCells(columns={1}), "Plan|Name: Ann; Member Night: 2 [late]; At: N", id="group"
        ),
        pytest.param(HiddenCells(columns={2}), "Plan|Name: Ann; Member Day: 1; At: N", id="said"),
        pytest.param(HiddenCells({0, 1, 2, 3}), "", id="all"),
    ],
)
def test_a_merged_cell_shows_its_text_in_what_is_left_of_it(
    hidden: HiddenCells, lines: str
) -> None:
    table = [row.split("|") for row in ("Plan|||", "Name|Member||At", "|Day|Night|", "Ann|1|2|N")]
    merged = [((0, 0), (0, 3)), ((1, 0), (2, 0)), ((1, 1), (1, 2)), ((1, 3), (2, 3))]
    assert "|".join(sheet_lines(table, merged, {(3, 2): "[late]"}, hidden)) == lines


@pytest.mark.parametrize(
    ("rows", "merged", "lines"),
    [
        pytest.param(
            "Report||;Craft|Fee|;Yacht|12|;Ferry|80|x",
            [((0, 0), (0, 2))],
            ["Report", "Craft: Yacht; Fee: 12", "Craft: Ferry; Fee: 80; column 3: x"],
            id="title",
        ),
        pytest.param(
            "Pier|Fee;North|1;|2",
            [((1, 0), (2, 0))],
            ["Pier: North; Fee: 1", "Pier: North; Fee: 2"],
            id="merged down",
        ),
        pytest.param(
            "Name|Member|;|Day|Night;Ann|1|2",
            [((0, 0), (1, 0)), ((0, 1), (0, 2))],
            ["Name: Ann; Member Day: 1; Member Night: 2"],
            id="groups of names",
        ),
        pytest.param(
            "Craft|Fee;Yacht|12;|;Ferry|80",
            [],
            ["Craft: Yacht; Fee: 12", "Craft: Ferry; Fee: 80"],
            id="blank row",
        ),
        pytest.param(
            "Craft|Fee;Yacht|12;|;Berth|Depth;A|3",
            [],
            ["Craft: Yacht; Fee: 12", "Berth: A; Depth: 3"],
            id="two tables",
        ),
        pytest.param("Craft|Fee", [], ["Craft; Fee"], id="names only"),
        pytest.param(
            "1|2;3|4", [], ["column 1: 1; column 2: 2", "column 1: 3; column 2: 4"], id="no names"
        ),
        pytest.param("", [], [], id="empty"),
    ],
)
def test_tables_in_sheets(
    rows: str, merged: Sequence[tuple[tuple[int, int], tuple[int, int]]], lines: list[str]
) -> None:
    table = [row.split("|") for row in rows.split(";")] if rows else []
    assert list(sheet_lines(table, merged)) == lines


def test_chunks_of_a_sheet_stand_below_its_name(tmp_path: Path) -> None:
    rows = [["Craft", "Fee"], *[[f"Boat {i}", float(i)] for i in range(200)]]
    (tmp_path / "a.xlsx").write_bytes(xlsx({"Fees": rows, "Rest": ROWS}))  # type: ignore[dict-item]
    settings = LoadSettings()
    with Parser(settings) as parser:
        found = load_document(tmp_path / "a.xlsx", root=tmp_path, settings=settings, parser=parser)
    chunks = list(split(found, SplitSettings(), max_tokens=512, structure="sheets"))
    assert {(chunk.heading, chunk.page) for chunk in chunks} == {(("Fees",), 1), (("Rest",), 2)}
    lines = [line for chunk in chunks for line in chunk.text.split("\n") if "Boat" in line]
    assert all(line.startswith("Craft: Boat") for line in lines)
    assert set(lines) == {f"Craft: Boat {i}; Fee: {i}" for i in range(200)}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a readable spreadsheet"),
        (b"Craft,Fee\n", "not a readable spreadsheet"),
        (archive({"word/document.xml": "<x/>"}), "not a readable spreadsheet"),
        (xlsx({"A": ROWS})[:700], "not a readable spreadsheet"),
        ((SAMPLES / "fees.xls").read_bytes()[:3000], "not a readable spreadsheet"),
        (with_password_bit(xlsx({"A": ROWS})), "not a readable spreadsheet"),
        (OLE + "EncryptedPackage".encode("utf-16-le"), "is encrypted"),
        (bomb("xl/sharedStrings.xml", 3), "zip bomb"),
    ],
    ids=["empty", "CSV", "Word", "cut", "cut XLS", "locked ZIP", "encrypted", "bomb"],
)
def test_workbooks_that_are_wrong_fail_clearly(data: bytes, reason: str) -> None:
    with pytest.raises(LoadError, match=reason):
        read_with(read_sheets, data, "a.xlsx")


def test_a_sheet_as_large_as_sheets_may_be_fails_alone(tmp_path: Path) -> None:
    made = xlsx({"A": ROWS})
    far = '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
    (tmp_path / "far.xlsx").write_bytes(rewritten(made, lambda p: p.replace("</sheetData>", far)))
    (tmp_path / "near.xlsx").write_bytes(made)
    settings = LoadSettings(parse_memory_mb=512)
    with Parser(settings) as parser:
        with pytest.raises(LoadError, match=r"memory|crashed"):
            load_document(tmp_path / "far.xlsx", root=tmp_path, settings=settings, parser=parser)
        near = load_document(
            tmp_path / "near.xlsx", root=tmp_path, settings=settings, parser=parser
        )
    assert near.text.endswith("Craft: Ferry; Fee: 80.5")
