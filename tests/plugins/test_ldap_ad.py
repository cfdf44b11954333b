"""The source ``ldap`` reads a real domain controller: Samba, as Active Directory."""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from servers.certificates import Authority
from servers.ldap_source import AD_FILTER as FILTER
from servers.ldap_source import ad_source, drain, lines
from servers.samba import CROWD, CROWD_UNIT, DOMAIN, MISSING, READER, REALM, WATCHER, Samba
from servers.slapd import PASSWORD, free_port

from syncd import Checkpoint, CursorExpired, Denied, Entry, Present, Unavailable
from syncd.testing import SourceConformance
from syncd_ldap.adapter import Session
from syncd_ldap.cursors import parse
from syncd_ldap.entries import Shape
from syncd_ldap.paging import Reading
from syncd_ldap.source import LdapSource

pytest_plugins = ("servers.fixtures",)

FULL = [Checkpoint(cursor=None, full=True)]


# --- what a read yields


def test_people_are_read_with_their_guids_and_without_what_they_have_not(domain: Samba, unit: str) -> None:
    anna = domain.user("anna.a", unit, sn="Müller", mail="anna@example.test")
    domain.user("bob.a", unit)
    domain.add(f"CN=Someone Else,{unit}", "contact", mail="else@example.test")
    domain.group("group.a", unit, anna)
    read = drain(ad_source(domain, unit))
    assert (FULL, []) == (read.checkpoints, read.problems)
    expected = {
        domain.guid(anna): {
            "sAMAccountName": ("anna.a",), "sn": ("Müller",), "mail": ("anna@example.test",),
        },
        domain.guid(f"CN=bob.a,{unit}"): {"sAMAccountName": ("bob.a",), "sn": ("Surname bob.a",)},
    }  # fmt: skip
    assert expected == {entry.anchor: entry.attributes for entry in read.entries}


def test_more_people_than_fit_a_page_are_read_whole(domain: Samba) -> None:
    """1000 is the page of Active Directory (MaxPageSize, a vendor's rule)."""
    for size in (1000, 499):
        source = ad_source(domain, CROWD_UNIT, page_size=size)
        read = drain(source)
        assert sorted(f"u{number}" for number in range(CROWD)) == read.values("sAMAccountName")
        assert (FULL, CROWD) == (read.checkpoints, len(set(read.anchors())))


def test_the_anchor_survives_a_new_name_and_a_move(domain: Samba, unit: str) -> None:
    there = domain.unit("There", unit)
    before = domain.user("carl.b", unit)
    (anchor,) = drain(ad_source(domain, unit)).anchors()
    assert domain.guid(before) == anchor == str(uuid.UUID(anchor))
    domain.rename(before, "Carla\\, B", there)
    (entry,) = drain(ad_source(domain, unit, select=["dn", "distinguishedName"])).entries
    name = f"CN=Carla\\, B,OU=There,{unit}"
    assert (anchor, {"dn": (name,), "distinguishedName": (name,)}) == (entry.anchor, entry.attributes)


def test_who_is_deleted_or_recreated_is_another_person(domain: Samba, unit: str) -> None:
    name = domain.user("dora.c", unit)
    (first,) = drain(ad_source(domain, unit)).anchors()
    domain.delete(name)
    assert ([], FULL) == drain(ad_source(domain, unit))[::2]
    domain.user("dora.c", unit)
    (second,) = drain(ad_source(domain, unit)).anchors()
    assert first != second


@pytest.mark.parametrize(
    ("disabled", "expected"),
    [
        ("map", {"on": True, "off": False}),
        ("skip", {"on": True}),
        ("ignore", {"on": True, "off": True}),
    ],
)
def test_disabled_people_are_told_by_the_bit_of_the_server(
    domain: Samba, unit: str, disabled: str, expected: dict[str, bool]
) -> None:
    on, off = domain.user("on", unit, sn="on"), domain.user("off", unit, sn="off")
    domain.disable(off)
    domain.disable(on)
    domain.enable(on)
    read = drain(ad_source(domain, unit, disabled=disabled, select=["sn"]))
    assert expected == {entry.attributes["sn"][0]: entry.enabled for entry in read.entries}


def test_several_bases_are_one_read_and_scope_one_reads_children_only(domain: Samba, unit: str) -> None:
    north, south = domain.unit("North", unit), domain.unit("South", unit)
    domain.user("n.e", north)
    domain.user("s.e", south)
    domain.user("deep.e", domain.unit("Deep", south))
    assert ["deep.e", "n.e", "s.e"] == drain(ad_source(domain, north, south)).values("sAMAccountName")
    assert ["s.e"] == drain(ad_source(domain, south, scope="one")).values("sAMAccountName")


def test_the_references_at_the_root_of_a_domain_hide_nobody(domain: Samba) -> None:
    """The domain refers to its own partitions: that is a complete read, and nothing is logged."""
    source = ad_source(domain, DOMAIN, filter="(sAMAccountName=u7)")
    read = drain(source)
    assert (["u7"], FULL, []) == (read.values("sAMAccountName"), read.checkpoints, lines(source))
    references = [part["uri"][0] for part in search(domain, DOMAIN, "(cn=nobody)", "cn")]
    assert 3 == len(references), references


def search(domain: Samba, base: str, text: str, *attributes: str) -> list[dict[str, Any]]:
    domain.connection.search(base, text, attributes=list(attributes))
    return domain.connection.response


# --- connecting


def test_starttls_and_ldaps_check_the_certificate_of_the_controller(
    domain: Samba, unit: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    domain.user("eve.f", unit)
    for url, tls in ((domain.ldaps_url, None), (domain.url, "starttls")):
        source = ad_source(domain, unit, url=url, tls=tls)
        assert ["eve.f"] == drain(source).values("sAMAccountName")
        stranger = Authority(tmp_path_factory.mktemp("stranger"), "another authority")
        with pytest.raises(Denied, match=r"its certificate is refused: .*name its authority in ca_file"):
            ad_source(domain, unit, url=url, tls=tls, ca_file=stranger.path).open()


def test_a_bind_over_an_open_connection_is_refused_by_the_server_with_the_cure(domain: Samba) -> None:
    source = ad_source(domain, DOMAIN, url=domain.url, tls="none", allow_plaintext_bind=True)
    with pytest.raises(Denied, match=r"strongerAuthRequired \(8\).*ldaps:// or starttls"):
        source.open()


@pytest.mark.parametrize("dn", [READER, "reader@ad.example.test", "EXAMPLE\\reader"])
def test_one_may_bind_by_any_name_of_the_account(domain: Samba, unit: str, dn: str) -> None:
    domain.user("fay.g", unit)
    source = ad_source(domain, unit, who=dn)
    assert ["fay.g"] == drain(source).values("sAMAccountName")
    told = list(ad_source(domain, unit, who=dn).check())
    assert f"{domain.ldaps_url}: Active Directory" in told[0]
    assert told[0].endswith("; the anchor is objectGUID")
    assert "reader" in told[1]


def test_a_wrong_password_is_denied_with_the_reason_of_the_controller(domain: Samba, unit: str) -> None:
    expected = r"invalidCredentials \(49\), it says 'the password is wrong'; mend bind"
    with pytest.raises(Denied, match=expected):
        ad_source(domain, unit, secret="not-it").open()
    gone = domain.user("gone.h", unit)
    domain.password(gone, "Pass-word-1")
    domain.disable(gone)
    with pytest.raises(Denied, match=r"invalidCredentials .*the account is disabled"):
        ad_source(domain, unit, who=gone, secret="Pass-word-1").open()


def test_nobody_may_not_read(domain: Samba) -> None:
    with pytest.raises(Denied, match="configure bind: the server wants to know who asks"):
        drain(ad_source(domain, CROWD_UNIT, bind=None))


def test_a_base_that_does_not_exist_is_denied(domain: Samba) -> None:
    with pytest.raises(Denied, match=r"noSuchObject \(32\).*mend base"):
        drain(ad_source(domain, f"OU=Typo,{DOMAIN}"))


# --- Kerberos


@pytest.fixture
def tickets(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Samba, Callable[[], None]]]:
    """A controller that gives out tickets, and what gets one for the reader."""
    gssapi = pytest.importorskip("gssapi.raw", reason="needs the extra kerberos: pip install .[kerberos]")
    pytest.importorskip("cryptography", reason="needs the extra kerberos: pip install .[kerberos]")
    if MISSING:
        pytest.skip(MISSING)
    with Samba(tmp_path / "kdc", authority, kerberos=True) as controller:
        (tmp_path / "krb5.conf").write_text(KRB5.format(realm=REALM, kdc=controller.address))
        monkeypatch.setenv("KRB5_CONFIG", str(tmp_path / "krb5.conf"))
        monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path}/tickets")

        def get() -> None:
            name = gssapi.import_name(b"reader@" + REALM.encode(), gssapi.NameType.user)
            made = gssapi.acquire_cred_with_password(name, PASSWORD.encode(), usage="initiate")
            gssapi.store_cred_into({b"ccache": f"FILE:{tmp_path}/tickets".encode()}, made.creds, "initiate")

        yield controller, get


KRB5 = """
[libdefaults]
default_realm = {realm}
dns_lookup_kdc = false
dns_canonicalize_hostname = false
rdns = false
[realms]
{realm} = {{
  kdc = {kdc}
}}
"""


def test_a_ticket_binds_and_without_one_the_cure_is_said(
    tickets: tuple[Samba, Callable[[], None]],
) -> None:
    domain, get = tickets
    source = ad_source(domain, CROWD_UNIT, bind={"mechanism": "gssapi"}, filter="(cn=u1)")
    with pytest.raises(Denied, match=r"Kerberos: .*; get a ticket \(kinit, k5start\)"):
        source.open()
    get()
    assert ["u1"] == drain(source).values("sAMAccountName")
    assert f"bind reader@{REALM}" in source.scope().splitlines()
    named = {"mechanism": "gssapi", "dn": f"reader@{REALM}"}
    assert ["u1"] == drain(ad_source(domain, CROWD_UNIT, bind=named, filter="(cn=u1)")).values(
        "sAMAccountName"
    )
    with pytest.raises(Denied, match=r"bind as nobody@.*get a ticket"):
        ad_source(domain, CROWD_UNIT, bind=named | {"dn": f"nobody@{REALM}"}).open()


def test_of_whom_it_cannot_be_seen_whether_he_is_disabled_nothing_is_said(domain: Samba, unit: str) -> None:
    """Otherwise a right that is taken away would enable everybody."""
    domain.hide("userAccountControl", unit, READER)
    anchors = {domain.guid(one) for one in domain.add_all(unit, ["ann.u", "ben.u"])}
    domain.disable(f"CN=ben.u,{unit}")
    contact = domain.add(f"CN=Else,{unit}", "contact")
    everybody = "(|(objectClass=user)(objectClass=contact))"
    read = drain(ad_source(domain, unit, filter=everybody))
    assert ({domain.guid(contact)}, FULL) == (set(read.anchors()), read.checkpoints)
    assert anchors == {problem.anchor for problem in read.problems}
    assert "shows no userAccountControl, so nobody knows" in read.problems[0].message

    read = drain(ad_source(domain, unit, filter=everybody, disabled="ignore"))
    assert (3, []) == (len(read.entries), read.problems)
    seen = drain(ad_source(domain, unit, who=WATCHER))
    assert [False, True] == sorted(entry.enabled for entry in seen.entries)


# --- groups


def test_a_filter_finds_members_of_nested_groups(domain: Samba, unit: str) -> None:
    """LDAP_MATCHING_RULE_IN_CHAIN (a vendor's rule)."""
    ann, ben, cid = domain.add_all(unit, ["ann.i", "ben.i", "cid.i"])
    inner = domain.group("inner.i", unit, ann)
    outer = domain.group("outer.i", unit, ben, inner)
    domain.group("other.i", unit, cid)
    nested = f"(memberOf:1.2.840.113556.1.4.1941:={outer})"
    read = drain(ad_source(domain, unit, filter=f"(&{FILTER}{nested})"))
    assert ["ann.i", "ben.i"] == read.values("sAMAccountName")
    assert ["ben.i"] == drain(ad_source(domain, unit, filter=f"(&{FILTER}(memberOf={outer}))")).values(
        "sAMAccountName"
    )


def test_memberships_can_be_read(domain: Samba, unit: str) -> None:
    ann, _ = domain.add_all(unit, ["ann.j", "ben.j"])
    groups = [domain.group(name, unit, ann) for name in ("one.j", "two.j")]
    read = drain(ad_source(domain, unit, select=["sAMAccountName", "memberOf"]))
    found = {entry.attributes["sAMAccountName"]: entry.attributes.get("memberOf") for entry in read.entries}
    assert {("ann.j",), ("ben.j",)} == found.keys()
    assert sorted(groups) == sorted(found[("ann.j",)] or ())
    assert found[("ben.j",)] is None


def memberships(source: LdapSource) -> dict[str, list[str]]:
    return {
        entry.attributes["sAMAccountName"][0]: list(entry.attributes.get("memberOf", ()))
        for entry in drain(source).entries
    }


def test_nested_memberships_are_those_that_the_rule_of_the_controller_finds(domain: Samba, unit: str) -> None:
    """LDAP_MATCHING_RULE_IN_CHAIN is asked for each group; groups are in each other at random, and in loops."""
    chance = random.Random(11)
    people = domain.add_all(unit, [f"p{number}.q" for number in range(12)])
    groups = [domain.group(f"g{number}.q", unit) for number in range(9)]
    for group in groups:
        others = [one for one in groups if one != group]
        domain.modify(
            group, member=[*chance.sample(people, 2), *chance.sample(others, chance.choice([0, 1, 2]))]
        )
    expected: dict[str, list[str]] = {f"p{number}.q": [] for number in range(12)}
    for group in sorted(groups):
        rule = f"(&{FILTER}(memberOf:1.2.840.113556.1.4.1941:={group}))"
        members = drain(ad_source(domain, unit, filter=rule)).values("sAMAccountName")
        for name in members:
            expected[name].append(group)
        only = ad_source(domain, unit, groups={"base": [unit], "only": [group]})
        assert members == drain(only).values("sAMAccountName")
    selected = {"select": ["sAMAccountName", "memberOf"]}
    assert expected == memberships(ad_source(domain, unit, groups={"base": [unit]}, **selected))
    direct = memberships(ad_source(domain, unit, groups={"base": [unit], "nested": False}, **selected))
    told = memberships(ad_source(domain, unit, **selected))
    assert {name: sorted(found) for name, found in told.items()} == direct
    assert expected != direct


def test_changes_are_read_by_update_numbers_until_a_group_changes(domain: Samba, unit: str) -> None:
    ann, ben, cid = domain.add_all(unit, ["ann.r", "ben.r", "cid.r"])
    inner = domain.group("inner.r", unit, ann, ben)
    outer = domain.group("outer.r", unit, inner)
    source = ad_source(
        domain,
        unit,
        groups={"base": [unit], "only": [outer]},
        incremental="usn",
        select=["sAMAccountName", "memberOf"],
    )
    *entries, end = source.read(None)
    assert (2, "usn") == (len(entries), parse(end.cursor).strategy)
    domain.modify(ben, mail="ben@example.test")
    domain.modify(cid, mail="cid@example.test")
    items = list(source.read(end.cursor))
    (changed,) = [one for one in items if isinstance(one, Entry)]
    assert ("ben.r",) == changed.attributes["sAMAccountName"]
    assert (inner, outer) == changed.attributes["memberOf"]
    assert Present(domain.guid(cid)) not in items
    domain.modify(inner, member=[ann])
    with pytest.raises(CursorExpired):
        list(source.read(items[-1].cursor))
    assert ["ann.r"] == drain(source).values("sAMAccountName")


@pytest.mark.parametrize("who", [WATCHER, READER])
def test_the_primary_group_is_a_group_like_any_other(domain: Samba, unit: str, who: str) -> None:
    """The controller takes somebody out of the members of the group that is made the primary one."""
    ann, ben, cid = domain.add_all(unit, ["ann.t", "ben.t", "cid.t"])
    domain.delete(domain.user("gone.t", unit))  # so that it can be seen who is shown tombstones
    inner = domain.group("inner.t", unit, ann, ben)
    outer = domain.group("outer.t", unit, inner)
    other = domain.group("other.t", unit, ann)
    groups = {"base": [unit], "only": [outer]}
    select = ["sAMAccountName", "memberOf"]
    source = ad_source(domain, unit, who=who, groups=groups, incremental="usn", select=select)
    number = domain.value(inner, "primaryGroupToken").decode()
    domain.modify(ann, primaryGroupID=number)

    both = sorted([inner, outer])
    assert {"ann.t": sorted([*both, other]), "ben.t": both} == memberships(source)
    direct = ad_source(domain, unit, groups={"base": [unit], "nested": False}, select=select)
    assert {"ann.t": sorted([inner, other]), "ben.t": [inner], "cid.t": []} == memberships(direct)

    *_, end = source.read(None)
    domain.modify(cid, mail="cid@example.test")
    *items, end = source.read(end.cursor)
    assert end.full is (who == READER)
    assert not any(isinstance(one, Entry) for one in items)
    assert (Present(domain.guid(ann)) in items) is end.full
    domain.modify(other, member=None)
    with pytest.raises(CursorExpired, match="groups have changed"):
        list(source.read(end.cursor))
    assert both == memberships(source)["ann.t"]
    domain.modify(ann, primaryGroupID="513")  # a group is not deleted while somebody has it as primary group


def test_a_global_catalogue_does_not_say_who_is_in_a_group(domain: Samba, unit: str) -> None:
    domain.group("group.s", unit, domain.user("ann.s", unit))
    source = ad_source(domain, unit, url=domain.catalogue_url, groups={"base": [unit]})
    with pytest.raises(
        Denied, match="a global catalogue does not hold the members of all groups; use port 636"
    ):
        drain(source)


@pytest.mark.parametrize("lost", [False, True])
def test_the_members_of_a_large_group_are_read_whole_or_the_read_fails(
    domain: Samba, unit: str, lost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with more than 1500 members; ``lost``: the group is moved before the rest of them is asked for."""
    names = [f"p{number}.t" for number in range(7)]
    group = domain.group("group.t", unit, *domain.add_all(unit, names))
    asked, search = Reading.search, Session.search

    def narrow(
        reading: Reading, base: str, text: str, scope: Any, names: list[str], *rest: Any, **options: Any
    ) -> Any:
        ranges = [name.replace("member", "member;range=0-2") for name in names]
        return asked(reading, base, text, scope, ranges, *rest, **options)

    def narrow_search(session: Session, base: str, text: str, scope: Any, *names: str, **options: Any) -> Any:
        ranges = [
            re.sub(r"(\d+)-\*", lambda found: f"{found[1]}-{int(found[1]) + 2}", name) for name in names
        ]
        base = base.replace("group.t", "was.t") if lost else base
        return search(session, base, text, scope, *ranges, **options)

    monkeypatch.setattr(Reading, "search", narrow)
    monkeypatch.setattr(Session, "search", narrow_search)
    groups = {"base": [unit], "member": ["member"]}
    source = ad_source(domain, unit, groups=groups, select=["sAMAccountName", "memberOf"])
    if lost:
        with pytest.raises(Unavailable, match=f"the members of {group} did not come whole"):
            drain(source)
    else:
        assert {name: [group] for name in names} == memberships(source)


# --- long lists


@pytest.fixture
def most_values(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let the controller send no more than so many values of memberOf at once, by asking for no more."""

    def limit(most: int) -> None:
        asked, search = Shape.requested.fget, Session.search

        def narrow(shape: Shape) -> list[str]:
            return [f"{name};range=0-{most - 1}" if name == "memberOf" else name for name in asked(shape)]

        def narrow_search(
            session: Session, base: str, text: str, scope: Any, *names: str, **options: Any
        ) -> Any:
            begins = [re.sub(r".*range=(\d+)-\*", r"\1", name) for name in names]
            ranges = [
                name.replace("-*", f"-{int(begin) + most - 1}") if begin != name else name
                for name, begin in zip(names, begins, strict=True)
            ]
            return search(session, base, text, scope, *ranges, **options)

        monkeypatch.setattr(Shape, "requested", property(narrow))
        monkeypatch.setattr(Session, "search", narrow_search)

    return limit


@pytest.mark.parametrize("most", [1, 3, 4, 6, 7, 8])
def test_a_list_that_comes_in_parts_is_read_whole(
    domain: Samba, unit: str, most: int, most_values: Callable[[int], None]
) -> None:
    ann, ben = domain.add_all(unit, ["ann.k", "ben.k"])
    groups = [domain.group(f"group{number}.k", unit, ann) for number in range(7)]
    domain.modify(groups[0], member=[ann, ben])
    most_values(most)
    read = drain(ad_source(domain, unit, select=["sAMAccountName", "memberOf", "MEMBEROF"]))
    found = {entry.attributes["sAMAccountName"][0]: entry for entry in read.entries}
    assert (sorted(groups), frozenset()) == (
        sorted(found["ann.k"].attributes["memberOf"]), found["ann.k"].unknown
    )  # fmt: skip
    assert found["ann.k"].attributes["memberOf"] == found["ann.k"].attributes["MEMBEROF"]
    assert (groups[0],) == found["ben.k"].attributes["memberOf"]


def test_a_change_of_what_came_later_changes_the_fingerprint(
    domain: Samba, unit: str, most_values: Callable[[int], None]
) -> None:
    ann, _ = domain.add_all(unit, ["ann.l", "ben.l"])
    groups = [domain.group(f"group{number}.l", unit, ann) for number in range(4)]
    most_values(2)

    def prints() -> dict[str, bytes | None]:
        read = drain(ad_source(domain, unit, select=["sAMAccountName", "memberOf"]))
        return {entry.attributes["sAMAccountName"][0]: entry.fingerprint for entry in read.entries}

    read = drain(ad_source(domain, unit, select=["memberOf"]))
    (last,) = [entry.attributes["memberOf"][-1] for entry in read.entries if "memberOf" in entry.attributes]
    before = prints()
    assert before == prints()
    domain.modify(last, member=None)
    after = prints()
    assert [True, False] == [before[name] != after[name] for name in ("ann.l", "ben.l")]
    assert last in groups


def test_a_list_whose_rest_is_refused_is_unknown(
    domain: Samba, unit: str, most_values: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of somebody who was moved meanwhile: what came is no whole, and is not taken for one."""
    ann = domain.user("ann.m", unit)
    for number in range(3):
        domain.group(f"group{number}.m", unit, ann)
    most_values(2)
    search = Session.search

    def elsewhere(session: Session, base: str, *rest: Any, **options: Any) -> Any:
        return search(session, base.replace("ann.m", "was.m"), *rest, **options)

    monkeypatch.setattr(Session, "search", elsewhere)
    source = ad_source(domain, unit, select=["sAMAccountName", "memberOf", "MEMBEROF"])
    read = drain(source)
    assert (FULL, frozenset({"memberOf", "MEMBEROF"})) == (read.checkpoints, read.entries[0].unknown)
    ((level, event, fields),) = lines(source)
    assert ("warning", "list_not_read_whole") == (level, event)
    assert {"attribute": "memberOf", "anchor": domain.guid(ann)} == fields


# --- the global catalogue


@pytest.mark.parametrize("tls", [None, "starttls"])
def test_what_a_global_catalogue_does_not_hold_is_unknown_and_not_empty(
    domain: Samba, unit: str, tls: str | None
) -> None:
    ann = domain.user("ann.n", unit, employeeType="sales", mail="ann@example.test")
    domain.user("ben.n", unit)
    domain.group("group.n", unit, ann)
    url = f"ldap://{domain.address}:3268" if tls else domain.catalogue_url
    names = ["sAMAccountName", "mail", "telephoneNumber", "employeeType", "EMPLOYEETYPE", "memberOf", "dn"]
    source = ad_source(domain, unit, url=url, tls=tls, select=names)
    read = drain(source)
    assert FULL == read.checkpoints
    found = {entry.attributes["sAMAccountName"][0]: entry for entry in read.entries}
    assert {
        "ann.n": frozenset({"memberOf"}),
        "ben.n": frozenset({"memberOf", "employeeType", "EMPLOYEETYPE"}),
    } == {name: entry.unknown for name, entry in found.items()}
    assert ("sales",) == found["ann.n"].attributes["employeeType"]
    assert {"mail", "telephoneNumber"}.isdisjoint(found["ben.n"].attributes)
    assert (
        "a global catalogue does not hold all of EMPLOYEETYPE, employeeType, memberOf: "
        "it is unknown where it is not there; use port 636"
    ) in list(source.check())
    source = ad_source(domain, unit, select=names)
    assert {frozenset()} == {entry.unknown for entry in drain(source).entries}


# --- the contract


class People:
    """The world behind the source: people who are added, changed and removed at the controller."""

    def __init__(self, domain: Samba, unit: str) -> None:
        self.domain = domain
        self.unit = unit
        self.names: dict[str, str] = {}

    def add(self) -> str:
        name = self.domain.user(f"new{len(self.names)}", self.unit)
        anchor = self.domain.guid(name)
        self.names[anchor] = name
        return anchor

    def change(self, anchor: str) -> None:
        self.domain.modify(self.names[anchor], sn=str(uuid.uuid4()))

    def remove(self, anchor: str) -> None:
        self.domain.delete(self.names[anchor])


class TestDomainController(SourceConformance):
    """Active Directory as Samba does it."""

    page = 2

    @pytest.fixture
    def world(self, domain: Samba, unit: str) -> People:
        return People(domain, unit)

    @pytest.fixture
    def source(self, domain: Samba, unit: str) -> LdapSource:
        domain.add_all(unit, [f"first{number}" for number in range(5)])
        return ad_source(domain, unit, page_size=2)

    @pytest.fixture
    def unreachable(self, domain: Samba, unit: str) -> LdapSource:
        return ad_source(domain, unit, url=f"ldaps://{domain.address}:{free_port()}", connect_timeout=1)

    @pytest.fixture
    def denied(self, domain: Samba, unit: str) -> LdapSource:
        return ad_source(domain, unit, secret="wrong")


class TestUpdateNumbers(TestDomainController):
    """uSNChanged; whoever asks is shown who was deleted."""

    incremental = True
    options: ClassVar[dict[str, str]] = {"incremental": "auto", "who": WATCHER}

    @pytest.fixture
    def source(self, domain: Samba, unit: str) -> LdapSource:
        domain.add_all(unit, [f"first{number}" for number in range(5)])
        return ad_source(domain, unit, page_size=2, **self.options)


class TestUpdateNumbersWithoutTombstones(TestUpdateNumbers):
    """uSNChanged, and a list of all who are there."""

    options: ClassVar[dict[str, str]] = {"incremental": "auto", "who": READER}


class TestDirSync(TestUpdateNumbers):
    """What the domain replicates."""

    options: ClassVar[dict[str, str]] = {"incremental": "dirsync", "who": WATCHER}
