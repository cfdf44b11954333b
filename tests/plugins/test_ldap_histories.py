"""Random histories of a directory: after each step, what is read incrementally equals what a full read says."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from itertools import count
from typing import Any

import ldap3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from servers.ldap_source import ldap_source
from servers.slapd import ADMIN, MISSING, PASSWORD, PEOPLE, Slapd, StartSlapd

from syncd import CursorExpired
from syncd.testing.conformance.sources import applied

pytest_plugins = ("servers.fixtures",)
pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)

FILTER = "(&(objectClass=inetOrgPerson)(!(employeeType=left)))"
PLACES = ("ou=a", "ou=deep", "ou=b", "ou=out")
"""Where people are; ``ou=a`` and ``ou=b`` are read, and ``ou=deep`` is moved about."""

PERSON, PLACE = st.integers(0, 4), st.integers(0, len(PLACES) - 1)
STEP = st.one_of(
    st.tuples(st.just("add"), PERSON, PLACE),
    st.tuples(st.just("change"), PERSON, st.integers(0, 99)),
    st.tuples(st.just("clear"), PERSON),
    st.tuples(st.just("leave"), PERSON),
    st.tuples(st.just("return"), PERSON),
    st.tuples(st.just("move"), PERSON, PLACE),
    st.tuples(st.just("rename"), PERSON),
    st.tuples(st.just("recreate"), PERSON, PLACE),
    st.tuples(st.just("delete"), PERSON),
    st.tuples(st.just("move unit"), st.sampled_from(["ou=a", "ou=b", "ou=out"])),
    st.tuples(st.just("rename unit")),
    st.tuples(st.just("read")),
)
STEPS = st.lists(STEP, min_size=4, max_size=10)
"""What happens, and when it is read where that is not after each step."""

JOIN = st.one_of(st.tuples(st.just("join"), PERSON), st.tuples(st.just("part"), PERSON))
WITH_GROUPS = st.lists(st.one_of(STEP, STEP, JOIN), min_size=4, max_size=10)

_NUMBERS = count()


class Directory:
    """A tree of its own in the server for each history."""

    def __init__(self, server: Slapd) -> None:
        self.top = f"ou=h{next(_NUMBERS)},{PEOPLE}"
        self.connection = ldap3.Connection(
            ldap3.Server(server.url, get_info=ldap3.NONE), ADMIN, PASSWORD, auto_bind=True
        )
        self.deep = f"ou=deep,ou=a,{self.top}"
        for name in ("", "ou=a,", "ou=deep,ou=a,", "ou=b,", "ou=out,"):
            self.connection.add(f"{name}{self.top}", "organizationalUnit")
        self.groups = f"ou=groups,{self.top}"
        self.connection.add(self.groups, "organizationalUnit")
        self.inner, self.outer = f"cn=inner,{self.groups}", f"cn=outer,{self.groups}"
        self.connection.add(self.inner, "groupOfNames", {"member": f"cn=nobody,{self.top}"})
        self.connection.add(self.outer, "groupOfNames", {"member": self.inner})
        self.people: dict[int, str] = {}
        self.renamed = 0
        for number in range(len(PLACES)):
            self._add(number, number)
        self._join(0)
        self._join(2)

    def place(self, number: int) -> str:
        """Return where a place is now."""
        return self.deep if PLACES[number] == "ou=deep" else f"{PLACES[number]},{self.top}"

    def do(self, what: str, *given: Any) -> None:
        """Take one step; one that makes no sense now is none."""
        getattr(self, "_" + what.replace(" ", "_"))(*given)

    def _add(self, who: int, where: int) -> None:
        if who not in self.people:
            self.people[who] = f"uid=u{who},{self.place(where)}"
            values = {"cn": f"Person {who}", "sn": "First", "uid": f"u{who}"}
            self.connection.add(self.people[who], "inetOrgPerson", values)

    def _modify(self, who: int, name: str, values: list[str]) -> None:
        if who in self.people:
            self.connection.modify(self.people[who], {name: [(ldap3.MODIFY_REPLACE, values)]})

    def _change(self, who: int, value: int) -> None:
        self._modify(who, "sn", [f"Surname {value}"])

    def _clear(self, who: int) -> None:
        self._modify(who, "mail", [] if self.renamed % 2 else ["x@example.test"])

    def _member(self, who: int, kind: str) -> None:
        if who in self.people:
            self.connection.modify(self.inner, {"member": [(kind, [self.people[who]])]})

    def _join(self, who: int) -> None:
        self._member(who, ldap3.MODIFY_ADD)

    def _part(self, who: int) -> None:
        self._member(who, ldap3.MODIFY_DELETE)

    def _leave(self, who: int) -> None:
        self._modify(who, "employeeType", ["left"])

    def _return(self, who: int) -> None:
        self._modify(who, "employeeType", [])

    def _move(self, who: int, where: int) -> None:
        if who in self.people:
            rdn, _, _ = self.people[who].partition(",")
            self.connection.modify_dn(self.people[who], rdn, new_superior=self.place(where))
            self.people[who] = f"{rdn},{self.place(where)}"

    def _rename(self, who: int) -> None:
        if who in self.people:
            self.renamed += 1
            _, _, parent = self.people[who].partition(",")
            self.connection.modify_dn(self.people[who], f"uid=u{who}x{self.renamed}")
            self.people[who] = f"uid=u{who}x{self.renamed},{parent}"

    def _recreate(self, who: int, where: int) -> None:
        self._delete(who)
        self._add(who, where)

    def _delete(self, who: int) -> None:
        if who in self.people:
            self.connection.delete(self.people.pop(who))

    def _move_unit(self, parent: str) -> None:
        self._put_unit(self.deep.partition(",")[0], f"{parent},{self.top}")

    def _rename_unit(self) -> None:
        self.renamed += 1
        self._put_unit(f"ou=deep{self.renamed}", self.deep.partition(",")[2])

    def _put_unit(self, rdn: str, parent: str) -> None:
        old, self.deep = self.deep, f"{rdn},{parent}"
        self.connection.modify_dn(old, rdn, new_superior=parent)
        self.people = {
            who: name.replace(old, self.deep) if name.endswith(old) else name
            for who, name in self.people.items()
        }

    def close(self) -> None:
        self.connection.unbind()

    def _read(self) -> None:
        """Nothing happens."""


def check(
    server: Slapd, steps: list[tuple[Any, ...]], strategy: str, *, each: bool, groups: str = ""
) -> Counter[str]:
    """Take all steps, reading after each or where it is told; return how many reads were of which kind.

    ``groups``: memberships are read, or ``only`` members are.
    """
    directory = Directory(server)
    bases = [f"ou=a,{directory.top}", f"ou=b,{directory.top}"]
    options: dict[str, Any] = {"select": ["uid", "sn", "mail", "dn"]}
    if groups:
        only = [directory.outer] if groups == "only" else []
        options = {"select": ["uid", "dn", "memberOf"], "groups": {"base": [directory.groups], "only": only}}
    source = ldap_source(server, base=bases, filter=FILTER, incremental=strategy, **options)
    kinds: Counter[str] = Counter()
    items = list(source.read(None))
    known, cursor = applied({}, items), items[-1].cursor
    with closing(directory):
        for number, step in enumerate(steps):
            directory.do(*step)
            if not each and number < len(steps) - 1 and step[0] != "read":
                continue
            try:
                items = list(source.read(cursor))
                kinds["incremental"] += 1
            except CursorExpired:
                items = list(source.read(None))
                kinds["full"] += 1
            known, cursor = applied(known, items), items[-1].cursor
            assert applied({}, source.read(None)) == known, f"after step {number}, {step}"
    return kinds


@pytest.fixture(params=[("sync", 1000), ("sync", 3), ("timestamps", None)], ids=str)
def served(request: pytest.FixtureRequest, start_slapd: StartSlapd) -> tuple[Slapd, str]:
    """A server, and how changes are found on it: by a long session log, by a short one, and without."""
    strategy, session_log = request.param
    return start_slapd(session_log=session_log), strategy


def test_increments_equal_full_reads(served: tuple[Slapd, str]) -> None:
    """At every step of every history; and most of them are read without reading all."""
    server, strategy = served
    kinds: Counter[str] = Counter()

    @given(steps=STEPS, each=st.booleans())
    @settings(max_examples=200, deadline=None)
    def histories(steps: list[tuple[Any, ...]], *, each: bool) -> None:
        kinds.update(check(server, steps, strategy, each=each))

    histories()
    assert kinds["incremental"] > kinds["full"], kinds


@pytest.mark.parametrize(
    ("strategy", "groups"), [("sync", "read"), ("timestamps", "read"), ("timestamps", "only")]
)
def test_increments_with_groups_equal_full_reads(start_slapd: StartSlapd, strategy: str, groups: str) -> None:
    """Also for whoever joins a group, leaves it, or is renamed and so in none any more."""
    server = start_slapd(session_log=1000)
    kinds: Counter[str] = Counter()

    @given(steps=WITH_GROUPS, each=st.booleans())
    @settings(max_examples=30, deadline=None)
    def histories(steps: list[tuple[Any, ...]], *, each: bool) -> None:
        kinds.update(check(server, steps, strategy, each=each, groups=groups))

    histories()
    assert min(kinds["incremental"], kinds["full"]) > 10, kinds
