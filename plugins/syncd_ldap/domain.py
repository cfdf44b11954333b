"""What both ways of finding changes in Active Directory have to know of a domain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from . import schema, witnesses
from .adapter import Session
from .entries import Shape
from .filters import attributes_in, escape_filter
from .paging import Reading
from .sweeping import BATCH

CONTAINERS = ("organizationalUnit", "container", "organization", "country", "locality")
"""What people may be in, and is renamed or moved with them."""

UNTRACED = "(systemFlags:1.2.840.113556.1.4.804:=5)"
"""Attributes that are computed, or that every controller keeps for itself: a change of one leaves no trace.

These are bits of systemFlags (MS-ADTS, section 2.2.10).
"""
NAMING = "(attributeSyntax=2.5.5.1)"
"""Attributes whose values are names of other entries, and follow them when they are renamed."""

OF_ITS_OWN = frozenset(
    {"objectguid", "objectcategory", "distinguishedname", "canonicalname", "createtimestamp", "usncreated"}
)
"""What changes with the entry's own name or never, whatever the schema says."""
NUMBERED = frozenset({"whenchanged", "modifytimestamp", "usnchanged"})
"""What is untraced by the schema, and changes with every write."""


class InDomain:
    """A way of finding changes in the domains that the bases lie in.

    ``asked`` are the attributes that decide who is read, and what of them, but memberships; in lower case.
    """

    def __init__(self, session: Session, reading: Reading, shape: Shape) -> None:
        self.session = session
        self.reading = reading
        self.shape = shape
        names = {name.lower() for name in (*shape.requested, *attributes_in(reading.filter))}
        self.asked = names - witnesses.MEMBERSHIPS
        self.contexts = witnesses.contexts_of(reading.options.base, session.root.contexts)
        self.memberships = witnesses.uses_memberships(reading.options.filter, shape.requested)

    def untraced(self, known: frozenset[str] = frozenset()) -> str | None:
        """Return why changes of what is asked for cannot be found, None if they can; ``known`` are found anyhow."""
        found = schema.such(self.session, UNTRACED, self.asked - OF_ITS_OWN - known)
        if not found:
            return None
        return f"a change of {', '.join(sorted(found))} leaves no trace in the directory"

    def pointing(self, names: Iterable[str]) -> Iterator[bytes]:
        """Yield the objectGUIDs of those who name one of ``names`` in an attribute, such as a superior."""
        named = [escape_filter(name) for name in names]
        links = schema.such(self.session, NAMING, self.asked - OF_ITS_OWN) if named else None
        for at in range(0, len(named) if links else 0, BATCH):
            batch = named[at : at + BATCH]
            text = "".join(f"({link}={name})" for link in sorted(links or ()) for name in batch)
            for context in self.contexts:
                for page in self.reading.search(context, f"(|{text})", "subtree", ["objectGUID"]):
                    for _, values in map(witnesses.shown, page.entries):
                        yield from values.get("objectguid", ())


def guid_of(session: Session, name: str) -> bytes | None:
    """Return the objectGUID of an entry, None if it is not shown."""
    return next(iter((session.entry(name, "objectGUID") or {}).get("objectguid", ())), None)
