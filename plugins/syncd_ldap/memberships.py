"""Who is in which group, as the groups themselves say: for servers that do not tell it with the person.

Names are compared as ``dn.normalise`` does. Some 70,000 members are compared with 100,000 people in a read, so
nearly every name takes the short way of ``key``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import NamedTuple, TypeAlias

from syncd import Denied, Unavailable

from . import dn
from .options import Groups
from .paging import NO_PEOPLE, Reading, name_in
from .ranges import Rest, part
from .syntaxes import sid
from .wire import Malformed, attributes_of, contents_of

_WORD = r'[^\s\x00-\x20"#+,;<=>\\\x7f]++'
_STEP = rf"(?:[A-Za-z][A-Za-z0-9-]*+|[0-9]++(?:\.[0-9]++)*+)={_WORD}(?: {_WORD})*+"
_PLAIN = re.compile(rf"{_STEP}(?:,{_STEP})*+")
"""A name that is its own normal form, but for the case of its letters."""
_UNIQUE_ID = re.compile(r"#'[01]*'B$")
"""What may stand behind the name in a value of uniqueMember (RFC 4517, section 3.3.21)."""

SID = "objectSid"
OF_DOMAIN = "S-1-5-21-"
"""How the security identifier of what belongs to one domain begins (MS-DTYP, section 2.4.2.4)."""

Joined: TypeAlias = dict[str, list[str]]
"""From the key of a member to the keys of the groups that name it."""


def key(name: str) -> str:
    """Return the same text for all writings of a name, and for no other name. Raises ValueError if it is none."""
    if _PLAIN.fullmatch(name):
        return name.casefold()
    return ",".join(
        "+".join(sorted(dn.step([pair]) for pair in step)) for step in dn.normalise(_UNIQUE_ID.sub("", name))
    )


class Memberships(NamedTuple):
    """``groups``: from the key of a member to the names of its groups, and from that of a ``primary`` group.

    ``only``: whoever is in none of these, if there are any, is no entry of this source. ``total`` counts groups,
    ``given`` the members as the server has them, and ``depth`` is how many groups one within the other the
    longest way up has.
    """

    groups: Mapping[str, tuple[str, ...]]
    only: frozenset[str]
    total: int
    given: int
    depth: int

    def of(self, name: bytes, number: str = "") -> tuple[str, ...] | None:
        """Return the groups of the entry of that name, sorted; None if it is no entry of this source.

        ``number`` is its primaryGroupID. Raises ValueError for what is no name.
        """
        found = self.groups.get(key(name.decode()), ())
        if number and (more := self.groups.get(primary(number))):
            found = tuple(sorted({*found, *more}))
        return found if self._within(found) else None

    def _within(self, groups: tuple[str, ...]) -> bool:
        return not (self.only and self.only.isdisjoint(groups))

    def summary(self) -> str:
        """Return what a person should know of them."""
        nesting = f"nested {self.depth} deep" if self.depth > 1 else "none in another"
        return f"{self.total} groups with {self.given} members, {nesting}"

    def digest(self) -> str:
        """Return a text that is another one as soon as anybody who is read is in other groups."""
        told = blake2b(repr(sorted(self.only)).encode(), digest_size=16)
        # Somebody's primary group may be one of ``only``, whichever others name him.
        all_count = any(map(_is_primary, self.groups))
        for member in sorted(self.groups):
            groups = self.groups[member]
            told.update(f"{member}\0{groups if all_count or self._within(groups) else None}\0".encode())
        return told.hexdigest()


def primary(number: str) -> str:
    """Return the key of whoever has this number as primaryGroupID; no name has such a key."""
    return f"#{number}"


def _is_primary(member: str) -> bool:
    return member.startswith("#")


def read(reading: Reading, rest: Rest, options: Groups) -> Memberships:
    """Read all groups. Raises Unavailable or Denied wherever not all of them, with all members, are there to be seen."""
    names: dict[str, str] = {}
    joined: Joined = {}
    given = 0
    for name, number, members in _found(reading, rest, options):
        group = _key(name, name)
        if group in names:
            continue  # two bases, one within the other
        names[group] = name
        given += len(members)
        for member in {_key(member, name) for member in members}:
            joined.setdefault(member, []).append(group)
        if number:
            joined.setdefault(primary(number), []).append(group)
    where = f"{reading.session.url}: groups below {' and '.join(options.base)}"
    if not names:
        raise Denied(f"{where}: none is found by {options.filter}; mend groups.base or groups.filter")
    if not given:
        attributes = " or ".join(options.member)
        raise Denied(f"{where}: none of {len(names)} shows a member; let the bind identity read {attributes}")
    only = {key(name): name for name in options.only}
    if lost := [name for group, name in only.items() if group not in names]:
        raise Denied(f"{where}: {' and '.join(lost)} of groups.only is not there; mend groups.only")
    return _resolved(options, names, joined, frozenset(names[group] for group in only), given)


def _resolved(
    options: Groups, names: Mapping[str, str], joined: Joined, only: frozenset[str], given: int
) -> Memberships:
    """Return who is in which group, those in which its groups are among them if the options want that."""
    above = {group: _above(group, joined) for group in names}
    # Most people share their groups with others: so they share what is kept of it.
    kept: dict[tuple[str, ...], tuple[str, ...]] = {}
    groups: dict[str, tuple[str, ...]] = {}
    for member, direct in joined.items():
        together = tuple(sorted(direct))
        if together not in kept:
            found = {
                names[one] for group in together for one in (above[group][0] if options.nested else (group,))
            }
            kept[together] = tuple(sorted(found))
        groups[member] = kept[together]
    depth = max(levels for _, levels in above.values())
    return Memberships(groups, only, len(names), given, depth)


def _above(group: str, up: Joined) -> tuple[set[str], int]:
    """Return the group and all that it is in, and how many levels that are; loops end."""
    reached = {group}
    level, depth = {group}, 0
    while level:
        reached |= level
        depth += 1
        level = {above for one in level for above in up.get(one, ())} - reached
    return reached, depth


def _found(reading: Reading, rest: Rest, options: Groups) -> Iterator[tuple[str, str, list[str]]]:
    """Yield the name of each group, its number in a domain of Active Directory, and its members."""
    asked = [*options.member, *([SID] if reading.session.root.kind == "ad" else [])]
    for base in options.base:
        for page in reading.search(base, options.filter, "subtree", asked):
            _refuse_elsewhere(reading, base, page.references)
            for raw in page.entries:
                try:
                    yield _members(raw, rest)
                except (Malformed, IndexError, ValueError) as error:
                    raise Unavailable(
                        f"{reading.session.url}: a group below {base} cannot be read: {error}"
                    ) from error


def _members(raw: bytes, rest: Rest) -> tuple[str, str, list[str]]:
    """Return name, number and members; a list that came in part is completed. Raises Unavailable if it cannot be."""
    name, begin, end = contents_of(raw)
    group = name.decode()
    number = ""
    members: list[str] = []
    for kind, values in attributes_of(raw, begin, end, {})[1]:
        if kind.lower() == SID.lower().encode():
            number = _number(sid(values[0]))
            continue
        first = part(kind.decode("ascii", "replace"), values)
        whole = rest.whole(group, first) if first else values
        if whole is None:
            raise Unavailable(f"the members of {group} did not come whole; it may have just been changed")
        members += [value.decode() for value in whole]
    return group, number, members


def _number(text: str) -> str:
    """Return the number that a group has in its domain; empty for one that is in every domain, such as Users."""
    return text.rpartition("-")[2] if text.startswith(OF_DOMAIN) else ""


def _refuse_elsewhere(reading: Reading, base: str, references: Iterable[str]) -> None:
    """Raise Denied if a part of the groups is on another server and that is not said to be ignored."""
    if reading.options.referrals == "ignore":
        return
    active = reading.session.root.kind == "ad"
    for uri in references:
        if not (active and name_in(uri).startswith(NO_PEOPLE)):
            raise Denied(
                f"{reading.session.url}: some groups below {base} are on another server, {uri}, which is not asked; "
                'name bases in groups.base that this server has, or set referrals = "ignore"'
            )


def _key(name: str, group: str) -> str:
    try:
        return key(name)
    except ValueError as error:
        raise Denied(
            f"the group {group} has a member that is no name ({error}); mend it, or groups.member"
        ) from error
