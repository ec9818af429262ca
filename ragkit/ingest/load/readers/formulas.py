"""Formulas as linear text: MathML of web pages and OMML of Word, ``(12d)/7``, ``x^2``, ``√(a+b)``.

Written here, since of the packages that turn either into LaTeX none is kept by more than one
release; and a line like these is read by a person and by a small model alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from ragkit.text.patterns import late_pattern
from ragkit.text.raising import grouped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lxml.etree import _Element

    Element: TypeAlias = _Element
    Parts: TypeAlias = list[str]

MATH = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_DEEPEST = 200
_UNSEEN = dict.fromkeys(map(ord, "\u2061\u2062\u2063\u2064\u200b"))
_WIDE = late_pattern(r"[=<>≤≥≠≈→⇒]")


def linear_formula(element: Element) -> str:
    """Write a MathML or OMML element as one line; what is not known is written as its text.

    Raises:
        RecursionError: It is nested deeper than 200 levels.
    """
    return " ".join(_write(element, 0).translate(_UNSEEN).split())


def _write(element: Element, depth: int) -> str:
    if depth > _DEEPEST:
        raise RecursionError
    tag = element.tag
    if not isinstance(tag, str):
        return ""
    name = tag.rpartition("}")[2].rpartition(":")[2]
    return (_office if tag.startswith(MATH) else _presented)(element, name, depth)


# MathML -----------------------------------------------------------------------------------------


def _presented(element: Element, name: str, depth: int) -> str:
    if name in _LEAVES:
        return "".join(map(str, element.itertext())).strip()
    if name in _DROPPED:
        return ""
    children = [c for c in element if isinstance(c.tag, str)]
    if name == "semantics":
        return _write(children[0], depth + 1) if children else ""
    parts = [_write(child, depth + 1) for child in children]
    rule = _MATHML.get(name)
    if rule is not None and len(parts) >= _NEEDED.get(name, 1):
        return rule(parts)
    if name == "mfenced":
        return _fenced(parts, element.get("open", "("), element.get("close", ")"))
    return _joined(parts) or " ".join((element.text or "").split())


_LEAVES = frozenset(("mi", "mn", "mo", "mtext", "ms"))
_DROPPED = frozenset(("annotation", "annotation-xml", "mspace", "mphantom", "none", "mprescripts"))


def _joined(parts: Iterable[str]) -> str:
    """Write parts in a row; a name of several letters is parted from a name beside it."""
    line = ""
    for part in parts:
        if part and line and _would_merge(line, part):
            line += " "
        line += part
    return line


def _would_merge(line: str, part: str) -> bool:
    if line[-1].isdigit() and part[0].isdigit():
        return True
    return line[-1].isalpha() and part[0].isalpha() and (len(part) > 1 or line[-2:].isalpha())


def _fraction(parts: Parts) -> str:
    return f"{grouped(parts[0])}/{grouped(parts[1])}"


def _power(parts: Parts) -> str:
    return f"{grouped(parts[0])}^{grouped(parts[1])}"


def _index(parts: Parts) -> str:
    return f"{parts[0]}_{grouped(parts[1])}"


def _index_and_power(parts: Parts) -> str:
    low, high = (
        f"{mark}{grouped(p)}" if p else "" for mark, p in zip("_^", parts[1:3], strict=True)
    )
    return f"{parts[0]}{low}{high}" + (" " if parts[0][-1:] in "∑∏∫⋃⋂" else "")


def _root(parts: Parts) -> str:
    inner = _joined(parts)
    return f"√{inner}" if inner.isalnum() else f"√({inner})"


def _nth_root(parts: Parts) -> str:
    return (
        f"{_ROOTS[parts[1]]}({parts[0]})" if parts[1] in _ROOTS else f"root_{parts[1]}({parts[0]})"
    )


_ROOTS = {"": "√", "2": "√", "3": "∛", "4": "∜"}


def _over(parts: Parts) -> str:
    if parts[1] in _ACCENTS:
        return f"{grouped(parts[0])}{_ACCENTS[parts[1]]}" if len(parts[0]) == 1 else parts[0]
    return _power(parts)


_ACCENTS = {
    "¯": "\u0304",
    "‾": "\u0304",
    "^": "\u0302",
    "ˆ": "\u0302",
    "→": "\u20d7",
    "~": "\u0303",
    "˙": "\u0307",
}


def _rows(parts: Parts) -> str:
    return "[" + "; ".join(parts) + "]"


def _fenced(parts: Parts, left: str, right: str) -> str:
    return left + ", ".join(parts) + right


_MATHML: dict[str, Callable[[Parts], str]] = {
    "mfrac": _fraction,
    "msup": _power,
    "msub": _index,
    "msubsup": _index_and_power,
    "munderover": lambda parts: _index_and_power(parts),
    "munder": _index,
    "mover": _over,
    "msqrt": _root,
    "mroot": _nth_root,
    "mtable": _rows,
    "mtr": ", ".join,
    "mlabeledtr": ", ".join,
}
_NEEDED = {
    "msubsup": 3,
    "munderover": 3,
    "mtable": 1,
    "mtr": 1,
    "mlabeledtr": 1,
    "msqrt": 1,
} | dict.fromkeys(("mfrac", "msup", "msub", "munder", "mover", "mroot"), 2)

# Word -------------------------------------------------------------------------------------------


def _office(element: Element, name: str, depth: int) -> str:
    if name == "t":
        return element.text or ""
    if name.endswith("Pr"):
        return ""
    rule = _OFFICE.get(name)
    if rule is None:
        return _joined(_write(child, depth + 1) for child in element)
    names, write = rule
    parts = [
        _joined(_write(found, depth + 1) for found in element.findall(MATH + n)) for n in names
    ]
    return write(element, parts)


def _delimited(element: Element, _parts: Parts) -> str:
    properties = element.find(MATH + "dPr")
    left, right, between = (_property(properties, n, d) for n, d in _DELIMITERS)
    inner = [_joined(_write(child, 1) for child in e) for e in element.findall(MATH + "e")]
    return left + (between if between.strip() == "," else f" {between} ").join(inner) + right


_DELIMITERS = (("begChr", "("), ("endChr", ")"), ("sepChr", "|"))


def _property(properties: Element | None, name: str, default: str) -> str:
    found = properties.find(MATH + name) if properties is not None else None
    return default if found is None else found.get(MATH + "val", "")


def _operator(element: Element, parts: Parts) -> str:
    sign = _property(element.find(MATH + "naryPr"), "chr", "∫")
    return _index_and_power([sign or "∫", parts[0], parts[1]]) + parts[2]


def _radical(_element: Element, parts: Parts) -> str:
    return _nth_root([parts[1], parts[0]])


def _function(_element: Element, parts: Parts) -> str:
    name, argument = parts
    return f"{name}{argument}" if argument.startswith(("(", "[")) else f"{name} {argument}"


def _matrix(element: Element, _parts: Parts) -> str:
    rows = element.findall(MATH + "mr")
    return _rows(
        [", ".join(_joined([_write(c, 1)]) for c in row.findall(MATH + "e")) for row in rows]
    )


def _lines(element: Element, _parts: Parts) -> str:
    return "; ".join(_write(line, 1) for line in element.findall(MATH + "e"))


def _accented(element: Element, parts: Parts) -> str:
    sign = _property(element.find(MATH + "accPr"), "chr", "^").replace("\u0302", "^")
    return _over([parts[0], sign]) if sign in _ACCENTS else parts[0] + sign


_OFFICE: dict[str, tuple[tuple[str, ...], Callable[[Element, Parts], str]]] = {
    "f": (("num", "den"), lambda _, parts: _fraction(parts)),
    "sSup": (("e", "sup"), lambda _, parts: _power(parts)),
    "sSub": (("e", "sub"), lambda _, parts: _index(parts)),
    "sSubSup": (("e", "sub", "sup"), lambda _, parts: _index_and_power(parts)),
    "sPre": (("sub", "sup", "e"), lambda _, parts: f"_{parts[0]}^{parts[1]} {parts[2]}"),
    "rad": (("deg", "e"), _radical),
    "nary": (("sub", "sup", "e"), _operator),
    "func": (("fName", "e"), _function),
    "limLow": (("e", "lim"), lambda _, parts: _index(parts)),
    "limUpp": (("e", "lim"), lambda _, parts: _power(parts)),
    "groupChr": (("e",), lambda _, parts: parts[0]),
    "bar": (("e",), lambda _, parts: _over([parts[0], "¯"])),
    "acc": (("e",), _accented),
    "m": ((), _matrix),
    "eqArr": ((), _lines),
    "d": ((), _delimited),
}
