"""Which files are read, and as what: one table, suffix to kind."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ragkit.records import Page

TEXT, MARKDOWN, RST, CODE = "text", "markdown", "rst", "code"
CSV, JSON, JSONL = "csv", "json", "jsonl"
HTML, PDF, DOCX = "html", "pdf", "docx"

_SUFFIXES: dict[str, str] = {
    TEXT: "txt text log tex adoc asciidoc org",
    MARKDOWN: "md markdown mdown mkd mdx qmd rmd",
    RST: "rst rest",
    HTML: "html htm xhtml",
    PDF: "pdf",
    DOCX: "docx",
    CSV: "csv tsv tab",
    JSON: "json geojson",
    JSONL: "jsonl ndjson",
    CODE: (
        "py pyi pyx js mjs cjs jsx ts mts cts tsx vue svelte java kt kts scala groovy gradle "
        "c h cc cpp cxx hh hpp hxx m mm cs fs vb go rs rb php pl pm lua r jl swift dart ex exs "
        "erl hrl hs ml mli clj cljs lisp el scm sh bash zsh fish ps1 bat cmd awk sql graphql "
        "proto thrift toml yaml yml ini cfg conf properties css scss sass less tf hcl nix "
        "cmake mk asm s v vhd vhdl sv bib sty diff patch"
    ),
}
_NAMES: dict[str, str] = {
    TEXT: "readme license licence copying notice authors changes changelog contributing install "
    "news todo version",
    CODE: "makefile dockerfile containerfile jenkinsfile gemfile rakefile procfile vagrantfile "
    "brewfile justfile",
}
_BY_SUFFIX = {suffix: kind for kind, words in _SUFFIXES.items() for suffix in words.split()}
_BY_NAME = {name: kind for kind, words in _NAMES.items() for name in words.split()}

RISKY = frozenset({HTML, PDF, DOCX})
"""Kinds whose parsers can hang, crash or eat memory: they run in the worker process."""


def kind_of(name: str) -> str | None:
    """Tell a file's kind by its name, or None where ragkit has no reader for it.

    Examples:
        >>> kind_of("notes/Plan.MD"), kind_of("Makefile"), kind_of("photo.png")
        ('markdown', 'code', None)
    """
    base = posixpath.basename(name).lower()
    stem, dot, suffix = base.rpartition(".")
    return _BY_SUFFIX.get(suffix) if dot and stem else _BY_NAME.get(base)


def no_reader(name: str) -> str:
    """Say why a file of unknown kind is left out."""
    suffix = posixpath.splitext(posixpath.basename(name))[1]
    return f"no reader for {suffix}" if suffix else "no reader for a name without a suffix"


@dataclass(frozen=True, slots=True)
class Parsed:
    """A file's extracted text; ``title`` is empty and ``encoding`` None where it names none.

    ``text`` is normalised (:func:`normalise`) and ``pages`` hold offsets in it.
    """

    text: str
    title: str = ""
    encoding: str | None = None
    pages: tuple[Page, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)


def normalise(text: str) -> str:
    r"""Make a text safe to store and to count in.

    Line ends become ``\n``, NULs and a leading byte order mark go, surrogate pairs become the
    character they stand for and lone surrogates U+FFFD. Normalising twice changes nothing.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    try:
        text.encode("utf-8")  # the fastest way to learn that there is no surrogate
    except UnicodeEncodeError:
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.lstrip("\ufeff")
