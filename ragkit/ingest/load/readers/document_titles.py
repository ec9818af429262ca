"""The title that a file's properties name, unless it is the name of a program or of a file."""

from __future__ import annotations

import re

from ragkit.text.patterns import late_pattern

_PROGRAM = late_pattern(
    r"(?:microsoft (?:word|powerpoint|excel|office word)|powerpoint|openoffice\.org|libreoffice)"
    r" ?(?:document|presentation|worksheet)? ?[-–:] ?",
    re.IGNORECASE,
)
_FILE = late_pattern(
    r"[^/\\]*\S\.(?:docx?|docm|dotx?|xlsx?|xlsm|pptx?|ppsx?|odt|ods|odp|rtf|txt|tex|dvi|ps|eps|pdf|"
    r"wpd|wps|indd|qxd|qxp|pub|pages|md|html?|cdr|ai|fm|pm\d|tmp)",
    re.IGNORECASE,
)
_PATH = late_pattern(r"(?:[A-Za-z]:\\|\\\\|/(?:home|Users|tmp|var)/|file://)\S*", re.IGNORECASE)
_EMPTY = frozenset(
    ("untitled", "title", "no title", "notitle", "word document", "microsoft word document",
     "microsoft word", "word", "document", "dokument", "powerpoint presentation",
     "powerpoint-präsentation", "présentation powerpoint", "presentation", "slide 1", "print",
     "diapositiva 1", "folie 1", "diapositive 1", "layout 1", "full page photo", "scan",
     "scanned document", "blank", "new document", "unbenannt", "ohne titel", "sans titre",
     "sin título", "senza titolo", "无标题", "無標題", "未命名", "幻灯片 1", "文档", "无题",
     "powerpoint 演示文稿", "名称未設定", "タイトルなし")
)  # fmt: skip
_NUMBERED = late_pattern(
    r"(?:document|dokument|doc|presentation|untitled|文档|scan)[ -_]?\d{0,14}", re.IGNORECASE
)


def clean_title(title: str) -> str:
    """Give a title as a reader of the document would, or "" if it is none.

    >>> clean_title("Microsoft Word - Ferry rules"), clean_title("Microsoft Word - draft7(2).doc")
    ('Ferry rules', '')
    """
    bare = " ".join(title.replace("\0", "").split())
    while found := _PROGRAM.match(bare):
        bare = bare[found.end() :]
    is_none = (
        bare.casefold() in _EMPTY or _NUMBERED.fullmatch(bare) or not any(map(str.isalnum, bare))
    )
    return "" if is_none or _FILE.fullmatch(bare) or _PATH.fullmatch(bare) else bare
