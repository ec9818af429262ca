"""Several embedding requests at once: shared, bounded, in order, and left behind on Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest
from ollama_double.script import Fault, Settings
from ollama_double.server import OllamaServer
from ollama_helpers import LEGACY, embedder_of, expected

from ragkit.errors import ModelUnavailableError


def test_a_dead_server_stops_the_rest_of_a_batch(ollama: OllamaServer) -> None:
    ollama.faults.append(Fault(LEGACY, times=None, skip=5, drop_after=0))
    embedder = embedder_of(ollama, retries=0, embed_concurrency=2)
    with pytest.raises(ModelUnavailableError):
        embedder.embed_documents([f"text {i}" for i in range(500)])
    assert len(ollama.paths()) < 20


def test_two_threads_share_the_requests_in_flight() -> None:
    settings = Settings(latency_s=0.005, slots=4)
    with OllamaServer(settings) as server:
        embedder = embedder_of(server, embed_concurrency=4)
        results: dict[str, Any] = {}

        def embed(word: str) -> None:
            results[word] = embedder.embed_documents([f"{word} {i}" for i in range(30)])

        threads = [threading.Thread(target=embed, args=(word,)) for word in ("left", "right")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for word, got in results.items():
            wanted = expected(*(f"{word} {i}" for i in range(30)))
            np.testing.assert_allclose(got, wanted, atol=1e-6)
        assert server.connections <= 4


def test_a_closed_embedder_says_so(ollama: OllamaServer) -> None:
    embedder = embedder_of(ollama)
    embedder.embed_documents(["a", "b"])
    embedder.close()
    with pytest.raises(ValueError, match="closed"):
        embedder.embed_documents(["a", "b"])


def test_ctrl_c_does_not_wait_for_a_model_that_loads(ollama: OllamaServer) -> None:
    ollama.faults.append(Fault(LEGACY, times=None, delay_s=8))
    program = (
        "import sys; from ragkit.config import ModelSettings; from ragkit.models.ollama import *\n"
        "client = OllamaClient(sys.argv[1], settings=ModelSettings())\n"
        "OllamaEmbedder(client, 'all-minilm').embed_documents(['a'] * 50)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, ollama.url], stderr=subprocess.PIPE, text=True
    )
    while not ollama.requests:
        time.sleep(0.02)
    started = time.perf_counter()
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=20)
    assert time.perf_counter() - started < 4
    assert "KeyboardInterrupt" in errors


def test_one_request_at_a_time_keeps_the_order(ollama: OllamaServer) -> None:
    embedder = embedder_of(ollama, embed_concurrency=1)
    embedder.embed_documents(["a", "b", "c"])
    assert [body["prompt"][-1] for body in ollama.bodies(LEGACY)] == ["a", "b", "c"]
