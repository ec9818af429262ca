"""Any GGUF chat model by its path, in-process, through llama.cpp (the extra ``gguf``)."""

from __future__ import annotations

import atexit
import queue
import secrets
import threading
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ragkit.errors import ModelNotFoundError, ModelResponseError, ModelUnavailableError
from ragkit.extras import install_command
from ragkit.models.local.gguf_header import read_header
from ragkit.protocols import ChatDone, TextDelta, ThinkingDelta
from ragkit.system import passive_openmp

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from ragkit.protocols import ChatEvent, ChatRequest

Item = TypeVar("Item")

# Tokens of the prompt computed at once. A cancelled call ends after the batch at hand, so this
# bounds how long that takes; 128, 256 and 512 read a prompt at the same rate on two cores.
_BATCH_TOKENS = 256
_COUNTING_TOKENS = 512


class GGUFChat:
    """Satisfies `ragkit.protocols.ChatModel`. The model is loaded by the first call.

    The prompt is made with the model's own chat template, and a conversation's common beginning
    is not computed twice. Safe to use from several threads; the model answers one at a time.

    llama.cpp's bindings always open an HTTP listener on the loopback address. Nothing here uses
    it, and a random key that is never told keeps everybody else out.

    Args:
        path: A GGUF file.
        context_tokens: The largest window, for a file that does not say; None: as it says.

    Raises:
        ModelNotFoundError: There is no such file.
        ModelResponseError: It is not a GGUF file, or its window is not known.
    """

    backend = "gguf"

    def __init__(self, path: Path | str, *, context_tokens: int | None = None) -> None:
        self._path = Path(path)
        self.name = f"gguf:{self._path.name}"
        header = read_header(self._path)
        self.digest = header.digest
        known = context_tokens or header.context_tokens
        if known is None:
            msg = f"{path}: the file does not say its window; pass context_tokens"
            raise ModelResponseError(msg, self.name)
        self.context_tokens = known
        self._server: Any = None
        self._window = 0
        self._lock = threading.Lock()

    def chat(self, request: ChatRequest) -> Iterator[ChatEvent]:
        """Stream a reply; see `ragkit.protocols.ChatModel.chat`.

        The prompt is counted exactly before it is computed. A window above `context_tokens` is
        lowered to it; a larger window than before loads the model again.
        """
        window = min(request.num_ctx, self.context_tokens)
        call = partial(self._loaded(window).handle_chat_completions, _body(request))
        done_reason = ""
        usage: dict[str, Any] = {}
        with closing(stream(call)) as chunks:
            for chunk in self._checked(chunks):
                self._check_fits(chunk, window - request.num_predict)
                usage = chunk.get("usage") or usage
                for choice in chunk["choices"]:
                    done_reason = choice.get("finish_reason") or done_reason
                    yield from _deltas(choice["delta"])
        if not done_reason:
            msg = f"{self.name}: the reply broke off"
            raise ModelUnavailableError(msg, self.name)
        yield ChatDone(done_reason, usage.get("prompt_tokens"), usage.get("completion_tokens"))

    def count_tokens(self, text: str) -> int:
        """Count the tokens of a bare text, without a chat template, by the model's tokenizer.

        Counts a beginning-of-text token where the model puts one.

        Raises:
            ModelResponseError: The text cannot be read, e.g. holds a lone surrogate.
        """
        body = {"prompt": text, "max_tokens": 1, "stream": True, "return_progress": True}
        call = partial(self._loaded(_COUNTING_TOKENS).handle_completions, body)
        with closing(stream(call)) as chunks:
            for chunk in self._translated(chunks):
                if (total := _prompt_tokens(chunk)) is not None:
                    return total
                raise self._refusal(chunk)
        msg = f"{self.name}: no count came"
        raise ModelResponseError(msg, self.name)

    def close(self) -> None:
        """Free the model's memory; running replies end first. A later call loads it again."""
        with self._lock:
            self._server, self._window = None, 0

    def _loaded(self, window: int) -> Any:  # noqa: ANN401 -- xllamacpp has no types
        """Return a server whose window is at least so many tokens."""
        with self._lock:
            if self._server is None or self._window < window:
                self._server = None  # two models at once may not fit in memory
                self._server = self._load(window)
                self._window = window
            return self._server

    def _load(self, window: int) -> Any:  # noqa: ANN401 -- xllamacpp has no types
        try:
            with passive_openmp():
                import xllamacpp
        except ImportError as exc:
            msg = f"{self.name} needs llama.cpp; install it with: {install_command('gguf')}"
            raise ModelNotFoundError(msg, self.name) from exc
        params = xllamacpp.CommonParams()
        params.model.path = str(self._path)
        params.offline = True
        params.verbosity = -1  # llama.cpp writes pages to stderr
        params.n_ctx, params.n_batch, params.n_ubatch = window, _BATCH_TOKENS, _BATCH_TOKENS
        params.n_parallel = 1  # a window is divided among parallel replies
        params.cache_ram_mib = 0  # else up to 8 GB of old prompts are kept
        params.warmup = False
        params.api_keys = [secrets.token_hex(32)]
        params.ui = params.endpoint_slots = False
        try:
            return xllamacpp.Server(params)
        except RuntimeError as exc:
            msg = (
                f"{self._path}: llama.cpp cannot load this file: it is damaged, of an unknown "
                f"architecture, or needs more memory than there is for a window of {window} tokens"
            )
            raise ModelResponseError(msg, self.name) from exc

    def _translated(self, chunks: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Turn llama.cpp's exceptions (request, template or schema it cannot use) into ours."""
        try:
            yield from chunks
        except (TypeError, ValueError, RuntimeError) as exc:
            msg = f"{self.name} refused the request: {exc}"
            raise ModelResponseError(msg, self.name) from exc

    def _checked(self, chunks: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Pass on the chunks of a reply; raise for a chunk that says why there is none."""
        for chunk in self._translated(chunks):
            if "error" in chunk and _prompt_tokens(chunk) is None:
                raise self._refusal(chunk)
            yield chunk

    def _check_fits(self, chunk: dict[str, Any], room: int) -> None:
        """Raise if the prompt, which the first chunk counts, is over the room for it."""
        total = _prompt_tokens(chunk)
        if total is not None and total > room:
            msg = f"{self.name}: the prompt has {total} tokens, and the window has room for {room}"
            raise ModelResponseError(msg, self.name)

    def _refusal(self, chunk: dict[str, Any]) -> ModelResponseError:
        error = chunk.get("error") or {}
        msg = f"{self.name} refused the request: {error.get('message', chunk)}"
        return ModelResponseError(msg, self.name)


def stream(call: Callable[[Callable[[Item], bool]], object]) -> Generator[Item, None, None]:
    """Run a call in a thread of its own and yield what it reports, as it comes.

    Closing the iterator, also by an exception or at the interpreter's exit, makes the callback
    return True and waits for the call to end: that is why no `ragkit.system.DaemonPool`, which
    leaves its threads behind, can run it.

    Args:
        call: Takes a callback, reports each item to it, and must end soon after the callback
            returned True.

    Yields:
        The items, in order.

    Raises:
        Exception: What the call raised, after the items that came before it.
    """
    items: queue.SimpleQueue[Item | BaseException | None] = queue.SimpleQueue()
    cancelled = threading.Event()

    def report(item: Item) -> bool:
        items.put(item)
        return cancelled.is_set()

    def run() -> None:
        try:
            call(report)
        except BaseException as exc:  # noqa: BLE001 -- handed to the reader, who raises it
            items.put(exc)
        else:
            items.put(None)

    # A daemon, so that a reader who forgets the iterator cannot keep the process alive.
    thread = threading.Thread(target=run, name="ragkit-stream", daemon=True)

    def stop() -> None:
        cancelled.set()
        thread.join()

    # Native code that calls back into an interpreter that is gone would crash the process.
    atexit.register(stop)
    thread.start()
    try:
        while (item := items.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop()
        atexit.unregister(stop)


def _body(request: ChatRequest) -> dict[str, Any]:
    body: dict[str, Any] = {
        "messages": [{"role": m.role, "content": m.content} for m in request.messages],
        "max_tokens": request.num_predict,
        "temperature": request.temperature,
        "seed": request.seed,
        "stop": list(request.stop),
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,  # tells the prompt's tokens before computing them
        "chat_template_kwargs": {"enable_thinking": request.think},
    }
    if request.schema is not None:
        form = {"schema": dict(request.schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": form}
    return body


def _prompt_tokens(chunk: dict[str, Any]) -> int | None:
    """The exact length of the prompt, from the progress report or from the refusal to read it."""
    source: dict[str, Any] = chunk.get("prompt_progress") or {}
    refused: dict[str, Any] = chunk.get("error") or {}
    return source.get("total", refused.get("n_prompt_tokens"))


def _deltas(delta: dict[str, Any]) -> Iterator[TextDelta | ThinkingDelta]:
    if thinking := delta.get("reasoning_content"):
        yield ThinkingDelta(thinking)
    if text := delta.get("content"):
        yield TextDelta(text)
