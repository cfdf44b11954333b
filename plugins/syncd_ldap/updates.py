"""Changes of Active Directory by uSNChanged, the number that a domain controller gives to each of its writes.

The numbers are a controller's own: another one, or the same restored, has others (a vendor's rule). What has
changed is looked for in the whole domain, since nobody who has left base or filter is found by them any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from syncd import ConnectorError, CursorExpired, Removed, Unavailable

from . import sweeping, witnesses
from .adapter import Session
from .cursors import Increment, Mark
from .entries import Shape, guid
from .paging import Reading
from .wire import Malformed, attributes_of, contents_of, control

SHOW_DELETED = "1.2.840.113556.1.4.417"
DELETED_OBJECTS = "<WKGUID=18E2EA80684F11D2B9AA00C04F79F805,{context}>"
CONTAINERS = frozenset({b"organizationalUnit", b"container"})
ASKED = ["objectGUID", "isDeleted", "objectClass", "uSNCreated"]


class Changed(NamedTuple):
    """An entry that was written to."""

    raw: bytes
    name: str
    deleted: bool
    classes: frozenset[bytes]
    created: int


class UpdateNumbers:
    """Finds changes by uSNChanged; removals are proven by tombstones, or by a list of all who are there."""

    name = "usn"

    def __init__(self, session: Session, reading: Reading, shape: Shape) -> None:
        self.session = session
        self.reading = reading
        self.shape = shape
        self.contexts = witnesses.contexts_of(reading.options.base, session.root.contexts)
        self.memberships = witnesses.uses_memberships(reading.options.filter, shape.requested)
        self.server = self._invocation()

    def mark(self) -> Mark:
        """Return the highest number that the controller has given. Raises CursorExpired if it does not say."""
        root = self.session.entry("", "highestCommittedUSN") or {}
        try:
            return {"usn": int(root["highestcommittedusn"][0])}
        except (KeyError, ValueError) as error:
            raise CursorExpired("the controller does not tell its highestCommittedUSN") from error

    def since(self, mark: Mark) -> Increment:
        """Yield what has changed; return where to go on, and whether it vouches for the whole."""
        fresh = self.mark()
        if fresh["usn"] < mark["usn"]:
            raise CursorExpired("the controller counts from an earlier point: it was restored")
        if fresh == mark:
            return fresh, False
        changed: list[bytes] = []
        removed: list[bytes] = []
        for one in self._changed(mark["usn"]):
            self._refuse_witness(one, mark["usn"])
            (removed if one.deleted else changed).append(one.raw)
        yield from sweeping.again(self.reading, self.shape, "objectGUID", changed)
        yield from (Removed(guid(raw)) for raw in removed)
        if all(map(self._shows_tombstones, self.contexts)):
            return fresh, False
        yield from sweeping.present(self.reading, self.shape, set(map(guid, changed)))
        return fresh, True

    def unusable(self) -> str | None:
        """Return why this controller does not offer it, None if it does."""
        if not self.server:
            return "the controller does not tell its invocationId"
        try:
            self.mark()
            return witnesses.blind(self.reading, self.contexts, "(uSNChanged>=1)")
        except (CursorExpired, ConnectorError) as error:
            return str(error)

    def _invocation(self) -> str:
        """Return the id of the controller's database, which changes when that is restored; empty if not told."""
        root = self.session.entry("", "dsServiceName") or {}
        names = [name.decode("utf-8", "replace") for name in root.get("dsservicename", ())]
        found = self.session.entry(names[0], "invocationId") if names else None
        for raw in (found or {}).get("invocationid", ()):
            with suppress(ValueError):
                return guid(raw)
        return ""

    def _changed(self, usn: int) -> Iterator[Changed]:
        text = f"(uSNChanged>={usn + 1})"
        deleted = control(SHOW_DELETED.encode())
        for context in self.contexts:
            for page in self.reading.search(context, text, "subtree", ASKED, [deleted]):
                # What shows no objectGUID is not shown to this source either.
                yield from filter(None, map(_changed, page.entries))

    def _refuse_witness(self, one: Changed, usn: int) -> None:
        """Raise CursorExpired if this entry changes others that do not show it."""
        if CONTAINERS & one.classes and not one.deleted and one.created <= usn:
            raise CursorExpired(
                f"{one.name} was changed, and may have been renamed or moved with all that is in it"
            )
        if self.memberships and b"group" in one.classes:
            raise CursorExpired(f"the group {one.name} was changed, and with it what its members are in")

    def _shows_tombstones(self, context: str) -> bool:
        name = DELETED_OBJECTS.format(context=context)
        found = self.session.entry(name, "isDeleted", controls=(SHOW_DELETED,))
        # Whoever may not look into it is shown an empty entry, or none.
        return bool(found and found.get("isdeleted"))


def _changed(raw: bytes) -> Changed | None:
    try:
        name, begin, end = contents_of(raw)
        found = {kind.lower(): values for kind, values in attributes_of(raw, begin, end, {})[1]}
        if b"objectguid" not in found:
            return None
        return Changed(
            found[b"objectguid"][0],
            name.decode("utf-8", "replace"),
            found.get(b"isdeleted", [b""])[0].upper() == b"TRUE",
            frozenset(found.get(b"objectclass", ())),
            int(found.get(b"usncreated", [b"0"])[0]),
        )
    except (Malformed, IndexError, KeyError, ValueError) as error:
        raise Unavailable(f"a changed entry cannot be read: {error!r}") from error
