"""DOC and PPT, the formats of Office before 2007: turned into DOCX and PPTX by LibreOffice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit.errors import LoadError, UnsupportedFormatError
from ragkit.ingest.load.aids import ReadingAids, reading_aids
from ragkit.ingest.load.readers.docx import read_docx
from ragkit.ingest.load.readers.encrypted_office import decrypted, is_encrypted_document
from ragkit.ingest.load.readers.pptx import read_pptx
from ragkit.ingest.load.readers.zip_parts import OLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from ragkit.ingest.load.formats import Parsed, Reader

_SHARE_OF_TIME = 0.8  # of the reader's, so that the program ends before its reader is ended
_FEWEST_BYTES = 512  # of a compound file
_SETTINGS = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry"
 xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<item oor:path="/org.openoffice.Office.Common/Security/Scripting">
<prop oor:name="MacroSecurityLevel" oor:op="fuse"><value>3</value></prop>
<prop oor:name="DisableMacrosExecution" oor:op="fuse"><value>true</value></prop>
<prop oor:name="DisableActiveContent" oor:op="fuse"><value>true</value></prop>
<prop oor:name="BlockUntrustedRefererLinks" oor:op="fuse"><value>true</value></prop>
</item>
<item oor:path="/org.openoffice.Inet/Settings">
<prop oor:name="ooInetProxyType" oor:op="fuse"><value>2</value></prop>
<prop oor:name="ooInetHTTPProxyName" oor:op="fuse"><value>127.0.0.1</value></prop>
<prop oor:name="ooInetHTTPProxyPort" oor:op="fuse"><value>9</value></prop>
<prop oor:name="ooInetHTTPSProxyName" oor:op="fuse"><value>127.0.0.1</value></prop>
<prop oor:name="ooInetHTTPSProxyPort" oor:op="fuse"><value>9</value></prop>
</item>
</oor:items>
"""
"""The profile: no macros, no links to be followed, and a proxy at which nothing listens."""


def read_doc(data: bytes, name: str) -> Parsed:
    """Read a Word document of before 2007, or what lies under its name: DOCX, RTF, HTML.

    Raises:
        UnsupportedFormatError: LibreOffice is not installed.
        LoadError: It is encrypted or broken, or LibreOffice takes too long.
    """
    if data.startswith(b"PK\x03\x04"):
        return read_docx(data, name)
    if (other := _other_text(data)) is not None:
        return other(data, name)
    return read_docx(_converted(data, name, "doc", "docx"), name)


def read_ppt(data: bytes, name: str) -> Parsed:
    """Read a presentation of before 2007, or a PPTX under its name; else as `read_doc`."""
    if data.startswith(b"PK\x03\x04"):
        return read_pptx(data, name)
    return read_pptx(_converted(data, name, "ppt", "pptx"), name)


def _other_text(data: bytes) -> Reader | None:
    """What reads a file that programs like to call .doc though it is of another format."""
    head = data[:1024].lstrip().lower()
    if head.startswith(b"{\\rtf"):
        from ragkit.ingest.load.readers.rtf import read_rtf

        return read_rtf
    if head.startswith((b"<html", b"<!doctype html")):
        from ragkit.ingest.load.readers.html import read_html

        return read_html
    return None


def _converted(data: bytes, name: str, kind: str, to: str) -> bytes:
    if not data.startswith(OLE) or len(data) < _FEWEST_BYTES:
        msg = f"not a readable {kind.upper()}: it does not begin as one"
        raise LoadError(msg, name)
    aids = reading_aids()
    if not aids.libreoffice:
        msg = (
            f"reading .{kind} needs LibreOffice: install it, or name its program in the setting "
            "load.libreoffice"
        )
        raise UnsupportedFormatError(msg, name)
    if is_encrypted_document(data):
        data = decrypted(data, name)
    with tempfile.TemporaryDirectory(prefix="ragkit-office-") as folder:
        source = Path(folder, f"in.{kind}")
        source.write_bytes(data)
        profile = Path(folder, "profile", "user")
        profile.mkdir(parents=True)
        (profile / "registrymodifications.xcu").write_text(_SETTINGS, "utf-8")
        try:
            said = _run(aids, source, to)
        except subprocess.TimeoutExpired as exc:
            msg = f"LibreOffice took longer than {exc.timeout:g} s for it"
            raise LoadError(msg, name) from exc
        target = source.with_suffix(f".{to}")
        if not target.exists():
            msg = f"not a readable {kind.upper()}: LibreOffice makes nothing of it{said}"
            raise LoadError(msg, name)
        return target.read_bytes()


def _run(aids: ReadingAids, source: Path, to: str) -> str:
    """Let LibreOffice convert a file within its folder; returns what it said of errors.

    Raises:
        subprocess.TimeoutExpired: It took too long, and was ended.
    """
    folder = source.parent
    profile = (folder / "profile").as_uri()
    command = [
        *_without_network(), aids.libreoffice, f"-env:UserInstallation={profile}", "--headless",
        "--norestore", "--nologo", "--nodefault", "--nolockcheck", "--nofirststartwizard",
        "--convert-to", to, "--outdir", str(folder), source.name,
    ]  # fmt: skip
    child = subprocess.Popen(  # noqa: S603 -- the program of the setting, no shell
        command,
        cwd=folder,
        env=_environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=_limited(aids.timeout_s),
    )
    try:
        said, _ = child.communicate(timeout=_SHARE_OF_TIME * aids.timeout_s)
    finally:
        _end_all(child)
    lines = [line for line in said.decode("utf-8", "replace").splitlines() if "rror" in line]
    return f": {lines[-1]}" if lines else ""


def _environment(folder: Path) -> dict[str, str]:
    """What the program is told of this machine: where programs are, and its own folder."""
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "SystemRoot") if key in os.environ}
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "ftp_proxy"), "http://127.0.0.1:9")
    return kept | nowhere | {"HOME": str(folder), "TMPDIR": str(folder)}


def _without_network() -> list[str]:
    """A prefix that gives a program no network at all, where the system has one and allows it."""
    tool = "/usr/bin/unshare"
    if sys.platform != "linux" or not os.access(tool, os.X_OK):
        return []
    prefix = [tool, "--user", "--map-current-user", "--net", "--"]
    tried = subprocess.run([*prefix, "true"], capture_output=True, check=False, timeout=10)  # noqa: S603
    return prefix if tried.returncode == 0 else []


def _limited(timeout_s: float) -> Callable[[], None] | None:
    """Bounds the program's processor time too, for a reader that died; and frees its memory."""
    if sys.platform != "linux":
        return None

    def limit() -> None:
        import resource

        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        seconds = max(1, int(timeout_s))
        if hard == resource.RLIM_INFINITY or seconds < hard:
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))

    return limit


def _end_all(child: subprocess.Popen[bytes]) -> None:
    """End the program and what it started, all of which is in its own session."""
    with child:  # closes its pipe, and waits for it
        if not hasattr(os, "killpg"):
            child.kill()
            return
        with suppress(ProcessLookupError):  # all have ended
            os.killpg(child.pid, signal.SIGKILL)
