"""Addresses, models' names and their prefixes: read without a server."""

from __future__ import annotations

import pytest

from ragkit.errors import ConfigError
from ragkit.models.ollama import normalise_name, parse_host, prefixes_of


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("1.2.3.4", "http://1.2.3.4:11434"),
        ("example.com:56789/path", "http://example.com:56789/path"),
        ("https://1.2.3.4", "https://1.2.3.4:443"),
        ("http://1.2.3.4", "http://1.2.3.4:80"),
        ("https://x/ollama/", "https://x:443/ollama"),
        ("ollama.com", "https://ollama.com:443"),
        (":56789", "http://127.0.0.1:56789"),
        ("0.0.0.0", "http://127.0.0.1:11434"),  # noqa: S104 -- read, not bound
        ("http://0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("[::]", "http://[::1]:11434"),
        ("[::]:1337", "http://[::1]:1337"),
        ("::1", "http://[::1]:11434"),
        ("[::1]:1337", "http://[::1]:1337"),
        ("http://[2001:db8::1]:1337", "http://[2001:db8::1]:1337"),
        (' "host:1" ', "http://host:1"),
        ("'host'", "http://host:11434"),
        ("host:66000", "http://host:11434"),
        ("https://host:abc", "https://host:443"),
    ],
)
def test_an_address_is_read_by_the_rules_of_ollama_host(text: str, url: str) -> None:
    assert parse_host(text) == url
    assert parse_host(url) == url


@pytest.mark.parametrize(
    "text",
    [
        "ftp://host",
        "http://user:secret@host",
        "my host",
        "http://host?a=1",
        "host#1",
        "a\\b",
        "a..b",
        "x" * 64,
    ],
)
def test_an_address_of_another_kind_is_a_config_error(text: str) -> None:
    with pytest.raises(ConfigError, match="ollama_host"):
        parse_host(text)


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("llama3.2", "llama3.2:latest"),
        ("llama3.2:1b", "llama3.2:1b"),
        ("host:5000/me/model", "host:5000/me/model:latest"),
        (" m ", "m:latest"),
    ],
)
def test_a_name_gets_its_tag(name: str, full: str) -> None:
    assert normalise_name(name) == full


@pytest.mark.parametrize("name", ["", "  ", "two words"])
def test_an_impossible_name_is_a_config_error(name: str) -> None:
    with pytest.raises(ConfigError, match="not the name of a model"):
        normalise_name(name)


@pytest.mark.parametrize(
    ("name", "query", "document"),
    [
        ("nomic-embed-text:v1.5", "search_query: ", "search_document: "),
        ("hf.co/nomic-ai/nomic-embed-text-v1.5-GGUF:Q8_0", "search_query: ", "search_document: "),
        ("mxbai-embed-large", "Represent this sentence for searching relevant passages: ", ""),
        ("snowflake-arctic-embed2:568m", "query: ", ""),
        (
            "snowflake-arctic-embed:22m",
            "Represent this sentence for searching relevant passages: ",
            "",
        ),
        ("quentinz/bge-large-zh-v1.5", "为这个句子生成表示以用于检索相关文章：", ""),
        ("bge-m3", "", ""),
        ("embeddinggemma:300m", "task: search result | query: ", "title: none | text: "),
        ("jeffh/intfloat-multilingual-e5-large:q8_0", "query: ", "passage: "),
        ("all-minilm", "", ""),
        ("unheard-of", "", ""),
    ],
)
def test_prefixes_of_known_models(name: str, query: str, document: str) -> None:
    assert prefixes_of(name) == (query, document)
