"""Any value of any table damaged: an error that says so, or the right answer; never a traceback."""

from __future__ import annotations

import random
import re
import shutil
import sqlite3
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING, Any

import pytest
from plain_reader import edit
from store_factory import dense, doc_id_of, ingest, keyword, new_store, put, vector_of

from ragkit.errors import IndexCorruptError, RagkitError, StorageFullError
from ragkit.protocols import SearchRequest
from ragkit.records import Page
from ragkit.store.local.builds import _drop_documents
from ragkit.store.local.catalog import TABLES
from ragkit.store.local.segments import SegmentSizes
from ragkit.store.local.store import LocalStore
from ragkit.store.open import check_index

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIZES = SegmentSizes(rows=24, coded=12)
TEXTS = [f"text {i} of a" for i in range(30)]
PAGES = (Page(1, 0, 8), Page(2, 9, 9), Page(3, 9, 20))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index with a row in each table but `decisions`: pages, a stale document, a waiting one."""
    store = new_store(tmp_path_factory.mktemp("sound") / "index", sizes=SIZES)
    with store.writing("index /docs") as writer:
        writer.ask_for(["/docs"])
        put(writer, "a.txt", TEXTS, metadata={"author": ["Chen", "Wu"], "year": 1999})
        put(writer, "p.pdf", ["page one", "page three"], pages=PAGES, kind="pdf")
        put(writer, "gone.txt", ["gone"])
        writer.account({"added": ["a.txt", "p.pdf", "gone.txt"]})
    with store.writing("index /docs") as writer:
        writer.remove([doc_id_of("gone.txt")])
        writer.mark_stale(doc_id_of("p.pdf"), "it is locked")
        put(writer, "a.txt", TEXTS[:20])
        writer.account({"removed": ["gone.txt"]})
    store.close()
    assert check_index(store.path) == []
    return store.path


@pytest.fixture
def index(sound: Path, tmp_path: Path) -> Path:
    return shutil.copytree(sound, tmp_path / "index")


def hybrid(store: LocalStore) -> list[Any]:
    request = SearchRequest(k=9, mode="hybrid", vector=vector_of("text 5 of a"), text="page one")
    return [(hit, hit.text) for hit in store.search(request)]


LOOKS: dict[str, Callable[[LocalStore], Any]] = {
    "documents": LocalStore.documents,
    "runs": LocalStore.runs,
    "sources": LocalStore.sources,
    "embedder": lambda store: (store.embedder, store.splitter),
    "dense": lambda store: dense(store, vector_of("text 7 of a"), 40),
    "keyword": lambda store: keyword(store, "text three", 40),
    "hybrid": hybrid,
    "earlier": lambda store: dense(store, vector_of("gone"), 40, as_of=1),
}


def said(index: Path) -> dict[str, Any]:
    """What each look gives; an error of ours is its class, and any other goes up."""
    found: dict[str, Any] = {}
    with ExitStack() as opened:
        for name, look in LOOKS.items():
            try:
                if name == "documents" or isinstance(found["documents"], type):
                    store = opened.enter_context(closing(LocalStore(index, sizes=SIZES)))
                found[name] = look(store)
            except RagkitError as exc:
                found[name] = type(exc) if str(index) in str(exc) else str(exc)
    return found


def refused(index: Path) -> str:
    """Index two changed documents; gives why that was refused, or ""."""
    try:
        with closing(LocalStore(index, sizes=SIZES)) as store:
            ingest(store, {"a.txt": TEXTS[3:], "new.txt": ["something new"]})
    except RagkitError as exc:
        return str(exc)
    return ""


def columns() -> list[str]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(TABLES)
        return [
            f"{table}.{column}"
            for table, column in connection.execute(
                "SELECT t.name, c.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c "
                "WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%'"
            )
        ]


def damage(index: Path, column: str, value: object) -> bool:
    """Put a value where SQLite itself would not; False if nothing is there to be damaged."""
    table, _, name = column.partition(".")

    def rewrite(old: str, new: str) -> None:
        with closing(sqlite3.connect(index / "catalog.db", isolation_level=None)) as connection:
            connection.execute("PRAGMA writable_schema = ON")
            connection.execute(
                "UPDATE sqlite_schema SET sql = replace(sql, ?, ?) WHERE name = ?",
                (old, new, table),
            )

    rewrite("NOT NULL", "NOT nuLL CHECK (1)")  # a mark to find them again
    rewrite("NOT nuLL CHECK (1)", "DEFAULT 'NN'")
    with closing(sqlite3.connect(index / "catalog.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        rows = connection.execute(f"SELECT {name} FROM {table} ORDER BY 1").fetchall()  # noqa: S608
        old = rows[len(rows) // 2][0] if rows else None
        changed = 0
        if rows and old != value:
            with suppress(sqlite3.IntegrityError):  # a row's id is a number, always
                changed = connection.execute(
                    f"UPDATE OR IGNORE {table} SET {name} = ? WHERE {name} IS ?",  # noqa: S608
                    (value, old),
                ).rowcount
    rewrite("DEFAULT 'NN'", "NOT NULL")
    return changed > 0


def other(index: Path, column: str) -> object:
    """A value of the right kind that is not the one that is there."""
    table, _, name = column.partition(".")
    with closing(sqlite3.connect(index / "catalog.db")) as connection:
        rows = connection.execute(f"SELECT {name} FROM {table} ORDER BY 1").fetchall()  # noqa: S608
    old = rows[len(rows) // 2][0] if rows else None
    dice = random.Random(column)  # noqa: S311 -- a fixed seed
    if isinstance(old, int):
        return old + dice.choice([1, -1])
    if not old:
        return "x"
    at = dice.randrange(len(old))
    if isinstance(old, bytes):
        return old[:at] + bytes([old[at] ^ 1]) + old[at + 1 :]
    return old[:at] + chr(ord(old[at]) ^ 1) + old[at + 1 :]


@pytest.fixture(scope="module")
def told(sound: Path) -> dict[str, Any]:
    """What the sound index says."""
    return said(sound)


@pytest.mark.parametrize(
    "kind",
    ["other", *(pytest.param(kind, marks=pytest.mark.long) for kind in ("null", "text", "blob"))],
)
@pytest.mark.parametrize("table", sorted({column.partition(".")[0] for column in columns()}))
def test_a_damaged_value_is_told_or_does_no_harm(
    sound: Path, told: dict[str, Any], tmp_path: Path, table: str, kind: str
) -> None:
    for column in columns():
        if column.partition(".")[0] != table:
            continue
        index = shutil.copytree(sound, tmp_path / column)
        values = {"null": None, "text": "x", "blob": b"\xff\x00"}
        value = other(index, column) if kind == "other" else values[kind]
        if not damage(index, column, value):
            continue
        problems = check_index(index)
        found = said(index)
        for name, answer in found.items():
            if answer == told[name]:
                continue
            # It may be refused, and a search may find less: what it says is right in any case.
            assert problems, (column, name)
            if not isinstance(answer, type) and name in ("dense", "keyword", "hybrid", "earlier"):
                assert_part(answer, told[name], (column, name))
            else:
                assert isinstance(answer, type), (column, name)
        reason = refused(index)
        assert not reason or (problems and str(index) in reason), column
        said(index)
        shutil.rmtree(index)


def assert_part(hits: list[Any], whole: list[Any], where: object) -> None:
    """Every hit is one of those that the sound index finds, but for its rank."""
    plain = {h.chunk_id: (h.text, h.path, h.title, h.page, h.pages, h.heading, h.score)
             for h in map(_hit, whole)}  # fmt: skip
    for h in map(_hit, hits):
        known = plain.get(h.chunk_id)
        assert known is None or known[:-1] == (
            h.text, h.path, h.title, h.page, h.pages, h.heading,
        ), where  # fmt: skip
        assert h.path in {"a.txt", "p.pdf", "gone.txt"}, where


def _hit(found: Any) -> Any:
    return found[0] if isinstance(found, tuple) else found


SERVED = {
    "documents.root": "UPDATE documents SET root = '/dcos' WHERE path = 'a.txt'",
    "documents.path": "UPDATE documents SET path = 'b.txt' WHERE path = 'a.txt'",
    "documents.kind": "UPDATE documents SET kind = 'epub' WHERE kind = 'pdf'",
    "documents.stale": "UPDATE documents SET stale = NULL",
    "documents.died": "UPDATE documents SET died = NULL WHERE path = 'gone.txt'",
    "documents.build": "UPDATE documents SET build = 2 WHERE path = 'p.pdf'",
    "documents.pages": "UPDATE documents SET pages = 2, pages_without_text = '[]' WHERE pages = 3",
}


@pytest.mark.parametrize("what", SERVED)
def test_a_document_that_was_changed_is_not_listed_and_is_found_by_the_quick_check(
    index: Path, what: str
) -> None:
    edit(index, SERVED[what])
    with closing(LocalStore(index)) as store:
        if what != "documents.build":  # it is not seen in this build
            with pytest.raises(IndexCorruptError, match="document-row"):
                store.documents()
    assert "document-row" in {p.invariant for p in check_index(index, quick=True)}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE generations SET state = 'interrupted' WHERE id = 1",
        'UPDATE generations SET report = \'{"added": ["b.txt"]}\' WHERE id = 1',
        "UPDATE generations SET id = 5 WHERE id = 2",
        "UPDATE generations SET command = 'index /dcos' WHERE id = 2",
    ],
)
def test_a_generation_that_was_changed_is_not_told(index: Path, statement: str) -> None:
    edit(index, statement)
    with closing(LocalStore(index)) as store:
        with pytest.raises(IndexCorruptError, match="generation-row is broken"):
            store.runs()
        if "id = 1" in statement:
            with pytest.raises(IndexCorruptError, match="generation-row is broken"):
                dense(store, vector_of("gone"), as_of=1)
    assert [p.invariant for p in check_index(index, quick=True)] == ["generation-row"]


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        ("UPDATE sources SET path = '/dcos'", "sources"),
        ("INSERT INTO decisions VALUES ('/docs/b.txt', 'removed', 'now')", "decisions"),
        ("UPDATE builds SET embedder = replace(embedder, 'seeded', 'seedee')", "builds"),
        ("UPDATE builds SET splitter = '{}'", "builds"),
        ("UPDATE manifest SET value = '{}' WHERE key = 'keywords'", "manifest"),
    ],
)
def test_a_small_table_that_was_changed_is_not_used_and_never_covered_again(
    index: Path, statement: str, table: str
) -> None:
    edit(index, statement)
    with pytest.raises(IndexCorruptError, match=f"{table}: its rows are not those"):
        ingest(LocalStore(index), {"c.txt": ["c"]})
    assert [(p.invariant, table in p.detail) for p in check_index(index, quick=True)] == [
        ("seals", True)
    ]


def test_a_row_that_is_given_to_another_chunk_is_not_found_as_that(index: Path) -> None:
    edit(index, "UPDATE vectors SET chunk = (SELECT max(chunk) FROM vectors) WHERE chunk = "
                "(SELECT id FROM chunks WHERE text = 'text 7 of a' AND died IS NULL)")  # fmt: skip
    with pytest.raises(IndexCorruptError, match="vector-owner"):
        dense(LocalStore(index), vector_of("text 7 of a"), 3)


def test_a_dead_chunk_whose_bit_is_set_is_not_found(index: Path) -> None:
    edit(index, "UPDATE segments SET alive = x'ffffffff'")
    with pytest.raises(IndexCorruptError, match="alive-bits"):
        dense(LocalStore(index), vector_of("gone"), 3)


def test_an_index_of_sqlite_that_disagrees_with_its_table_is_found_and_repaired(
    index: Path,
) -> None:
    file = index / "catalog.db"
    with closing(sqlite3.connect(file)) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'documents_living'"
        ).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    data = bytearray(file.read_bytes())
    at = data.index(doc_id_of("a.txt").encode(), (page - 1) * size)
    assert at < page * size
    data[at + 3] ^= 1
    file.write_bytes(data)
    (problem,) = check_index(index)
    assert (problem.invariant, problem.severity) == ("catalog", "must")
    assert "index documents_living" in problem.detail
    assert problem.repair == "`ragkit check --repair`"
    with closing(LocalStore(index)) as store:
        assert {d.path for d in store.documents()} == {"a.txt", "p.pdf"}  # the table is right
        with pytest.raises(IndexCorruptError, match=r"documents_living .* `ragkit check --rep"):
            ingest(store, {"a.txt": ["it would live twice"]})
        assert [p.invariant for p in store.repair()] == ["catalog"]
    assert check_index(index) == []


def test_a_damaged_log_that_takes_back_commits_is_told(
    index: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(sqlite3.connect(index / "catalog.db")) as held:
        held.execute("BEGIN")
        held.execute("SELECT count(*) FROM chunks").fetchone()  # so that the log stays
        with closing(LocalStore(index)) as store:
            ingest(store, {"late.txt": ["late"]})
        copy = shutil.copytree(index, index.with_name("copy"))
    log = copy / "catalog.db-wal"
    data = bytearray(log.read_bytes())
    data[40] ^= 1  # in the head of the first page: it and all behind it count as never written
    log.write_bytes(data)
    (copy / "catalog.db-shm").unlink()

    with closing(LocalStore(copy)) as store:
        assert "late.txt" not in {d.path for d in store.documents()}
    assert "its log was damaged and " in caplog.text
    for quick in (True, False):
        (problem,) = (p for p in check_index(copy, quick=quick) if p.invariant == "commits")
        assert problem.severity == "must"
        assert problem.repair == "`ragkit index`, which finds what is missing"
    with closing(LocalStore(copy)) as store:
        ingest(store, {"late.txt": ["late"]})
        assert "late.txt" in {d.path for d in store.documents()}


def test_a_build_that_is_half_deleted_breaks_nothing(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its chunks go before its vectors; a full disk or a kill may come between."""
    steps = iter([None])
    with closing(LocalStore(index)) as store:

        def delete_and_fail(*args: Any) -> bool:
            try:
                next(steps)
            except StopIteration:
                raise StorageFullError(str(index), index) from None
            return _drop_documents(*args)

        monkeypatch.setattr("ragkit.store.local.builds._drop_documents", delete_and_fail)
        with (
            pytest.raises(StorageFullError),
            store.rebuilding(embedder=store.embedder, splitter=store.splitter) as new,
        ):
            ingest(new, {"a.txt": TEXTS})
        monkeypatch.undo()
        assert check_index(index, keywords=True) == []
        assert [d.path for d in store.documents()] == ["a.txt"]
        store.recover()
    assert check_index(index) == []


def test_a_byte_of_the_schema_that_is_no_text_is_told(index: Path) -> None:
    """SQLite quotes the schema in its message, which Python then cannot read."""
    catalog = index / "catalog.db"
    with closing(sqlite3.connect(catalog)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    sound = catalog.read_bytes()
    starts = [found.start() for found in re.finditer(b"CREATE TABLE", sound)]
    places = [start + offset for start in starts for offset in (2, 15)]
    assert len(places) > 8
    for place in places:
        catalog.write_bytes(sound[:place] + b"\xce" + sound[place + 1 :])
        with pytest.raises(IndexCorruptError, match=r"catalog\.db is damaged"):
            LocalStore(index).documents()
        assert [one.severity for one in check_index(index)] == ["must"]


def test_a_page_of_keywords_whose_table_of_words_is_damaged_is_told(index: Path) -> None:
    """Its words are all there when it is read from end to end, and a search misses them."""
    with closing(sqlite3.connect(index / "catalog.db")) as connection:
        page, block = connection.execute(
            "SELECT id, block FROM keywords_1_data WHERE id > 100 ORDER BY length(block) DESC"
        ).fetchone()
        end_of_words = int.from_bytes(block[2:4], "big")  # https://sqlite.org/fts5.html: szLeaf
        assert len(block) - end_of_words > 4
        moved = bytearray(block)
        moved[end_of_words + 2] ^= 2
        connection.execute("UPDATE keywords_1_data SET block = ? WHERE id = ?", (moved, page))
        connection.commit()
    (found,) = check_index(index)
    assert (found.invariant, found.severity) == ("keywords", "should")
    assert "does not reach" in found.detail


@pytest.mark.parametrize("what", ["nothing", "a folder", "a file above"])
def test_rows_that_are_no_file_are_damage_to_every_command(
    index: Path, tmp_path: Path, what: str
) -> None:
    rows = index / "vectors/00000001.f16"
    if what == "a file above":
        shutil.rmtree(index / "vectors")
        (index / "vectors").write_text("not mine")
    else:
        rows.unlink()
        if what == "a folder":
            rows.mkdir()

    assert "rows-exist" in {one.invariant for one in check_index(index)}
    with closing(LocalStore(index)) as store:
        for command in (lambda: store.backup(tmp_path / "b.tar"), lambda: hybrid(store)):
            with pytest.raises(IndexCorruptError, match="invariant rows-exist is broken"):
                command()
    assert [file.name for file in tmp_path.glob("*b.tar*")] == []
