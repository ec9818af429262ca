"""Builders of compound files (MS-CFB), as Outlook's messages are, stream by stream."""

from __future__ import annotations

import hashlib
import struct
from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4
from cryptography.hazmat.primitives.ciphers import Cipher
from olefile import OleFileIO

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


def locked_xls(data: bytes, password: str) -> bytes:
    """An XLS workbook encrypted as by Excel 97 (RC4), where the name of its user was."""
    ole = OleFileIO(BytesIO(data), write_mode=False)
    raw = ole.openstream("Workbook").read()
    place = raw.index(struct.pack("<HH", 0x5C, 112))
    head, blank = _rc4_head(password)
    own = struct.pack("<HHH", 0x2F, 54, 1) + head + struct.pack("<HH54x", 0, 54)
    raw = raw[:place] + own + raw[place + 116 :]
    hidden = bytearray(_rc4(password, blank, raw, 1024))
    at = 0
    while at + 4 <= len(raw):
        kind, size = struct.unpack_from("<HH", raw, at)
        kept = size if kind in (0x809, 0x2F, 0xE1) else 4 if kind == 0x85 else 0
        hidden[at : at + 4 + kept] = raw[at : at + 4 + kept]
        at += 4 + size
    target = BytesIO(data)
    with OleFileIO(target, write_mode=True) as changed:
        changed.write_stream("Workbook", bytes(hidden))
    return target.getvalue()


def locked_doc(text: bytes, password: str, *, flags: int = 0x0300) -> bytes:
    """What of a DOC file its encryption (RC4) shows, with a text behind its head."""
    head, salt = _rc4_head(password)
    fib = struct.pack("<HHHHHHHI", 0xA5EC, 0xC1, 0, 0x409, 0, flags, 0xBF, 52).ljust(0x44, b"\0")
    hidden = _rc4(password, salt, fib + text, 512)
    table = head + _rc4(password, salt, bytes(200), 512)[52:]
    return compound_file({"WordDocument": fib + hidden[0x44:], "1Table": table})


def locked_ppt() -> bytes:
    """A PPT file that says that it is encrypted, and no more of it."""
    user = struct.pack("<HHIII", 0, 0xFF6, 24, 20, 0xF3D1C4DF).ljust(40, b"\0")
    return compound_file({"Current User": user, "PowerPoint Document": bytes(600)})


def _rc4_head(password: str) -> tuple[bytes, bytes]:
    """The head that names the encryption and proves a password, and the salt."""
    salt, proof = bytes(range(16)), bytes(range(16, 32))
    hidden = _rc4(password, salt, proof + hashlib.md5(proof).digest(), 512)  # noqa: S324
    return struct.pack("<HH", 1, 1) + salt + hidden, salt


def _rc4(password: str, salt: bytes, data: bytes, block: int) -> bytes:
    """Encrypt as MS-OFFCRYPTO, 2.3.6, tells: each block with a key of its own."""
    short = hashlib.md5(password.encode("utf-16-le")).digest()[:5]  # noqa: S324
    short = hashlib.md5((short + salt) * 16).digest()[:5]  # noqa: S324
    made = b""
    for number in range(-(-len(data) // block)):
        key = hashlib.md5(short + struct.pack("<I", number)).digest()  # noqa: S324
        cipher = Cipher(ARC4(key), mode=None).encryptor()
        made += cipher.update(data[number * block : (number + 1) * block])
    return made


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
