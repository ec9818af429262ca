"""The endpoints that write text, and those calls of them that only load or unload a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from ragkit.errors import ModelResponseError
from ragkit.models.ollama.inventory import Inventory
from ragkit.models.ollama.messages import ChatReply
from ragkit.models.ollama.records import Generated

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from ragkit.models.ollama.calls import ChatCall, GenerateCall

T = TypeVar("T")
_GENERATE, _CHAT = "/api/generate", "/api/chat"


class Generation(Inventory):
    """Asks models for text.

    A request is sent again where it may help, but not once its reply has begun: then the error
    is the caller's to see, and what came before it is still an incomplete answer.
    """

    def generate(self, call: GenerateCall) -> Generated:
        """Continue a text; the whole reply at once. ``POST /api/generate``, ``stream: false``.

        The reply must come within ``models.read_timeout_s``; a long one is better streamed.

        Raises:
            ModelUnavailableError: Also if the model broke off.
            ConfigError: The model runs elsewhere, and ``models.allow_remote`` is off.
        """
        return Generated.read(self._whole(_GENERATE, call, call.model))

    def generate_stream(self, call: GenerateCall) -> Generator[Generated, None, None]:
        """Continue a text piece by piece. ``POST /api/generate``, ``stream: true``.

        Closing the iterator cancels the generation. Errors as `generate`, at the first piece or
        at a later one.

        Returns:
            Pieces as they come; the last and only the last has ``done``.
        """
        return self._streamed(_GENERATE, call, call.model, Generated.read)

    def chat(self, call: ChatCall) -> ChatReply:
        """Continue a conversation; the whole reply at once. ``POST /api/chat``, ``stream: false``.

        Limits and errors as `generate`.
        """
        return ChatReply.read(self._whole(_CHAT, call, call.model))

    def chat_stream(self, call: ChatCall) -> Generator[ChatReply, None, None]:
        """Continue a conversation piece by piece. ``POST /api/chat``, ``stream: true``.

        Closing the iterator cancels the generation. Errors as `generate_stream`.

        Returns:
            Pieces as they come; the last and only the last has ``done``.
        """
        return self._streamed(_CHAT, call, call.model, ChatReply.read)

    def load(self, name: str, *, keep_alive: str = "") -> None:
        """Load a model into memory and wait until it is there.

        ``POST /api/generate`` without a prompt; for an embedding model, which that refuses,
        ``POST /api/embed`` without a text.

        Args:
            name: The model.
            keep_alive: How long it stays; see `GenerateCall`.
        """
        self.refuse_remote(name)
        body = self.with_defaults({"model": name}, keep_alive=keep_alive)
        try:
            self.costly(_GENERATE, body, model=name)
        except ModelResponseError as exc:
            if "does not support" not in str(exc):
                raise
            self.request("POST", "/api/embed", body | {"input": ""}, model=name)

    def unload(self, name: str) -> None:
        """Remove a model of any kind from memory. ``POST /api/generate``, ``keep_alive: 0``."""
        self.costly(_GENERATE, {"model": name, "keep_alive": 0}, model=name)

    def _whole(self, path: str, call: GenerateCall | ChatCall, model: str) -> dict[str, Any]:
        self.refuse_remote(model)
        body = self.with_defaults(call.body(stream=False), keep_alive=call.keep_alive)
        reply = self.costly(path, body, model=model)
        if not reply.get("done"):
            raise self.unfinished(model)
        return reply

    def _streamed(
        self,
        path: str,
        call: GenerateCall | ChatCall,
        model: str,
        read: Callable[[dict[str, Any]], T],
    ) -> Generator[T, None, None]:
        self.refuse_remote(model)
        body = self.with_defaults(call.body(stream=True), keep_alive=call.keep_alive)
        return self.events_until(
            ("done", True),
            self.events(path, body, model=model),
            read,
            unfinished=self.unfinished(model),
        )
