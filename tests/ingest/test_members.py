"""Files within files: attachments and the files of archives, as documents of their own."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

import make_files
import pytest
from hash_embedder import HashEmbedder
from office_files import archive, with_password_bit

from ragkit.config import Config
from ragkit.errors import LoadError
from ragkit.ingest.choices import upwards
from ragkit.ingest.load.aids import ReadingAids, with_aids
from ragkit.ingest.load.formats import read_with
from ragkit.ingest.load.frames import pack_parsed, unpack_parsed
from ragkit.ingest.load.members import Member
from ragkit.ingest.load.readers.archives import read_tar, read_zip
from ragkit.ingest.load.readers.mail import read_eml
from ragkit.pipeline import Pipeline
from ragkit.records import SourceRules

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ragkit.records import IndexReport


def mail(text: str, attachments: Mapping[str, bytes]) -> bytes:
    made = EmailMessage()
    made["Subject"] = "Berth"
    made["From"] = "ann@port.example"
    made.set_content(text)
    for name, data in attachments.items():
        made.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    return made.as_bytes()


class Corpus:
    """A folder and its index, which is searched by words."""

    def __init__(self, folder: Path, **load: Any) -> None:
        self.folder = folder / "docs"
        self.folder.mkdir()
        config = Config().with_values({"models.embedder": "none", "models.chat": "none", **load})
        self.rag = Pipeline.open(folder / "index", config)

    def write(self, name: str, data: bytes) -> None:
        (self.folder / name).write_bytes(data)

    def index(self, **options: Any) -> IndexReport:
        return self.rag.index(self.folder, **options)

    @property
    def texts(self) -> dict[str, str]:
        """The first passage of each document, on one line."""
        return {
            d.path: " ".join(self.rag.store.content(d.doc_id)[0].text.split())  # type: ignore[index]
            for d in self.rag.documents()
        }

    @property
    def stale(self) -> dict[str, str]:
        return {d.path: d.stale for d in self.rag.documents() if d.stale}


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return Corpus(tmp_path, **{"load.archives": True})


def test_an_attachment_is_a_document_and_follows_its_mail(corpus: Corpus) -> None:
    corpus.write("m.eml", mail("See below.", {"a.txt": b"Yacht 12", "b.csv": b"x,y\n1,2\n"}))
    corpus.write("plain.md", b"Words")
    report = corpus.index()
    assert report.added == ("m.eml", "plain.md", "m.eml!/a.txt", "m.eml!/b.csv")
    assert corpus.texts["m.eml!/a.txt"] == "Yacht 12"
    assert corpus.texts["m.eml!/b.csv"] == "x: 1; y: 2"
    assert (again := corpus.index()).added == again.changed == again.removed == ()
    assert set(again.unchanged) == {"m.eml", "plain.md", "m.eml!/a.txt", "m.eml!/b.csv"}

    corpus.write("m.eml", mail("See here.", {"a.txt": b"Yacht 12", "c.txt": b"Ferry 80"}))
    report = corpus.index()
    assert (report.added, report.changed) == (("m.eml!/c.txt",), ("m.eml",))
    assert (report.unchanged, report.removed) == (("plain.md", "m.eml!/a.txt"), ("m.eml!/b.csv",))

    (corpus.folder / "m.eml").unlink()
    report = corpus.index(prune=True)
    assert set(report.removed) == {"m.eml", "m.eml!/a.txt", "m.eml!/c.txt"}
    assert set(corpus.texts) == {"plain.md"}


def test_files_in_archives_are_read_in_any_depth_up_to_three(corpus: Corpus) -> None:
    deep = archive({"d.txt": "deepest"})
    for name in ("c.zip", "b.zip"):
        deep = archive({name: deep, "x.txt": name})
    corpus.write("a.zip", archive({"s/n.md": "# Notes", "m.eml": mail("m", {"q.txt": b"q"})}))
    corpus.write("deep.zip", deep)
    corpus.write("one.tar.gz", gzip.compress(tar({"t.txt": b"tar"})))
    report = corpus.index()
    assert set(report.added) == {
        "a.zip", "a.zip!/m.eml", "a.zip!/m.eml!/q.txt", "a.zip!/s/n.md", "deep.zip",
        "deep.zip!/b.zip", "deep.zip!/b.zip!/c.zip", "deep.zip!/b.zip!/c.zip!/d.txt",
        "deep.zip!/b.zip!/x.txt", "deep.zip!/x.txt", "one.tar.gz", "one.tar.gz!/t.txt",
    }  # fmt: skip
    assert corpus.texts["deep.zip!/b.zip!/c.zip!/d.txt"] == "deepest"
    assert report.failed == ()


def test_archives_are_left_out_unless_a_setting_says_otherwise(tmp_path: Path) -> None:
    corpus = Corpus(tmp_path)
    corpus.write("a.zip", archive({"n.md": "# Notes"}))
    corpus.write("m.eml", mail("m", {"b.zip": archive({"n.md": "x"})}))
    report = corpus.index()
    assert report.added == ("m.eml",)
    told = "an archive: the setting load.archives=true has its files read"
    assert {o.path: o.reason for o in report.skipped} == {"a.zip": told, "m.eml!/b.zip": told}


def test_a_member_that_cannot_be_read_fails_alone_and_stays_told(corpus: Corpus) -> None:
    good = {"good.txt": b"good", "bad.pdf": make_files.pdf(["Old page"])}
    corpus.write("m.eml", mail("m", good))
    corpus.index()
    bad = {**good, "bad.pdf": b"%PDF broken", "new.pdf": b"%PDF broken", "x.png": b"PNG"}
    corpus.write("m.eml", mail("m", bad))
    report = corpus.index()
    assert [o.path for o in report.stale] == ["m.eml!/bad.pdf"]
    assert [o.path for o in report.failed] == ["m.eml!/new.pdf"]
    assert [(o.path, o.reason) for o in report.skipped] == [("m.eml!/x.png", "no reader for .png")]
    assert corpus.texts["m.eml!/bad.pdf"] == "Old page"  # it keeps its older text
    again = corpus.index()  # and is tried again
    assert [o.path for o in again.stale] == ["m.eml!/bad.pdf"]
    assert any("new.pdf" in note.reason for note in again.notes)
    corpus.write("m.eml", mail("m", good))
    assert set(corpus.index().changed) == {"m.eml", "m.eml!/bad.pdf"}
    assert corpus.stale == {}


def test_a_file_that_breaks_keeps_what_was_in_it(corpus: Corpus) -> None:
    whole = archive({"n.md": "# Notes", "o.md": "# Others"})
    corpus.write("a.zip", whole)
    corpus.index()
    corpus.write("a.zip", whole[:-30])
    assert [o.path for o in corpus.index().stale] == ["a.zip"]
    assert set(corpus.stale) == {"a.zip", "a.zip!/n.md", "a.zip!/o.md"}
    assert corpus.rag.rebuild("files").failed == ()
    assert corpus.texts["a.zip!/n.md"] == "# Notes"
    assert set(corpus.stale) == {"a.zip", "a.zip!/n.md", "a.zip!/o.md"}
    corpus.write("a.zip", whole)
    corpus.index()
    assert corpus.stale == {}


def test_what_was_removed_by_hand_stays_out(corpus: Corpus) -> None:
    corpus.write("a.zip", archive({"n.md": "# Notes", "o.md": "# Others"}))
    corpus.index()
    assert corpus.rag.remove("a.zip!/n.md") == ("a.zip!/n.md",)
    assert corpus.index().added == ()
    corpus.write("a.zip", archive({"n.md": "# Notes", "o.md": "# Others", "p.md": "# More"}))
    assert corpus.index().added == ("a.zip!/p.md",)
    assert set(corpus.rag.remove(corpus.folder / "a.zip")) == {
        "a.zip",
        "a.zip!/o.md",
        "a.zip!/p.md",
    }
    assert corpus.index().added == ()
    assert corpus.index(forget_removed=True).added == (
        "a.zip", "a.zip!/n.md", "a.zip!/o.md", "a.zip!/p.md",
    )  # fmt: skip


def test_rules_of_a_folder_hold_within_files(corpus: Corpus) -> None:
    corpus.write("m.eml", mail("m", {"a.txt": b"text", "b.csv": b"x,y\n1,2\n"}))
    corpus.write("other.md", b"other")
    rules = SourceRules(include=("*.eml",), exclude=("*.csv",))
    report = corpus.index(rules=rules)
    assert report.added == ("m.eml", "m.eml!/a.txt")
    assert {o.path: o.reason for o in report.skipped} == {
        "m.eml!/b.csv": "left out by --exclude",
        "other.md": "not among the included",
    }
    report = corpus.index(rules=SourceRules(exclude=("*.txt",)))
    assert report.removed == ("m.eml!/a.txt",)
    assert report.added == ("other.md", "m.eml!/b.csv")
    assert corpus.index(rules=SourceRules()).added == ("m.eml!/a.txt",)
    assert corpus.index().unchanged == ("m.eml", "m.eml!/a.txt", "m.eml!/b.csv", "other.md")


def test_what_was_removed_by_hand_comes_back_when_that_is_forgotten(corpus: Corpus) -> None:
    corpus.write("a.zip", archive({"n.md": "# Notes", "o.md": "# Others"}))
    corpus.index()
    corpus.rag.remove("a.zip!/n.md")
    corpus.write("a.zip", archive({"n.md": "# Notes", "o.md": "# Others", "p.md": "# More"}))
    corpus.index()
    assert corpus.index().changed == ()
    assert corpus.index(forget_removed=True).added == ("a.zip!/n.md",)


def test_members_that_a_moved_or_killed_run_lost_are_read_again(corpus: Corpus) -> None:
    corpus.write("a.zip", archive({"n.md": "# Notes", "o.md": "# Others"}))
    corpus.index()
    lost = next(d.doc_id for d in corpus.rag.documents() if d.path == "a.zip!/n.md")
    with corpus.rag.store.writing("as if killed") as writer:
        writer.remove([lost])
    assert corpus.index().added == ("a.zip!/n.md",)
    (corpus.folder / "a.zip").rename(corpus.folder / "b.zip")
    assert corpus.index(prune=True).moved == ("b.zip",)
    assert set(corpus.texts) == {"b.zip", "b.zip!/n.md", "b.zip!/o.md"}


def test_a_single_file_that_was_indexed_does_not_become_its_folder(corpus: Corpus) -> None:
    corpus.write("m.eml", mail("m", {"a.txt": b"text"}))
    corpus.write("other.md", b"other")
    corpus.rag.index(corpus.folder / "m.eml")
    assert set(corpus.rag.index().unchanged) == {"m.eml", "m.eml!/a.txt"}
    assert list(upwards("/d/m.eml!/a/b.txt")) == [
        "/d/m.eml!/a/b.txt", "/d/m.eml!/a", "/d/m.eml!", "/d/m.eml", "/d",
    ]  # fmt: skip


def test_a_citation_of_a_member_names_it_and_is_verified(corpus: Corpus) -> None:
    fee = b"The mooring fee for a yacht is twelve euros a night."
    corpus.write("m.eml", mail("See below.", {"fees.txt": fee, "other.txt": b"Nothing here."}))
    corpus.index()
    answer = corpus.rag.ask("What is the mooring fee for a yacht?")
    assert [c.path for c in answer.citations] == ["m.eml!/fees.txt"]
    assert corpus.rag.verify(answer).holds
    why = corpus.rag.why_not("What is the mooring fee for a yacht?", "m.eml!/fees.txt")
    assert why.path == "m.eml!/fees.txt"
    corpus.write("m.eml", mail("See below.", {"fees.txt": fee.replace(b"twelve", b"nine")}))
    assert not corpus.rag.verify(answer).holds


# Readers ----------------------------------------------------------------------------------------


def tar(files: Mapping[str, bytes], **more: Any) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as made:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for key, value in more.items():
                setattr(info, key, value)
            made.addfile(info, io.BytesIO(data))
    return target.getvalue()


def test_names_in_archives_are_decoded_and_cannot_lead_out() -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as made:
        made.writestr("../../etc/x.txt", "x")
        made.writestr("/abs.txt", "x")
        made.writestr("a!/b.txt", "x")
        made.writestr("__MACOSX/._a.txt", "x")
        made.writestr(".hidden/a.txt", "x")
        info = zipfile.ZipInfo("XXXXXXXX.txt")
        made.writestr(info, "x")
    name = "港口合同".encode("gb18030")
    data = target.getvalue().replace(b"XXXXXXXX", name)
    found = read_zip(data, "a.zip")
    assert [m.name for m in found.members if not m.is_unwanted] == [
        "etc/x.txt", "abs.txt", "a!_b.txt", "港口合同.txt",
    ]  # fmt: skip
    assert [(m.name, m.reason) for m in found.members if m.is_unwanted] == [
        (".hidden/a.txt", "hidden")
    ]
    linked = read_tar(tar({"l": b""}, type=tarfile.SYMTYPE, linkname="/etc/passwd"), "a.tar")
    assert linked.members == ()
    assert [m.name for m in read_tar(tar({"../../x.md": b"x"}), "a.tar").members] == ["x.md"]


def test_bombs_in_archives_are_not_unpacked() -> None:
    zeros = archive({"zeros.txt": b"\0" * 3_000_000, "a.txt": "text"})
    bad, good = read_zip(zeros, "a.zip").members
    assert (bad.reason, good.data) == ("is packed like a zip bomb", b"text")
    with with_aids(ReadingAids(most_bytes=1000)):
        (large,) = read_zip(archive({"a.txt": bytes(range(256)) * 8}), "a.zip").members
        assert large.reason == "larger than 0.001 MB"
        many = {f"{i}.txt": bytes(range(250)) * 3 for i in range(8)}
        for read, data in ((read_zip, archive(many)), (read_tar, tar(many))):
            with pytest.raises(LoadError, match=r"unpacks to more than 0\.004 MB"):
                read(data, "a")
        packed = gzip.compress(tar({"zeros.txt": b"\0" * 3_000_000}))
        with pytest.raises(LoadError, match="unpacks to more than"):
            read_tar(packed, "a.tgz")
    with pytest.raises(LoadError, match=r"holds 10,001 files"):
        read_zip(archive({f"{i}": b"" for i in range(10_001)}), "a.zip")


def test_encrypted_and_damaged_files_of_an_archive_fail_alone() -> None:
    locked = read_zip(with_password_bit(archive({"a.txt": "text"})), "a.zip")
    assert "is encrypted" in locked.members[0].reason
    with with_aids(ReadingAids(passwords=("wrong",))):
        locked = read_zip(with_password_bit(archive({"a.txt": "text"})), "a.zip")
    assert "does not open it" in locked.members[0].reason
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as made:
        made.writestr("a.txt", "text one")
        made.writestr("b.txt", "text two")
    damaged = read_zip(stored.getvalue().replace(b"text one", b"text 0ne"), "a.zip").members
    assert damaged[0].reason.startswith("cannot be unpacked: Bad CRC-32")
    assert damaged[1].data == b"text two"


@pytest.mark.parametrize("data", [b"", b"\0" * 2000, b"PK\x03\x04", b"\x1f\x8b\x08broken", b"text"])
def test_what_is_no_archive_fails_clearly(data: bytes) -> None:
    for read, kind in ((read_zip, "ZIP"), (read_tar, "TAR")):
        if data.strip(b"\0") or kind == "ZIP":
            with pytest.raises(LoadError, match=f"not a readable {kind} archive"):
                read_with(read, data, "a")


def test_members_pass_between_processes_as_they_are() -> None:
    made = mail("text", {"a.bin": bytes(range(256)), "b.txt": b""})
    parsed = read_eml(made, "m.eml")
    header, parts = pack_parsed(parsed)
    assert unpack_parsed(header, b"".join(parts)) == parsed
    assert parts[1] is parsed.members[0].data
    assert parsed.members == (Member("a.bin", bytes(range(256))), Member("b.txt", b""))


def test_members_have_vectors_and_an_unchanged_one_sends_no_text(tmp_path: Path) -> None:
    embedder = HashEmbedder()
    docs = tmp_path / "docs"
    docs.mkdir()
    rag = Pipeline.open(tmp_path / "index", Config(), embedder=embedder)
    (docs / "m.eml").write_bytes(mail("m", {"a.txt": b"Yacht", "b.txt": b"Ferry"}))
    assert rag.index(docs).added == ("m.eml", "m.eml!/a.txt", "m.eml!/b.txt")
    assert rag.stats().waiting == 0
    sent = len(embedder.sent)
    (docs / "m.eml").write_bytes(mail("m", {"a.txt": b"Yacht", "b.txt": b"Barge"}))
    assert set(rag.index(docs).changed) == {"m.eml", "m.eml!/b.txt"}
    assert embedder.sent[sent:] == ["Barge"]
