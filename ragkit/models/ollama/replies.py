"""What the server answers, as frozen records.

Fields that a version of the server does not send are empty or None; fields that it sends and
nobody here knows are passed over. Times are aware datetimes; durations are seconds; sizes bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ragkit.decoding import wire

if TYPE_CHECKING:
    from ragkit.protocols import Vectors

_NANOSECONDS = 1e9


def _seconds(place: str) -> Mapping[str, Any]:
    """A duration, which the wire holds in whole nanoseconds."""
    return wire(place, then=lambda nanoseconds: nanoseconds / _NANOSECONDS)


_DIGEST = wire("digest", then=lambda digest: digest.removeprefix("sha256:"))


@dataclass(frozen=True, slots=True)
class Metrics:
    """What a reply cost. Any of them may be None: the server leaves out what is zero.

    Attributes:
        total_s: Seconds from request to reply.
        load_s: Seconds until the model was loaded, queueing included; near 0 when it was.
        prompt_tokens: Tokens of the prompt, those found in the server's cache included.
        prompt_s: Seconds of work on the prompt, cached parts not counted.
        answer_tokens: Tokens written, thinking included.
        answer_s: Seconds of writing.
    """

    total_s: float | None = field(default=None, metadata=_seconds("total_duration"))
    load_s: float | None = field(default=None, metadata=_seconds("load_duration"))
    prompt_tokens: int | None = field(default=None, metadata=wire("prompt_eval_count"))
    prompt_s: float | None = field(default=None, metadata=_seconds("prompt_eval_duration"))
    answer_tokens: int | None = field(default=None, metadata=wire("eval_count"))
    answer_s: float | None = field(default=None, metadata=_seconds("eval_duration"))

    @property
    def tokens_per_s(self) -> float | None:
        """Tokens written in a second; None where the server does not say."""
        if not self.answer_tokens or not self.answer_s:
            return None
        return self.answer_tokens / self.answer_s


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token that was written, or might have been: its natural log probability, at most 0.

    ``top`` are the likeliest tokens at its place, where they were asked for, best first. ``utf8``
    are its bytes, empty where the server does not say: a token may be a part of a character,
    which ``token`` cannot show.
    """

    token: str
    logprob: float
    top: tuple[TokenLogprob, ...] = field(default=(), metadata=wire("top_logprobs"))
    utf8: bytes = field(default=b"", metadata=wire("bytes"))


@dataclass(frozen=True, slots=True)
class Embedded:
    """A reply of ``/api/embed``.

    Attributes:
        model: As it was asked for.
        vectors: float32, shape (n_texts, dim), unit rows in the order of the texts.
        metrics: ``prompt_tokens`` is the sum over the texts.
    """

    model: str
    vectors: Vectors
    metrics: Metrics = Metrics()


@dataclass(frozen=True, slots=True)
class Details:
    """The kind of a model's weights.

    Attributes:
        parameter_size: A text such as ``137M``.
        context_tokens, embedding_length: As in `ShownModel`; only newer servers list them.
    """

    format: str = ""
    family: str = ""
    families: tuple[str, ...] = ()
    parameter_size: str = ""
    quantization_level: str = ""
    parent_model: str = ""
    context_tokens: int | None = field(default=None, metadata=wire("context_length"))
    embedding_length: int | None = None


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A model as ``/api/tags`` lists it.

    Attributes:
        name: With its tag.
        digest: Of its manifest, 64 hex digits.
        size_bytes: On disk.
        capabilities: Such as ``completion``, ``embedding``, ``tools``, ``thinking``, ``vision``;
            empty with a server that does not list them. Wrong where a file does not begin with
            its architecture, which ``details`` without lengths tell; `ShownModel` is right.
        remote_host, remote_model: Where it runs and its name there, if that is not this server;
            else empty.
    """

    name: str = field(metadata=wire("name", "model"))
    digest: str = field(default="", metadata=_DIGEST)
    size_bytes: int = field(default=0, metadata=wire("size"))
    modified_at: datetime | None = None
    details: Details = Details()
    capabilities: tuple[str, ...] = ()
    remote_host: str = ""
    remote_model: str = ""


@dataclass(frozen=True, slots=True)
class RunningModel:
    """A model in memory, as ``/api/ps`` lists it.

    Attributes:
        name: With its tag.
        digest: Of its manifest, 64 hex digits.
        size_bytes: In memory, all told; 0 where it runs on the processor alone.
        size_vram_bytes: The part of it on a graphics card; 0 for none.
        expires_at: When it is unloaded if nothing is asked of it.
        context_tokens: The window in force; None with an older server.
    """

    name: str = field(metadata=wire("name", "model"))
    digest: str = field(default="", metadata=_DIGEST)
    size_bytes: int = field(default=0, metadata=wire("size"))
    size_vram_bytes: int = field(default=0, metadata=wire("size_vram"))
    expires_at: datetime | None = None
    context_tokens: int | None = field(default=None, metadata=wire("context_length"))
    details: Details = Details()
