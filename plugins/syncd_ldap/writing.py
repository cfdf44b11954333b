"""What is done to a directory for one account, as programs: each step waits for the answer to the last.

Every program may be cut off anywhere and begun again: an entry is looked for before it is made, it has its name
before the rest is changed, and it is in no group under a name that it has not got.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from syncd import Account, Blocked, Delivery, Denied, Gone, Rejected

from . import dn
from .conversation import Answer, Found, Program
from .directory import Directory
from .failures import refusal
from .groups import EXISTS, NO_SUCH_OBJECT
from .platformoptions import MEMBERSHIPS
from .requests import (
    ADD,
    CHILDREN,
    NO_ATTRIBUTES,
    Change,
    adding,
    anything,
    deleting,
    modifying,
    renaming,
    replaced,
    searching,
)
from .values import Values, memberships_of

NOT_ALLOWED_ON_NON_LEAF = 66
MOST_OCTETS = 480
"""No server is known to store a longer step of a name."""
UNIQUE, SHORT = frozenset({19, EXISTS}), 20
"""What a server says of a value that another entry has already; and how long a logon name of Active Directory may be."""
OTHER, LONG = 80, 200
"""What OpenLDAP says of a step that its index has no room for, which sounds like a broken server; it takes some 240 bytes."""
NOT_THERE = "not-there:"
"""How the remote id of a disabled account begins that has no entry because of that."""


class Taken(Rejected):
    """The name that an entry is to get is that of another one, whose remote id is ``holder`` if that is known.

    So it is with the value of a key that a server wants to be unique: ``key`` is that attribute.
    """

    def __init__(self, message: str, holder: str | None, key: str | None = None) -> None:
        super().__init__(message)
        self.holder = holder
        self.key = key


class Wish(NamedTuple):
    """How an entry is to be: the fields ``changed`` of it; enabled, disabled, or as it is if that is None."""

    values: Values
    memberships: dict[str, str]
    changed: frozenset[str]
    enabled: bool | None


class Writing:
    """Adds, changes and deletes the entries of one directory."""

    def __init__(self, directory: Directory) -> None:
        self.directory = directory
        self.options = directory.options
        self._url = directory.url

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

    def add(self, account: Account) -> Program[str]:
        """Make the entry, or take over the one that is found; return its remote id."""
        wish = self._wish(account, frozenset({*self.directory.fields}), enabled=account.enabled)
        entry = yield from self.directory.sought(account)
        if entry is None and self.options.disable.delete and not account.enabled:
            return f"{NOT_THERE}{account.key}"
        if entry is None:
            rdn = self.options.rdn
            place = self.directory.switch.birthplace(enabled=account.enabled)
            name = f"{_step([(rdn, wish.values[rdn][0].decode())])},{place}"
            answer = yield self._adding(name, wish)
            if answer.result.code == EXISTS:
                # Somebody was quicker; or it is a name (in Active Directory a logon name, too) of somebody else.
                entry = yield from self.directory.sought(account)
        if entry is None:
            made = yield from self._made(answer, name, place, wish)
            return self.directory.remote_id(made)
        taken = yield from self._bring(entry, wish, self._classes(entry))
        return self.directory.remote_id(taken)

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
        entry = yield from self.directory.located(remote_id)
        if entry is None and absent:
            return remote_id
        if entry is None:
            what = f"{self.directory.anchor} {remote_id}"
            raise Gone(f"{self._url}: there is no entry with {what} where accounts are")
        if enabled is False:
            # Before all else, so that no value that is refused keeps somebody enabled.
            before, entry = entry.dn, (yield from self._off(entry))
            changed = changed if entry.dn == before else changed | {MEMBERSHIPS}
        taken = yield from self._bring(entry, self._wish(account, changed, enabled=enabled))
        return self.directory.remote_id(taken)

    def put_aside(self, remote_id: str, key: str | None) -> Program[None]:
        """Name an entry by its remote id, so that another one can have its name; or give it that as its ``key``."""
        entry = yield from self.directory.located(remote_id)
        if entry is None:
            return
        if key is not None:
            instead = replaced(key, [remote_id.replace("-", "")[:SHORT].encode()])
            self.directory.done((yield modifying(entry.dn, [instead])), f"change of {entry.dn}")
            return
        (kind, _), *pairs = _pairs(dn.split(entry.dn)[0])
        yield from self._renamed(entry, _step([(kind, remote_id), *pairs]), None)

    def delete(self, remote_id: str) -> Program[None]:
        """Remove the entry; one that is gone is a success. Raises Blocked while others stand below it."""
        if remote_id.startswith(NOT_THERE):
            return
        if not self.directory.knows(remote_id):
            cure = "set anchor to what it was when the entry was made"
            raise Rejected(f"{remote_id} is no {self.directory.anchor}; {cure}")
        entry = yield from self.directory.located(remote_id)
        if entry is None:
            return
        if self.directory.groups:
            yield from self.directory.groups.leave(entry.dn)
        answer = yield deleting(entry.dn)
        if answer.result.code == NOT_ALLOWED_ON_NON_LEAF:
            yield from self._blocked(entry.dn)
        if answer.result.code != NO_SUCH_OBJECT:
            self.directory.done(answer, f"delete of {entry.dn}")

    def _wish(self, account: Account, changed: frozenset[str], *, enabled: bool | None) -> Wish:
        values = self.directory.values_of(account)
        return Wish(values, memberships_of(account, self.options.groups), changed, enabled)

    def _adding(self, name: str, wish: Wish) -> bytes:
        """Return the request for a new entry."""
        switch = self.directory.switch.first(enabled=bool(wish.enabled))
        first = {"objectClass": [one.encode() for one in self.options.object_classes]}
        return adding(name, {**first, **wish.values, **{one.name: one.values for one in switch}})

    def _made(self, answer: Answer, name: str, place: str, wish: Wish) -> Program[Found]:
        """Return a new entry, in its groups. Raises Rejected, Denied or Unavailable if it was not made."""
        if answer.result.code == NO_SUCH_OBJECT:
            raise Denied(f"{self._url}: {place} does not exist; make it, or mend the options")
        found_by = f" (where nobody has the account's {', '.join(self.options.key)})"
        self._named(answer, name, f"add of {name}{found_by if answer.result.code == EXISTS else ''}")
        entry = yield from self.directory.named(name)
        if entry is None:
            cure = "let the bind identity read there"
            raise Denied(f"{self._url}: {name} was added, and cannot be read; {cure}")
        if self.directory.groups and wish.memberships:
            yield from self.directory.groups.bring(name, wish.memberships)
        if wish.enabled and (changes := self.directory.switch.changes(entry.values, enabled=True)):
            self.directory.done((yield modifying(name, changes)), f"enabling of {name}")
        return entry

    def _classes(self, entry: Found) -> list[Change]:
        """Return how an entry that is taken over gets the object classes that it lacks."""
        has = {one.lower() for one in entry.values.get("objectclass", [])}
        missing = [one.encode() for one in self.options.object_classes if one.lower().encode() not in has]
        return [Change(ADD, "objectClass", missing)] if missing else []

    def _off(self, entry: Found) -> Program[Found]:
        """Disable an entry; return it under the name that it has then."""
        if changes := self.directory.switch.changes(entry.values, enabled=False):
            self.directory.done((yield modifying(entry.dn, changes)), f"disabling of {entry.dn}")
        parent = self.directory.switch.parent(entry.dn, enabled=False)
        if parent is None:
            return entry
        return (yield from self._renamed(entry, dn.split(entry.dn)[0], parent))

    def _bring(self, entry: Found, wish: Wish, changes: Sequence[Change] = ()) -> Program[Found]:
        """Rename, then change, then see to the groups; return the entry with its name."""
        old = dn.split(entry.dn)[0]
        step = _named(old, wish)
        parent = self.directory.switch.parent(entry.dn, enabled=True) if wish.enabled else None
        taken = entry
        if step != old or parent is not None:
            taken = yield from self._renamed(entry, step, parent)
            if self.directory.groups:
                # Before the rest, so that no value that is refused keeps somebody out of a group.
                yield from self.directory.groups.bring(taken.dn, wish.memberships)
        name = taken.dn
        changes = [*changes, *_changes(entry, name, wish)]
        if wish.enabled:
            changes += self.directory.switch.changes(entry.values, enabled=True)
        if changes:
            answer = yield modifying(name, changes)
            if answer.result.code in UNIQUE:
                yield from self._unused(taken, wish, answer)
            self.directory.done(answer, f"change of {name}")
        if self.directory.groups and MEMBERSHIPS in wish.changed and taken is entry:
            yield from self.directory.groups.bring(name, wish.memberships)
        return taken

    def _renamed(self, entry: Found, step: str, parent: str | None) -> Program[Found]:
        """Return the entry under its new name; its groups do not know the old one any more."""
        above = dn.split(entry.dn)[1]
        name = f"{step},{parent or above}"
        yield from self._free(entry, name)
        groups = self.directory.groups
        left = (yield from groups.leave(entry.dn, heir=name)) if groups else []
        answer = yield renaming(entry.dn, step, parent)
        if groups and left and answer.result.code != 0 and (yield self.directory.look(entry.dn)).found:
            yield from groups.back(entry.dn, name, left)
        if answer.result.code == NO_SUCH_OBJECT and parent is not None:
            raise Denied(f"{self._url}: {entry.dn} cannot be moved: {parent} does not exist; make it")
        self._named(answer, name, f"rename of {entry.dn} to {name}")
        return entry._replace(dn=name)

    def _named(self, answer: Answer, name: str, what: str) -> None:
        """Raise unless the entry has this name now."""
        step = dn.split(name)[0]
        if answer.result.code == OTHER and len(step.encode()) > LONG:
            cure = "the name is too long for OpenLDAP; correct it in its source, or in the mapping"
            raise Rejected(f"{self._url}: {what}: other ({OTHER}); {cure}")
        self.directory.done(answer, what)

    def _free(self, entry: Found, name: str) -> Program[None]:
        """Raise Taken if another entry has the ``name`` that this one is to get; no group is left for that."""
        answer = yield self.directory.look(name)
        for holder in answer.found:
            if not self.directory.same(holder, entry):
                error = refusal(EXISTS, "", f"{self._url}: rename of {entry.dn} to {name}")
                raise Taken(str(error), self.directory.shown_id(holder))

    def _unused(self, entry: Found, wish: Wish, answer: Answer) -> Program[None]:
        """Raise Taken if another entry has one of the keys that this one is to get."""
        for name in sorted(wish.changed & {*self.options.key}):
            for value in wish.values[name]:
                for holder in (yield from self.directory.having(name, value)):
                    if not self.directory.same(holder, entry):
                        result = answer.result
                        error = refusal(result.code, result.message, f"{self._url}: change of {entry.dn}")
                        raise Taken(str(error), self.directory.shown_id(holder), name)

    def _blocked(self, name: str) -> Program[NoReturn]:
        below = yield searching(name, CHILDREN, anything(), [NO_ATTRIBUTES], 10)
        children = [one.dn for one in below.found]
        raise Blocked(f"{self._url}: {name} has entries below it; move them or remove them", children)


def _named(rdn: str, wish: Wish) -> str:
    """Return how the entry is named with its new values; it stays named by the attributes that it is named by."""
    pairs = _pairs(rdn)
    now = {name.lower(): wish.values[name] for name in wish.changed & wish.values.keys()}
    step = []
    for kind, value in pairs:
        texts = [text.decode() for text in now.get(kind.lower(), [])]
        if kind.lower() in now and not texts:
            raise Rejected(f"{rdn} is named by {kind}, which is to be emptied; fill it in its source")
        step.append((kind, texts[0] if texts and value not in texts else value))
    return rdn if tuple(step) == pairs else _step(step)


def _step(pairs: Sequence[tuple[str, str]]) -> str:
    """Return the first step of a name. Raises Rejected if it is longer than a server takes."""
    step = dn.step(pairs)
    if len(step.encode()) > MOST_OCTETS:
        raise Rejected(f"{step[:60]}... is too long for the name of an entry: {MOST_OCTETS} bytes at most")
    return step


def _pairs(step: str) -> tuple[tuple[str, str], ...]:
    try:
        return dn.parse(step)[0]
    except ValueError as error:
        raise Rejected(f"{error}; the entry of that name has to be renamed by hand") from None


def _changes(entry: Found, name: str, wish: Wish) -> list[Change]:
    """Return what is to be replaced; of what the entry is named by, only what the renaming left over."""
    old, new = ({kind.lower(): value for kind, value in _pairs(dn.split(one)[0])} for one in (entry.dn, name))
    found = []
    for attribute in sorted(wish.changed & wish.values.keys()):
        low = attribute.lower()
        if low in new:
            was = old[low].casefold()
            texts = entry.values.get(low, [])
            left = [text for text in texts if text.decode("utf-8", "replace").casefold() != was]
            if texts and {*left, new[low].encode()} == {*wish.values[attribute]}:
                continue
        found.append(replaced(attribute, wish.values[attribute]))
    return found
