"""Names of models as an Ollama server compares them."""

from __future__ import annotations

from ragkit.errors import ConfigError


def normalise_name(name: str) -> str:
    """Write a model's name with its tag, as the server lists it.

    Raises:
        ConfigError: The name is empty or holds a space.

    >>> normalise_name("hf.co/org/model")
    'hf.co/org/model:latest'
    """
    text = name.strip()
    if not text or any(character.isspace() for character in text):
        msg = f"{name!r} is not the name of a model; expected e.g. nomic-embed-text"
        raise ConfigError(msg)
    return text if ":" in text.rpartition("/")[2] else f"{text}:latest"


def is_remote(name: str) -> bool:
    """True if a name says that its model does not run on the server itself.

    >>> is_remote("gpt-oss:120b-cloud"), is_remote("my-cloud:local")
    (True, False)
    """
    return name.strip().casefold().endswith((":cloud", "-cloud"))


def same_name(one: str, other: str) -> bool:
    """True if two names mean the same model; case and ``:latest`` do not matter."""
    return normalise_name(one).casefold() == normalise_name(other).casefold()
