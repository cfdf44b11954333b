"""The source ``ldap`` reads a real 389 Directory Server: in full, and what has changed."""

from __future__ import annotations

import random
import time
import uuid
from pathlib import Path
from typing import Any

import ldap3
import pytest
from chances import chance_seed
from servers.certificates import Certificate
from servers.ds389 import CROWD, CROWDED, MISSING, Ds389
from servers.histories import INETORGPERSONS, Directory
from servers.ldap_source import FILTER, Followed, drain, ldap_source
from servers.slapd import PASSWORD, PEOPLE, free_port

from syncd import Checkpoint, CursorExpired, Denied, Entry, Present, Unavailable
from syncd.testing import SourceConformance
from syncd_ldap.cursors import parse
from syncd_ldap.source import LdapSource

pytest_plugins = ("servers.fixtures",)
pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)

FULL = [Checkpoint(cursor=None, full=True)]


@pytest.fixture
def unit(directory_server: Ds389) -> str:
    """The name of a new unit of its own."""
    return directory_server.unit(f"Unit {uuid.uuid4().hex[:12]}")


def source_389(server: Ds389, *bases: str, **options: Any) -> LdapSource:
    return ldap_source(server.url, base=list(bases), **options)


def settle() -> None:
    """Wait until nothing that was changed by now is told again, with an overlap of a second."""
    time.sleep(2.02 - time.time() % 1)


# --- the contract


class World:
    """People who are added, changed and removed."""

    def __init__(self, server: Ds389, unit: str) -> None:
        self.server = server
        self.unit = unit
        self.names: dict[str, str] = {}

    def add(self) -> str:
        name = self.server.person(f"new{len(self.names)}", self.unit)
        anchor = self.server.anchor(name)
        self.names[anchor] = name
        return anchor

    def change(self, anchor: str) -> None:
        self.server.modify(self.names[anchor], cn=str(uuid.uuid4()))

    def remove(self, anchor: str) -> None:
        self.server.delete(self.names[anchor])


class TestContract(SourceConformance):
    page = 2
    incremental = True

    @pytest.fixture
    def options(self, directory_server: Ds389, unit: str) -> dict[str, Any]:
        """What the source of this test is made with, bound as somebody of its own."""
        dn = directory_server.identity(unit)
        return {"bind": {"dn": dn, "password": "credential:hq"}, "allow_plaintext_bind": True}

    @pytest.fixture
    def world(self, directory_server: Ds389, unit: str) -> World:
        return World(directory_server, unit)

    @pytest.fixture
    def source(self, directory_server: Ds389, unit: str, options: dict[str, Any]) -> LdapSource:
        for number in range(5):
            directory_server.person(f"u{number}", unit)
        return source_389(directory_server, unit, page_size=2, incremental="auto", **options)

    @pytest.fixture
    def unreachable(self) -> LdapSource:
        return ldap_source(f"ldap://127.0.0.1:{free_port()}", incremental="auto")

    @pytest.fixture
    def denied(self, directory_server: Ds389, options: dict[str, Any]) -> LdapSource:
        return source_389(directory_server, PEOPLE, secret="wrong", incremental="auto", **options)


# --- what a read yields


def test_tls_is_spoken_either_way_and_asked_for_where_the_server_wants_it(
    directory_server: Ds389, unit: str, certificate: Certificate
) -> None:
    dn = directory_server.identity(unit)
    directory_server.person("anna", unit)
    bound = {"base": [unit], "bind": {"dn": dn, "password": "credential:hq"}}
    for url, tls in ((directory_server.ldaps_url, None), (directory_server.url, "starttls")):
        source = ldap_source(url, tls=tls, ca_file=certificate.authority, **bound)
        assert ["anna"] == drain(source).values("uid")
    directory_server.modify("cn=config", nsslapd_require_secure_binds="on")
    try:
        with pytest.raises(
            Denied, match=r"confidentialityRequired \(13\).*write ldaps://, or tls = starttls"
        ):
            drain(ldap_source(directory_server.url, allow_plaintext_bind=True, **bound))
    finally:
        directory_server.modify("cn=config", nsslapd_require_secure_binds="off")


def test_people_are_read_with_their_unique_ids(directory_server: Ds389, unit: str) -> None:
    anna = directory_server.person("anna", unit, sn="Müller", mail="anna@example.test")
    directory_server.person("bob", unit)
    read = drain(source_389(directory_server, unit, select=["uid", "sn", "mail"]))
    assert (FULL, []) == (read.checkpoints, read.problems)
    expected = {"uid": ("anna",), "sn": ("Müller",), "mail": ("anna@example.test",)}
    found = {one.anchor: one.attributes for one in read.entries}
    assert (2, expected) == (len(found), found[directory_server.anchor(anna)])
    assert {"uid": ("bob",), "sn": ("Surname bob",)} in found.values()


@pytest.mark.parametrize("size", [1000, 700, 299])
def test_pages_that_all_bear_the_same_cookie_are_read_to_the_end(directory_server: Ds389, size: int) -> None:
    """And more people than nsslapd-sizelimit, which is for one page (a vendor's rule). 3 * 700 fill their pages."""
    read = drain(source_389(directory_server, CROWDED, page_size=size))
    assert sorted(f"u{number}" for number in range(CROWD)) == read.values("uid")
    assert (FULL, CROWD) == (read.checkpoints, len(set(read.anchors())))
    cookies, cookie = set(), None
    connection = ldap3.Connection(ldap3.Server(directory_server.url, get_info=ldap3.NONE), auto_bind=True)
    while cookie != b"":
        connection.search(CROWDED, FILTER, paged_size=size, paged_cookie=cookie)
        cookie = connection.result["controls"]["1.2.840.113556.1.4.319"]["value"]["cookie"]
        cookies.add(cookie)
    connection.unbind()
    assert 2 == len(cookies)


def test_without_pages_the_size_limit_of_the_server_fails_the_read(directory_server: Ds389) -> None:
    source = source_389(directory_server, CROWDED, page_size=0)
    with pytest.raises(Unavailable, match=r"after 2000 entries: sizeLimitExceeded \(4\)"):
        drain(source)


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        ("nsSizeLimit", "sizeLimitExceeded (4)"),
        ("nsPagedSizeLimit", "sizeLimitExceeded (4)"),
        ("nsLookThroughLimit", "adminLimitExceeded (11)"),
        ("nsPagedLookThroughLimit", "adminLimitExceeded (11)"),
    ],
)
def test_a_read_that_a_limit_of_the_bind_identity_cuts_short_fails_with_the_cure(
    directory_server: Ds389, unit: str, limit: str, told: str
) -> None:
    dn = directory_server.identity(unit, **{limit: "500"})
    bound = {"bind": {"dn": dn, "password": "credential:hq"}, "allow_plaintext_bind": True}
    source = source_389(directory_server, CROWDED, incremental="auto", **bound)
    with pytest.raises(Unavailable) as caught:
        drain(source)
    assert f"after 500 entries: {told}" in str(caught.value)
    assert "389 Directory Server: nsLookThroughLimit, nsSizeLimit and nsTimeLimit = -1" in str(caught.value)
    directory_server.modify(dn, **{limit: "-1"})
    assert CROWD == len(drain(source).entries)


@pytest.mark.parametrize(
    ("disabled", "expected"),
    [
        ("map", {"on": True, "off": False, "was": True}),
        ("skip", {"on": True, "was": True}),
        ("ignore", {"on": True, "off": True, "was": True}),
    ],
)
def test_disabled_people_are_told_by_the_lock_of_the_server(
    directory_server: Ds389, unit: str, disabled: str, expected: dict[str, bool]
) -> None:
    for name, lock in (("on", None), ("off", "TRUE"), ("was", "false")):
        directory_server.modify(
            directory_server.person(name, unit, userPassword=PASSWORD), nsAccountLock=lock
        )
    assert [True, False] == [directory_server.lets_in(f"uid={name},{unit}") for name in ("was", "off")]
    source = source_389(directory_server, unit, disabled=disabled, select=["uid"])
    read = drain(source)
    assert expected == {entry.attributes["uid"][0]: entry.enabled for entry in read.entries}
    assert {"uid"} == set().union(*(entry.attributes for entry in read.entries))
    warned = any("they look like leavers" in line for line in list(source.check()))
    assert (disabled == "skip") is warned


def test_an_anchor_that_may_not_be_read_is_a_problem_of_nobody(directory_server: Ds389, unit: str) -> None:
    directory_server.person("anna", unit)
    directory_server.hide("nsUniqueId", unit)
    read = drain(source_389(directory_server, unit))
    assert ([], [(None, "no_anchor")]) == (read.entries, [(one.anchor, one.code) for one in read.problems])


# --- what has changed


def test_all_that_can_happen_is_told_and_nothing_else(directory_server: Ds389, unit: str) -> None:
    """Also who stays as they are is not among the entries, but on the list of those who are there."""
    server, base, out = (
        directory_server,
        directory_server.unit("in", unit),
        directory_server.unit("out", unit),
    )
    names = ["same", "changed", "locked", "gone", "renamed", "leaves", "left", "recreated", "back"]
    people = {name: server.person(name, base) for name in names}
    people["comes"] = server.person("comes", out)
    whom = "(&(objectClass=inetOrgPerson)(!(employeeType=left)))"
    settle()
    followed = Followed(
        source_389(server, base, incremental="auto", overlap=1, filter=whom, select=["uid", "sn"])
    )
    anchors = {name: server.anchor(dn) for name, dn in people.items()}
    server.modify(people["changed"], sn="Changed")
    server.modify(people["locked"], nsAccountLock="true")
    server.delete(people["gone"], people["recreated"])
    server.rename(people["renamed"], "uid=another")
    server.rename(people["leaves"], "uid=leaves", out)
    server.rename(people["comes"], "uid=comes", base)
    server.modify(people["left"], employeeType="left")
    for value in ("left", None):
        server.modify(people["back"], employeeType=value)
    anchors |= {name: server.anchor(server.person(name, base)) for name in ("recreated", "added")}

    items = followed.read()

    assert ("", Checkpoint) == (followed.expired, type(items[-1]))
    told = {one.anchor for one in items if isinstance(one, Entry)}
    there = {one.anchor for one in items if isinstance(one, Present)}
    changed = ("changed", "locked", "renamed", "comes", "back", "recreated", "added")
    assert {anchors[name] for name in changed} == told
    assert {anchors["same"]} == there
    assert not followed.known[anchors["locked"]].enabled


def test_a_container_that_is_renamed_or_moved_makes_the_read_a_full_one(
    directory_server: Ds389, unit: str
) -> None:
    server, base, out = (
        directory_server,
        directory_server.unit("in", unit),
        directory_server.unit("out", unit),
    )
    deep, far = server.unit("deep", base), server.unit("far", out)
    for one in (base, deep, far):
        server.person("u", one)
    source = source_389(server, base, incremental="timestamps", overlap=1)
    for old, name in ((deep, "ou=deeper"), (far, "ou=moved")):
        settle()
        *_, before = source.read(None)
        server.rename(old, name, base)
        with pytest.raises(CursorExpired, match=f"{name},{base} was changed, and may have been renamed"):
            list(source.read(before.cursor))


STEPS = (
    *(("add", "who", "where"), ("change", "who", "number"), ("clear", "who"), ("name", "who", "who")),
    *(("leave", "who"), ("return", "who"), ("move", "who", "where"), ("rename", "who")),
    *(("recreate", "who", "where"), ("delete", "who")),
)


def test_random_histories_read_incrementally_equal_full_reads(directory_server: Ds389, unit: str) -> None:
    """Eight of them side by side, because what happens within a second is told again in the next read."""
    seed = chance_seed()
    lots = random.Random(seed)
    drawn = {"who": 5, "where": 4, "number": 99}
    trees = [Directory(directory_server.connection, unit, INETORGPERSONS) for _ in range(8)]
    asked = {"filter": "(&(objectClass=inetOrgPerson)(!(employeeType=left)))", "overlap": 1}
    settle()
    followed = [
        Followed(
            source_389(directory_server, *one.bases, incremental="auto", select=["sn", "mail", "dn"], **asked)
        )
        for one in trees
    ]
    told = 0
    for _turn in range(2):
        settle()
        for tree in trees:
            for _ in range(lots.randint(1, 4)):
                name, *given = lots.choice(STEPS)
                tree.do(name, *(lots.randrange(drawn[one]) for one in given))
        for one in followed:
            told += sum(isinstance(item, Entry) for item in one.read())
            assert not one.expired, (seed, one.expired)
    assert told >= 8, seed


# --- which way of finding changes


def test_an_empty_base_is_no_reason_to_read_in_full(directory_server: Ds389, unit: str) -> None:
    bases = [directory_server.unit(name, unit) for name in ("here", "empty")]
    directory_server.person("anna", bases[0])
    *_, end = source_389(directory_server, *bases, incremental="auto").read(None)
    assert "timestamps" == parse(end.cursor).strategy


@pytest.mark.parametrize("hidden", ["modifyTimestamp", "numSubordinates"])
def test_what_may_not_be_searched_by_rules_timestamps_out(
    directory_server: Ds389, unit: str, hidden: str
) -> None:
    """hasSubordinates is made of numSubordinates (a vendor's rule)."""
    directory_server.person("anna", unit)
    directory_server.hide(hidden, unit)
    source = source_389(directory_server, unit, incremental="auto")
    assert FULL == drain(source).checkpoints
    assert "let the bind identity read and search these" in next(
        line for line in list(source.check()) if line.startswith("every read is full: timestamps:")
    )


@pytest.mark.parametrize("anchor", ["auto", "entryUUID"])
def test_content_synchronization_is_not_used_though_it_is_announced(tmp_path: Path, anchor: str) -> None:
    """It is silent about people who leave the filter, so nobody would miss them."""
    with Ds389(tmp_path / "ds", content_sync=True) as server:
        server.person("anna", PEOPLE)
        assert server.announces("1.3.6.1.4.1.4203.1.9.1.1")
        asked = {"anchor": anchor, "select": ["uid"]}
        chosen = {
            name: next(
                line
                for line in list(source_389(server, PEOPLE, incremental=name, **asked).check())
                if line.startswith(("changes are", "every read"))
            )
            for name in ("auto", "sync")
        }
    assert chosen["auto"].startswith("changes are found by timestamps: 389 Project 389-Directory/")
    assert "every read is full: sync: 389 Directory Server does not tell of people" in chosen["sync"]
