"""Changes of Active Directory by uSNChanged, the number that a domain controller gives to each of its writes.

The numbers are a controller's own: another one, or the same restored, has others (a vendor's rule). What has
changed is looked for in the whole domain, since nobody who has left base or filter is found by them any more.
"""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from syncd import ConnectorError, CursorExpired, Denied, Removed, Unavailable

from . import domain, sweeping, witnesses
from .adapter import Scope, Session
from .cursors import Increment, Mark
from .entries import Shape
from .paging import Reading
from .syntaxes import guid
from .wire import control

SHOW_DELETED, SHOW_RECYCLED = "1.2.840.113556.1.4.417", "1.2.840.113556.1.4.2064"
DELETED_OBJECTS = "<WKGUID=18E2EA80684F11D2B9AA00C04F79F805,{context}>"
A_TOMBSTONE = "(&(isDeleted=TRUE)(objectClass=person)(!(objectClass=computer))(uSNChanged>=1))"
"""A computer's tombstone is shown to many who are not shown a person's."""
CONTAINERS = frozenset(map(str.encode, domain.CONTAINERS))
POLICY = b"groupPolicyContainer"
"""A container of everyday changes, in which is nobody."""
ASKED = ["objectGUID", "isDeleted", "objectClass", "uSNCreated"]


class Changed(NamedTuple):
    """An entry that was written to."""

    raw: bytes
    name: str
    deleted: bool
    classes: frozenset[bytes]
    created: int

    @property
    def machine(self) -> bool:
        """Whether it is a computer, of which a domain has many that change often, and whom nobody names."""
        return b"computer" in self.classes


class UpdateNumbers(domain.InDomain):
    """Finds changes by uSNChanged; removals are proven by tombstones, or by a list of all who are there."""

    name = "usn"

    def __init__(self, session: Session, reading: Reading, shape: Shape) -> None:
        super().__init__(session, reading, shape)
        self.server = self._invocation()
        # Recycled entries have lost their values; both are shown by the newer control, where there is one.
        oid = SHOW_RECYCLED if SHOW_RECYCLED in session.root.controls else SHOW_DELETED
        self.deleted = (control(oid.encode()),)

    def mark(self) -> Mark:
        """Return the highest number that the controller has given. Raises CursorExpired if it does not say."""
        root = self.session.entry("", "highestCommittedUSN") or {}
        try:
            return {"usn": int(root["highestcommittedusn"][0])}
        except (KeyError, ValueError) as error:
            raise CursorExpired("the controller does not tell its highestCommittedUSN") from error

    def since(self, mark: Mark) -> Increment:
        """Yield what has changed; return where to go on, and whether it vouches for the whole."""
        fresh, since = self.mark(), mark.get("usn")
        if not isinstance(since, int):
            raise CursorExpired("the cursor has no number of the controller")
        if fresh["usn"] < since:
            raise CursorExpired("the controller counts from an earlier point: it was restored")
        if fresh == mark:
            return fresh, False
        found = self._changed(since)
        for one in found:
            self._refuse_witness(one, since)
        changed = dict.fromkeys(one.raw for one in found if not one.deleted)
        renamed = [one.name for one in found if one.created <= since and not one.deleted and not one.machine]
        changed |= dict.fromkeys(self.pointing(renamed))
        yield from sweeping.again(self.reading, self.shape, "objectGUID", list(changed))
        yield from (Removed(guid(one.raw)) for one in found if one.deleted)
        if all(map(self._shows_tombstones, self.contexts)):
            return fresh, False
        self._refuse_unseen_groups()
        yield from sweeping.present(self.reading, self.shape, set(map(guid, changed)))
        return fresh, True

    def unusable(self) -> str | None:
        """Return why this controller does not offer it, None if it does."""
        if not self.server:
            return "the controller does not tell its invocationId"
        try:
            self.mark()
            self._refuse_unseen_groups()
            return (
                self.untraced(domain.NUMBERED)
                or witnesses.blind(self.reading, self.contexts, "(uSNChanged>=1)")
                or witnesses.overlooked(self.reading, "(uSNChanged>=1)")
            )
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

    def _changed(self, usn: int) -> list[Changed]:
        text = f"(uSNChanged>={usn + 1})"
        return [
            one
            for context in self.contexts
            for page in self.reading.search(context, text, "subtree", ASKED, self.deleted)
            for one in map(_changed, page.entries)
            if one is not None
        ]

    def _refuse_witness(self, one: Changed, usn: int) -> None:
        """Raise CursorExpired if this entry changes others that do not show it."""
        moves = CONTAINERS & one.classes and POLICY not in one.classes and not one.deleted
        if moves and one.created <= usn:
            raise CursorExpired(
                f"{one.name} was changed, and may have been renamed or moved with all that is in it"
            )
        if self.memberships and b"group" in one.classes:
            raise CursorExpired(f"the group {one.name} was changed, and with it what its members are in")

    def _refuse_unseen_groups(self) -> None:
        """Raise CursorExpired if a group may be deleted unseen, and with it what its members are in."""
        if self.memberships and not all(
            self._finds_deleted(context, "(uSNChanged>=1)", "base") for context in self.contexts
        ):
            raise CursorExpired("memberships are read, and who is deleted is not shown to the bind identity")

    def _shows_tombstones(self, context: str) -> bool:
        """Tell whether a person's tombstone is shown; where there is none yet, nobody can know."""
        return self._finds_deleted(context, A_TOMBSTONE, "one")

    def _finds_deleted(self, context: str, text: str, scope: Scope) -> bool:
        try:
            return self.reading.finds(DELETED_OBJECTS.format(context=context), text, scope, self.deleted)
        except Denied:
            return False


def _changed(raw: bytes) -> Changed | None:
    """Read an entry; None if it shows no objectGUID, for then it is not shown to this source either."""
    name, found = witnesses.shown(raw)
    if "objectguid" not in found:
        return None
    try:
        return Changed(
            found["objectguid"][0],
            name,
            found.get("isdeleted", [b""])[0].upper() == b"TRUE",
            frozenset(found.get("objectclass", ())),
            int(found.get("usncreated", [b"0"])[0]),
        )
    except (IndexError, ValueError) as error:
        raise Unavailable(f"{name}, which was changed, cannot be read: {error!r}") from error
