"""What stands on a PDF page beside its content: the values of a form, and notes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pypdf import PageObject

_HIDDEN_FLAGS = 0b100010  # hidden, no view (ISO 32000-1, 12.5.3)
_PASSWORD, _PUSH_BUTTON = 1 << 13, 1 << 16
_NOTES = ("/Text", "/Highlight", "/Underline", "/StrikeOut", "/Squiggly", "/Caret", "/Stamp")
_DEEPEST = 16


def fields_and_notes(page: PageObject) -> list[str]:
    """The lines that form fields and notes add to a page: ``hirer: Mira Holt``, ``[Note: ...]``."""
    annotations = page.get("/Annots")
    found: list[str] = []
    for reference in annotations.get_object() if annotations is not None else ():
        annotation = reference.get_object()
        if not hasattr(annotation, "get") or int(annotation.get("/F", 0)) & _HIDDEN_FLAGS:
            continue
        found += _lines(annotation)
    return list(dict.fromkeys(found))


def _lines(annotation: Any) -> Iterator[str]:  # noqa: ANN401 -- pypdf's dictionaries
    kind = annotation.get("/Subtype")
    contents = " ".join(str(annotation.get("/Contents") or "").split())
    if kind == "/Widget":
        if value := _value(annotation):
            name = _name(annotation)
            yield f"{name}: {value}" if name else value
    elif kind == "/FreeText" and contents:
        yield contents
    elif kind in _NOTES and contents:
        author = " ".join(str(annotation.get("/T") or "").split())
        yield f"[Note by {author}: {contents}]" if author else f"[Note: {contents}]"


def _value(field: Any) -> str:  # noqa: ANN401 -- pypdf's dictionaries
    kind, flags = _inherited(field, "/FT"), int(_inherited(field, "/Ff") or 0)
    value = _inherited(field, "/V")
    if kind == "/Btn":
        state = field.get("/AS", value)
        if flags & _PUSH_BUTTON or state is None:
            return ""
        return "[ ]" if state == "/Off" else "[x]"
    if kind == "/Sig" or flags & _PASSWORD or value is None:
        return ""
    values = value if isinstance(value, list) else [value]
    texts = (v.get_data().decode("latin-1") if hasattr(v, "get_data") else str(v) for v in values)
    return ", ".join(" ".join(text.split()) for text in texts)


def _name(field: Any) -> str:  # noqa: ANN401 -- pypdf's dictionaries
    """What a field is called for a reader: its tooltip, else its name if that is made of words."""
    label = str(_inherited(field, "/TU") or _inherited(field, "/T") or "")
    return " ".join(label.split())


def _inherited(field: Any, key: str) -> Any:  # noqa: ANN401 -- pypdf's dictionaries
    for _ in range(_DEEPEST):
        if key in field:
            return field[key]
        if "/Parent" not in field:
            break
        field = field["/Parent"]
    return None
