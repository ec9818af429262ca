"""Several servers that share the embedding: order, results, shares, failures and comebacks."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest
from commands import CLOSED, wait_until
from ollama_double.models import CATALOGUE
from ollama_double.server import Fault, OllamaServer, Settings
from ollama_helpers import (
    BATCH,
    CRASH,
    LEGACY,
    NOMIC,
    OTHER_NOMIC,
    TOO_LONG,
    count,
    embedder_of,
    expected,
)

from ragkit.config import ModelSettings
from ragkit.errors import (
    ConfigError,
    EmbeddingFailedError,
    ModelNotFoundError,
    ModelUnavailableError,
)
from ragkit.models.ollama import OllamaClient, OllamaEmbedder, parse_hosts

TEXTS = [f"text number {i} of many" for i in range(120)]


def shared(*addresses: str, name: str = NOMIC, **settings: Any) -> OllamaEmbedder:
    """An embedder over several servers."""
    quick = {"retries": 0, "connect_timeout_s": 1.0, "embed_concurrency": 4, **settings}
    clients = [OllamaClient(url, settings=ModelSettings(**quick)) for url in addresses]
    return OllamaEmbedder(clients[0], name, replicas=clients[1:])


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("", ("http://127.0.0.1:11434",)),
        ("one", ("http://one:11434",)),
        (" one , two:8080,", ("http://one:11434", "http://two:8080")),
        ('"one,two"', ("http://one:11434", "http://two:11434")),
        ("https://one/ollama, [::1]", ("https://one:443/ollama", "http://[::1]:11434")),
        ("0.0.0.0,127.0.0.1:11434", ("http://127.0.0.1:11434",)),
        (",", ("http://127.0.0.1:11434",)),
    ],
)
def test_each_address_of_a_list_is_read_by_the_rules_of_ollama_host(
    text: str, hosts: tuple[str, ...]
) -> None:
    assert parse_hosts(text) == hosts


def test_a_password_with_a_comma_is_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_hosts("http://one,http://user:pass,word@two")
    assert "pass" not in str(caught.value)
    assert "word" not in str(caught.value)


def test_a_client_speaks_to_one_server_only() -> None:
    with pytest.raises(ConfigError, match="ollama_host"):
        OllamaClient("one,two", settings=ModelSettings())


@pytest.mark.parametrize("endpoint", [LEGACY, BATCH])
def test_two_servers_share_the_texts_and_give_what_one_gives(
    pair: tuple[OllamaServer, OllamaServer], ollama: OllamaServer, endpoint: Any
) -> None:
    embedder = shared(*(server.url for server in pair), embed_endpoint=endpoint)
    vectors = embedder.embed_documents(TEXTS)
    alone = embedder_of(ollama, embed_endpoint=endpoint).embed_documents(TEXTS)

    np.testing.assert_allclose(vectors, expected(*TEXTS), atol=1e-6)
    np.testing.assert_array_equal(vectors, alone)
    assert sum(count(server, endpoint) for server in pair) == len(TEXTS)
    assert all(count(server, endpoint) > len(TEXTS) / 4 for server in pair)


def test_the_faster_server_gets_more() -> None:
    with (
        OllamaServer() as fast,
        OllamaServer(Settings(latency_s=0.2)) as slow,
    ):
        vectors = shared(slow.url, fast.url).embed_documents(TEXTS)
    np.testing.assert_allclose(vectors, expected(*TEXTS), atol=1e-6)
    assert 0 < count(slow) < count(fast) / 2


def test_no_server_has_more_requests_in_flight_than_the_setting(
    pair: tuple[OllamaServer, OllamaServer],
) -> None:
    embedder = shared(*(server.url for server in pair), embed_concurrency=3)
    threads = [threading.Thread(target=embedder.embed_documents, args=(TEXTS,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(map(count, pair)) == 3 * len(TEXTS)
    assert all(1 < server.connections <= 3 for server in pair)


def test_a_question_waits_for_its_turn_but_not_for_all_texts() -> None:
    with OllamaServer(Settings(latency_s=0.02, slots=2)) as server:
        embedder = shared(server.url, embed_concurrency=2)
        work = threading.Thread(target=embedder.embed_documents, args=(TEXTS,))
        work.start()
        wait_until(lambda: count(server) > 10)
        embedder.embed_query("between")
        seen = count(server)
        work.join()
    assert seen < len(TEXTS) / 2


def test_a_question_alone_goes_to_the_first_server_only(
    pair: tuple[OllamaServer, OllamaServer],
) -> None:
    one, other = pair
    embedder = shared(one.url, other.url)
    assert embedder.digest == CATALOGUE[0].digest
    embedder.embed_query("a")
    embedder.embed_query("b")
    assert count(one) == 2
    assert other.requests == []


def test_a_server_that_dies_is_left_out_and_its_texts_go_elsewhere(
    pair: tuple[OllamaServer, OllamaServer], caplog: pytest.LogCaptureFixture
) -> None:
    one, other = pair
    embedder = shared(one.url, other.url)
    results: list[Any] = []
    work = threading.Thread(target=lambda: results.append(embedder.embed_documents(TEXTS)))
    work.start()
    wait_until(lambda: count(other) > 5)
    other.close()
    work.join()
    np.testing.assert_allclose(results[0], expected(*TEXTS), atol=1e-6)
    (message,) = caplog.messages  # though several requests were in flight
    assert message.startswith(f"Going on without {other.url}: ")


def test_a_server_that_is_back_is_used_again(pair: tuple[OllamaServer, OllamaServer]) -> None:
    one, other = pair
    embedder = shared(one.url, other.url)
    other.close()
    embedder.embed_documents(TEXTS)
    with OllamaServer(port=other.port) as again:
        embedder.embed_documents(TEXTS[:20])
        assert again.requests == []  # not within a second of its failure
        time.sleep(1.1)
        vectors = embedder.embed_documents(TEXTS)
        np.testing.assert_allclose(vectors, expected(*TEXTS), atol=1e-6)
        assert count(again) > len(TEXTS) / 4
        assert again.paths()[:2] == ["/api/version", "/api/tags"]  # is it there, with the model?


@pytest.mark.long
def test_a_server_that_fails_again_is_left_out_for_twice_as_long(
    pair: tuple[OllamaServer, OllamaServer],
) -> None:
    one, other = pair
    other.faults.append(Fault(LEGACY, times=None, status=503, body={"error": "server busy"}))
    embedder = shared(one.url, other.url)
    tried: list[int] = []
    for _ in range(3):
        embedder.embed_documents(TEXTS[:8])
        tried.append(count(other))
        time.sleep(1.1)
    assert tried[0] < tried[1] == tried[2]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(LEGACY, times=None, status=503, body={"error": "server busy, please try again."}),
        Fault(LEGACY, times=None, status=500, body={"error": "no CUDA device"}),
        Fault(LEGACY, times=None, status=500, body=CRASH),
        Fault(LEGACY, times=None, drop_after=30),
        Fault(LEGACY, times=None, delay_s=1.0),
        Fault(LEGACY, times=None, status=404, body={"error": f'model "{NOMIC}" not found'}),
    ],
    ids=["busy", "internal error", "crashed runner", "cut replies", "no reply", "model deleted"],
)
def test_a_server_that_fails_with_every_text_spoils_none(
    pair: tuple[OllamaServer, OllamaServer], fault: Fault
) -> None:
    bad, good = pair
    bad.faults.append(fault)
    vectors = shared(bad.url, good.url, read_timeout_s=0.4).embed_documents(TEXTS)
    np.testing.assert_allclose(vectors, expected(*TEXTS), atol=1e-6)
    assert count(good) == len(TEXTS)


@pytest.mark.parametrize(
    ("status", "body"), [(500, {"error": "no idea"}), (500, {"error": TOO_LONG})]
)
def test_a_text_that_fails_everywhere_fails_as_with_one_server(
    pair: tuple[OllamaServer, OllamaServer], status: int, body: Any
) -> None:
    for server in pair:
        server.faults.append(Fault(LEGACY, times=None, match="bad", status=status, body=body))
    with pytest.raises(EmbeddingFailedError) as caught:
        shared(*(server.url for server in pair)).embed_documents(["a", "bad", "c"])
    assert set(caught.value.failed) == {1}
    np.testing.assert_allclose(caught.value.vectors[[0, 2]], expected("a", "c"), atol=1e-6)


def test_another_model_of_the_same_name_is_an_error_that_names_both(ollama: OllamaServer) -> None:
    with OllamaServer(Settings(models=OTHER_NOMIC)) as other:
        embedder = shared(ollama.url, other.url)
        embedder.embed_query("a")  # from now on the first server's model is the one to have
        with pytest.raises(ConfigError) as caught:
            embedder.embed_documents(TEXTS)
        assert count(other) == 0
    for word in (ollama.url, other.url, CATALOGUE[0].digest[:12], OTHER_NOMIC[0].digest[:12]):
        assert word in str(caught.value)
    assert count(ollama) > 0


def test_a_server_without_the_model_is_left_out_with_the_command_that_helps(
    ollama: OllamaServer, caplog: pytest.LogCaptureFixture
) -> None:
    with OllamaServer(Settings(models=CATALOGUE[1:])) as other:
        vectors = shared(other.url, ollama.url).embed_documents(TEXTS)
        assert count(other) == 0
    np.testing.assert_allclose(vectors, expected(*TEXTS), atol=1e-6)
    (message,) = caplog.messages
    assert message.startswith(f"Going on without {other.url}: ")
    assert message.endswith(f"ragkit models pull {NOMIC}")


def test_where_all_are_out_the_error_names_each() -> None:
    gone = "http://127.0.0.1:10"
    with pytest.raises(ModelUnavailableError) as caught:
        shared(CLOSED, gone).embed_documents(TEXTS)
    assert str(caught.value).startswith(f"no server is left: nothing answers at {CLOSED} (")
    assert f"nothing answers at {gone}" in str(caught.value)
    assert "ollama serve" in str(caught.value)


def test_where_none_has_the_model_the_error_gives_the_command(
    pair: tuple[OllamaServer, OllamaServer],
) -> None:
    one, other = pair
    with pytest.raises(ModelNotFoundError, match=r"ragkit models pull absent$") as caught:
        shared(one.url, other.url, name="absent").embed_query("a")
    assert one.url in str(caught.value)
    assert other.url in str(caught.value)


def test_after_all_were_out_the_next_call_tries_them_again(ollama: OllamaServer) -> None:
    ollama.faults.append(Fault("/api/tags", times=1, status=503, body={"error": "server busy"}))
    embedder = shared(ollama.url, CLOSED)
    with pytest.raises(ModelUnavailableError, match="no server is left"):
        embedder.embed_query("a")
    np.testing.assert_allclose(
        embedder.embed_query("a"), expected("a", prefix="search_query: ")[0], atol=1e-6
    )


def test_the_window_is_asked_of_a_server_that_answers(ollama: OllamaServer) -> None:
    assert shared(CLOSED, ollama.url).max_tokens == embedder_of(ollama).max_tokens
