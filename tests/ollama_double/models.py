"""The models that the test server of `ollama_double.server` pretends to run.

They are simple but honest: a text's vector is a sum over its words, so texts that share words lie
close, and the chat model answers by quoting a sentence of the numbered passages it was given.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_WORDS = re.compile(rf"[{_CJK}]+|[^\W{_CJK}]+")
_TOKENS = re.compile(rf"[{_CJK}]|[^\W{_CJK}]{{1,6}}|[^\w\s]")
_PASSAGE = re.compile(r"^(?:<passage (\d+)[^<>\n]*>|\[(\d+)\])", re.MULTILINE)
_SENTENCES = re.compile(r"[^.!?。！？\n]+[.!?。！？]?")
_COMMON = frozenset(
    re.findall(
        r"\w+",
        "a an and are at be by can do does for from has have how i in is it many much of on or "
        "that the their there this to was we what when where which who why will with",
    )
)
_FAINT = {"search_query", "search_document", "query", "passage"}
_BOUNDARY_TOKENS = 2

Vector = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Model:
    """A model as the server lists it.

    Attributes:
        raw: Its vectors are not of unit length on /api/embeddings.
        parameters: Lines of a name and a value, as /api/show has them.
        content: What a copy keeps: the name of the model whose weights these are.
        dim: Its embedding length; None: that of the server's vectors.
        mislisted: /api/tags takes it for a chat model of unknown length, as it does where a GGUF
            file does not begin with its architecture.
        fertility: How many tokens its vocabulary takes for one of `count_tokens`.
    """

    name: str
    architecture: str = "llama"
    context: int = 131072
    capabilities: tuple[str, ...] = ("completion", "tools")
    raw: bool = False
    parameters: str = ""
    size: int = 274302450
    template: str = "{{ .Prompt }}"
    system: str = ""
    license: str = ""
    messages: tuple[dict[str, Any], ...] = ()
    parent: str = ""
    remote_host: str = ""
    content: str = ""
    parameter_size: str = "137M"
    quantization: str = "F16"
    dim: int | None = None
    mislisted: bool = False
    fertility: float = 1.0

    @property
    def digest(self) -> str:
        """64 hex digits without a prefix, as the manifest digests of the real server."""
        return hashlib.sha256((self.content or self.name).encode()).hexdigest()

    @property
    def embeds(self) -> bool:
        return "embedding" in self.capabilities

    @property
    def options(self) -> dict[str, Any]:
        """Its parameters as a request's options; a text may be none of the option's type."""
        pairs = (line.split(maxsplit=1) for line in self.parameters.splitlines())
        return {name: _value(text) for name, text in pairs if name != "stop"}


def _value(text: str) -> Any:
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return text


CATALOGUE = (
    Model("nomic-embed-text:latest", "nomic-bert", 2048, ("embedding",), raw=True),
    Model("all-minilm:latest", "bert", 512, ("embedding",)),
    Model("bge-m3:latest", "bert", 8192, ("embedding",), raw=True),
    Model("mxbai-embed-large:latest", "bert", 512, ("embedding",), parameters="num_ctx    256"),
    Model("llama3.2:latest"),
    Model("deepseek-r1:latest", "qwen2", capabilities=("completion", "thinking")),
)
# What can be fetched besides.
REGISTRY = (
    Model("smollm2:135m", context=8192, capabilities=("completion",)),
    Model("snowflake-arctic-embed:22m", "bert", 512, ("embedding",)),
)


def count_tokens(text: str) -> int:
    """Tokens of a text with its two boundary tokens; a CJK character is one."""
    return len(_TOKENS.findall(text)) + _BOUNDARY_TOKENS


def words(text: str) -> list[str]:
    """Lower-case words, and the bigrams of CJK runs."""
    found: list[str] = []
    for run in _WORDS.findall(text.lower()):
        if re.match(rf"[{_CJK}]", run) and len(run) > 1:
            found += [run[i : i + 2] for i in range(len(run) - 1)]
        else:
            found.append(run)
    return found


class Vectors:
    """Deterministic vectors of one length, for every text.

    Args:
        dim: Length of a vector.
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim
        rng = np.random.default_rng(20240229)
        self._rows = rng.standard_normal((8192, dim)).astype(np.float32)

    def unit(self, text: str) -> Vector:
        """The text's vector, of unit length."""
        total = np.full(self.dim, 1e-3, np.float32)
        for word in words(text):
            weight = 0.1 if word in _FAINT else min(len(word), 6) / 6 if word.isascii() else 1.0
            total += weight * self._rows[zlib.crc32(word.encode()) % len(self._rows)]
        length: np.float32 = np.linalg.norm(total)
        return total / length

    def raw(self, text: str) -> Vector:
        """The same direction with a length that depends on the text, as nomic's runner gives."""
        return self.unit(text) * np.float32(10 + len(text) % 7)


def answer(messages: list[dict[str, str]]) -> str:
    """Answer a prompt: quote the sentence that shares most words with the question.

    The question is the last line of the last message. A passage begins with ``<passage n ...>``
    or ``[n]`` at the start of a line. Where no sentence has a third of the question's words, the
    answer is what the prompt asks for in that case (``reply [NO ANSWER]``), or says so.
    """
    prompt = "\n".join(message["content"] for message in messages)
    lines = [line for line in messages[-1]["content"].splitlines() if line.strip()] or [""]
    question = re.sub(r"^Question:\s*", "", lines[-1])
    wanted = set(words(question)) - _COMMON
    scored = [
        (len(wanted.intersection(words(sentence))), number, sentence)
        for number, sentence in _quotable(prompt)
        if question not in sentence
    ]
    # The first of several equally good sentences.
    best, number, sentence = max(scored, key=lambda item: item[0], default=(0, "", ""))
    if best and best * 3 >= len(wanted):
        return f"{sentence} [{number}]"
    asked_for = re.search(r"reply (?:with exactly )?(\[[A-Z ]+\])", prompt)
    return asked_for[1] if asked_for else "The documents do not say."


def _quotable(prompt: str) -> Iterator[tuple[str, str]]:
    """The sentences of the numbered passages, each with its passage's number."""
    heads = list(_PASSAGE.finditer(prompt))
    for head, following in zip(heads, [*heads[1:], None], strict=False):
        body = prompt[head.end() : following.start() if following else len(prompt)]
        for line in body.partition("</passage")[0].splitlines():
            if not line.startswith("source:"):
                yield from ((head[1] or head[2], s.strip()) for s in _SENTENCES.findall(line))


@lru_cache(maxsize=4)
def vectors_of(dim: int) -> Vectors:
    """The vectors of one length, made once."""
    return Vectors(dim)
