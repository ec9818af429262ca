"""What the server answers, as frozen records.

Fields that a version of the server does not send are empty or None; fields that it sends and
nobody here knows are passed over. Times are aware datetimes; durations are seconds; sizes bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ragkit.models.ollama import wire

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ragkit.protocols import Vectors


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

    total_s: float | None = None
    load_s: float | None = None
    prompt_tokens: int | None = None
    prompt_s: float | None = None
    answer_tokens: int | None = None
    answer_s: float | None = None

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> Metrics:
        """Read them from a reply that holds them among other fields."""
        return cls(
            total_s=wire.seconds(fields, "total_duration"),
            load_s=wire.seconds(fields, "load_duration"),
            prompt_tokens=wire.whole(fields, "prompt_eval_count"),
            prompt_s=wire.seconds(fields, "prompt_eval_duration"),
            answer_tokens=wire.whole(fields, "eval_count"),
            answer_s=wire.seconds(fields, "eval_duration"),
        )

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
    top: tuple[TokenLogprob, ...] = ()
    utf8: bytes = b""

    @classmethod
    def read_all(cls, fields: Mapping[str, Any], name: str) -> tuple[TokenLogprob, ...]:
        """Read a list of them from a field."""
        return tuple(
            cls(
                token=wire.text(item, "token"),
                logprob=wire.number(item, "logprob") or 0.0,
                top=cls.read_all(item, "top_logprobs"),
                utf8=wire.octets(item, "bytes"),
            )
            for item in wire.objects(fields, name)
        )


@dataclass(frozen=True, slots=True)
class Generated:
    """A reply of ``/api/generate``, or one piece of it in a stream.

    Attributes:
        model: As it was asked for.
        text: The reply, or its next piece.
        thinking: Reasoning, or its next piece.
        done: True for a whole reply and for the last piece.
        done_reason: ``stop``, ``length``, ``load``, ``unload``, or empty.
        context: Tokens to continue from, in the last piece; the server is giving this up.
        logprobs: One a token, where they were asked for.
        metrics: Empty before the last piece.
    """

    model: str
    text: str
    thinking: str = ""
    done: bool = False
    done_reason: str = ""
    created_at: datetime | None = None
    context: tuple[int, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    metrics: Metrics = Metrics()

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> Generated:
        """Read an object of the wire."""
        return cls(
            model=wire.text(fields, "model"),
            text=wire.text(fields, "response"),
            thinking=wire.text(fields, "thinking"),
            done=fields.get("done") is True,
            done_reason=wire.text(fields, "done_reason"),
            created_at=wire.time(fields, "created_at"),
            context=wire.integers(fields, "context"),
            logprobs=TokenLogprob.read_all(fields, "logprobs"),
            metrics=Metrics.read(fields),
        )


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
    context_tokens: int | None = None
    embedding_length: int | None = None

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> Details:
        """Read them from a reply's ``details``."""
        given = wire.mapping(fields, "details")
        return cls(
            format=wire.text(given, "format"),
            family=wire.text(given, "family"),
            families=wire.texts(given, "families"),
            parameter_size=wire.text(given, "parameter_size"),
            quantization_level=wire.text(given, "quantization_level"),
            parent_model=wire.text(given, "parent_model"),
            context_tokens=wire.whole(given, "context_length"),
            embedding_length=wire.whole(given, "embedding_length"),
        )


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A model as ``/api/tags`` lists it.

    Attributes:
        name: With its tag.
        digest: Of its manifest, 64 hex digits.
        size_bytes: On disk.
        capabilities: Such as ``completion``, ``embedding``, ``tools``, ``thinking``, ``vision``;
            empty with a server that does not list them.
        remote_host, remote_model: Where it runs and its name there, if that is not this server;
            else empty.
    """

    name: str
    digest: str = ""
    size_bytes: int = 0
    modified_at: datetime | None = None
    details: Details = Details()
    capabilities: tuple[str, ...] = ()
    remote_host: str = ""
    remote_model: str = ""

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> InstalledModel:
        """Read an object of the wire."""
        return cls(
            name=wire.text(fields, "name") or wire.text(fields, "model"),
            digest=wire.text(fields, "digest").removeprefix("sha256:"),
            size_bytes=wire.whole(fields, "size") or 0,
            modified_at=wire.time(fields, "modified_at"),
            details=Details.read(fields),
            capabilities=wire.texts(fields, "capabilities"),
            remote_host=wire.text(fields, "remote_host"),
            remote_model=wire.text(fields, "remote_model"),
        )


@dataclass(frozen=True, slots=True)
class RunningModel:
    """A model in memory, as ``/api/ps`` lists it.

    Attributes:
        name: With its tag.
        digest: Of its manifest, 64 hex digits.
        size_bytes: In memory, all told.
        size_vram_bytes: The part of it on a graphics card; 0 for none.
        expires_at: When it is unloaded if nothing is asked of it.
        context_tokens: The window in force; None with an older server.
    """

    name: str
    digest: str = ""
    size_bytes: int = 0
    size_vram_bytes: int = 0
    expires_at: datetime | None = None
    context_tokens: int | None = None
    details: Details = Details()

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> RunningModel:
        """Read an object of the wire."""
        return cls(
            name=wire.text(fields, "name") or wire.text(fields, "model"),
            digest=wire.text(fields, "digest").removeprefix("sha256:"),
            size_bytes=wire.whole(fields, "size") or 0,
            size_vram_bytes=wire.whole(fields, "size_vram") or 0,
            expires_at=wire.time(fields, "expires_at"),
            context_tokens=wire.whole(fields, "context_length"),
            details=Details.read(fields),
        )
