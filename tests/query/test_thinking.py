"""Reasoning that a model mixes into its reply is told from the reply."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_helpers import text_of

from ragkit.protocols import ThinkingDelta
from ragkit.query.thinking import ThinkFilter

if TYPE_CHECKING:
    from collections.abc import Sequence


def _filtered(pieces: Sequence[str]) -> tuple[str, str]:
    split = ThinkFilter()
    events = [event for piece in pieces for event in split.feed(piece)] + list(split.end())
    assert all(event.text or getattr(event, "retracts", False) for event in events)
    last = max((i for i, e in enumerate(events) if getattr(e, "retracts", False)), default=0)
    thought = "".join(
        event.text for i, event in enumerate(events) if isinstance(event, ThinkingDelta) or i < last
    )
    return thought, text_of(events[last:])


@pytest.mark.parametrize(
    ("whole", "thought", "text"),
    [
        ("<think>\nHm</think>\n\nMay.", "\nHm", "May."),
        ("  <think></think>May", "", "May"),
        ("<think>never closed </thin", "never closed </thin", ""),
        ("The tag <think> is </think> quoted.", "", "The tag <think> is </think> quoted."),
        ("<thick> soup", "", "<thick> soup"),
        ("It says May.</think>\n\nMay. </think>", "It says May.", "May. </think>"),
        ("</think>May.", "", "May."),
        ("May </thin", "", "May </thin"),
        (" <th", "", " <th"),
        ("<think>a</think>b</think>", "a", "b</think>"),
        ("", "", ""),
    ],
)
@given(cuts=st.sets(st.integers(0, 40)))
def test_leaked_thinking_is_separated_wherever_it_is_cut(
    whole: str, thought: str, text: str, cuts: set[int]
) -> None:
    bounds = [0, *sorted(c for c in cuts if c < len(whole)), len(whole)]
    parts = [whole[a:b] for a, b in pairwise(bounds)]
    assert _filtered(parts) == (thought, text)
