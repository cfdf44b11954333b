"""Asks for entries by their ids, and for the ids of all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from syncd import Entry, Present, Problem, Removed

from .entries import Shape
from .paging import Reading

BATCH = 200
"""How many entries are asked for by their ids at once."""


def again(
    reading: Reading, shape: Shape, attribute: str, ids: Sequence[bytes]
) -> Iterator[Entry | Problem | Removed]:
    """Yield entries anew; whoever is not found by base and filter any more has left.

    ``ids`` are values of ``attribute``, which is the anchor.
    """
    for at in range(0, len(ids), BATCH):
        batch = ids[at : at + BATCH]
        left = dict.fromkeys(map(shape.anchor_of, batch))
        only = "".join(f"({attribute}={_escaped(one)})" for one in batch)
        for base in reading.options.base:
            for page in reading.pages(base, shape.requested, f"(|{only})"):
                for one in shape.entries(page.entries):
                    left.pop(one.anchor or "", None)
                    yield one
        yield from (Removed(anchor) for anchor in left)


def present(reading: Reading, shape: Shape, named: set[str]) -> Iterator[Present | Problem]:
    """Yield everybody who is there, but those who were ``named`` already."""
    # Whoever was named is on this list too, and must not count twice for max_entries.
    reading.total = 0
    for base in reading.options.base:
        for page in reading.pages(base, shape.sweep):
            for one in shape.anchors(page.entries):
                if isinstance(one, Problem):
                    yield one
                elif one not in named:
                    yield Present(one)


def _escaped(value: bytes) -> str:
    """Return bytes as they are written inside a filter (RFC 4515, section 3)."""
    return "".join(f"\\{octet:02x}" for octet in value)
