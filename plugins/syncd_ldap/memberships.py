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
from .wire import Malformed, attributes_of, contents_of

_WORD = r'[^\s\x00-\x20"#+,;<=>\\\x7f]++'
_STEP = rf"(?:[A-Za-z][A-Za-z0-9-]*+|[0-9]++(?:\.[0-9]++)*+)={_WORD}(?: {_WORD})*+"
_PLAIN = re.compile(rf"{_STEP}(?:,{_STEP})*+")
"""A name that is its own normal form, but for the case of its letters."""
_UNIQUE_ID = re.compile(r"#'[01]*'B$")
"""What may stand behind the name in a value of uniqueMember (RFC 4517, section 3.3.21)."""

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
    """``groups``: from the key of a member to the names of its groups, or to None if none of ``only`` is among them.

    ``nobody`` is for whoever no group names. ``total`` counts groups, ``given`` the members as the server has
    them, and ``depth`` is how many groups one within the other the longest way up has.
    """

    groups: Mapping[str, tuple[str, ...] | None]
    nobody: tuple[str, ...] | None
    total: int
    given: int
    depth: int

    def of(self, name: bytes) -> tuple[str, ...] | None:
        """Return the groups of the entry of that name, sorted; None if it is no entry of this source.

        Raises ValueError for what is no name.
        """
        return self.groups.get(key(name.decode()), self.nobody)

    def summary(self) -> str:
        """Return what a person should know of them."""
        nesting = f"nested {self.depth} deep" if self.depth > 1 else "none in another"
        return f"{self.total} groups with {self.given} members, {nesting}"

    def digest(self) -> str:
        """Return a text that is another one as soon as anybody is in other groups."""
        told = blake2b(repr(self.nobody).encode(), digest_size=16)
        for member in sorted(self.groups):
            told.update(f"{member}\0{self.groups[member]}\0".encode())
        return told.hexdigest()


def read(reading: Reading, rest: Rest, options: Groups) -> Memberships:
    """Read all groups. Raises Unavailable or Denied wherever not all of them, with all members, are there to be seen."""
    names: dict[str, str] = {}
    joined: Joined = {}
    given = 0
    for name, members in _found(reading, rest, options):
        group = _key(name, name)
        if group in names:
            continue  # two bases, one within the other
        names[group] = name
        given += len(members)
        for member in {_key(member, name) for member in members}:
            joined.setdefault(member, []).append(group)
    where = f"{reading.session.url}: groups below {' and '.join(options.base)}"
    if not names:
        raise Denied(f"{where}: none is found by {options.filter}; mend groups.base or groups.filter")
    if not joined:
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
    kept: dict[tuple[str, ...], tuple[str, ...] | None] = {}
    groups: dict[str, tuple[str, ...] | None] = {}
    for member, direct in joined.items():
        together = tuple(sorted(direct))
        if together not in kept:
            found = {
                names[one] for group in together for one in (above[group][0] if options.nested else (group,))
            }
            kept[together] = None if only and only.isdisjoint(found) else tuple(sorted(found))
        groups[member] = kept[together]
    depth = max(levels for _, levels in above.values())
    return Memberships(groups, None if only else (), len(names), given, depth)


def _above(group: str, up: Joined) -> tuple[set[str], int]:
    """Return the group and all that it is in, and how many levels that are; loops end."""
    reached = {group}
    level, depth = {group}, 0
    while level:
        reached |= level
        depth += 1
        level = {above for one in level for above in up.get(one, ())} - reached
    return reached, depth


def _found(reading: Reading, rest: Rest, options: Groups) -> Iterator[tuple[str, list[str]]]:
    """Yield the name and the members of each group."""
    for base in options.base:
        for page in reading.search(base, options.filter, "subtree", options.member):
            _refuse_elsewhere(reading, base, page.references)
            for raw in page.entries:
                try:
                    yield _members(raw, rest)
                except (Malformed, IndexError, UnicodeDecodeError) as error:
                    raise Unavailable(
                        f"{reading.session.url}: a group below {base} cannot be read: {error}"
                    ) from error


def _members(raw: bytes, rest: Rest) -> tuple[str, list[str]]:
    """Return name and members of a group; a list that came in part is completed. Raises Unavailable if it cannot be."""
    name, begin, end = contents_of(raw)
    group = name.decode()
    members: list[str] = []
    for kind, values in attributes_of(raw, begin, end, {})[1]:
        first = part(kind.decode("ascii", "replace"), values)
        whole = rest.whole(group, first) if first else values
        if whole is None:
            raise Unavailable(f"the members of {group} did not come whole; it may have just been changed")
        members += [value.decode() for value in whole]
    return group, members


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
