"""CSV with titles, odd quotes and one column; JSON Lines with broken and long lines."""

from __future__ import annotations

import time

import pytest

from ragkit.errors import LoadError
from ragkit.ingest.load.readers.csv import guess_delimiter, read_csv
from ragkit.ingest.load.readers.json import read_json, read_jsonl


def csv(text: str) -> list[str]:
    return read_csv(text.encode(), "a.csv").text.split("\n")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("Region,2021,2022\nNorth,410,437\nSouth,388,391\n", "Region: North; 2021: 410; 2022: 437"),
        ("sep=;\nItem;Price\nHinge;4,20\n", "Item: Hinge; Price: 4,20"),
        ('"sep=|"\na|b\n1|2\n', "a: 1; b: 2"),
        ("# made by x\n# on Monday\na,b\nc,2\n", "made by x\non Monday\na: c; b: 2"),
        ("Timetable,,\nby the office,,\nLine,At,Berth\nLoop,07:40,C\nNight,22:15,A\n",
         "Timetable\nby the office\nLine: Loop; At: 07:40; Berth: C"),
        ("Fees\nas of May\n\ncraft,fee\nyacht,12\nferry,80\n",
         "Fees\nas of May\ncraft: yacht; fee: 12"),
        ("remark\nIt is so.\nNever came.\nWe paid 1,000 crowns.\n",
         "remark: It is so.\nremark: Never came.\nremark: We paid 1,000 crowns."),
        ("item,10%,20%\nrope,1,2\nsail,3,4\n", "item: rope; 10%: 1; 20%: 2"),
        ("2019-01,2019-02,2019-03\n5,6,7\n8,9,10\n", "2019-01: 5; 2019-02: 6; 2019-03: 7"),
        ('p,w,n\nP1,"5,tape\nP2,7,glue\nP3,9,paint\n',
         'p: P1; w: "5; n: tape\np: P2; w: 7; n: glue'),
        ('p,w,n\nP1,"5,tape\nP2,7",glue\nP3,9,x\n',
         'p: P1; w: "5; n: tape\np: P2; w: 7"; n: glue'),
        ('id,q\n1,"She said \\"wait\\", then"\n2,"x"\n', 'id: 1; q: She said "wait", then'),
        ('a,b\n"two\nlines",1\n"say ""hi""",2\n', 'a: two lines; b: 1\na: say "hi"; b: 2'),
        ('a,b\n"C:\\",1\n"D:\\",2\n', "a: C:\\; b: 1\na: D:\\; b: 2"),
        ("remark\nQuick reply, friendly\nNever came\nWet, cold, dry\n",
         "remark: Quick reply, friendly\nremark: Never came"),
        ("remark\nQuick reply, friendly\nWet, dry\nLate, broken\n",
         "remark: Quick reply, friendly"),
        ('remark\n"Quick, friendly"\n"He said ""no"""\n',
         'remark: Quick, friendly\nremark: He said "no"'),
    ],
    ids=["years", "sep", "sep quoted", "comments", "titles",
         "titles of two columns", "one column and an amount", "percents", "months",
         "stray quote", "two stray quotes",
         "backslash", "lines in a cell", "backslash at the end", "one column", "even commas",
         "one column quoted"],
)  # fmt: skip
def test_csv_is_read_as_its_writer_meant_it(text: str, lines: str) -> None:
    expected = lines.split("\n")
    assert csv(text)[: len(expected)] == expected


def test_one_column_has_no_delimiter() -> None:
    assert guess_delimiter("name\nAda\nBo\n") == ","
    assert guess_delimiter("remark\na, b\nc\n") == ""
    assert guess_delimiter("a,b\nc,d\n") == ","


def test_stray_quotes_take_time_in_proportion_to_the_file() -> None:
    seconds = []
    for rows in (5_000, 20_000):
        text = "a,b\n" + 'x "y,"z\n' * rows
        start = time.process_time()
        assert len(csv(text)) == rows
        seconds.append(time.process_time() - start)
    assert seconds[1] < 4 * seconds[0] * 3 + 0.5  # quadratic time would be 16-fold


@pytest.mark.parametrize("read", [read_json, read_jsonl])
def test_values_one_after_the_other_are_records(read: object) -> None:
    assert callable(read)
    for text in (
        '{"id": 1}\n{"id": 2}\n',
        '{\n "id": 1\n}\n{\n "id": 2\n}\n',
        '{"id": 1} {"id": 2}',
        '{"id": 1},\n{"id": 2}\n',
    ):
        assert read(text.encode(), "a").text == "id: 1\n\nid: 2"


def test_a_broken_line_costs_that_line_and_is_told() -> None:
    lines = '{"id": 1}\n{"note": "chang\n{"id": 3}\nno json\n{"id": 4}\n'
    parsed = read_jsonl(lines.encode(), "a.jsonl")
    assert parsed.text == "id: 1\n\nid: 3\n\nid: 4"
    first, second = parsed.metadata["notes"]
    assert first.startswith("line 2 is not valid JSON and was left out: ")
    assert second.startswith("line 4 is not valid JSON and was left out: ")


def test_many_broken_lines_are_counted() -> None:
    text = '{"a": 1}\n' * 30 + "{\n" * 20
    notes = read_jsonl(text.encode(), "a.jsonl").metadata["notes"]
    assert len(notes) == 4
    assert notes[-1] == "17 more lines are not valid JSON and were left out"


def test_a_file_that_is_mostly_no_json_fails() -> None:
    with pytest.raises(LoadError, match="not valid JSON at line 1, column 1"):
        read_jsonl(b"some words\nand more\n12\n", "a.jsonl")


def test_open_brackets_take_time_in_proportion_to_the_file() -> None:
    text = '{"a": 1}\n' * 60_000 + '[{"b": \n' * 40_000
    start = time.process_time()
    read_jsonl(text.encode(), "a.jsonl")
    assert time.process_time() - start < 20
