"""What can be asked of ``/api/generate``, and its replies.

Apart from chat, of which alone an answer has need.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ragkit.decoding import wire
from ragkit.models.ollama.calls import Call
from ragkit.models.ollama.messages import encoded
from ragkit.models.ollama.replies import Metrics, TokenLogprob

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class GenerateCall(Call):
    """One request of ``/api/generate``: a text to go on from.

    Attributes:
        model: Its name; the tag may be left out.
        prompt: Empty: the model is only loaded.
        suffix: What is to come after the reply, for models that fill in between.
        system: In place of the model's own system text.
        template: In place of the model's own template.
        context: Tokens of an earlier reply to go on from.
        images: Bytes of image files, for a model with the capability ``vision``.
        raw: The prompt is sent to the model as it is, without its template; goes without
            ``system``, ``template`` and ``context``.
    """

    model: str
    prompt: str = ""
    _: KW_ONLY
    suffix: str = ""
    system: str = ""
    template: str = ""
    context: Sequence[int] = ()
    images: Sequence[bytes] = field(default=(), repr=False)
    raw: bool = False

    def body(self, *, stream: bool) -> dict[str, Any]:
        """The JSON object that goes over the wire, without ``keep_alive``."""
        optional: dict[str, Any] = {
            "suffix": self.suffix,
            "system": self.system,
            "template": self.template,
            "context": list(self.context),
            "images": encoded(self.images),
            "raw": self.raw,
        }
        given = {name: value for name, value in optional.items() if value}
        return {"model": self.model, "prompt": self.prompt} | given | self._common(stream=stream)


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
    text: str = field(metadata=wire("response"))
    thinking: str = ""
    done: bool = False
    done_reason: str = ""
    created_at: datetime | None = None
    context: tuple[int, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    metrics: Metrics = field(default=Metrics(), metadata=wire(""))
