"""What ``/api/show`` tells of a model. Its limits are named after its architecture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ragkit.models.ollama.messages import Message
from ragkit.models.ollama.replies import Details


@dataclass(frozen=True, slots=True)
class ShownModel:
    """A model in full.

    Attributes:
        modelfile: The file that it can be created again from.
        parameters: Lines of a name and a value; see `parameter`.
        template: Turns messages into the prompt.
        model_info: The weights' own key-value pairs, as in a GGUF file. Lists in it (the
            tokenizer's words) are empty unless it was asked for with ``verbose``.
        projector_info: The same of a vision model's image part.
        tensors: Name, type and shape of each; from older servers with ``verbose`` only.
        capabilities: Such as ``completion``, ``embedding``, ``tools``, ``thinking``, ``vision``.
        messages: A conversation that the model comes with.
        renderer, parser: What the server turns messages and replies with in place of the
            template; empty for most models.
        requires: The oldest version of the server that runs it, where it says.
        remote_host, remote_model: Where it runs and its name there, if that is not this server;
            else empty.
    """

    modelfile: str = ""
    parameters: str = ""
    template: str = ""
    system: str = ""
    license: str = ""
    details: Details = field(default_factory=Details)
    model_info: Mapping[str, Any] = field(default_factory=dict)
    projector_info: Mapping[str, Any] = field(default_factory=dict)
    tensors: tuple[Mapping[str, Any], ...] = ()
    capabilities: tuple[str, ...] = ()
    messages: tuple[Message, ...] = ()
    modified_at: datetime | None = None
    renderer: str = ""
    parser: str = ""
    requires: str = ""
    remote_model: str = ""
    remote_host: str = ""

    @property
    def context_tokens(self) -> int | None:
        """The window in tokens that it was trained for; None where the server does not say."""
        return self._limit("context_length")

    @property
    def embedding_length(self) -> int | None:
        """The width of its vectors; None where the server does not say."""
        return self._limit("embedding_length")

    def parameter(self, name: str) -> int | None:
        """A whole-number parameter of its own file, such as ``num_ctx``; None without one."""
        for line in self.parameters.splitlines():
            words = line.split()
            if len(words) > 1 and words[0] == name and words[1].isdigit():
                return int(words[1])
        return None

    def _limit(self, name: str) -> int | None:
        info = self.model_info
        exact = info.get(f"{info.get('general.architecture')}.{name}")
        named = [value for key, value in info.items() if key.endswith(f".{name}")]
        return next((v for v in (exact, *named) if isinstance(v, int) and v > 0), None)
