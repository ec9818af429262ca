"""Which folders lie where the system tells of no changes: on a network, or outside a container."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

_MOUNTS = Path("/proc/self/mountinfo")
_NETWORKS = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "lustre", "ncpfs", "fuse")
_CONTAINERS = ("9p", "drvfs", "virtiofs", "vboxsf", "prl_fs", "vmhgfs", "fakeowner", "osxfs")
_SILENT = frozenset((*_NETWORKS, *_CONTAINERS))
_OCTAL = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """A mounted file system."""

    folder: str
    kind: str

    @property
    def is_silent(self) -> bool:
        """Whether changes that others make on it may never be told.

        >>> [Mount("/", kind).is_silent for kind in ("ext4", "nfs4", "fuse.sshfs", "fuseblk")]
        [False, True, True, False]
        """
        return self.kind in _SILENT or self.kind.startswith("fuse.")


def mount_of(path: str, mounts: Path = _MOUNTS) -> Mount | None:
    """The file system that a path lies on; None where the system does not tell.

    Args:
        path: Absolute.
        mounts: The table of mounts, as Linux writes it.
    """
    try:
        lines = mounts.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return None
    real = os.path.realpath(path)
    found: Mount | None = None
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ")[0]
        if len(fields) < 5 or not kind:
            continue
        folder = _OCTAL.sub(lambda code: chr(int(code[1], 8)), fields[4])
        is_within = real == folder or real.startswith(folder.rstrip("/") + "/")
        if is_within and (found is None or len(folder) >= len(found.folder)):
            found = Mount(folder, kind)
    return found
