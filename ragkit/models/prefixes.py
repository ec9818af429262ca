"""The prefixes that embedding models were trained with.

No server adds or reports prefixes, so they are kept here. Without its prefix, nomic-embed-text was
measured to fall below keyword search (SciFact nDCG@10 0.49 against 0.67).
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Prefixes(NamedTuple):
    """Texts put before questions and passages; literal, trailing spaces included."""

    query: str = ""
    document: str = ""


_REPRESENT = Prefixes("Represent this sentence for searching relevant passages: ")
_RETRIEVE = "Given a web search query, retrieve relevant passages that answer the query"

# The first pattern that is found in the name's last part decides, so the special stand first.
# Sources: the model cards of nomic-ai, mixedbread-ai, BAAI, Snowflake, google/embeddinggemma,
# Qwen3-Embedding and intfloat/multilingual-e5. Models without prefixes need no line.
_TABLE: tuple[tuple[str, Prefixes], ...] = (
    (r"nomic-embed-text", Prefixes("search_query: ", "search_document: ")),
    (r"mxbai-embed-(large|2d)", _REPRESENT),
    (r"snowflake-arctic-embed-?(2|l-v2|m-v2)", Prefixes("query: ")),
    (r"snowflake-arctic-embed", _REPRESENT),
    (r"bge-(small|base|large)-zh", Prefixes("为这个句子生成表示以用于检索相关文章：")),
    (r"bge-(small|base|large)", _REPRESENT),
    (r"embedding-?gemma", Prefixes("task: search result | query: ", "title: none | text: ")),
    (r"qwen3-embedding", Prefixes(f"Instruct: {_RETRIEVE}\nQuery:")),
    (r"e5-.*instruct", Prefixes(f"Instruct: {_RETRIEVE}\nQuery: ")),
    (r"(multilingual-)?e5-(small|base|large)", Prefixes("query: ", "passage: ")),
)


def prefixes_of(name: str) -> Prefixes:
    """The prefixes of a model by its name; none for a model that is not known.

    >>> prefixes_of("nomic-embed-text:v1.5").query
    'search_query: '
    """
    model = name.rpartition("/")[2].partition(":")[0].lower()
    return next((found for pattern, found in _TABLE if re.search(pattern, model)), Prefixes())
