"""What a global catalogue of Active Directory does not hold: it has everybody of the forest, but not all of them.

Which attributes it has says ``isMemberOfPartialAttributeSet`` in the schema; for any other it sends nothing, as
for one without a value. A membership is there in part only: that in a group of another domain may be missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from urllib.parse import urlsplit

from syncd import Entry

from . import schema
from .adapter import Session
from .entries import Yielded

PORTS = frozenset({3268, 3269})
MEMBERSHIPS = frozenset({"member", "memberof"})


def is_catalogue(session: Session) -> bool:
    """Tell whether the session is with a global catalogue: by its port (a vendor's rule)."""
    return session.root.kind == "ad" and urlsplit(session.url).port in PORTS


def outside(session: Session, names: Iterable[str]) -> frozenset[str]:
    """Return which of the attributes the catalogue does not hold; all, if the schema may not be read.

    Raises Unavailable.
    """
    asked = {name: name.partition(";")[0].lower() for name in names if name.lower() != "dn"}
    held = (
        schema.such(session, "(isMemberOfPartialAttributeSet=TRUE)", set(asked.values())) if asked else None
    )
    return frozenset(
        name for name, attribute in asked.items() if attribute not in (held or set()) - MEMBERSHIPS
    )


def unknown_blanks(items: Iterable[Yielded], names: frozenset[str]) -> Iterator[Yielded]:
    """Yield the items; an entry does not know those of ``names`` that are blank, nor any membership.

    Its fingerprint says so: the very same bytes of another server mean that they are empty.
    """
    partial = frozenset(name for name in names if name.partition(";")[0].lower() in MEMBERSHIPS)
    for item in items:
        if isinstance(item, Entry):
            attributes = item.attributes
            blank = partial.union(name for name in names if not attributes.get(name))
            if blank and item.fingerprint is not None:
                told = item.fingerprint + "\n".join(sorted(blank)).encode()
                item.fingerprint = blake2b(told, digest_size=16).digest()
            item.unknown |= blank
        yield item
