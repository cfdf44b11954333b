"""What is asked of a directory for one account, as programs: each step waits for the answer to the last.

Every program may be cut off anywhere and begun again: an entry is looked for before it is made, a name is changed
before the rest, and nothing is taken for done because it was done a moment ago.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import NamedTuple, NoReturn

import syncd
from syncd import Account, Blocked, Delivery, Denied, Gone, Rejected

from . import dn
from .adapter import Session
from .conversation import Answer, Found, Program
from .entries import BINARY, UNIQUE_IDS, guid
from .failures import failure, refusal
from .groups import EXISTS, NO_SUCH_OBJECT, Groups
from .platformoptions import BY_NAME, MEMBERSHIPS, PlatformOptions
from .requests import (
    ADD,
    BASE,
    CHILDREN,
    NO_ATTRIBUTES,
    SUBTREE,
    Change,
    adding,
    all_of,
    any_of,
    anything,
    compiled,
    deleting,
    equal,
    modifying,
    renaming,
    replaced,
    searching,
)
from .switching import Switch
from .values import Values, memberships_of, values_of

NOT_ALLOWED_ON_NON_LEAF, SIZE_LIMIT_EXCEEDED = 66, 4
NOT_THERE = "not-there:"
"""How the remote id of a disabled account begins that has no entry because of that."""


class Wish(NamedTuple):
    """How an entry is to be: the fields ``changed`` of it; enabled, disabled, or as it is if that is None."""

    account: Account
    values: Values
    changed: frozenset[str]
    enabled: bool | None


class Directory:
    """One directory, as one platform writes to it over one session; ``anchor`` is what remote ids are."""

    def __init__(
        self, options: PlatformOptions, fields: Mapping[str, syncd.Field], session: Session, anchor: str
    ) -> None:
        self.options = options
        self.fields = fields
        self.url = session.url
        self.anchor = anchor
        self.switch = Switch(options.disable, options.base)
        follow = session.root.kind == "ad"
        self.groups = Groups(options.groups, self.url, follow=follow) if options.groups else None
        self._filter = compiled(options.filter)
        asked = [options.rdn, "objectClass", *self.switch.asked]
        self._asked = asked if anchor == BY_NAME else [anchor, *asked]

    def deliver(self, delivery: Delivery) -> Program[str | None]:
        """Do one delivery; return the remote id."""
        account, remote_id = delivery.account, delivery.remote_id
        if delivery.action == "add":
            return (yield from self.add(account))
        if remote_id is None:
            raise Gone(f"account {account.key} has no remote id")
        if delivery.action == "delete":
            yield from self.delete(remote_id)
            return remote_id
        enabled = {"update": None, "disable": False, "enable": True}[delivery.action]
        return (yield from self.update(remote_id, account, delivery.changed, enabled=enabled))

    # Looking

    def find(self, account: Account) -> Program[str | None]:
        """Return the remote id of the account's entry. Raises Rejected where there are two."""
        entry = yield from self._sought(account)
        return None if entry is None else self.remote_id(entry)

    def _sought(self, account: Account) -> Program[Found | None]:
        """Return the entry that has the first of the keys that anything has.

        An entry with another value of an earlier key is somebody else's.
        """
        values = values_of(account, self.fields)
        tried: list[str] = []
        for name in self.options.key:
            if not values[name]:
                continue
            wanted = any_of(*[equal(name, value) for value in values[name]])
            found = yield from self._search(all_of(self._filter, wanted), tried)
            if len(found) > 1:
                names = " and ".join(one.dn for one in found)
                raise Rejected(f"{self.url}: {names} have the same {name} as account {account.key}; keep one")
            if found and not any(found[0].values.get(other.lower()) for other in tried):
                return found[0]
            tried.append(name)
        return None

    def _search(self, wanted: bytes, more: Sequence[str] = ()) -> Program[list[Found]]:
        found: list[Found] = []
        for place in self.options.places:
            answer = yield searching(place, SUBTREE, wanted, [*self._asked, *more], 2)
            found += answer.found
            if answer.result.code == SIZE_LIMIT_EXCEEDED and len(found) > 1:
                break
            self.read(answer, place)
        return found

    def _located(self, remote_id: str) -> Program[Found | None]:
        """Return the entry of a remote id, wherever it stands by now; None if there is none."""
        if self.anchor != BY_NAME:
            found = yield from self._search(equal(self.anchor, self._octets(remote_id)))
            return found[0] if found else None
        answer = yield searching(remote_id, BASE, anything(), self._asked)
        if answer.result.code == NO_SUCH_OBJECT:
            return None
        self.read(answer, remote_id)
        return answer.found[0] if answer.found else None

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

    def _octets(self, remote_id: str) -> bytes:
        """Return the value of the anchor. Raises Rejected for the id of another kind of anchor."""
        try:
            if BINARY.get(self.anchor.lower()) is guid:
                return uuid.UUID(remote_id).bytes_le
            if "=" not in remote_id:
                return remote_id.encode()
        except ValueError:
            pass
        raise Rejected(f"{remote_id} is no {self.anchor}; set anchor to what it was when this was written")

    # Writing

    def add(self, account: Account) -> Program[str]:
        """Make the entry, or take over the one that is found; return its remote id."""
        values = values_of(account, self.fields)
        entry = yield from self._sought(account)
        if entry is None and self.options.disable.delete and not account.enabled:
            return f"{NOT_THERE}{account.key}"
        if entry is None:
            place = self.switch.birthplace(enabled=account.enabled)
            name = f"{dn.step([(self.options.rdn, values[self.options.rdn][0].decode())])},{place}"
            answer = yield adding(name, self._new(values, enabled=account.enabled))
            if answer.result.code == EXISTS:
                entry = yield from self._sought(account)
            if entry is None:
                self._added(answer, name, place)
                return (yield from self._settled(name, account))
        name = yield from self._adopt(
            entry, Wish(account, values, frozenset({*self.fields}), account.enabled)
        )
        return name if self.anchor == BY_NAME else self.remote_id(entry)

    def _new(self, values: Values, *, enabled: bool) -> dict[str, Sequence[bytes]]:
        classes = [name.encode() for name in self.options.object_classes]
        switch = {one.name: one.values for one in self.switch.changes({}, enabled=enabled)}
        return {"objectClass": classes, **values, **switch}

    def _added(self, answer: Answer, name: str, place: str) -> None:
        """Raise unless the entry was made."""
        if answer.result.code == EXISTS:
            keys = ", ".join(self.options.key)
            raise Rejected(
                f"{self.url}: {name} exists, and is not this account's by {keys}; rename one of the two, "
                "or name entries by something unique (rdn)"
            )
        if answer.result.code == NO_SUCH_OBJECT:
            raise Denied(f"{self.url}: {place} does not exist; make it, or mend the options")
        self._done(answer, f"add of {name}")

    def _settled(self, name: str, account: Account) -> Program[str]:
        """Learn the remote id of a new entry, and put it into its groups."""
        answer = yield searching(name, BASE, anything(), self._asked)
        self.read(answer, name)
        if not answer.found:
            raise Denied(
                f"{self.url}: {name} was added, and cannot be read; let the bind identity read there"
            )
        if self.groups:
            yield from self._join(self.groups, name, account)
        return self.remote_id(answer.found[0])

    def _adopt(self, entry: Found, wish: Wish) -> Program[str]:
        has = {name.lower() for name in entry.values.get("objectclass", [])}
        missing = [name.encode() for name in self.options.object_classes if name.lower().encode() not in has]
        changes = [Change(ADD, "objectClass", missing)] if missing else []
        return (yield from self._bring(entry, wish, changes))

    def update(
        self, remote_id: str, account: Account, changed: frozenset[str], *, enabled: bool | None = None
    ) -> Program[str]:
        """Make the ``changed`` fields equal, and the entry enabled or disabled unless that is None.

        Returns the remote id, which is another one only where it is the entry's name. Raises Gone.
        """
        absent = self.options.disable.delete and not account.enabled
        if absent and enabled is False:
            yield from self.delete(remote_id)
            return remote_id
        entry = None
        if not remote_id.startswith(NOT_THERE):
            entry = yield from self._located(remote_id)
        if entry is None and absent:
            return remote_id
        if entry is None:
            raise Gone(f"{self.url}: there is no entry with {self.anchor} {remote_id} where accounts are")
        wish = Wish(account, values_of(account, self.fields), changed, enabled)
        name = yield from self._bring(entry, wish, [])
        return name if self.anchor == BY_NAME else remote_id

    def _bring(self, entry: Found, wish: Wish, changes: list[Change]) -> Program[str]:
        """Rename or move, then change, then see to the groups; return the name."""
        name = yield from self._placed(entry, wish)
        changes = [*changes, *_changes(entry, name, wish)]
        if wish.enabled is not None:
            changes += self.switch.changes(entry.values, enabled=wish.enabled)
        if changes:
            self._done((yield modifying(name, changes)), f"change of {name}")
        if self.groups and (MEMBERSHIPS in wish.changed or name != entry.dn):
            yield from self._join(self.groups, name, wish.account)
        return name

    def _placed(self, entry: Found, wish: Wish) -> Program[str]:
        """Give an entry the name that it should have; return that."""
        rdn, above = dn.split(entry.dn)
        step = _step(rdn, wish)
        parent = None if wish.enabled is None else self.switch.parent(entry.dn, enabled=wish.enabled)
        if step == rdn and parent is None:
            return entry.dn
        name = f"{step},{parent or above}"
        if self.groups:
            yield from self.groups.leave(entry.dn, heir=name)
        answer = yield renaming(entry.dn, step, parent)
        if answer.result.code == NO_SUCH_OBJECT and parent is not None:
            raise Denied(f"{self.url}: {entry.dn} cannot be moved: {parent} does not exist; make it")
        self._done(answer, f"rename of {entry.dn} to {name}")
        return name

    def _join(self, groups: Groups, name: str, account: Account) -> Program[None]:
        yield from groups.bring(name, memberships_of(account, self.options.groups))

    def delete(self, remote_id: str) -> Program[None]:
        """Remove the entry; one that is gone is a success. Raises Blocked while others stand below it."""
        if remote_id.startswith(NOT_THERE):
            return
        entry = yield from self._located(remote_id)
        if entry is None:
            return
        if self.groups:
            yield from self.groups.leave(entry.dn)
        answer = yield deleting(entry.dn)
        if answer.result.code == NOT_ALLOWED_ON_NON_LEAF:
            yield from self._blocked(entry.dn)
        if answer.result.code != NO_SUCH_OBJECT:
            self._done(answer, f"delete of {entry.dn}")

    def _blocked(self, name: str) -> Program[NoReturn]:
        below = yield searching(name, CHILDREN, anything(), [NO_ATTRIBUTES], 10)
        children = [one.dn for one in below.found]
        raise Blocked(f"{self.url}: {name} has entries below it; move them or remove them", children)

    def read(self, answer: Answer, place: str) -> None:
        """Raise unless a search went well."""
        if answer.result.code != 0:
            raise failure(answer.result.code, answer.result.message, f"{self.url}: search of {place}")

    def _done(self, answer: Answer, what: str) -> None:
        if answer.result.code != 0:
            raise refusal(answer.result.code, answer.result.message, f"{self.url}: {what}")


def _step(rdn: str, wish: Wish) -> str:
    """Return how the entry is named with its new values; it stays named by the attributes that it is named by."""
    pairs = dn.parse(rdn)[0]
    now = {name.lower(): wish.values[name] for name in wish.changed & wish.values.keys()}
    step = []
    for kind, value in pairs:
        texts = [text.decode() for text in now.get(kind.lower(), [])]
        if kind.lower() in now and not texts:
            raise Rejected(f"{rdn} is named by {kind}, which is to be emptied; fill it in its source")
        step.append((kind, texts[0] if texts and value not in texts else value))
    return rdn if tuple(step) == pairs else dn.step(step)


def _changes(entry: Found, name: str, wish: Wish) -> list[Change]:
    """Return what is to be replaced; of what the entry is named by, only what the renaming left over."""
    old, new = (
        {kind.lower(): value for kind, value in dn.parse(dn.split(one)[0])[0]} for one in (entry.dn, name)
    )
    found = []
    for attribute in sorted(wish.changed & wish.values.keys()):
        low = attribute.lower()
        if low in new:
            was = old[low].casefold()
            left = entry.values.get(low, [])
            left = [text for text in left if text.decode("utf-8", "replace").casefold() != was]
            if {*left, new[low].encode()} == {*wish.values[attribute]}:
                continue
        found.append(replaced(attribute, wish.values[attribute]))
    return found
