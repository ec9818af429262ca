r"""Links in a reply: those that stand in the passages stay, any other is taken out as it streams.

A model that obeys a passage can be made to write a secret into the address of an image or link;
whatever shows the reply then fetches it, or its reader clicks. So an address stays only if
the passages hold it, character for character, and no image stays one:

- an address, with or without ``scheme://``, and a mail address become ``[link removed]``;
- ``[text](address)`` becomes ``[text] ([link removed])``, a reference's definition is broken;
- ``![text](address)`` becomes a link first;
- an HTML tag that loads, links or runs becomes ``[html removed]``, whatever the passages say.

The reply is read as a row of tokens. One that the next characters could make longer is held back
until they come, so the text is the same wherever its pieces were cut: mostly a word is held, in
Chinese nothing. `LinkFilter` comes after `MarkFilter`: what that one takes out could join two
harmless halves of a link.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ragkit.text.patterns import late_pattern
from ragkit.text.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

REMOVED = "[link removed]"
HTML_REMOVED = "[html removed]"

_LONGEST_TAG = 2000
"""Most characters before and behind a tag's last ``=``; it bounds what is held back."""

_LOADING = (
    "a|applet|area|audio|base|body|button|embed|form|frame|iframe|image|img|input|link|math|meta"
    "|object|picture|portal|script|source|style|svg|track|video"
)
_INSIDE = rf"[^<>]{{0,{_LONGEST_TAG}}}"
_TAG = (
    rf"<(?:/?(?:{_LOADING})(?:[\s/\"']{_INSIDE})?>"
    rf"|/?(?:{_LOADING})[\s/\"']{_INSIDE}={_INSIDE}"  # whoever shows it may add the end
    rf"|[a-z][\w:-]{{0,50}}[\s/]{_INSIDE}={_INSIDE}>)"
)
_BODY = r"[^\s\[\]\u00a0\u2000-\u200a\u3000<>\"`|^{}“”‘’「」『』（）《》【】，。；：！？、…]"
_HOST = r"[\w-]+"
_ADDRESS = (
    rf"[a-z][a-z0-9+.-]+:[/\\]{{2}}(?:\[[0-9a-f:.]+\]{_BODY}*|{_BODY}+)"
    rf"|(?:https?|ftp|mailto):[/\\]*\w{_BODY}*"
    rf"|(?:javascript|vbscript):{_BODY}+|data:[a-z]+/{_BODY}*"
    rf"|www\.{_BODY}+"
    rf"|[/\\]{{2}}(?:{_HOST}\.)+[a-z]{_BODY}*"  # with the scheme of the page that shows it
    rf"|[\w.%+-]+@(?:{_HOST}\.)+{_HOST}"
    rf"|(?:{_HOST}\.)+[a-z]{{2,}}(?::\d+)?[/?\\#]{_BODY}*"  # many programs link a bare host too
)
_TOKEN = (
    rf"(?P<tag>{_TAG})"
    r"|(?P<image>!\[)"
    r"|(?P<inline>\]\((?P<target>[^\s()<>]+)\))|(?P<opened>\]\()"
    r"|(?P<definition>\]:(?=\s*[/\\.<#?]))"
    rf"|(?P<address>{_ADDRESS})"
    r"|(?P<word>[a-z0-9][\w.%+-]*)"  # whole, so that no address begins within one
    r"|(?P<other>.)"
)
# What may still grow at the end: a run of ASCII, a tag, a link's target, a definition.
_OPEN = (
    rf"(?P<open>[!-~]+\Z|<[a-z/][^<>]{{0,{2 * _LONGEST_TAG + 100}}}\Z"
    r"|\]\([^\s()<>]*\Z|\]:\s*\Z)"
)
_FLAGS = re.DOTALL | re.IGNORECASE | re.ASCII  # ASCII: no Kelvin sign for a k
_STREAMED = late_pattern(f"{_OPEN}|{_TOKEN}", _FLAGS)
_FINAL = late_pattern(_TOKEN, _FLAGS)
_ENDED = late_pattern(r"[.,;:!?)\"`>|]*(?:\s|\Z)|<")
"""Behind an address that stays: programs link on to the next space, whatever stands between."""
_LATIN = late_pattern("[!-~]*")


def links(texts: Iterable[str]) -> frozenset[str]:
    """The addresses and link targets that stand in texts, as a reader sees them."""
    return frozenset(link for text in texts for link in _links(visible(text)))


def _links(text: str) -> Iterator[str]:
    for match in _FINAL.finditer(text):
        yield match["target"] or ""
        for found in _FINAL.finditer(match["target"] or match["address"] or ""):
            if found["address"]:
                yield _trimmed(found["address"])
                yield _trimmed(_latin(found["address"]))


class LinkFilter:
    """Passes a reply on piece by piece without the links that do not stand in its passages.

    Attributes:
        removed: The addresses and tags that were taken out, in order.
    """

    def __init__(self, given: Iterable[str]) -> None:
        """Begin a reply to passages of these texts."""
        self.removed: list[str] = []
        self._known = links(given)
        self._held = ""

    def feed(self, text: str) -> str:
        """Take the next piece and return what can be shown by now."""
        return self._read(self._held + visible(text), _STREAMED)

    def close(self) -> str:
        """Return what was held back; the reply is over."""
        return self._read(self._held, _FINAL)

    def _read(self, text: str, pattern: re.Pattern[str]) -> str:
        """Write token after token; what begins with one that may still grow is held."""
        shown: list[str] = []
        at = 0
        while match := pattern.match(text, at):
            # Of what follows an address, two characters are looked at.
            end = match.end() + bool(match["address"])
            if pattern is _STREAMED and end >= len(text) and not match["other"]:
                break
            written, at = self._written(match)
            shown.append(written)
        self._held = text[at:]
        return "".join(shown)

    def _written(self, match: re.Match[str]) -> tuple[str, int]:
        """What is shown for a token, and where the next one begins."""
        kind, start, end = match.lastgroup, match.start(), match.end()
        if kind == "tag":
            self.removed.append(match[0])
            return _note(HTML_REMOVED, match.string[end : end + 1]), end
        if kind == "image":
            # "Great![1]" is no image but a mark; the space keeps it from becoming one.
            return ("! [" if match.string[end : end + 1].isdigit() else "["), end
        if kind == "opened" or (kind == "inline" and match["target"] not in self._known):
            return "] (", start + 2
        if kind == "definition":
            return "] :", end
        if kind == "address":
            return self._address(match)
        return match[0], end

    def _address(self, match: re.Match[str]) -> tuple[str, int]:
        whole, latin = _trimmed(match[0]), _trimmed(_latin(match[0]))
        end = match.start() + len(whole)
        if whole in self._known:
            apart = _ENDED.match(match.string, match.end())
            return (whole if apart else whole + " "), end
        end = match.start() + len(latin)
        if latin in self._known:  # a Chinese sentence goes on where the address ends
            return latin + " ", end
        self.removed.append(latin)
        return _note(REMOVED, match.string[end : end + 1]), end


def _note(note: str, following: str) -> str:
    """Keep a note from becoming the text of a link with what follows it."""
    return note + " " if following in ("(", "[", ":") else note


def _latin(address: str) -> str:
    return _LATIN.match(address)[0]  # type: ignore[index]  # it matches any text


def _trimmed(address: str) -> str:
    """Cut off what belongs to the sentence around an address: full stops, an unopened bracket."""
    while len(address) > 1:
        last = address[-1]
        unopened = last == ")" and address.count(")") > address.count("(")
        if last not in ".,;:!?*_~'" and not unopened:
            break
        address = address[:-1]
    return address
