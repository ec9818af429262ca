"""Decoding: real sentences in every encoding come back as they were, and nothing ever raises."""

from __future__ import annotations

import codecs
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_files import compressed

from ragkit.ingest.load.encoding import decode, looks_binary

SIMPLIFIED = (
    "本合同自双方签字之日起生效，有效期为三年。乙方应当在每个月的最后一天之前支付租金，逾期未付的，"
    "甲方有权要求乙方支付违约金。房屋的维修费用由甲方承担，但是因为乙方使用不当造成的损坏除外。"
)
TRADITIONAL = (
    "本合約自雙方簽字之日起生效，有效期為三年。乙方應當在每個月的最後一天之前支付租金，逾期未付者，"
    "甲方有權要求乙方支付違約金。房屋的維修費用由甲方負擔，但是因為乙方使用不當造成的損壞除外。"
)
FRENCH = "L’été dernier, nous étions à la plage près de Saint-Malo, où les vagues étaient hautes."
GERMAN = "Die größte Überraschung war, daß wir über die Brücke nach Köln fahren mußten – 5 €."
SPANISH = "¿Cómo está usted? El niño comió una manzana en el jardín por la mañana."
JAPANESE = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。"
KOREAN = "대한민국의 주권은 국민에게 있고, 모든 권력은 국민으로부터 나온다."

LEGACY = [
    (SIMPLIFIED, "gb18030"),
    (TRADITIONAL, "gb18030"),
    (TRADITIONAL, "big5"),
    (FRENCH, "cp1252"),
    (GERMAN, "cp1252"),
    (SPANISH, "cp1252"),
    (JAPANESE, "shift_jis"),
    (KOREAN, "euc_kr"),
]
WIDE = [(t, e) for t in (SIMPLIFIED, TRADITIONAL, FRENCH) for e in ("utf-16-le", "utf-16-be")]


@pytest.mark.parametrize("length", [20, 40, None])
@pytest.mark.parametrize(("text", "encoding"), LEGACY + WIDE)
def test_text_comes_back_as_it_was_written(text: str, encoding: str, length: int | None) -> None:
    part = text[:length]
    assert decode(part.encode(encoding))[:2] == (part, encoding)


@pytest.mark.parametrize(("text", "encoding"), LEGACY)
def test_a_long_file_is_judged_by_its_lines_beyond_ascii(text: str, encoding: str) -> None:
    long = "plain ASCII line\n" * 20_000 + f"{text}\n" * 300
    assert decode(long.encode(encoding))[:2] == (long, encoding)


@pytest.mark.parametrize(
    ("bom", "codec", "name"),
    [
        (codecs.BOM_UTF8, "utf-8", "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16-le", "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16-be", "utf-16"),
        (codecs.BOM_UTF32_LE, "utf-32-le", "utf-32"),
        (codecs.BOM_UTF32_BE, "utf-32-be", "utf-32"),
    ],
)
def test_a_byte_order_mark_decides_and_is_removed(bom: bytes, codec: str, name: str) -> None:
    assert decode(bom + SIMPLIFIED.encode(codec))[:2] == (SIMPLIFIED, name)


@pytest.mark.parametrize("codec", ["utf-32-le", "utf-32-be"])
def test_utf_32_without_a_mark_is_known_by_its_zeros(codec: str) -> None:
    assert decode("Ask 中文.".encode(codec))[:2] == ("Ask 中文.", codec)


def test_one_bad_byte_does_not_turn_utf_8_into_another_encoding() -> None:
    data = SIMPLIFIED.encode() + b"\xff" + SIMPLIFIED.encode()
    assert decode(data)[:2] == (SIMPLIFIED + "\ufffd" + SIMPLIFIED, "utf-8")


def test_one_bad_byte_does_not_turn_gb18030_into_another_encoding() -> None:
    text, encoding, _ = decode(
        SIMPLIFIED.encode("gb18030") + b"\xff\n" + SIMPLIFIED.encode("gb18030")
    )
    assert encoding == "gb18030"
    assert text == SIMPLIFIED + "\ufffd\n" + SIMPLIFIED


def test_a_line_of_megabytes_is_cut_safely() -> None:
    text = "x" * 3_000_000 + SIMPLIFIED * 1000
    assert decode(text.encode("gb18030"))[:2] == (text, "gb18030")


@pytest.mark.parametrize(
    ("declared", "data", "expected"),
    [
        ("gb2312", "镕基".encode("gbk"), ("镕基", "gb18030")),
        ("iso-8859-1", "“quoted” é".encode("cp1252"), ("“quoted” é", "cp1252")),
        ("windows-1251", "Привет, мир".encode("cp1251"), ("Привет, мир", "cp1251")),
        ("utf-8", SIMPLIFIED.encode("gb18030"), (SIMPLIFIED, "gb18030")),
        ("no-such-codec", b"plain", ("plain", "utf-8")),
        ("rot13", b"plain", ("plain", "utf-8")),
    ],
)
def test_a_declared_encoding_is_believed_only_if_it_fits(
    declared: str, data: bytes, expected: tuple[str, str]
) -> None:
    assert decode(data, declared)[:2] == expected


@pytest.mark.parametrize("data", [b"", b"\x80", b"\0", b"\xff\xfe", b"\x81\x8d\x8f"])
def test_the_oddest_bytes_give_text(data: bytes) -> None:
    text, encoding, _ = decode(data)
    assert data.decode(encoding, "replace").lstrip("\ufeff") == text


@given(st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_no_bytes_raise(data: bytes) -> None:
    text, encoding, _ = decode(data)
    assert codecs.lookup(encoding)
    assert looks_binary(data, encoding) in (True, False)
    assert len(text) <= len(data)


@given(st.text(max_size=300).filter(lambda t: "\0" not in t and not t.startswith("\ufeff")))
def test_valid_utf_8_is_never_taken_for_anything_else(text: str) -> None:
    assert decode(text.encode())[:2] == (text, "utf-8")


@pytest.mark.parametrize("size", [400, 4096, 5000, 100_000])
def test_random_bytes_are_binary_however_many_they_are(size: int) -> None:
    for n in range(20 if size < 10_000 else 5):
        data = hashlib.shake_256(b"%d" % n).digest(size)
        assert looks_binary(data, decode(data)[1]), data


@pytest.mark.parametrize(
    ("data", "binary"),
    [
        (compressed(b"picture" * 500), True),
        (b"\x01\x02\x03\x04\x05abc", True),
        (b"text\0text", True),
        (b"\x1b[31mred\x1b[0m\tline\r\n" * 20, False),
        (SIMPLIFIED.encode("utf-16-le"), False),
        (FRENCH.encode("utf-16-be"), False),
        (("🦆 and 🦢 " * 40).encode("utf-16-le"), False),
        (GERMAN.encode("cp1252") + b"\x8d", False),
        (SIMPLIFIED.encode("gb18030"), False),
        (b"", False),
    ],
)
def test_binary_is_told_from_text(data: bytes, binary: bool) -> None:  # noqa: FBT001 -- a case
    assert looks_binary(data, decode(data)[1]) is binary


MARKED = {
    "Umowa najmu łódki. Najemca płaci dwanaście złotych za godzinę. Żółty żagiel gratis.": (
        "cp1250", "iso8859-2", "cp852",
    ),
    "Příliš žluťoučký kůň. Nájemce platí dvanáct korun za hodinu, loď vrátí před západem.": (
        "cp1250", "iso8859-2", "cp852",
    ),
    "A bérlő tizenkét forintot fizet óránként, és naplemente előtt visszahozza.": (
        "cp1250", "iso8859-2",
    ),
    "Kiracı saatte on iki lira öder. Şişli'de ağaç çok, ığdır.": ("cp1254",),
    "Nuomininkas moka dvylika eurų už valandą. Žalia ąžuolų giria, čia šviesu.": ("cp1257",),
    GERMAN.replace(" – 5 €", "").replace("’", "'"): ("cp850",),
    "Lejeren betaler tolv kroner i timen. Æblet er på øen, og bådene ligger dér.": ("cp850",),
    "Le droit d'amarrage coûte trente €, sœur et mœurs comprises.": ("iso8859-15",),
    "Die Gebühr für größere Boote beträgt dreißig Euro. Über Ausnahmen entscheidet man.": (
        "mac-roman",
    ),
}  # fmt: skip
ALPHABETS = {
    "Договор аренды лодки. Арендатор платит двенадцать рублей в час.": (
        "cp1251",
        "koi8-r",
        "cp866",
    ),
    "Договір оренди човна. Орендар сплачує дванадцять гривень.": ("cp1251", "koi8-u"),
    "Ο μισθωτής πληρώνει δώδεκα ευρώ την ώρα.": ("cp1253",),
    "השוכר משלם שנים עשר שקלים לשעה.": ("cp1255",),
    "يدفع المستأجر اثني عشر دينارا في الساعة.": ("cp1256",),
    "ผู้เช่าจ่ายสิบสองบาทต่อชั่วโมง": ("cp874",),
    JAPANESE: ("euc_jp",),
}


@pytest.mark.parametrize(
    ("text", "encoding"),
    [(t, e) for known in (MARKED, ALPHABETS) for t, names in known.items() for e in names],
)
def test_text_of_many_alphabets_comes_back_as_it_was_written(text: str, encoding: str) -> None:
    for repeated in (text, f"{text}\n" * 20, "plain line\n" * 50 + text):
        assert decode(repeated.encode(encoding)).text == repeated


def test_what_fits_two_encodings_is_told() -> None:
    decoded = decode("Najmoprimac plaća dvanaest kuna.".encode("cp1250"))
    assert decoded.doubt == (
        "its encoding is not certain: read as windows-1252, it may be windows-1250"
    )
    assert decode(SIMPLIFIED.encode("gb18030")).doubt == ""
    assert decode(FRENCH.encode("cp1252")).doubt == ""


@pytest.mark.parametrize(("text", "encoding"), [(SIMPLIFIED, "gb18030"), (FRENCH, "cp1252")])
def test_a_log_of_two_encodings_is_read_line_by_line(text: str, encoding: str) -> None:
    lines = [f"08:0{n} {text}" for n in range(5)]
    data = b"\n".join(line.encode(encoding if n == 2 else "utf-8") for n, line in enumerate(lines))
    decoded = decode(data)
    assert (decoded.text, decoded.encoding) == ("\n".join(lines), "utf-8")
    assert decoded.doubt.startswith("1 line is in ")


def test_a_log_of_two_encodings_with_nuls_is_read_line_by_line() -> None:
    known = "start of it\0\0\nMüller, Mörike, Größe\n"
    found = decode(known.encode() + "Müller: Höhe\n".encode("cp1252"))
    assert found.text == known.replace("\0", "") + "Müller: Höhe\n"


@pytest.mark.parametrize(
    ("data", "binary"),
    [
        (b"engine start ok\n" * 20 + bytes(4) + b"\nfuel low\n", False),
        (b"engine start ok\n" * 20 + bytes(4096) + b"fuel low\n" * 20, False),
        (b"start of the engine\n" + bytes(2) + b"fuel low\n", False),
        (b"".join(b"docs/plan-%d-of-the-pier.txt\0" % i for i in range(9)), False),
        (bytes(4000), True),
        (b"text " * 100 + bytes(9) + b"\x01\x02", True),
    ],
    ids=["four", "a block", "short", "names", "nothing else", "other controls"],
)
def test_a_log_with_a_few_nuls_is_text(data: bytes, binary: bool) -> None:  # noqa: FBT001 -- a case
    assert looks_binary(data, decode(data).encoding) is binary
