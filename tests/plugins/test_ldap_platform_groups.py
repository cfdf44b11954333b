"""Groups follow the memberships of accounts: the entry of a person is put in and taken out, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from servers.ldap_platform import (
    GROUPS,
    UNITS,
    WRITABLE,
    account,
    done,
    entries,
    group,
    ldap_platform,
    outcome,
)
from servers.slapd import MODULES, PEOPLE, SUFFIX, Slapd, StartSlapd, record

from syncd import Blocked, Delivery, Denied, Rejected
from syncd_ldap.platform import LdapPlatform

pytest_plugins = ("servers.fixtures",)

NOBODY = f"cn=nobody,{GROUPS}"
ELSEWHERE = f"ou=elsewhere,{SUFFIX}"
ENTRIES = [
    *UNITS,
    record(ELSEWHERE, objectClass="organizationalUnit", ou="elsewhere"),
    group("sales"),
    group("staff"),
    group("Füße, 1"),
    group("theirs", f"uid=u1,{PEOPLE}", base=ELSEWHERE),
]
OVERLAYS = {
    "plain": ([], []),
    "refint": (
        ["moduleload refint"],
        ["overlay refint", "refint_attributes member", f'refint_nothing "{NOBODY}"'],
    ),
    "memberof": (["moduleload memberof"], ["overlay memberof", "memberof-refint TRUE"]),
}

Make = Callable[..., LdapPlatform]


def started(start_slapd: StartSlapd, overlay: str = "plain") -> Slapd:
    modules, more = OVERLAYS[overlay]
    lines = [f"modulepath {MODULES}", *modules] if modules else []
    return start_slapd(ENTRIES, access=WRITABLE, lines=lines, limits=["limits * size=unlimited", *more])


@pytest.fixture
def server(start_slapd: StartSlapd) -> Slapd:
    return started(start_slapd)


@pytest.fixture
def make() -> Iterator[Callable[..., LdapPlatform]]:
    made: list[LdapPlatform] = []

    def platform(server: Slapd, *, disable: Any = None, **groups: Any) -> LdapPlatform:
        more = {"disable": disable} if disable else {}
        made.append(ldap_platform(server, groups={"base": GROUPS, **groups}, **more))
        return made[-1]

    yield platform
    for one in made:
        one.close()


def members(server: Slapd) -> dict[str, list[str]]:
    """Return who is in which group, without the one who is in every group of this test; short names."""
    found = {**entries(server, GROUPS, "member"), **entries(server, ELSEWHERE, "member")}
    return {
        name.partition(",ou=")[0].removeprefix("cn="): [
            one.partition(",")[0] for one in values["member"] if one != NOBODY
        ]
        for name, values in found.items()
    }


THEIRS = {"theirs": ["uid=u1"]}


def test_memberships_are_brought_to_what_the_account_says(server: Slapd, make: Make) -> None:
    platform = make(server)
    remote_id = done(platform, "add", account(1, memberships=("SALES", "Füße, 1")))
    assert {"sales": ["uid=u1"], "Füße\\2C 1": ["uid=u1"], "staff": [], **THEIRS} == members(server)

    done(platform, "update", account(1, memberships=("staff", "sales")), remote_id, "memberships")
    assert {"sales": ["uid=u1"], "Füße\\2C 1": [], "staff": ["uid=u1"], **THEIRS} == members(server)

    done(platform, "update", account(1), remote_id, "memberships")
    assert {"sales": [], "Füße\\2C 1": [], "staff": [], **THEIRS} == members(server)


def test_other_changes_leave_the_groups_alone(server: Slapd, make: Make) -> None:
    """Somebody was put into a group by hand: that stays until the memberships themselves change."""
    platform = make(server)
    remote_id = done(platform, "add", account(1))
    server.modify(f"dn: cn=staff,{GROUPS}\nchangetype: modify\nadd: member\nmember: uid=u1,{PEOPLE}\n")
    done(platform, "update", account(1, description="x"), remote_id, "description")
    assert ["uid=u1"] == members(server)["staff"]

    done(platform, "update", account(1, memberships=("sales",)), remote_id, "memberships")
    assert ([], ["uid=u1"]) == (members(server)["staff"], members(server)["sales"])


def test_a_group_that_is_missing_is_named(server: Slapd, make: Make) -> None:
    """The entry is there by then: once the group is made, the next try takes it over."""
    platform = make(server)
    found = outcome(platform, "add", account(1, memberships=("sales", "new")))
    assert isinstance(found.error, Rejected)
    assert f"there is no group 'new' below {GROUPS}; make it, or set groups.create" in str(found.error)

    server.add(group("new"))
    assert done(platform, "add", account(1, memberships=("sales", "new"))) == platform.find(account(1))
    assert (["uid=u1"], ["uid=u1"]) == (members(server)["sales"], members(server)["new"])


@pytest.mark.parametrize("name", ["cn", "dn"])
def test_groups_are_made_where_that_is_wanted(server: Slapd, make: Make, name: str) -> None:
    platform = make(server, create=True, name=name)
    text = "new, 1" if name == "cn" else f"cn=new\\, 1,{GROUPS}"
    found = list(
        platform.deliver(Delivery(n, "add", 1, None, account(n, memberships=(text,))) for n in range(20))
    )

    assert [None] * 20 == [one.error for one in found]
    assert sorted(f"uid=u{n}" for n in range(20)) == members(server)["new\\2C 1"]


def test_memberships_may_be_distinguished_names(server: Slapd, make: Make) -> None:
    platform = make(server, name="dn")
    one = account(1, memberships=(f"CN=Staff, {GROUPS.upper()}",))
    remote_id = done(platform, "add", one)

    assert ["uid=u1"] == members(server)["staff"]
    assert [(remote_id, platform.fingerprint(one))] == list(platform.list())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"cn=theirs,{ELSEWHERE}", f"the group cn=theirs,{ELSEWHERE} does not lie below {GROUPS}"),
        (GROUPS, "does not lie below"),
        ("staff", "'staff' is no distinguished name"),
    ],
)
def test_groups_elsewhere_are_not_touched(server: Slapd, make: Make, text: str, words: str) -> None:
    """It is refused before the entry is made."""
    found = outcome(make(server, name="dn"), "add", account(1, memberships=(text,)))

    assert isinstance(found.error, Rejected)
    assert words in str(found.error)
    assert ({}, THEIRS["theirs"]) == (entries(server, PEOPLE), members(server)["theirs"])


def test_two_groups_of_one_name_are_both_named(server: Slapd, make: Make) -> None:
    unit = f"ou=unit,{GROUPS}"
    server.add(record(unit, objectClass="organizationalUnit", ou="unit"), group("sales", base=unit))
    found = outcome(make(server), "add", account(1, memberships=("sales",)))

    assert isinstance(found.error, Rejected)
    assert f"cn=sales,{GROUPS} and cn=sales,{unit} are both called 'sales'" in str(found.error)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_rename_takes_its_memberships_along(start_slapd: StartSlapd, make: Make, overlay: str) -> None:
    """Whether the server renames members by itself or not; nobody is left behind under the old name."""
    server = started(start_slapd, overlay)
    server.add(group("alone", f"uid=u1,{PEOPLE}"))
    platform = make(server)
    remote_id = done(platform, "add", account(1, memberships=("sales", "alone")))
    done(platform, "update", account(1, uid="new", memberships=("sales", "alone")), remote_id, "uid")
    found = members(server)

    assert (["uid=new"], ["uid=new"], []) == (found["sales"], found["alone"], found["staff"])
    assert "uid=u1" not in [one for name, names in found.items() if name != "theirs" for one in names]
    assert [remote_id] == [one for one, _ in platform.list()]
    if overlay == "memberof":
        (values,) = entries(server, PEOPLE, "memberOf").values()
        assert f"cn=sales,{GROUPS}" in values["memberOf"]


def test_a_rename_that_was_cut_off_leaves_nobody_in_a_group_under_the_old_name(
    server: Slapd, make: Make
) -> None:
    """Whoever gets the old name next would inherit the group: so the group is left before the name is."""
    platform = make(server)
    remote_id = done(platform, "add", account(1, memberships=("sales",)))
    with pytest.raises(Rejected):
        done(platform, "update", account(1, uid="new", memberships=("sales",), mail=("ü",)), remote_id)
    assert ["uid=new"] == members(server)["sales"]

    done(platform, "update", account(1, uid="new", memberships=("sales",)), remote_id)
    assert ["uid=new"] == members(server)["sales"]


@pytest.mark.parametrize(
    ("new", "words"), [("u2", "entryAlreadyExists"), ("x" * 400, "the name is too long for OpenLDAP")]
)
def test_a_name_that_is_not_to_be_had_leaves_the_groups_as_they_are(
    server: Slapd, make: Make, new: str, words: str
) -> None:
    """Whoever has the name is put into none of them, not even where one would be left without a member."""
    server.add(
        group("alone", f"uid=u1,{PEOPLE}"), record(f"uid=u2,{PEOPLE}", objectClass="account", uid="u2")
    )
    platform = make(server)
    remote_id = done(platform, "add", account(1, memberships=("sales", "alone")))
    before = members(server)
    with pytest.raises(Rejected, match=words):
        done(platform, "update", account(1, uid=new, memberships=("sales", "alone")), remote_id)

    assert before == members(server)


def test_whoever_exchanges_names_keeps_the_groups(server: Slapd, make: Make) -> None:
    platform = make(server)
    ids = [done(platform, "add", account(n, memberships=(name,))) for n, name in ((1, "sales"), (2, "staff"))]
    new = [account(1, uid="u2", memberships=("sales",)), account(2, uid="u1", memberships=("staff",))]
    found = platform.deliver(
        Delivery(n, "update", n, one, new[n - 1], frozenset({"uid"})) for n, one in enumerate(ids, 1)
    )

    assert [None, None] == [one.error for one in found]
    assert (["uid=u2"], ["uid=u1"]) == (members(server)["sales"], members(server)["staff"])


def test_who_is_moved_away_when_disabled_keeps_the_memberships(server: Slapd, make: Make) -> None:
    former = f"ou=former,{SUFFIX}"
    platform = make(server, disable={"base": former})
    remote_id = done(platform, "add", account(1, memberships=("sales",)))
    for action, place in (("disable", former), ("enable", PEOPLE)):
        one = account(1, enabled=action == "enable", memberships=("sales",))
        done(platform, action, one, remote_id, "description")
        found = entries(server, GROUPS, "member")[f"cn=sales,{GROUPS}"]["member"]

        assert {f"uid=u1,{place}", NOBODY} == set(found)


def test_whoever_is_deleted_is_in_no_group(server: Slapd, make: Make) -> None:
    platform = make(server)
    remote_id = done(platform, "add", account(1, memberships=("sales", "staff")))
    done(platform, "delete", account(1), remote_id)

    assert {"sales": [], "Füße\\2C 1": [], "staff": [], **THEIRS} == members(server)


def test_the_last_member_of_a_group_that_needs_one_waits(server: Slapd, make: Make) -> None:
    server.add(group("alone", f"uid=u1,{PEOPLE}"))
    platform = make(server)
    remote_id = done(platform, "add", account(1, memberships=("alone",)))
    for action in ("update", "delete"):
        found = outcome(platform, action, account(1), remote_id)
        assert isinstance(found.error, Blocked)
        assert (f"cn=alone,{GROUPS}",) == found.error.references
        assert f"uid=u1,{PEOPLE} is the last member of cn=alone,{GROUPS}" in str(found.error)
    server.modify(f"dn: cn=alone,{GROUPS}\nchangetype: modify\nadd: member\nmember: {NOBODY}\n")
    done(platform, "delete", account(1), remote_id)

    assert [] == members(server)["alone"]


def test_groups_that_are_not_there_are_for_a_person_to_mend(server: Slapd, make: Make) -> None:
    found = outcome(make(server, base=f"ou=nowhere,{SUFFIX}"), "add", account(1, memberships=("sales",)))

    assert isinstance(found.error, Denied)
    assert f"groups below ou=nowhere,{SUFFIX}: noSuchObject" in str(found.error)


def test_what_others_change_in_groups_shows_in_the_list(server: Slapd, make: Make) -> None:
    platform = make(server)
    wanted = {n: account(n, memberships=("Sales",) if n % 2 else ("staff", "sales")) for n in range(1, 30)}
    expected = {done(platform, "add", one): platform.fingerprint(one) for one in wanted.values()}
    assert expected == dict(platform.list())

    server.modify(f"dn: cn=staff,{GROUPS}\nchangetype: modify\nadd: member\nmember: uid=u1,{PEOPLE}\n")
    now = dict(platform.list())
    assert [platform.find(wanted[1])] == [one for one in expected if now[one] != expected[one]]
