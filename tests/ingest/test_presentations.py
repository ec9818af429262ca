"""Presentations, OpenDocument texts and books: slides and chapters as pages, and bad files."""

from __future__ import annotations

import re
import zipfile
from io import BytesIO
from typing import TYPE_CHECKING

import office_files
import pytest
from office_files import archive, bomb, epub, odf, pptx, relations, rewritten, run, shape

from ragkit.errors import LoadError
from ragkit.ingest.load.formats import FORMATS, Parsed, read_with
from ragkit.ingest.load.readers import zip_parts
from ragkit.ingest.load.readers.epub import read_epub
from ragkit.ingest.load.readers.odf import read_odp, read_odt
from ragkit.ingest.load.readers.pptx import read_pptx

if TYPE_CHECKING:
    from ragkit.ingest.load.formats import Reader


def pages(parsed: Parsed) -> dict[int, str]:
    """The text of each page."""
    return {page.number: parsed.text[page.start : page.end] for page in parsed.pages}


# PowerPoint -------------------------------------------------------------------------------------


def deck(*slides: str, **more: object) -> Parsed:
    return read_pptx(pptx(slides, **more), "a.pptx")  # type: ignore[arg-type]


def test_slides_are_pages_in_the_order_in_which_they_are_shown() -> None:
    found = deck(
        shape("Fees", kind="title"), shape("Mooring", kind="ctrTitle"), "", order=(2, 3, 1)
    )
    assert pages(found) == {1: "# Mooring", 2: "", 3: "# Fees"}
    assert found.title == "Mooring"
    assert found.metadata == {}


def test_hidden_slides_are_left_out_and_told_and_keep_their_number() -> None:
    found = deck(shape("One"), "hidden:" + shape("Two"), shape("Three"), "hidden:")
    assert pages(found) == {1: "One", 3: "Three"}
    assert found.metadata == {"notes": ["hidden slides 2, 4 were left out"]}


def test_points_have_their_depth_and_numbers() -> None:
    def point(text: str, look: str) -> str:
        return f"<a:p><a:pPr{look}</a:pPr>{run(text)}</a:p>"

    number = '><a:buAutoNum type="arabicPeriod"/>'
    found = deck(
        shape(
            "First",
            point("Nested", ' lvl="1">'),
            point("Plain", "><a:buNone/>"),
            point("Call", number),
            point("Wait", number),
            point("Sub", ' lvl="1"><a:buAutoNum type="alphaLcParenR"/>'),
            kind="body",
        )
        + shape("Of its own")
    )
    assert found.text.split("\n") == [
        "- First", "  - Nested", "Plain", "1. Call", "2. Wait", "  a) Sub", "", "Of its own",
    ]  # fmt: skip


def test_a_title_that_is_drawn_last_is_read_first_and_footers_once() -> None:
    foot = shape("Port office 2026", kind="ftr") + shape("7", kind="sldNum")
    slide = shape("Text") + foot + shape("Title", kind="title")
    assert deck(slide, slide).text == "# Title\n\nText\n\nPort office 2026\n\n# Title\n\nText"


def test_slide_text_is_what_is_seen() -> None:
    struck = f"<a:p>{run('kept ')}{run('old', ' strike=' + chr(34) + 'sngStrike' + chr(34))}</a:p>"
    raised = f"<a:p>{run('10')}{run('6', ' baseline=' + chr(34) + '30000' + chr(34))}</a:p>"
    found = deck(shape("seen") + shape("unseen", more=' hidden="1"') + shape(struck, raised))
    assert found.text == "seen\n\nkept\n10^6"
    assert found.metadata == {"hidden": 1, "notes": ["struck-out text was left out in 1 place"]}


WHITE = '<a:solidFill><a:srgbClr val="FFFFFF"/></a:solidFill>'
BLUE = '<a:solidFill><a:srgbClr val="003366"/></a:solidFill>'
BOX = '<a:xfrm><a:off x="{}" y="0"/><a:ext cx="100" cy="100"/></a:xfrm>'


def painted(text: str, look: str, fill: str = "", more: str = "") -> str:
    """A shape with a look of its text and a fill of its own."""
    coloured = f"<a:p><a:r><a:rPr>{look}</a:rPr><a:t>{text}</a:t></a:r></a:p>"
    return shape(coloured).replace("<p:txBody>", f"<p:spPr>{fill}</p:spPr>{more}<p:txBody>")


@pytest.mark.parametrize(
    "slide",
    [
        pytest.param(painted("no", WHITE), id="white on white"),
        pytest.param(painted("no", WHITE, "<a:noFill/>"), id="no fill"),
        pytest.param(painted("no", BLUE, BLUE), id="in the colour of its box"),
        pytest.param(painted("no", "<a:noFill/>"), id="no ink"),
        pytest.param(
            painted("no", BLUE.replace('"/>', '"><a:alpha val="0"/></a:srgbClr>', 1)),
            id="transparent",
        ),
        pytest.param(shape(f"""<a:p>{run('no', ' sz="100"')}</a:p>"""), id="1 pt"),
        pytest.param(
            painted("", "", BOX.format(0) + BLUE) + painted("no", WHITE, BOX.format(500)),
            id="beside a box",
        ),
        pytest.param(
            '<p:graphicFrame><a:tbl><a:tr><a:tc><a:txBody><a:p><a:r><a:rPr>' + WHITE
            + "</a:rPr><a:t>no</a:t></a:r></a:p></a:txBody><a:tcPr>" + WHITE
            + "</a:tcPr></a:tc></a:tr></a:tbl></p:graphicFrame>",
            id="cell",
        ),
    ],
)  # fmt: skip
def test_slide_text_that_nobody_sees_is_left_out_and_counted(slide: str) -> None:
    found = deck(shape("seen") + slide)
    assert (found.text.strip(), found.metadata) == ("seen", {"hidden": 1})


@pytest.mark.parametrize(
    "slide",
    [
        pytest.param(painted("seen", WHITE, BLUE), id="its box is blue"),
        pytest.param(
            painted("seen", WHITE, more='<p:style><a:fillRef idx="1"/></p:style>'), id="by a style"
        ),
        pytest.param(painted("", "", BLUE) + painted("seen", WHITE), id="over a box"),
        pytest.param(
            painted("", "", BOX.format(0) + BLUE) + painted("seen", WHITE, BOX.format(50)),
            id="over a part of a box",
        ),
        pytest.param("<p:pic/>" + painted("seen", WHITE), id="over a picture"),
        pytest.param(painted("seen", WHITE + "<a:effectLst/>"), id="with a shadow"),
        pytest.param(painted("seen", WHITE.replace("srgb", "scheme")), id="unknown colour"),
        pytest.param(painted("seen", BLUE), id="blue"),
    ],
)
def test_slide_text_that_is_seen_is_read(slide: str) -> None:
    found = deck(slide)
    assert (found.text.strip(), found.metadata) == ("seen", {})


def test_what_is_white_is_told_by_theme_layout_and_master() -> None:
    def made(ground: str) -> Parsed:
        slide = painted("text", '<a:solidFill><a:schemeClr val="bg1"/></a:solidFill>')
        plain = pptx([slide], parts={"slideLayouts/l.xml": (1, "slideLayout", "<p:sldLayout/>")})
        space = re.search(
            r"<p:sldLayout ([^>]*)/>",
            zipfile.ZipFile(BytesIO(plain)).read("ppt/slideLayouts/l.xml").decode(),
        )
        assert space
        master = (
            f"<p:sldMaster {space[1]}><p:cSld><p:bg>{ground}</p:bg></p:cSld>"
            '<p:clrMap bg1="lt1" tx1="dk1"/></p:sldMaster>'
        )
        theme = (
            f"<a:theme {space[1]}><a:themeElements><a:clrScheme><a:dk1><a:srgbClr val='112233'/>"
            "</a:dk1><a:lt1><a:sysClr val='window' lastClr='FFFFFF'/></a:lt1></a:clrScheme>"
            "</a:themeElements></a:theme>"
        )
        more = {
            "ppt/slideLayouts/_rels/l.xml.rels": relations({"m": ("slideMaster", "../m.xml")}),
            "ppt/m.xml": master,
            "ppt/_rels/m.xml.rels": relations({"t": ("theme", "t.xml")}),
            "ppt/t.xml": theme,
        }
        return read_pptx(rewritten(plain, lambda part: part, more), "a.pptx")

    white, dark = (
        f'<p:bgRef idx="1001"><a:schemeClr val="{name}"/></p:bgRef>' for name in ("bg1", "tx1")
    )
    assert (made(white).text, made(dark).text) == ("", "text")
    assert made("<p:bgPr><a:blipFill/></p:bgPr>").text == "text"


def test_shapes_beside_the_slide_are_not_seen() -> None:
    data = pptx([painted("seen", "", BOX.format(900)) + painted("no", "", BOX.format(1000))])
    size = '<p:sldSz cx="1000" cy="700"/></p:presentation>'
    sized = rewritten(data, lambda part: part.replace("</p:presentation>", size))
    assert read_pptx(sized, "a.pptx").text == "seen"


def cell(text: str, look: str = "") -> str:
    return f"<a:tc{look}><a:txBody><a:p>{run(text)}</a:p></a:txBody><a:tcPr/></a:tc>"


def test_tables_have_column_names_and_merged_cells_filled() -> None:
    rows = (
        cell("Craft") + cell("Day") + cell("Night"),
        cell("Yacht", ' rowSpan="2"') + cell("12", ' gridSpan="2"') + cell("", ' hMerge="1"'),
        cell("", ' vMerge="1"') + cell("14") + cell("15"),
    )
    table = "".join(f"<a:tr>{row}</a:tr>" for row in rows)
    frame = (
        '<p:graphicFrame><p:nvGraphicFramePr><p:cNvPr id="4" name="t"/></p:nvGraphicFramePr>'
        f'<a:tbl><a:tblPr firstRow="1"/>{table}</a:tbl></p:graphicFrame>'
    )
    assert deck(frame).text.split("\n") == [
        "| Craft | Day | Night |", "|---|---|---|", "| Yacht | 12 | 12 |", "| Yacht | 14 | 15 |",
    ]  # fmt: skip


CHART = (
    "<c:chartSpace><c:chart><c:title><c:tx><c:rich><a:p><a:r><a:t>Landings</a:t></a:r></a:p>"
    "</c:rich></c:tx></c:title><c:plotArea><c:barChart><c:ser><c:tx><c:strRef><c:strCache>"
    '<c:pt idx="0"><c:v>Cod</c:v></c:pt></c:strCache></c:strRef></c:tx><c:cat><c:strRef>'
    '<c:strCache><c:pt idx="0"><c:v>2024</c:v></c:pt><c:pt idx="1"><c:v>2025</c:v></c:pt>'
    '</c:strCache></c:strRef></c:cat><c:val><c:numRef><c:numCache><c:pt idx="1"><c:v>7.5</c:v>'
    "</c:pt></c:numCache></c:numRef></c:val></c:ser></c:barChart></c:plotArea></c:chart>"
    "</c:chartSpace>"
)


def test_notes_comments_charts_and_diagrams_are_read() -> None:
    found = deck(
        shape("Fish", kind="title")
        + '<p:graphicFrame><c:chart r:id="chart"/></p:graphicFrame>'
        + '<p:graphicFrame><dgm:relIds r:dm="diagramData"/></p:graphicFrame>',
        parts={
            "notes/n1.xml": (
                1,
                "notesSlide",
                f"<p:notes>{shape('Say it slowly.', kind='body')}{shape('1', kind='sldNum')}"
                "</p:notes>",
            ),
            "comments/c1.xml": (
                1,
                "comments",
                '<p:cmLst><p:cm authorId="0"><p:text>Check this.</p:text></p:cm></p:cmLst>',
            ),
            "charts/h1.xml": (1, "chart", CHART),
            "diagrams/d1.xml": (
                1,
                "diagramData",
                "<dgm:dataModel><dgm:ptLst><dgm:pt><dgm:t><a:p><a:r><a:t>Catch</a:t></a:r></a:p>"
                '</dgm:t></dgm:pt><dgm:pt type="pres"><dgm:t><a:p><a:r><a:t>no</a:t></a:r></a:p>'
                "</dgm:t></dgm:pt></dgm:ptLst></dgm:dataModel>",
            ),
        },
    )
    assert found.text.split("\n\n") == [
        "# Fish", "Landings", "|  | Cod |\n|---|---|\n| 2024 |  |\n| 2025 | 7.5 |", "- Catch",
        "Notes: Say it slowly.", "[Check this.]",
    ]  # fmt: skip


def test_a_slide_that_is_missing_fails_alone() -> None:
    made = pptx([shape("One"), shape("Two")], order=(1, 3, 2))
    found = read_pptx(made, "a.pptx")
    assert pages(found) == {1: "One", 2: "", 3: "Two"}
    assert found.metadata == {"failed_pages": {"2": "it is missing or broken"}}


# OpenDocument -----------------------------------------------------------------------------------

STYLES = (
    '<style:style style:name="up"><style:text-properties style:text-position="super 58%"/>'
    '</style:style><style:style style:name="gone"><style:text-properties text:display="none"/>'
    '</style:style><style:style style:name="based" style:parent-style-name="gone"/>'
    '<style:style style:name="old"><style:text-properties '
    'style:text-line-through-style="solid"/></style:style>'
    '<text:list-style style:name="N"><text:list-level-style-number text:level="1" '
    'style:num-format="1" style:num-suffix="."/><text:list-level-style-bullet text:level="2"/>'
    '</text:list-style><style:style style:name="off"><style:drawing-page-properties '
    'presentation:visibility="hidden"/></style:style>'
)


def span(style: str, text: str) -> str:
    return f'<text:span text:style-name="{style}">{text}</text:span>'


def item(inner: str) -> str:
    return f"<text:list-item>{inner}</text:list-item>"


def test_an_opendocument_text_keeps_headings_lists_tables_and_notes() -> None:
    body = (
        '<text:h text:outline-level="1">Rules</text:h>'
        "<text:p>Call<text:note><text:note-citation>1</text:note-citation><text:note-body>"
        "<text:p>By radio.</text:p></text:note-body></text:note> first.</text:p>"
        '<text:list text:style-name="N">'
        + item("<text:p>One</text:p><text:list>" + item("<text:p>Deeper</text:p>") + "</text:list>")
        + item("<text:p>Two</text:p>")
        + '</text:list><text:h text:outline-level="2"># of seats</text:h>'
        "<table:table><table:table-header-rows><table:table-row>"
        "<table:table-cell><text:p>Craft</text:p></table:table-cell>"
        "<table:table-cell><text:p>Fee</text:p></table:table-cell></table:table-row>"
        "</table:table-header-rows><table:table-row>"
        '<table:table-cell table:number-columns-spanned="2"><text:p>free</text:p>'
        "</table:table-cell><table:covered-table-cell/></table:table-row><table:table-row>"
        "<table:table-cell><text:p>Yacht</text:p></table:table-cell>"
        "<table:table-cell><text:p>12</text:p></table:table-cell></table:table-row></table:table>"
    )
    found = read_odt(odf(body, styles=STYLES, title="Harbour"), "a.odt")
    assert found.text.split("\n\n") == [
        "# Rules", "Call¹ first.", "¹ By radio.", "1. One\n  - Deeper\n2. Two", "## # of seats",
        "| Craft | Fee |\n|---|---|\n| free |\n| Yacht | 12 |",
    ]  # fmt: skip
    assert found.title == "Harbour"


def test_an_opendocument_text_is_what_is_seen() -> None:
    body = (
        "<text:tracked-changes><text:changed-region><text:deletion><text:p>deleted</text:p>"
        "</text:deletion></text:changed-region></text:tracked-changes>"
        f"<text:p>10{span('up', '6')}<text:s text:c='3'/>m {span('based', 'unseen')}"
        f"{span('old', 'struck')} stay<text:line-break/>on</text:p>"
        '<text:section text:display="none"><text:p>secret</text:p></text:section>'
        "<text:p><office:annotation><dc:creator>Li</dc:creator><text:p>Why?</text:p>"
        "</office:annotation>End</text:p>"
    )
    found = read_odt(odf(body, styles=STYLES), "a.odt")
    assert found.text == "10^6 m stay on\n\nEnd\n\n[Comment by Li: Why?]"
    assert found.metadata == {"hidden": 2, "notes": ["struck-out text was left out in 1 place"]}


GHOST = '<style:style style:name="{}"><style:text-properties {}/></style:style>'
LOOKS = (
    GHOST.format("white", 'fo:color="#ffffff"')
    + GHOST.format("tiny", 'fo:font-size="1pt"')
    + GHOST.format("outlined", 'fo:color="#ffffff" style:text-outline="true"')
    + GHOST.format("stated", 'fo:color="#ffffff" style:text-outline="false" fo:text-shadow="none"')
    + GHOST.format("marked", 'fo:color="#ffffff" fo:background-color="#003366"')
    + '<style:style style:name="bar"><style:paragraph-properties fo:background-color="#003366"/>'
    "</style:style>"
)


@pytest.mark.parametrize(
    ("body", "hidden"),
    [
        pytest.param(f"<text:p>{span('white', 'no')} seen</text:p>", 1, id="white"),
        pytest.param(f"<text:p>seen {span('tiny', 'no')}</text:p>", 1, id="1 pt"),
        pytest.param(f"<text:p>seen {span('stated', 'no')}</text:p>", 1, id="not outlined"),
        pytest.param(f"<text:p>{span('outlined', 'seen')}</text:p>", 0, id="outlined"),
        pytest.param(f"<text:p>{span('marked', 'seen')}</text:p>", 0, id="on a colour"),
        pytest.param(
            f'<text:p text:style-name="bar">{span("white", "seen")}</text:p>', 0, id="on a bar"
        ),
        pytest.param(
            "<text:p><draw:frame><draw:text-box><text:p>" + span("white", "seen")
            + "</text:p></draw:text-box></draw:frame></text:p>",
            0,
            id="in a box",
        ),
    ],
)  # fmt: skip
def test_an_opendocument_text_is_left_out_where_nobody_sees_it(body: str, hidden: int) -> None:
    found = read_odt(odf(body, styles=LOOKS), "a.odt")
    assert (found.text.strip(), found.metadata.get("hidden", 0)) == ("seen", hidden)


def test_slides_of_an_opendocument_presentation_are_pages() -> None:
    def frame(text: str, kind: str = "") -> str:
        return (
            f'<draw:frame presentation:class="{kind}"><draw:text-box><text:p>{text}</text:p>'
            "</draw:text-box></draw:frame>"
        )

    body = (
        f"<draw:page>{frame('Text')}{frame('Tides', 'title')}<presentation:notes>"
        "<draw:frame><draw:text-box><text:p>Slowly.</text:p></draw:text-box></draw:frame>"
        "</presentation:notes></draw:page>"
        f'<draw:page draw:style-name="off">{frame("Unseen")}</draw:page>'
        f"<draw:page>{frame('Last')}</draw:page>"
    )
    found = read_odp(odf(body, kind="presentation", styles=STYLES), "a.odp")
    assert pages(found) == {1: "# Tides\n\nText\n\nNotes: Slowly.", 3: "Last"}
    assert found.title == "Tides"
    assert found.metadata == {"notes": ["hidden slide 2 was left out"]}


def odp_slide(shapes: str, *, master: str = "", fill: str = "none") -> bytes:
    """A slide of 25 by 19 cm with a white "Ghost" and other shapes."""

    def graphic(name: str, kind: str, colour: str = "") -> str:
        return (
            f'<style:style style:name="{name}"><style:graphic-properties draw:fill="{kind}" '
            f'draw:fill-color="{colour}"/></style:style>'
        )

    styles = LOOKS + graphic("clear", "none") + graphic("blue", "solid", "#003366")
    styles += graphic("paper", "solid", "#FFFFFF")
    styles += '<style:style style:name="child" style:parent-style-name="clear"/>'
    master = (
        '<style:page-layout style:name="L"><style:page-layout-properties fo:page-width="25cm" '
        'fo:page-height="190mm"/></style:page-layout><style:style style:name="page">'
        f'<style:drawing-page-properties draw:fill="{fill}"/></style:style>'
        f'<style:master-page style:name="M" style:page-layout-name="L">{master}</style:master-page>'
    )
    body = (
        f'<draw:page draw:style-name="page" draw:master-page-name="M">'
        f"{odp_box(span('white', 'Ghost'))}{shapes}<presentation:notes>"
        '<draw:frame draw:style-name="blue"/></presentation:notes></draw:page>'
    )
    return odf(body, kind="presentation", styles=styles + master)


def odp_box(text: str, look: str = 'draw:style-name="child"') -> str:
    return f"<draw:frame {look}><draw:text-box><text:p>{text}</text:p></draw:text-box></draw:frame>"


@pytest.mark.parametrize(
    ("made", "text"),
    [
        pytest.param(odp_slide(odp_box("Tides")), "Tides", id="white on white"),
        pytest.param(odp_slide(odp_box("x", 'draw:style-name="paper"')), "x", id="white box"),
        pytest.param(
            odp_slide(odp_box("x", 'draw:style-name="blue"')), "Ghost\n\nx", id="coloured box"
        ),
        pytest.param(
            odp_slide(odp_box("x", 'draw:style-name="unknown"')), "Ghost\n\nx", id="not known"
        ),
        pytest.param(odp_slide("<draw:frame><draw:image/></draw:frame>"), "Ghost", id="picture"),
        pytest.param(
            odp_slide("", master='<draw:rect draw:style-name="blue"/>'), "Ghost", id="master"
        ),
        pytest.param(odp_slide("", fill="gradient"), "Ghost", id="gradient"),
    ],
)
def test_white_text_of_an_opendocument_slide_is_kept_where_something_may_lie_behind(
    made: bytes, text: str
) -> None:
    found = read_odp(made, "a.odp")
    assert found.text == text
    assert found.metadata == ({} if "Ghost" in text else {"hidden": 1})


@pytest.mark.parametrize(
    ("look", "is_read"),
    [
        pytest.param('draw:display="none"', False, id="switched off"),
        pytest.param(
            'xmlns:o="http://openoffice.org/2010/draw" o:display="none"', False, id="LibreOffice"
        ),
        pytest.param(
            'svg:x="26cm" svg:y="1cm" svg:width="5cm" svg:height="2cm"', False, id="right"
        ),
        pytest.param(
            'svg:x="1cm" svg:y="-3in" svg:width="5cm" svg:height="2cm"', False, id="above"
        ),
        pytest.param('svg:x="24cm" svg:y="1cm" svg:width="5cm" svg:height="2cm"', True, id="half"),
        pytest.param('svg:x="26cm"', True, id="not known"),
    ],
)
def test_shapes_of_an_opendocument_slide_that_nobody_sees_are_left_out(
    look: str, *, is_read: bool
) -> None:
    found = read_odp(odp_slide(odp_box("Shape", f'draw:style-name="clear" {look}')), "a.odp")
    assert found.text == ("Shape" if is_read else "")
    assert found.metadata == {"hidden": 1 if is_read else 2}


@pytest.mark.parametrize("kind", ["object", "object-ole"])
def test_a_formula_within_an_opendocument_text_is_written_on_the_line(kind: str) -> None:
    formula = '<math xmlns="http://www.w3.org/1998/Math/MathML"><mfrac><mn>3</mn><mn>8</mn></mfrac></math>'
    body = f'<text:p>is <draw:{kind} xlink:href="./Object 1"/> inch</text:p>'
    made = odf(body, parts={"Object 1/content.xml": formula})
    assert read_odt(made, "a.odt").text == "is 3/8 inch"


# Books ------------------------------------------------------------------------------------------


def test_chapters_are_pages_and_the_cover_and_contents_are_left_out() -> None:
    book = epub(
        {
            "cover.xhtml": "<html><body>Cover</body></html>",
            "nav.xhtml": '<html xmlns="http://www.w3.org/1999/xhtml"><body><nav>'
            '<a href="one.xhtml">The Boat</a><a href="two.xhtml#x">Part of it</a></nav>'
            "</body></html>",
            "one.xhtml": "<html><body><p>It sails.</p></body></html>",
            "two.xhtml": "<html><body><h2>The Sea</h2><p>It waits.</p></body></html>",
            "gone.xhtml": "",
        },
        guide='<reference type="cover" href="cover.xhtml"/>',
        metadata="<dc:title>A Voyage</dc:title><dc:creator>L. Sterne</dc:creator>"
        "<dc:language>en</dc:language><dc:subject>Ships</dc:subject><dc:subject>Sea</dc:subject>"
        "<dc:date>1768-02-27</dc:date>",
    )
    found = read_epub(book, "a.epub")
    assert pages(found) == {1: "# The Boat\n\nIt sails.", 2: "## The Sea\n\nIt waits.", 3: ""}
    assert found.title == "A Voyage"
    assert found.metadata == {
        "author": "L. Sterne",
        "subject": "Ships, Sea",
        "language": "en",
        "date": "1768-02-27",
        "failed_pages": {"3": "OEBPS/gone.xhtml: it is missing"},
    }


def test_a_book_with_drm_says_so_and_one_with_hidden_fonts_opens() -> None:
    def locked(method: str) -> bytes:
        encryption = (
            '<encryption xmlns:e="http://www.w3.org/2001/04/xmlenc#"><e:EncryptedData>'
            f'<e:EncryptionMethod Algorithm="{method}"/></e:EncryptedData></encryption>'
        )
        return epub({"a.xhtml": "<p>Text</p>"}, parts={"META-INF/encryption.xml": encryption})

    assert read_epub(locked("http://www.idpf.org/2008/embedding"), "a.epub").text == "Text"
    with pytest.raises(LoadError, match="is encrypted"):
        read_epub(locked("http://www.w3.org/2001/04/xmlenc#aes128-cbc"), "a.epub")


# Bad files --------------------------------------------------------------------------------------

SOUND = {
    "pptx": pptx([shape("Text " * 50), shape("Two")]),
    "odt": odf("<text:p>Text</text:p>" * 50),
    "odp": odf("<draw:page/>", kind="presentation"),
    "epub": epub({"a.xhtml": "<p>Text</p>" * 50}),
}
READERS: dict[str, Reader] = {
    "pptx": read_pptx, "odt": read_odt, "odp": read_odp, "epub": read_epub,
}  # fmt: skip


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize(
    "data",
    [b"", b"\0" * 100, b"PK\x03\x04 no archive", b"{\\rtf1 text}", archive({"a.txt": "text"})],
    ids=["empty", "zeros", "broken", "another format", "another archive"],
)
def test_what_is_none_of_its_kind_fails_clearly(kind: str, data: bytes) -> None:
    with pytest.raises(LoadError, match=f"not a readable {kind.upper()}"):
        read_with(READERS[kind], data, f"a.{kind}")


@pytest.mark.parametrize("kind", READERS)
def test_cut_and_encrypted_files_fail_clearly(kind: str) -> None:
    sound = SOUND[kind]
    for share in (0.2, 0.5, 0.9, 0.99):
        with pytest.raises(LoadError, match="not a readable"):
            read_with(READERS[kind], sound[: int(len(sound) * share)], f"a.{kind}")
    with pytest.raises(LoadError, match="encrypted"):
        read_with(READERS[kind], office_files.with_password_bit(sound), f"a.{kind}")


def test_an_encrypted_opendocument_file_says_so() -> None:
    entry = '<manifest:file-entry manifest:full-path="content.xml"><manifest:encryption-data/>'
    manifest = office_files.odf_manifest(entry + "</manifest:file-entry>")
    made = odf("<text:p/>", parts={"META-INF/manifest.xml": manifest})
    with pytest.raises(LoadError, match="is encrypted"):
        read_odt(made, "a.odt")
    with pytest.raises(LoadError, match=r"is an old \.ppt"):
        read_pptx(zip_parts.OLE + b"\0" * 600, "a.pptx")


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("pptx", "ppt/slides/slide1.xml"),
        ("odt", "content.xml"),
        ("odp", "content.xml"),
        ("epub", "OEBPS/a.xhtml"),
    ],
)
def test_a_bomb_is_not_unpacked(kind: str, part: str) -> None:
    import zipfile
    from io import BytesIO

    with zipfile.ZipFile(BytesIO(SOUND[kind])) as sound:
        parts = {name: sound.read(name) for name in sound.namelist() if name != part}
    with pytest.raises(LoadError, match="zip bomb"):
        read_with(READERS[kind], bomb(part, 3, parts), f"a.{kind}")


def test_many_parts_and_much_text_are_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zip_parts, "MOST_MEMBERS", 4)
    with pytest.raises(LoadError, match="holds 5 parts, more than 4"):
        read_epub(archive({f"{i}.txt": "x" for i in range(5)}), "a.epub")
    monkeypatch.setattr(zip_parts, "MOST_MEMBERS", 100)
    monkeypatch.setattr(zip_parts, "MOST_BYTES", 2_000)
    with pytest.raises(LoadError, match="zip bomb"):
        read_odt(odf("<text:p>Text</text:p>" * 500), "a.odt")


@pytest.mark.parametrize("kind", ["pptx", "odt", "odp"])
def test_entities_are_not_resolved(kind: str) -> None:
    entity = '<!DOCTYPE x [<!ENTITY a "' + "b" * 100 + '"><!ENTITY f SYSTEM "file:///etc/passwd">]>'
    place = "<a:t>" if kind == "pptx" else "<text:p>"
    made = pptx([shape("&a;&f;")]) if kind == "pptx" else SOUND[kind]
    if kind != "pptx":
        body = "<text:p>&a;&f;</text:p>"
        made = odf(
            f"<draw:page><draw:frame>{body}</draw:frame></draw:page>" if kind == "odp" else body,
            kind="presentation" if kind == "odp" else "text",
        )
    made = office_files.rewritten(
        made, lambda part: part.replace("<", entity + "<", 1) if place in part else part
    )
    text = read_with(READERS[kind], made, f"a.{kind}").text
    assert "bbb" not in text
    assert "root" not in text


def test_the_kin_of_office_formats_are_known() -> None:
    kinds = {suffix: row.kind for row in FORMATS for suffix in row.suffixes}
    assert [kinds[s] for s in (".docm", ".dotx", ".dotm", ".pptm", ".ppsx", ".potx", ".ott")] == [
        "docx", "docx", "docx", "pptx", "pptx", "pptx", "odt",
    ]  # fmt: skip
