"""The tools of the MCP server as its clients see them: what they are called with, and give back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from ragkit.decoding import from_json
from ragkit.errors import InputError
from ragkit.records import Mode

if TYPE_CHECKING:
    from collections.abc import Mapping

Schema: TypeAlias = dict[str, Any]

MOST_FOUND = 50
MOST_READ, READ = 20_000, 8_000
"""Characters of a document that one call reads: at most, and if not said."""

MOST_LISTED = 100
MOST_FAILURES = 20


@dataclass(frozen=True, slots=True)
class SearchCall:
    """What `search` is called with."""

    question: str
    index: str = ""
    k: int | None = None
    mode: Mode | None = None
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AskCall:
    """What `ask` is called with."""

    question: str
    index: str = ""
    k: int | None = None
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadCall:
    """What `read` is called with."""

    doc_id: str
    index: str = ""
    start: int = 0
    end: int | None = None
    around: int = 0


@dataclass(frozen=True, slots=True)
class ListCall:
    """What `list` is called with."""

    index: str = ""
    path: str = ""
    offset: int = 0


@dataclass(frozen=True, slots=True)
class CitedPlace:
    """A place that a text cites by its number; ``quote`` is compared if it is there."""

    number: int
    doc_id: str
    start: int
    end: int
    quote: str = ""


@dataclass(frozen=True, slots=True)
class VerifyCall:
    """What `verify` is called with."""

    text: str
    citations: tuple[CitedPlace, ...]
    index: str = ""


@dataclass(frozen=True, slots=True)
class IndexCall:
    """What `index` is called with."""

    index: str = ""
    folders: tuple[str, ...] = ()


ToolCall: TypeAlias = SearchCall | AskCall | ReadCall | ListCall | VerifyCall | IndexCall


@dataclass(frozen=True, slots=True)
class ToolKind:
    """A tool.

    Attributes:
        title: Its name for people.
        description: What it does, for the model that chooses among tools.
        call: The record of its arguments.
        takes: The JSON Schema of its arguments.
        gives: The JSON Schema of its structured output.
        writes: Whether it changes an index; such a tool is there only if the owner allows it.
    """

    title: str
    description: str
    call: type[ToolCall]
    takes: Schema
    gives: Schema
    writes: bool = False


def read_call(name: str, arguments: Mapping[str, Any] | None) -> ToolCall:
    """The arguments of a tool of `TOOLS` as its record.

    Raises:
        InputError: One is missing, unknown or of another type; the message says which.
    """
    kind = TOOLS[name].call
    try:
        return from_json(kind, dict(arguments or {}))
    except ValueError as exc:
        raise InputError(str(exc).replace(f"{kind.__name__}.", "")) from exc


def _object(needed: str, **properties: Schema) -> Schema:
    """The schema of an object; ``needed`` names what must be there, "*" all."""
    required = list(properties) if needed == "*" else needed.split()
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _text(description: str) -> Schema:
    return {"type": "string", "description": description}


def _count(description: str, least: int = 0, most: int | None = None) -> Schema:
    bounds = {"minimum": least} | ({} if most is None else {"maximum": most})
    return {"type": "integer", "description": description, **bounds}


def _list(items: Schema, description: str = "") -> Schema:
    return {"type": "array", "items": items} | ({"description": description} if description else {})


_INDEX = _text("The index's name, as `list` tells it; may be left out where there is one.")
_PATHS = _list({"type": "string"}, "Only documents whose path matches one, e.g. contracts/*.")
_K = _count("How many passages at most.", 1, MOST_FOUND)
_DOC = _text("The document's id, as `search`, `ask` and `list` tell it.")
_STRING: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "integer"}
_PAGE: Schema = {"type": ["integer", "null"]}
_STATUS: Schema = {"type": "string", "enum": ["quoted", "supported", "unsupported", "uncited"]}
_PLACE = {
    "number": _NUMBER,
    "doc_id": _STRING,
    "path": _STRING,
    "title": _STRING,
    "heading": _list(_STRING),
    "page": _PAGE,
    "start": _NUMBER,
    "end": _NUMBER,
}
_HIT = _object(
    "*", **_PLACE, kind=_STRING, score={"type": ["number", "null"]}, text=_STRING, uri=_STRING
)
_CITATION = _object("*", **_PLACE, quote=_STRING, to_model={"type": "boolean"}, uri=_STRING)
_SENTENCE = _object("*", text=_STRING, status=_STATUS)
_CHECKED = _object(
    "*",
    number=_NUMBER,
    doc_id=_STRING,
    state={"type": "string", "enum": ["holds", "differs", "changed", "missing", "unreadable"]},
    detail=_STRING,
    quote=_STRING,
)
_LISTED_INDEX = _object("*", name=_STRING, documents=_NUMBER, passages=_NUMBER, error=_STRING)
_LISTED_DOCUMENT = _object(
    "*",
    doc_id=_STRING,
    path=_STRING,
    title=_STRING,
    kind=_STRING,
    pages=_NUMBER,
    passages=_NUMBER,
    state={"type": "string", "enum": ["indexed", "stale", "without_text"]},
    uri=_STRING,
)
_FAILED = _object("*", path=_STRING, reason=_STRING)
_CITED = _object(
    "number doc_id start end",
    number=_count("The number in [n].", 1),
    doc_id=_DOC,
    start=_count("Where the place begins in the document."),
    end=_count("Where it ends."),
    quote=_text("What stands there, to be compared; may be left out."),
)

TOOLS = {
    "search": ToolKind(
        "Search documents",
        "Find the passages of the user's own documents that answer a question best, each with its "
        "document, page and place. Ask in the words of the user; other languages are found too.",
        SearchCall,
        _object(
            "question",
            question=_text("What is sought, as a question or some words."),
            index=_INDEX,
            k=_K,
            mode={
                "type": "string",
                "enum": ["hybrid", "dense", "keyword"],
                "description": "By words and meaning, meaning alone, or words alone.",
            },
            paths=_PATHS,
        ),
        _object("*", index=_STRING, hits=_list(_HIT)),
    ),
    "ask": ToolKind(
        "Ask documents",
        "Answer a question from the user's own documents by the server's own model, with the quote "
        "behind each sentence; it says so if the documents do not answer. Takes longer than "
        "`search`. Where no model is set up, the closest passages are quoted.",
        AskCall,
        _object(
            "question", question=_text("The question, complete."), index=_INDEX, k=_K, paths=_PATHS
        ),
        _object(
            "*",
            index=_STRING,
            text=_STRING,
            refused={"type": "boolean"},
            chat_model={"type": ["string", "null"]},
            sentences=_list(_SENTENCE),
            citations=_list(_CITATION),
        ),
    ),
    "read": ToolKind(
        "Read a document",
        "Read the text of a document, from one place to another or what stands around a place that "
        f"`search` found. At most {MOST_READ:,} characters; `next` is where to read on.",
        ReadCall,
        _object(
            "doc_id",
            doc_id=_DOC,
            index=_INDEX,
            start=_count("The first character, from 0."),
            end=_count(f"Behind the last one; {READ:,} characters if left out."),
            around=_count("Characters before and behind that are read too.", 0, MOST_READ),
        ),
        _object(
            "*",
            index=_STRING,
            doc_id=_STRING,
            path=_STRING,
            title=_STRING,
            pages=_list(_NUMBER),
            start=_NUMBER,
            end=_NUMBER,
            length=_NUMBER,
            next={"type": ["integer", "null"]},
            text=_STRING,
        ),
    ),
    "list": ToolKind(
        "List indexes and documents",
        f"Tell which indexes there are, and the documents of one, {MOST_LISTED} at a time; `next` "
        "is the offset of those that follow.",
        ListCall,
        _object(
            "",
            index=_INDEX,
            path=_text("Only documents whose path holds this text or matches it, e.g. *.pdf."),
            offset=_count("How many documents to pass over."),
        ),
        _object(
            "*",
            indexes=_list(_LISTED_INDEX),
            documents=_list(_LISTED_DOCUMENT),
            total=_NUMBER,
            next={"type": ["integer", "null"]},
        ),
    ),
    "verify": ToolKind(
        "Verify a text",
        "Check a text that cites places of documents by [n], such as your own draft: is each "
        "sentence quoted or supported by what it cites, and does each place still stand in the "
        "document? By rules and not by a model; `unsupported` means not shown, not false.",
        VerifyCall,
        _object(
            "text citations",
            text=_text("The text, with [n] behind what place n shows."),
            citations=_list(_CITED, "The places, as `search` and `ask` tell them."),
            index=_INDEX,
        ),
        _object(
            "*",
            index=_STRING,
            proved={"type": "boolean"},
            sentences=_list(_SENTENCE),
            citations=_list(_CHECKED),
        ),
    ),
    "index": ToolKind(
        "Bring an index up to date",
        "Read the files of an index that are new or changed, so that they are found, or make an "
        "index of folders. What the server's owner allows: folders below those named for it. "
        "Waits until it is done; what was read before a cancelled call is kept.",
        IndexCall,
        _object(
            "",
            index=_text("The index's name; one that is not there is made."),
            folders=_list(
                {"type": "string"},
                "Folders on the server to add; may be left out: then those it was made of.",
            ),
        ),
        _object(
            "*",
            index=_STRING,
            added=_NUMBER,
            changed=_NUMBER,
            moved=_NUMBER,
            removed=_NUMBER,
            unchanged=_NUMBER,
            passages=_NUMBER,
            failed=_list(_FAILED, f"The first {MOST_FAILURES}."),
        ),
        writes=True,
    ),
}
"""By name. All but `index` only read."""


def offered(*, allow_index: bool) -> dict[str, ToolKind]:
    """The tools of a server, by name."""
    return {name: kind for name, kind in TOOLS.items() if allow_index or not kind.writes}
