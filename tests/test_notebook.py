"""What a person sees who works with the library: texts of answers, of pipelines, of errors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from fixed_chat import FixedChat
from hash_embedder import HashEmbedder

from ragkit.config import Config
from ragkit.errors import ConfigError, InputError, RagkitError
from ragkit.pipeline import Pipeline
from ragkit.records import Answer, Citation, Receipt, Span

ANSWER = Answer(
    "What?", "Five ![x](http://a/b) <img src=x> 3 < 4 [1].", False, (),  # noqa: FBT003
    (
        Citation(1, "c", "d", "a_b.md", "A", (), 3, 0, 9, "Say ![x](y)\n<b>five</b>.", "0" * 64),
        Citation(1, "c", "d", "a_b.md", "A", (), 3, 0, 9, "Say ![x](y)\n<b>five</b>.", "0" * 64),
    ),
    "e", "", None, None, "i", 1, Receipt(1, 1, 1),
)  # fmt: skip


def test_an_answer_is_its_text_and_in_a_notebook_markdown_that_loads_nothing() -> None:
    assert str(ANSWER) == ANSWER.text
    shown = ANSWER._repr_markdown_()
    text, _, source = shown.splitlines()
    assert text == r"Five \![x](http://a/b) \<img src=x> 3 < 4 [1]."
    assert source == (r"- \[1\] a\_b.md, page 3: “Say \!\[x\](y) \<b\>five\</b\>.”")


def test_an_answer_that_quotes_does_not_repeat_its_quotes() -> None:
    quoting = replace(ANSWER, closest=(Span(0, 4),))
    assert "“" not in quoting._repr_markdown_()


def test_a_pipeline_tells_its_index_and_models(tmp_path: Path) -> None:
    place = tmp_path / "index"
    rag = Pipeline(str(place), embedder=HashEmbedder(), chat=FixedChat())
    said = f"Pipeline({str(place)!r}, embedder='hashed-texts', chat='fixed', not made yet)"
    assert repr(rag) == said
    rag.add("A text.")
    assert "not made" not in repr(rag)
    rag.close()
    with Pipeline(place, Config(models={"chat": "none"})) as other:  # type: ignore[arg-type]
        assert repr(other) == f"Pipeline({str(place)!r}, embedder='hashed-texts', chat='none')"


def test_a_pipeline_of_a_damaged_index_can_be_shown(tmp_path: Path) -> None:
    (tmp_path / "catalog.db").write_bytes(b"no database at all" * 99)
    said = repr(Pipeline(tmp_path, Config(models={"chat": "none"})))  # type: ignore[arg-type]
    assert said.endswith("chat='none', cannot be opened)")


def test_a_path_may_be_a_text_and_settings_a_dict(tmp_path: Path) -> None:
    given: Any = {"k": "3", "mode": "keyword"}
    config = Config(search=given, indexes=str(tmp_path))  # type: ignore[arg-type]
    assert (config.search.k, config.search.mode, config.indexes) == (3, "keyword", tmp_path)
    assert config.search == Config().with_values({"search.k": 3, "search.mode": "keyword"}).search
    assert Pipeline("~/x").path == Path.home() / "x"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"search": {"kk": 3}}, r"Config\(search=...\): there is no setting 'search.kk'"),
        ({"search": {"k": 0}}, "search.k"),
        ({"search": 3}, "takes a SearchSettings, or a dict of its settings, not 3"),
        ({"indexes": 3}, r"Config\(indexes=...\) takes"),
    ],
)
def test_wrong_settings_are_told(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Config(**values)


def test_what_cannot_be_asked_is_an_error_of_ragkit_that_says_what_to_write(
    tmp_path: Path,
) -> None:
    config = Config().with_values({"models.embedder": "none", "models.chat": "none"})
    wrong: Any = 5
    with Pipeline(tmp_path / "index", config) as rag:
        rag.add("A text.")
        for call in (rag.ask, rag.search, rag.chat().ask):
            with pytest.raises(InputError, match=r"the question is empty: write .* ask\("):
                call("  ")
        with pytest.raises(InputError, match="the question is empty"):
            rag.stream("")
        with pytest.raises(InputError, match="a question is a text, not int"):
            rag.ask(wrong)
        with pytest.raises(InputError, match="1 or more, not 0"):
            rag.search("x", k=0)
        with pytest.raises(InputError, match="1 or more, not '3'"):
            rag.ask("x", k=cast("int", "3"))
        with pytest.raises(InputError, match=r"restrict is a ragkit\.Filter, as Filter\(where="):
            rag.search("x", restrict=cast("Any", {"author": "Chen"}))
        with pytest.raises(InputError, match="its number, or a datetime, not '2024'"):
            rag.search("x", as_of=cast("int", "2024"))
        with pytest.raises(InputError, match=r"named in .* as Config\(models=\{'embedder': 'e5'"):
            Pipeline(tmp_path / "index", embedder=cast("Any", "e5"))
        with pytest.raises(RagkitError, match=r"config is a ragkit\.Config"):
            Pipeline(tmp_path / "index", {"search.k": 3})  # type: ignore[arg-type]
        hooks: list[tuple[dict[str, Any], str]] = [
            ({"embedder": HashEmbedder}, r"not its class HashEmbedder: write HashEmbedder\(\)"),
            (
                {"chat": 3},
                r"lacks name, digest, context_tokens, chat, as a ragkit\.ChatModel has: 3",
            ),
            ({"reranker": sorted}, "reranker lacks rerank, as"),
            ({"readers": len}, "readers are formats"),
            ({"readers": [len]}, "readers are formats"),
            ({"splitter": 3}, "splitter is a function or its name, not 3"),
            ({"prompt": None}, "prompt is a text, not None"),
            ({"on_event": "print"}, "on_event is a function"),
        ]
        for given, said in hooks:
            with pytest.raises(InputError, match=said):
                Pipeline(tmp_path / "index", **given)
    with pytest.raises(InputError, match="needs the path of an index"):
        Pipeline()
