"""Random histories of a directory: after each step, what is read incrementally equals what a full read says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import count
from typing import Any, NamedTuple

import ldap3
from hypothesis import strategies as st
from ldap3.core.exceptions import LDAPOperationResult

from syncd_ldap.source import LdapSource

from .ldap_source import Followed
from .slapd import PEOPLE

PLACES = ("a", "deep", "b", "out")
"""Where people are; ``a`` and ``b`` are read, and ``deep``, which is in ``a`` at first, is moved about."""

PERSON, PLACE = st.integers(0, 4), st.integers(0, len(PLACES) - 1)
STEP = st.one_of(
    st.tuples(st.just("add"), PERSON, PLACE),
    st.tuples(st.just("change"), PERSON, st.integers(0, 99)),
    st.tuples(st.just("clear"), PERSON),
    st.tuples(st.just("name"), PERSON, PERSON),
    st.tuples(st.just("leave"), PERSON),
    st.tuples(st.just("return"), PERSON),
    st.tuples(st.just("move"), PERSON, PLACE),
    st.tuples(st.just("rename"), PERSON),
    st.tuples(st.just("recreate"), PERSON, PLACE),
    st.tuples(st.just("delete"), PERSON),
    st.tuples(st.just("move unit"), st.sampled_from(["a", "b", "out"])),
    st.tuples(st.just("rename unit")),
    st.tuples(st.just("read")),
)
STEPS = st.lists(STEP, min_size=4, max_size=10)
"""What happens, and when it is read where that is not after each step."""

JOIN = st.one_of(st.tuples(st.just("join"), PERSON), st.tuples(st.just("part"), PERSON))
WITH_GROUPS = st.lists(st.one_of(STEP, STEP, JOIN), min_size=4, max_size=10)

_NUMBERS = count()


class Kind(NamedTuple):
    """How people are written in a kind of directory.

    ``rdn`` and ``login`` are attributes; by ``there`` somebody is among those who are read, by ``left`` not.
    ``member`` is of a group at first, where there has to be one.
    """

    rdn: str
    login: str
    person: str
    there: Mapping[str, list[str]]
    left: Mapping[str, list[str]]
    group: str
    member: str = ""


INETORGPERSONS = Kind(
    rdn="uid",
    login="employeeNumber",
    person="inetOrgPerson",
    there={"employeeType": []},
    left={"employeeType": ["left"]},
    group="groupOfNames",
    member=f"cn=nobody,{PEOPLE}",
)
"""As OpenLDAP and 389 Directory Server have them."""


class Directory:
    """A tree of its own in the server for each history. ``connection`` is one that may write, and raises."""

    def __init__(self, connection: ldap3.Connection, parent: str, kind: Kind) -> None:
        self.connection = connection
        self.kind = kind
        self.number = next(_NUMBERS)
        self.top = f"OU=h{self.number},{parent}"
        self.deep = f"OU=deep,OU=a,{self.top}"
        for name in ("", "OU=a,", "OU=deep,OU=a,", "OU=b,", "OU=out,"):
            self.connection.add(f"{name}{self.top}", "organizationalUnit")
        self.groups = f"OU=groups,{self.top}"
        self.connection.add(self.groups, "organizationalUnit")
        self.inner, self.outer = f"cn=inner,{self.groups}", f"cn=outer,{self.groups}"
        self.connection.add(self.inner, kind.group, {"member": [kind.member]} if kind.member else {})
        self.connection.add(self.outer, kind.group, {"member": [self.inner]})
        self.people: dict[int, str] = {}
        self.superiors: dict[int, int] = {}
        self.renamed = 0
        for number in range(len(PLACES)):
            self._add(number, number)
        self._join(0)
        self._join(2)

    @property
    def bases(self) -> list[str]:
        return [f"OU=a,{self.top}", f"OU=b,{self.top}"]

    def place(self, number: int) -> str:
        """Return where a place is now."""
        return self.deep if PLACES[number] == "deep" else f"OU={PLACES[number]},{self.top}"

    def do(self, what: str, *given: Any) -> None:
        """Take one step; one that makes no sense now is none."""
        getattr(self, "_" + what.replace(" ", "_"))(*given)

    def _add(self, who: int, where: int) -> None:
        if who not in self.people:
            self.people[who] = f"{self.kind.rdn}=u{who},{self.place(where)}"
            named = {"cn": f"u{who}", self.kind.rdn: f"u{who}", self.kind.login: f"h{self.number}u{who}"}
            there = {name: values for name, values in self.kind.there.items() if values}
            self.connection.add(self.people[who], self.kind.person, {"sn": "First", **named, **there})

    def _modify(self, who: int, **values: list[str]) -> None:
        if who in self.people:
            changes = {name: [(ldap3.MODIFY_REPLACE, some)] for name, some in values.items()}
            self.connection.modify(self.people[who], changes)

    def _change(self, who: int, value: int) -> None:
        self._modify(who, sn=[f"Surname {value}"])

    def _clear(self, who: int) -> None:
        self._modify(who, mail=[] if self.renamed % 2 else ["x@example.test"])

    def _member(self, who: int, kind: str) -> None:
        # Whoever is in the group already, or by another name, is no mistake.
        with suppress(LDAPOperationResult):
            if who in self.people:
                self.connection.modify(self.inner, {"member": [(kind, [self.people[who]])]})

    def _join(self, who: int) -> None:
        self._member(who, ldap3.MODIFY_ADD)

    def _part(self, who: int) -> None:
        self._member(who, ldap3.MODIFY_DELETE)

    def _name(self, who: int, superior: int) -> None:
        if {who, superior} <= self.people.keys():
            self.superiors[who] = superior
            self._modify(who, manager=[self.people[superior]])

    def _leave(self, who: int) -> None:
        self._modify(who, **self.kind.left)

    def _return(self, who: int) -> None:
        self._modify(who, **self.kind.there)

    def _move(self, who: int, where: int) -> None:
        if who in self.people:
            self._put(who, self.people[who].partition(",")[0], self.place(where))

    def _rename(self, who: int) -> None:
        if who in self.people:
            self.renamed += 1
            self._put(who, f"{self.kind.rdn}=u{who}x{self.renamed}", self.people[who].partition(",")[2])

    def _put(self, who: int, rdn: str, parent: str) -> None:
        old, self.people[who] = self.people[who], f"{rdn},{parent}"
        if old != self.people[who]:
            self.connection.modify_dn(old, rdn, new_superior=parent)

    def _recreate(self, who: int, where: int) -> None:
        self._delete(who)
        self._add(who, where)

    def _delete(self, who: int) -> None:
        if who in self.people:
            # Nobody is told by Active Directory of whom a superior has gone.
            for other in [one for one, superior in self.superiors.items() if superior == who]:
                del self.superiors[other]
                self._modify(other, manager=[])
            self.superiors.pop(who, None)
            self.connection.delete(self.people.pop(who))

    def _move_unit(self, parent: str) -> None:
        self._put_unit(self.deep.partition(",")[0], f"OU={parent},{self.top}")

    def _rename_unit(self) -> None:
        self.renamed += 1
        self._put_unit(f"OU=deep{self.renamed}", self.deep.partition(",")[2])

    def _put_unit(self, rdn: str, parent: str) -> None:
        old, self.deep = self.deep, f"{rdn},{parent}"
        if old == self.deep:
            return
        self.connection.modify_dn(old, rdn, new_superior=parent)
        self.people = {
            who: name.replace(old, self.deep) if name.endswith(old) else name
            for who, name in self.people.items()
        }

    def _read(self) -> None:
        """Nothing happens."""


def check(
    directory: Directory,
    source: Callable[[Directory], LdapSource],
    steps: list[tuple[Any, ...]],
    *,
    each: bool,
) -> Counter[str]:
    """Take all steps, reading after each or where it is told; return how many reads were of which kind."""
    followed = Followed(source(directory))
    kinds: Counter[str] = Counter()
    for number, step in enumerate(steps):
        directory.do(*step)
        if each or number == len(steps) - 1 or step[0] == "read":
            followed.read()
            kinds["full" if followed.expired else "incremental"] += 1
    return kinds
