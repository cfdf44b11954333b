"""How the accounts of one platform stand in a directory, and how they are found there."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

import syncd
from syncd import Account, Denied, Rejected

from .adapter import Session
from .conversation import Answer, Found, Program
from .failures import failure, refusal
from .groups import NO_SUCH_OBJECT, Groups
from .platformoptions import BY_NAME, PlatformOptions
from .requests import BASE, SUBTREE, all_of, any_of, anything, compiled, equal, searching
from .switching import Switch
from .syntaxes import BINARY, UNIQUE_IDS, guid
from .values import Values, values_of

SIZE_LIMIT_EXCEEDED = 4


class Directory:
    """One directory as one platform sees it over one session; ``anchor`` is what remote ids are."""

    def __init__(
        self, options: PlatformOptions, fields: Mapping[str, syncd.Field], session: Session, anchor: str
    ) -> None:
        self.options = options
        self.fields = fields
        self.url = session.url
        self.anchor = anchor
        self.switch = Switch(options.disable, options.base)
        # Active Directory keeps members as links to entries, whatever these are called by now (a vendor's rule).
        self._ad = session.root.kind == "ad"
        self.groups = Groups(options.groups, self.url, follow=self._ad) if options.groups else None
        self._filter = compiled(options.filter)
        asked = [options.rdn, "objectClass", *self.switch.asked]
        self._asked = asked if anchor == BY_NAME else [anchor, *asked]

    def values_of(self, account: Account) -> Values:
        """Return what the entry is to hold. Raises Rejected for what this kind of server cannot hold."""
        values = values_of(account, self.fields)
        for name, texts in values.items():
            if self._ad and any(b"\0" in text for text in texts):
                # It would be cut off there, without a word.
                raise Rejected(f"account {account.key}: {name} holds a NUL; correct it in its source")
        return values

    def find(self, account: Account) -> Program[str | None]:
        """Return the remote id of the account's entry. Raises Rejected where there are two."""
        entry = yield from self.sought(account)
        return None if entry is None else self.remote_id(entry)

    def sought(self, account: Account) -> Program[Found | None]:
        """Return the entry that has the account's first key, or a later one and nothing in the keys before.

        An entry with another value of an earlier key is somebody else's.
        """
        values = self.values_of(account)
        tried: list[str] = []
        for name in self.options.key:
            if not values[name]:
                continue
            wanted = any_of(*[equal(name, value) for value in values[name]])
            found = yield from self._search(all_of(self._filter, wanted), tried)
            if len(found) > 1:
                names = " and ".join(one.dn for one in found)
                raise Rejected(f"{self.url}: {names} have the same {name} as account {account.key}; keep one")
            if found and not any(found[0].values.get(earlier.lower()) for earlier in tried):
                return found[0]
            tried.append(name)
        return None

    def located(self, remote_id: str) -> Program[Found | None]:
        """Return the entry of a remote id, wherever it stands by now; None if there is none."""
        if not self.knows(remote_id):
            return None
        if self.anchor != BY_NAME:
            found = yield from self._search(equal(self.anchor, self._octets(remote_id)))
            return found[0] if found else None
        return (yield from self.named(remote_id))

    def named(self, name: str) -> Program[Found | None]:
        """Return the entry of this name, None if there is none that can be seen."""
        answer = yield self.look(name)
        if answer.result.code == NO_SUCH_OBJECT:
            return None
        self.read(answer, name)
        return answer.found[0] if answer.found else None

    def look(self, name: str) -> bytes:
        """Return the request for the entry of this name."""
        return searching(name, BASE, anything(), self._asked)

    def same(self, one: Found, other: Found) -> bool:
        """Tell whether two answers are of one entry, whatever it is called by now."""
        ids = self.shown_id(one), self.shown_id(other)
        return one.dn == other.dn if None in ids else ids[0] == ids[1]

    def shown_id(self, entry: Found) -> str | None:
        """Return what an entry is known by, None if that is its name or cannot be seen."""
        known = self.anchor != BY_NAME and entry.values.get(self.anchor.lower())
        return self.remote_id(entry) if known else None

    def having(self, name: str, value: bytes) -> Program[list[Found]]:
        """Return the first two entries that have this value."""
        return (yield from self._search(all_of(self._filter, equal(name, value))))

    def _search(self, wanted: bytes, more: Sequence[str] = ()) -> Program[list[Found]]:
        """Return the first two entries that the filter ``wanted`` matches, with ``more`` of their attributes."""
        found: list[Found] = []
        for place in self.options.places:
            answer = yield searching(place, SUBTREE, wanted, [*self._asked, *more], 2)
            found += answer.found
            if answer.result.code != SIZE_LIMIT_EXCEEDED or len(found) < 2:
                self.read(answer, place)
        return found

    def remote_id(self, entry: Found) -> str:
        """Return what an entry is known by. Raises Denied where that cannot be seen."""
        if self.anchor == BY_NAME:
            return entry.dn
        low = self.anchor.lower()
        values = entry.values.get(low, [])
        if len(values) != 1:
            cure = "let the bind identity read it, or set anchor"
            raise Denied(f"{self.url}: {entry.dn} shows no {self.anchor}: {cure}")
        text = BINARY.get(low, bytes.decode)(values[0])
        return text.lower() if low in UNIQUE_IDS else text

    def knows(self, remote_id: str) -> bool:
        """Tell whether this can be a remote id here; it cannot once the anchor is another one."""
        if self.anchor == BY_NAME or BINARY.get(self.anchor.lower()) is not guid:
            return ("=" in remote_id) is (self.anchor == BY_NAME)
        try:
            return bool(uuid.UUID(remote_id))
        except ValueError:
            return False

    def _octets(self, remote_id: str) -> bytes:
        if BINARY.get(self.anchor.lower()) is guid:
            return uuid.UUID(remote_id).bytes_le
        return remote_id.encode()

    def read(self, answer: Answer, place: str) -> None:
        """Raise unless a search went well."""
        if answer.result.code != 0:
            raise failure(answer.result.code, answer.result.message, f"{self.url}: search of {place}")

    def done(self, answer: Answer, what: str) -> None:
        """Raise unless a write went well."""
        if answer.result.code != 0:
            raise refusal(answer.result.code, answer.result.message, f"{self.url}: {what}")
