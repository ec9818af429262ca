"""What can be asked of ``/api/chat``, and what of it holds for ``/api/generate`` too.

A field that is left at its default is not sent, so that the server's and the model's own hold.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ragkit.models.ollama.messages import Message

Think: TypeAlias = "bool | Literal['low', 'medium', 'high', 'max']"
Format: TypeAlias = "Mapping[str, Any] | Literal['json']"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What generate and chat have in common.

    Attributes:
        options: ``temperature``, ``seed``, ``num_ctx``, ``num_predict``, ``stop``... A model is
            loaded anew when one of ``num_ctx``, ``num_batch``, ``num_gpu``, ``main_gpu``,
            ``use_mmap``, ``num_thread`` differs from the last request: send the same ones.
        format: ``"json"``, or a JSON schema that the reply is to follow. The reply is text still.
        think: Whether to reason first, or how much. None: a model that can does. True for a model
            that cannot is refused.
        keep_alive: How long the model stays loaded afterwards: seconds, or a duration such as
            ``10m``; negative for ever, ``0`` not at all. Empty: the setting.
        logprobs: Whether to send each token's log probability.
        top_logprobs: How many alternatives to send with each, 0 to 20.
        truncate: Whether a prompt over the window is cut, silently; None: the server's default,
            which is to cut.
        shift: Whether generation goes on beyond the window by forgetting; None: the server's
            default, which is to.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    format: Format | None = None
    think: Think | None = None
    keep_alive: str = ""
    logprobs: bool = False
    top_logprobs: int = 0
    truncate: bool | None = None
    shift: bool | None = None

    def _common(self, *, stream: bool) -> dict[str, Any]:
        chosen = {"truncate": self.truncate, "shift": self.shift, "think": self.think}
        body: dict[str, Any] = {"stream": stream}
        if self.options:
            body["options"] = dict(self.options)
        if self.format is not None:
            body["format"] = self.format if isinstance(self.format, str) else dict(self.format)
        if self.logprobs:
            body["logprobs"] = True
        if self.top_logprobs:
            body["top_logprobs"] = self.top_logprobs
        return body | {name: value for name, value in chosen.items() if value is not None}


@dataclass(frozen=True, slots=True)
class ChatCall(Call):
    """One request of ``/api/chat``: a conversation to go on with.

    Attributes:
        model: Its name; the tag may be left out.
        messages: Oldest first; none: the model is only loaded. The model's own system text is
            put before them unless the first is a ``system`` message.
        tools: Functions that the model may want called, as JSON values in OpenAI's shape; passed
            on as they are, to a model with the capability ``tools``.
    """

    model: str
    messages: Sequence[Message] = ()
    _: KW_ONLY
    tools: Sequence[Mapping[str, Any]] = ()

    def body(self, *, stream: bool) -> dict[str, Any]:
        """The JSON object that goes over the wire, without ``keep_alive``."""
        messages = [message.body() for message in self.messages]
        tools = {"tools": [dict(tool) for tool in self.tools]} if self.tools else {}
        return {"model": self.model, "messages": messages} | tools | self._common(stream=stream)
