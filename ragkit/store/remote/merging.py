"""Two writers' changes of one manifest, put together.

They hold leases of different roots, so what each changed of documents is its alone; what both may
change are lists and counts, of which each one's share is told by what it had begun with.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ragkit.store.remote.manifest import Grant, Manifest

V = TypeVar("V")


def merge_manifests(base: Manifest, own: Manifest, now: Manifest, grant: Grant) -> Manifest:
    """The newest manifest with what one writer changed.

    Numbers and generations are the lease's to give (`ragkit.store.remote.lease`), runs and what is
    stale the writer's to add.

    Args:
        base: What the writer had read.
        own: The same with its changes.
        now: What others made of `base` meanwhile.
        grant: Of the writer.
    """
    if now == base:
        return own
    builds = dict(now.builds)
    for number, build in own.builds.items():
        before, theirs = base.builds.get(number), builds.get(number)
        if before is None or theirs is None:
            if grant.roots is None:
                builds[number] = build
            continue
        builds[number] = replace(
            theirs, chunks=theirs.chunks + build.chunks - before.chunks,
            waits=theirs.waits or build.waits,
        )  # fmt: skip
    return replace(
        now,
        builds=builds,
        sources=_merged(base.sources, own.sources, now.sources, grant),
        decisions=_merged(base.decisions, own.decisions, now.decisions, grant),
        fields=tuple(sorted({*own.fields, *now.fields})),
    )


def _merged(
    base: Mapping[str, V], own: Mapping[str, V], now: Mapping[str, V], grant: Grant
) -> dict[str, V]:
    """Values by places: the writer's where it changed them and may, else those that are there."""
    merged = dict(now)
    for place in base.keys() | own.keys():
        if base.get(place) == own.get(place) or not grant.covers(place):
            continue
        if place in own:
            merged[place] = own[place]
        else:
            merged.pop(place, None)
    return merged
