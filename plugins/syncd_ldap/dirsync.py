"""Changes of Active Directory by its DirSync control, which tells what a domain would replicate (MS-ADTS, 3.1.1.3.4.1.3).

Of an entry it tells only what is new of it, and an attribute that is not told is not an empty one. So who has
changed is taken from it and nothing else, and they are read anew. Its cookie is good at every controller of the
domain. It asks for the right "Replicating Directory Changes" on the domain.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import NamedTuple

from syncd import ConnectorError, CursorExpired, Removed, Unavailable

from . import domain, sweeping, witnesses
from .adapter import Session
from .cursors import CONTROLS, Increment, Mark
from .entries import Shape
from .failures import failure
from .paging import Reading
from .syntaxes import guid
from .wire import Result, children, control, element, integer

CONTROL = CONTROLS["dirsync"]
RIGHT = 'the bind identity needs the right "Replicating Directory Changes" on the domain'
PORTION = 1024 * 1024
"""How much the server may send at once, bytes; it is free to send more."""

EVERYBODY = "(objectClass=*)"
ALWAYS_DELETED = "(&(isDeleted=TRUE)(objectClass=container))"
"""Finds the container Deleted Objects at least, which no domain is without."""
GROUPS = "(objectClass=group)"
BORN, GONE, NAMED, MEMBERS = "whencreated", "isdeleted", "name", "member"
"""What is told of an entry that is new, deleted, renamed or moved; of a group whose members change."""

STALE = frozenset({1, 2, 12, 53})
"""Results by which a cookie is refused."""
NO_RIGHT = 50


class Told(NamedTuple):
    """What is new of an entry; ``attributes`` by their names in lower case, empty ones among them."""

    raw: bytes
    name: str
    attributes: dict[str, list[bytes]]

    @property
    def deleted(self) -> bool:
        return self.attributes.get(GONE, [b""])[:1] == [b"TRUE"]

    @property
    def renamed(self) -> bool:
        """Whether it was there before, by another name or in another place."""
        return NAMED in self.attributes and BORN not in self.attributes and not self.deleted


class DirSync(domain.InDomain):
    """Finds changes by what is replicated; removals are told."""

    name = "dirsync"

    def __init__(self, session: Session, reading: Reading, shape: Shape) -> None:
        super().__init__(session, reading, shape)
        found = [domain.guid_of(session, context) for context in self.contexts]
        self.server = " ".join(guid(one) for one in found if one)
        self._first: Mark | None = None

    def mark(self) -> Mark:
        """Return the first cookies; the server goes through the whole domain for them, and tells of one entry.

        Raises CursorExpired if it refuses, or does not tell of who is deleted.
        """
        if self._first is None:
            cookies = {context: self._told(context, ALWAYS_DELETED, [GONE]) for context in self.contexts}
            for context, (told, _) in cookies.items():
                if not any(one.deleted for one in told):
                    raise CursorExpired(
                        f"who is deleted from {context} is not shown: let the bind identity list Deleted Objects"
                    )
            self._first = {context: b64encode(cookie).decode() for context, (_, cookie) in cookies.items()}
        return self._first

    def since(self, mark: Mark) -> Increment:
        """Yield what has changed; return where to go on, and that this is not the whole."""
        fresh: Mark = {}
        found: list[Told] = []
        for context in self.contexts:
            old = _cookie(mark, context)
            told, cookie = self._told(context, EVERYBODY, [*sorted(self.asked), NAMED, BORN, GONE], old)
            if told or self.memberships:
                # Asked for afterwards, from the same point: so it is about all that was told.
                self._refuse_witnesses(context, old)
            found += told
            fresh[context] = b64encode(cookie).decode()
        changed = dict.fromkeys(one.raw for one in found if not one.deleted)
        renamed = [one.name for one in found if one.renamed]
        changed |= dict.fromkeys(self.pointing(renamed))
        yield from sweeping.again(self.reading, self.shape, "objectGUID", list(changed))
        yield from (Removed(guid(one.raw)) for one in found if one.deleted)
        return fresh, False

    def unusable(self) -> str | None:
        """Return why this domain does not offer it, None if it does."""
        if not self.server:
            return "the domain does not show its objectGUID"
        try:
            self.mark()
            return self.untraced()
        except (CursorExpired, ConnectorError) as error:
            return str(error)

    def _refuse_witnesses(self, context: str, cookie: bytes) -> None:
        """Raise CursorExpired if an entry was changed that changes others which do not show it."""
        holders = "".join(f"(objectClass={name})" for name in domain.CONTAINERS)
        text, names = f"(|{holders})", [NAMED, BORN, GONE]
        for one in self._told(context, text, names, cookie)[0]:
            if one.renamed:
                raise CursorExpired(f"{one.name} was renamed or moved with all that is in it")
        if not self.memberships:
            return
        for one in self._told(context, GROUPS, [*names, MEMBERS], cookie)[0]:
            raise CursorExpired(f"the group {one.name} was changed, and with it what its members are in")

    def _told(
        self, context: str, text: str, names: list[str], cookie: bytes = b""
    ) -> tuple[list[Told], bytes]:
        """Return what is new, of these attributes, since the cookie was made, and the next cookie."""
        found: list[Told] = []
        more = True
        while more:
            value = element(0x30, integer(0), integer(PORTION), element(0x04, cookie))
            wanted = [control(CONTROL.encode(), value)]
            entries, result = self.reading.whole(context, text, names, wanted)
            for name, values in map(witnesses.shown, entries):
                found += [Told(raw, name, values) for raw in values.get("objectguid", ())]
            last = cookie
            more, cookie = _judged(result, last, f"{self.session.url}: changes of {context}")
            if more and cookie == last:
                raise Unavailable(f"{self.session.url}: changes of {context}: the server begins again")
        return found, cookie


def _judged(result: Result, cookie: bytes, where: str) -> tuple[bool, bytes]:
    """Return whether there is more, and the cookie to go on with; raise unless all went well."""
    if result.code == NO_RIGHT:
        raise CursorExpired(RIGHT)
    if cookie and result.code in STALE:
        raise CursorExpired(f"the server does not take its cookie any more: {result.message}")
    if result.code != 0:
        raise failure(result.code, result.message, where)
    try:
        (_, more), _, (_, cookie) = children(children(result.controls[CONTROL.encode()])[0][1])
    except (LookupError, ValueError) as error:
        raise Unavailable(f"{where}: the list of changes ended without its control") from error
    return any(more), cookie


def _cookie(mark: Mark, context: str) -> bytes:
    """Return the cookie of a domain. Raises CursorExpired if there is none: without one nobody is told as gone."""
    try:
        cookie = b64decode(mark[context], validate=True)
    except (LookupError, TypeError, ValueError):
        cookie = b""
    if not cookie:
        raise CursorExpired(f"the cursor has no cookie of {context}")
    return cookie
