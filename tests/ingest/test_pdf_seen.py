"""PDF text is judged by what is painted: colour spaces, what lies behind, below and above."""

from __future__ import annotations

import make_files
import pytest
from make_files import line

from ragkit.ingest.load.formats import Parsed
from ragkit.ingest.load.readers.pdf import read_pdf

BLACK_INK = "/ColorSpace<</Cs [/Separation/Black/DeviceCMYK 10 0 R]>>"
TO_BLACK = "<</FunctionType 2/Domain[0 1]/C0[0 0 0 0]/C1[0 0 0 1]/N 1>>"
SHADING = "/Shading<</Sh 10 0 R>>"
GRADIENT = (
    "<</ShadingType 2/ColorSpace/DeviceRGB/Coords[0 700 0 842]/Function "
    "<</FunctionType 2/Domain[0 1]/C0[0 0 1]/C1[0 0 0]/N 1>>>>"
)
IMAGE = "/XObject<</Im 10 0 R>>"
PICTURE = (
    "/Type/XObject/Subtype/Image/Width 1/Height 1/ColorSpace/DeviceGray/BitsPerComponent 8",
    b"\x80",
)


def read(content: str, resources: str = "", *objects: str | tuple[str, bytes]) -> Parsed:
    shown = line(72, 600, "seen") + content
    return read_pdf(make_files.drawn_pdf(shown, resources=resources, objects=objects), "a.pdf")


TEXT = line(72, 760, "maybe")


@pytest.mark.parametrize(
    ("content", "resources", "objects"),
    [
        (f"/Cs cs 1 scn {TEXT}", BLACK_INK, (TO_BLACK,)),
        (f"/Cs cs {TEXT}", BLACK_INK, (TO_BLACK,)),
        (f"/Cs cs 1 scn {TEXT}", "/ColorSpace<</Cs [/DeviceN[/Spot]/DeviceCMYK 10 0 R]>>",
         (TO_BLACK,)),
        (f"/Cs cs 1 scn {TEXT}", "/ColorSpace<</Cs [/Indexed/DeviceRGB 1 <ffffff000000>]>>", ()),
        (f"q 0 700 595 142 re W n /Sh sh Q 1 1 1 rg {TEXT}", SHADING, (GRADIENT,)),
        (f"q 300 0 0 300 50 600 cm /Im Do Q 1 g {TEXT}", IMAGE, (PICTURE,)),
        (f"0 0 0.5 rg 50 740 300 40 re f 1 1 1 rg {TEXT}", "", ()),
        (f"q 300 0 0 300 50 600 cm /Im Do Q 3 Tr {TEXT}", IMAGE, (PICTURE,)),
        (f"{TEXT} q 300 0 0 300 50 600 cm /Im Do Q", IMAGE, (PICTURE,)),
        (f"{TEXT} /Gs gs 1 1 0 rg 50 740 300 40 re f", "/ExtGState<</Gs <</BM/Multiply>>>>", ()),
        (f"{TEXT} /Gs gs 1 1 0 rg 50 740 300 40 re f", "/ExtGState<</Gs <</ca 0.3>>>>", ()),
        (f"{TEXT} q 0 0 20 20 re W n 0 g 0 0 595 842 re f Q", "", ()),
        (f"{TEXT} 0 g 50 740 300 40 re 51 741 298 38 re f*", "", ()),
        (f"/OC /On BDC {TEXT} EMC", "/Properties<</On 10 0 R>>", ("<</Type/OCG/Name(a)>>",)),
    ],
    ids=["spot", "spot full", "device n", "indexed", "gradient", "picture", "box", "scan",
         "under a picture", "marker", "clear", "clipped", "frame", "layer on"],
)  # fmt: skip
def test_text_that_is_seen_is_read(
    content: str, resources: str, objects: tuple[str | tuple[str, bytes], ...]
) -> None:
    parsed = read(content, resources, *objects)
    assert sorted(parsed.text.split()) == ["maybe", "seen"]
    assert parsed.metadata == {}


@pytest.mark.parametrize(
    ("content", "resources", "objects"),
    [
        (f"{TEXT} 0 0 0 rg 60 750 100 20 re f", "", ()),
        (f"{TEXT} 1 g 60 750 m 160 750 l 160 770 l 60 770 l h f", "", ()),
        (f"/Cs cs 0 scn {TEXT}", BLACK_INK, (TO_BLACK,)),
        (f"0 0 1 rg 60 750 100 20 re f {TEXT.replace('BT', 'BT 0 0 1 rg')}", "", ()),
        (f"/Gs gs {TEXT}", "/ExtGState<</Gs <</ca 0>>>>", ()),
        (f"3 Tr {TEXT}", "", ()),
        (f"q 20 0 0 20 500 20 cm /Im Do Q 3 Tr {TEXT}", IMAGE, (PICTURE,)),
        ("/Fm Do", "/XObject<</Fm 10 0 R>>",
         (("/Type/XObject/Subtype/Form/BBox[0 0 600 850]/Resources<</Font<</F1 3 0 R>>>>",
           f"1 g {TEXT}".encode()),)),
    ],
    ids=["box above", "path above", "no ink", "as its box", "clear", "invisible", "small picture",
         "white in a form"],
)  # fmt: skip
def test_text_that_nobody_sees_is_left_out_and_counted(
    content: str, resources: str, objects: tuple[str | tuple[str, bytes], ...]
) -> None:
    parsed = read(content, resources, *objects)
    assert (parsed.text, parsed.metadata) == ("seen", {"hidden": 1})


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ("/OFF[10 0 R]", "seen"),
        ("/BaseState/OFF", "seen"),
        ("/BaseState/OFF/ON[10 0 R]", "seen\nmaybe"),
    ],
)
def test_a_layer_is_read_if_it_is_switched_on(state: str, text: str) -> None:
    data = make_files.drawn_pdf(
        f"{line(72, 780, 'seen')} /OC /A BDC {TEXT} EMC",
        resources="/Properties<</A 10 0 R>>",
        objects=("<</Type/OCG/Name(draft)>>",),
        catalog=f"/OCProperties<</OCGs[10 0 R]/D<<{state}>>>>",
    )
    assert read_pdf(data, "a.pdf").text == text


def test_a_form_is_read_at_its_place() -> None:
    form = ("/Type/XObject/Subtype/Form/BBox[0 0 99 99]/Matrix[1 0 0 1 72 700]"
            "/Resources<</Font<</F1 3 0 R>>>>", line(0, 0, "inside").encode())  # fmt: skip
    parsed = read("0 0 0.5 rg 60 690 99 40 re f 1 g /Fm Do", "/XObject<</Fm 10 0 R>>", form)
    assert (parsed.text, parsed.metadata) == ("seen\ninside", {})
