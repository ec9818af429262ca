"""Which documents a search may find."""

from __future__ import annotations

import re
from fnmatch import translate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

    from ragkit.protocols import SearchRequest


def filtered_documents(connection: sqlite3.Connection, request: SearchRequest) -> list[int]:
    """Row ids of the documents alive at the request's generation that pass its filter."""
    if request.as_of is None:
        rows = connection.execute("SELECT id, path, kind FROM documents WHERE died IS NULL")
    else:
        rows = connection.execute(
            "SELECT id, path, kind FROM documents WHERE born <= ?1 AND (died IS NULL OR died > ?1)",
            (request.as_of,),
        )
    paths = [re.compile(translate(glob)) for glob in request.filter.paths]
    kinds = set(request.filter.kinds)
    return [
        row_id
        for row_id, path, kind in rows
        if (not kinds or kind in kinds) and (not paths or any(p.match(path) for p in paths))
    ]
