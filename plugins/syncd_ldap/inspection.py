"""What a person should know of a directory before it is read: how many there are, and what none of them has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from syncd import ConnectorError

from .entries import MEMBER_OF, Shape
from .filters import attributes_in
from .paging import Reading
from .wire import Malformed, attributes_of, contents_of

SAMPLE = 5000
"""How many entries are looked into; the others are counted."""


def inspected(reading: Reading, shape: Shape, base: str) -> Iterator[str]:
    """Yield lines about the entries under a base. Raises Unavailable where a limit of the server cuts them short."""
    place = base or "the root"
    total = largest = inside = 0
    selective = shape.groups is not None and bool(shape.groups.only)
    seen: set[str] = set()
    pages = 0
    for page in reading.pages(base, shape.requested):
        if total < SAMPLE:
            seen.update(*map(_names, page.entries))
        total += len(page.entries)
        inside += len(shape.anchors(page.entries)) if selective else 0
        largest = max(largest, len(page.entries))
        pages += page.result is not None
    yield f"{place}: {total} entries" + (f" in {pages} pages" if pages > 1 else "")
    if selective:
        yield f"{place}: {inside} of them are in groups.only"
    size = reading.options.page_size
    if pages > 1 and largest < size:
        yield f"{place}: the server sends at most {largest} entries a page, and page_size is {size}"
    if total:
        yield from _lacking(
            seen, shape, f"{place}: none of them" if total <= SAMPLE else f"{place}: none of the first"
        )
    else:
        yield from _nobody(reading, base, place)


def _nobody(reading: Reading, base: str, place: str) -> Iterator[str]:
    """Yield what no entry there has of what the filter asks for: it finds nobody by that, without an error."""
    absent: list[str] = []
    with suppress(
        ConnectorError
    ):  # a limit that stands in the way of this has not stood in the way of the read
        names = sorted(attributes_in(reading.filter))
        absent += [name for name in names if not reading.finds(base, f"({name}=*)", reading.options.scope)]
    if absent:
        yield f"{place}: no entry has {', '.join(absent)}, which the filter asks for"
    if MEMBER_OF in map(str.lower, absent):
        yield "a server that does not keep memberOf (OpenLDAP without the overlay) needs the option groups"


def _lacking(seen: set[str], shape: Shape, who: str) -> Iterator[str]:
    low = {name.partition(";range=")[0].lower() for name in seen}
    absent = [name for name in shape.requested if name.lower() not in low]
    if not absent:
        return
    yield f"{who} has {', '.join(absent)}"
    other = sorted(name for name in seen if name.lower() not in shape.spelled and ";" not in name)
    if other:
        yield f"the server writes {', '.join(other)} for names that were asked; use these"


def _names(raw: bytes) -> set[str]:
    """Return the names of an entry's attributes, none of one that cannot be read."""
    with suppress(Malformed, IndexError):
        _, begin, end = contents_of(raw)
        return {kind.decode("ascii", "replace") for kind, _ in attributes_of(raw, begin, end, {})[1]}
    return set()
