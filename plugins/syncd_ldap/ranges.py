"""Long lists in full: Active Directory sends 1500 values of an attribute, and the rest on demand (a vendor's rule).

``member;range=0-1499`` stands in place of ``member``, and whoever asks for ``member;range=1500-*`` gets the
next ones, up to ``member;range=3000-*``: the star is the end. (The number is MaxValRange of the domain.)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from hashlib import blake2b
from typing import Any, NamedTuple

from syncd import Denied

from .adapter import Session
from .entries import RANGE, LdapEntry, Yielded
from .syntaxes import BINARY
from .wire import attributes_of, contents_of

_RANGE = re.compile(r"(.+);range=([0-9]+)-([0-9]+|\*)", re.IGNORECASE)


class Part(NamedTuple):
    """Values of an attribute from number ``begin`` on; ``next`` is where to go on, None at the end."""

    attribute: str
    begin: int
    next: int | None
    values: list[bytes]


def part(kind: str, values: list[bytes]) -> Part | None:
    """Return what an attribute with an option ``range`` is, None for any other."""
    match = _RANGE.fullmatch(kind)
    if match is None:
        return None
    attribute, begin, end = match.groups()
    return Part(attribute, int(begin), None if end == "*" else int(end) + 1, values)


class Rest:
    """Asks for the rest of lists, over a connection of its own: that of the read is busy with the next page."""

    def __init__(self, connect: Callable[[], Session], log: Any) -> None:
        self._connect = connect
        self._log = log
        self._session: Session | None = None

    def close(self) -> None:
        """End the connection, if one was needed."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def completed(self, items: Iterable[Yielded]) -> Iterator[Yielded]:
        """Yield the items; an entry of which a list came in part has it whole, or does not know it.

        Raises Unavailable where the server does not answer.
        """
        for item in items:
            if isinstance(item, LdapEntry) and RANGE in item.raw:
                self._complete(item)
            yield item

    def _complete(self, entry: LdapEntry) -> None:
        """Put whole lists into the entry, and into its fingerprint."""
        name, begin, end = contents_of(entry.raw)
        found = attributes_of(entry.raw, begin, end, {})[1]
        digest = blake2b(entry.fingerprint or entry.raw, digest_size=16)
        whole: dict[str, tuple[str, ...]] = {}
        for first in filter(None, (part(kind.decode("ascii", "replace"), values) for kind, values in found)):
            spelled = entry.shape.spellings(first.attribute)
            values = self.whole(name.decode(), first) if spelled else []
            if values is None:
                self._log.warning("list_not_read_whole", attribute=first.attribute, anchor=entry.anchor)
                continue
            digest.update(b"".join(b"%d:%b" % (len(value), value) for value in values))
            with suppress(ValueError):  # what is no text stays unknown
                texts = tuple(map(BINARY.get(first.attribute.lower(), bytes.decode), values))
                whole |= dict.fromkeys(spelled, texts)
        entry.attributes = {**entry.attributes, **whole}
        entry.unknown -= whole.keys()
        entry.fingerprint = digest.digest()

    def whole(self, name: str, first: Part) -> list[bytes] | None:
        """Return all values, None if the server does not show them without a gap."""
        values: list[bytes] = []
        got: Part | None = first
        while got is not None and got.begin == len(values) and got.values:
            values += got.values
            if got.next is None:
                return values
            got = self._next(name, got.attribute, len(values))
        return None

    def _next(self, name: str, attribute: str, begin: int) -> Part | None:
        if self._session is None:
            self._session = self._connect()
        try:
            found = self._session.search(name, "(objectClass=*)", "base", f"{attribute};range={begin}-*")
        except Denied:
            # Whoever was moved or deleted meanwhile is found, or not, by the next read.
            return None
        parts = (part(kind, values) for one in found for kind, values in one.items())
        return next(filter(None, parts), None)
