"""Write the reference of docs/python.md from the docstrings: `cog` calls `reference`."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

import ragkit

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECTION = re.compile(r"^(Args|Attributes|Returns|Yields|Raises|Usage|Examples):+$", re.MULTILINE)
_ENTRY = re.compile(r"^    (\S[^:\n]*): (.*(?:\n {8}.*)*)", re.MULTILINE)
_FILES = re.compile(r"(\w+\.)*records\.|collections\.abc\.|ragkit\.[a-z_.]+\.")


def reference(*names: str) -> str:
    """The reference of public names of ragkit, as Markdown."""
    return "\n".join(line for name in names for line in _entries(name, getattr(ragkit, name)))


def _entries(name: str, value: Any) -> Iterator[str]:  # noqa: ANN401 -- any public name
    yield f"\n### {name}\n"
    if not inspect.isclass(value):
        yield _code(f"{name}{_signature(value)}")
        yield _text(value)
        return
    if not issubclass(value, Exception) and "Protocol" not in str(value.__bases__):
        yield _code(f"{name}{_signature(value)}")
    yield _text(value)
    for verb, member in vars(value).items():
        function = inspect.unwrap(getattr(member, "__func__", member))
        if (verb[0] == "_" and verb != "__call__") or hasattr(member, "__wrapped__"):
            continue  # what another class has told already, too
        if isinstance(member, property):
            yield f"\n#### {name}.{verb}\n"
            yield _text(member)
        elif inspect.isfunction(function):
            yield f"\n#### {name}.{verb}\n"
            yield _code(f"{verb}{_signature(function, is_method=True)}")
            yield _text(function)


def _code(text: str) -> str:
    return f"```text\n{text}\n```\n"


def _signature(function: Any, *, is_method: bool = False) -> str:  # noqa: ANN401 -- as above
    signature = inspect.signature(function)
    given = list(signature.parameters.values())[int(is_method) :]
    signature = signature.replace(parameters=given)
    told = re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(signature))
    told = _FILES.sub("", told.replace("<factory>", "{}"))
    told = re.sub(r"= (\w+)\((\w+=\(\)(?:, )?)*\)", r"= \1()", told)
    if len(told) <= 80:
        return told
    inside, _, result = told[1:].rpartition(")")
    parts = re.split(r", (?![^\[(]*[\])])", inside)
    return "(\n" + "".join(f"    {part},\n" for part in parts) + ")" + result


def _text(value: Any) -> str:  # noqa: ANN401 -- as above
    """A docstring, its sections as lists."""
    parts = _SECTION.split(inspect.getdoc(value) or "")
    told = [parts[0].strip()]
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        entries = _ENTRY.findall(body)
        if title in {"Usage", "Examples"}:
            code, _, rest = re.sub(r"\n(?=\S)", "\0", body.strip("\n"), count=1).partition("\0")
            told += ["```python\n" + inspect.cleandoc(f"\n{code}") + "\n```", rest.strip()]
        elif title in {"Returns", "Yields"} or not entries:
            told.append(f"{title}: {' '.join(body.split())}")
        else:
            lines = [f"- `{key}`: {' '.join(text.split())}" for key, text in entries]
            told.append(f"{title}:\n\n" + "\n".join(lines))
    return re.sub(r"``([^`]+)``", r"`\1`", "\n\n".join(filter(None, told))) + "\n"
