"""Property: an index is what its folder is, however the folder came to be so."""

from __future__ import annotations

import shutil
from pathlib import Path

from hash_embedder import HashEmbedder, contents, dense
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

NAMES = st.sampled_from(["a.txt", "b.md", "sub/c.txt", "sub/文.md"])
TEXTS = st.sampled_from(
    ["Alpha one.", "Beta two.\n\n" * 3, "第三条 通知期为三个月。", " ", "x" * 900]
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), NAMES, TEXTS),
        st.tuples(st.just("delete"), NAMES, st.just("")),
        st.tuples(st.just("rename"), NAMES, NAMES),
        st.tuples(st.just("index"), st.just(""), st.just("")),
    ),
    max_size=10,
)


def apply(folder: Path, step: tuple[str, str, str]) -> None:
    what, name, value = step
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    if what == "write":
        path.write_text(value, "utf-8")
    elif what == "delete":
        path.unlink(missing_ok=True)
    elif what == "rename" and path.exists():
        (folder / value).parent.mkdir(exist_ok=True)
        path.rename(folder / value)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(STEPS)
def test_any_history_of_a_folder_ends_in_the_index_of_its_last_state(
    tmp_path: Path, steps: list[tuple[str, str, str]]
) -> None:
    folder, grown, fresh = tmp_path / "docs", tmp_path / "grown", tmp_path / "fresh"
    for used in (folder, grown, fresh):
        shutil.rmtree(used, ignore_errors=True)
    folder.mkdir()
    embedder = HashEmbedder()
    with dense(embedder, grown) as rag:
        for step in [*steps, ("index", "", "")]:
            if step[0] == "index":
                rag.index(folder, prune=True)
            else:
                apply(folder, step)
        with dense(HashEmbedder(), fresh) as reference:
            reference.index(folder)
            assert rag.exists >= reference.exists  # a folder that never had a document makes none
            assert not rag.exists or contents(rag) == (
                contents(reference) if reference.exists else []
            )
        again = rag.index(folder)
        assert (again.added, again.changed, again.moved, again.removed) == ((), (), (), ())
    assert len(embedder.sent) == len(set(embedder.sent))  # each text was paid for once
