"""Builders of compound files (MS-CFB), as Outlook's messages are, stream by stream."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    # A storage: streams and further storages, by name.
    Storage: TypeAlias = "Mapping[str, bytes | Storage]"

_SECTOR, _MINI = 512, 64
_FREE, _END, _NONE, _FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD


def compound_file(root: Storage) -> bytes:
    """A compound file; streams are of less than 4,096 bytes and lie in the mini stream."""
    entries: list[list[object]] = [["Root Entry", 5, _NONE, _NONE, _NONE, 0, 0]]
    mini, mini_fat = bytearray(), list[int]()

    def add(storage: Storage, parent: int) -> None:
        children = []
        for name, content in storage.items():
            number = len(entries)
            children.append(number)
            if isinstance(content, bytes):
                entries.append([name, 2, _NONE, _NONE, _NONE, _END, len(content)])
                if content:
                    entries[number][5] = len(mini_fat)
                    count = -(-len(content) // _MINI)
                    mini_fat.extend([*range(len(mini_fat) + 1, len(mini_fat) + count), _END])
                    mini.extend(content.ljust(count * _MINI, b"\0"))
            else:
                entries.append([name, 1, _NONE, _NONE, _NONE, 0, 0])
                add(content, number)
        # Siblings as a chain to the right: a tree, though an unbalanced one.
        children.sort(key=lambda n: (len(str(entries[n][0])), str(entries[n][0]).upper()))
        if children:
            entries[parent][4] = children[0]
        for left, right in pairwise(children):
            entries[left][3] = right

    add(root, 0)
    directory = b"".join(_entry(*entry) for entry in entries)  # type: ignore[arg-type]
    parts = [
        _padded(directory, _SECTOR, b"\0"),
        _padded(struct.pack(f"<{len(mini_fat)}I", *mini_fat), _SECTOR, b"\xff"),
        _padded(bytes(mini), _SECTOR, b"\0"),
    ]
    fat = [_FAT]
    starts = []
    for part in parts:
        starts.append(len(fat) if part else _END)
        count = len(part) // _SECTOR
        fat += [*range(len(fat) + 1, len(fat) + count), _END] if count else []
    entries[0][5], entries[0][6] = starts[2], len(mini)
    directory = b"".join(_entry(*entry) for entry in entries)  # type: ignore[arg-type]
    parts[0] = _padded(directory, _SECTOR, b"\0")
    assert len(fat) <= _SECTOR // 4
    header = struct.pack(
        "<8s16xHHHHH6xIIIIIIIIII",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 0x3E, 3, 0xFFFE, 9, 6,
        0, 1, starts[0], 0, 4096, starts[1], len(parts[1]) // _SECTOR, _END, 0, 0,
    )  # fmt: skip
    header += struct.pack("<108I", *[_FREE] * 108)
    table = struct.pack(f"<{len(fat)}I", *fat).ljust(_SECTOR, b"\xff")
    return header + table + b"".join(parts)


def _padded(data: bytes, size: int, fill: bytes) -> bytes:
    return data + fill * (-len(data) % size)


def _entry(name: str, kind: int, left: int, right: int, child: int, start: int, size: int) -> bytes:
    spelled = name.encode("utf-16-le") + b"\0\0"
    head = spelled.ljust(64, b"\0") + struct.pack("<HBB", len(spelled), kind, 1)
    return head + struct.pack("<III36xIQ", left, right, child, start, size)


def msg(
    texts: Mapping[int, str],
    *,
    html: bytes = b"",
    attachments: Mapping[str, bytes] | None = None,
    rtf: bytes = b"",
) -> bytes:
    """An Outlook message.

    Args:
        texts: Its text properties by their number, e.g. 0x0037, the subject.
        html: Its HTML, in UTF-8.
        attachments: By name.
        rtf: Its compressed RTF.
    """
    storage: dict[str, bytes | Storage] = {
        f"__substg1.0_{number:04X}001F": text.encode("utf-16-le") for number, text in texts.items()
    }
    fixed = struct.pack("<IIQ", 0x3FDE0003, 6, 65001)  # the code page of its HTML
    for number, data in ((0x1013, html), (0x1009, rtf)):
        if data:
            storage[f"__substg1.0_{number:04X}0102"] = data
    found = attachments or {}
    listed = b"".join(_property(name, len(data)) for name, data in storage.items())
    head = struct.pack("<8x4I8x", 0, len(found), 0, len(found))
    storage["__properties_version1.0"] = head + fixed + listed
    for i, (name, data) in enumerate(found.items()):
        own = {"__substg1.0_37010102": data, "__substg1.0_3707001F": name.encode("utf-16-le")}
        listed = b"".join(_property(name, len(data)) for name, data in own.items())
        by_value = struct.pack("<IIQ", 0x37050003, 6, 1)
        storage[f"__attach_version1.0_#{i:08X}"] = {
            "__properties_version1.0": bytes(8) + by_value + listed,
            **own,
        }
    return compound_file(storage)


def _property(stream: str, size: int) -> bytes:
    """The entry of a property whose value is in a stream of its own."""
    return struct.pack("<IIII", int(stream[-8:], 16), 6, size, 0)
