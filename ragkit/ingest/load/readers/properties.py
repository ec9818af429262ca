"""What a file says of itself: front matter of Markdown, properties of PDF and office files."""

from __future__ import annotations

import re
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any

from ragkit.records import READING_FACTS
from ragkit.text.patterns import late_pattern

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lxml.etree import _Element as Element
    from pypdf import PdfReader

MOST_FRONT_CHARS = 20_000
FRONT_MATTER = late_pattern(
    r"(?:---[ \t]*\n(?P<yaml>.*?)\n(?:---|\.\.\.)|\+\+\+[ \t]*\n(?P<toml>.*?)\n\+\+\+)"
    r"[ \t]*(?:\n|\Z)",
    re.DOTALL,
)
_IS_MEANT = late_pattern(r"\s*(?:#[^\n]*\n\s*)*[\w-]+[ \t]*:(?:\s|$)")
_DEEPEST = 20
# What office files call it, whatever the namespace, and what ragkit does.
_XML_NAMES = {
    "creator": "author", "initial-creator": "author", "subject": "subject", "keywords": "keywords",
    "keyword": "keywords", "created": "created", "creation-date": "created",
}  # fmt: skip
_PDF_NAMES = {"author": "author", "subject": "subject", "keywords": "keywords"}


def front_matter(text: str) -> tuple[dict[str, Any], str]:
    """What the front matter of a Markdown text says, in YAML or TOML.

    Returns:
        JSON values by name, dates as ISO 8601; and what keeps it from being read, or "".
    """
    found = FRONT_MATTER.match(text[:MOST_FRONT_CHARS]) if text[:3] in {"---", "+++"} else None
    if found is None:
        return {}, ""
    try:
        said = _toml(found["toml"]) if found["toml"] is not None else _yaml(found["yaml"])
        return file_metadata(said), ""
    except (ValueError, RecursionError) as exc:
        reason = " ".join(str(exc).split()) or "it is nested too deeply"
        return {}, f"its front matter cannot be read, so it has no metadata: {reason}"


def _toml(text: str) -> Mapping[str, Any]:
    import tomllib  # 5 ms that files without TOML need not pay

    return tomllib.loads(text)


def _yaml(text: str) -> Mapping[str, Any]:
    """Read a mapping; two rules with text between them are no front matter."""
    if not _IS_MEANT.match(text):
        return {}
    import yaml  # 15 ms that files without it need not pay

    class Loader(yaml.SafeLoader):
        """Without aliases, by which a short text may stand for a huge one."""

        def compose_node(self, parent: Any, index: Any) -> Any:  # noqa: ANN401 -- as there
            if self.check_event(yaml.AliasEvent):
                msg = "aliases (*) are not read"
                raise ValueError(msg)
            return super().compose_node(parent, index)

    try:
        said = yaml.load(text, Loader)  # noqa: S506 -- a safe loader
    except yaml.YAMLError as exc:
        raise ValueError(getattr(exc, "problem", None) or str(exc)) from exc
    return said if isinstance(said, dict) else {}


def file_metadata(said: Mapping[Any, Any]) -> dict[str, Any]:
    """What a file says of itself as JSON values, without what says nothing.

    The names under which ragkit tells how it was read get a ``_`` behind them.

    Raises:
        RecursionError: It is nested too deeply.
    """
    named = {str(key): _json(value) for key, value in said.items()}
    return {
        f"{key}_" if key in READING_FACTS else key: value
        for key, value in named.items()
        if value not in (None, "", [], {})
    }


def _json(value: object, depth: int = 0) -> Any:  # noqa: ANN401 -- any JSON value
    if depth > _DEEPEST:
        raise RecursionError
    if isinstance(value, dict):
        return {str(key): _json(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_json(item, depth + 1) for item in value]
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, float) and not abs(value) < float("inf"):
        return str(value)
    return value if isinstance(value, (str, int, float)) or value is None else str(value)


def pdf_properties(reader: PdfReader) -> dict[str, Any]:
    """The author, subject, keywords and day of creation that a PDF names."""
    info = reader.metadata
    if info is None:
        return {}
    said: dict[str, Any] = {}
    for name, key in _PDF_NAMES.items():
        value = info.get(f"/{name.capitalize()}")
        said[key] = " ".join(str(value.get_object()).split()) if value is not None else ""
    try:
        said["created"] = info.creation_date
    except (ValueError, AttributeError, TypeError):  # what stands there is no date
        said["created"] = None
    return file_metadata(said)


def xml_properties(root: Element | None) -> dict[str, Any]:
    """The author, subject, keywords and day of creation that an office file names."""
    said: dict[str, Any] = {}
    for element in root.iter() if root is not None else ():
        name = str(element.tag).rpartition("}")[2]
        text = " ".join((element.text or "").split())
        if (key := _XML_NAMES.get(name)) and text:
            said.setdefault(key, text)
    return file_metadata(said)
