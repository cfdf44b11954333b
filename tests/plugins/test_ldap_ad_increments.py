"""What has changed in a real domain, by uSNChanged and by DirSync: what is told, and when all is read instead."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
from servers.ldap_source import AD_FILTER, Followed, ad_source
from servers.samba import DOMAIN, FOLLOWER, READER, WATCHER, Samba

from syncd import CursorExpired, Entry, Present
from syncd_ldap.cursors import parse
from syncd_ldap.source import LdapSource

pytest_plugins = ("servers.fixtures",)

STRATEGIES = ("usn", "dirsync")
DOMAIN_USERS = "513"
"""What primaryGroupID is at first (a vendor's rule)."""
MOVED = "renamed or moved with all that is in it"


@pytest.fixture(params=STRATEGIES)
def strategy(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def watched(domain: Samba, *bases: str, **options: Any) -> LdapSource:
    """Return a source whose bind identity sees who is deleted, and may replicate."""
    return ad_source(domain, *bases, **{"who": WATCHER, "incremental": "usn"} | options)


def reason(source: LdapSource) -> str:
    """Return why every read of a source is full."""
    assert not list(source.read(None))[-1].cursor
    (told,) = (line for line in list(source.check()) if line.startswith("every read is full: "))
    return told


# --- people


def test_what_happened_is_told_and_nothing_else(domain: Samba, unit: str, strategy: str) -> None:
    ann, ben, cid = domain.add_all(unit, ["ann.a", "ben.a", "cid.a"])
    gone = domain.guid(cid)
    followed = Followed(watched(domain, unit, incremental=strategy))
    domain.modify(ann, sn="Changed")
    domain.delete(cid)
    new = domain.user("new.a", unit)

    assert ({domain.guid(ann), domain.guid(new)}, {gone}) == followed.told()
    assert not followed.full
    assert (set(), set()) == followed.told()
    domain.modify(ben, mail="ben@example.test")
    assert ({domain.guid(ben)}, set()) == followed.told()
    domain.modify(ben, mail=None)
    assert ({domain.guid(ben)}, set()) == followed.told()


def test_a_change_of_what_nobody_asked_for_is_no_change_to_dirsync(domain: Samba, unit: str) -> None:
    ann = domain.user("ann.b", unit)
    followed = {name: Followed(watched(domain, unit, incremental=name)) for name in STRATEGIES}
    domain.modify(ann, description="of no interest")
    assert ({domain.guid(ann)}, set()) == followed["usn"].told()
    assert (set(), set()) == followed["dirsync"].told()


def test_whoever_is_made_anew_is_another_and_whoever_is_revived_is_the_same(
    domain: Samba, unit: str, strategy: str
) -> None:
    ann = domain.user("ann.c", unit)
    first = domain.guid(ann)
    followed = Followed(watched(domain, unit, incremental=strategy))
    domain.delete(ann)
    assert domain.user("ann.c", unit) == ann
    second = domain.guid(ann)
    assert ({second}, {first}) == followed.told()

    domain.delete(ann)
    assert (set(), {second}) == followed.told()
    domain.revive(second, ann)
    assert ({second}, set()) == followed.told()


def test_whoever_moves_is_told_where_they_come_and_go(domain: Samba, unit: str, strategy: str) -> None:
    """Inside the bases, to another name, out of the bases, and back."""
    one, other, out = (domain.unit(name, unit) for name in ("One", "Other", "Out"))
    ann = domain.user("ann.d", one)
    anchor = domain.guid(ann)
    select = ["sAMAccountName", "dn"]
    followed = Followed(watched(domain, one, other, incremental=strategy, select=select))
    ann = domain.rename(ann, "ann.d", other)
    assert ({anchor}, set()) == followed.told()
    ann = domain.rename(ann, "Ann D.")
    assert ({anchor}, set()) == followed.told()
    ann = domain.rename(ann, "Ann D.", out)
    assert (set(), {anchor}) == followed.told()
    domain.modify(ann, sn="Elsewhere")
    assert (set(), set()) == followed.told()
    domain.rename(ann, "ann.d", one)
    assert ({anchor}, set()) == followed.told()


@pytest.mark.parametrize("skip", [False, True], ids=["filter", "option"])
def test_whoever_leaves_the_filter_has_left(domain: Samba, unit: str, strategy: str, *, skip: bool) -> None:
    """Disabled, which nobody reads as an attribute."""
    on = "(!(userAccountControl:1.2.840.113556.1.4.803:=2))"
    options = {"disabled": "skip"} if skip else {"filter": f"(&{AD_FILTER}{on})", "disabled": "ignore"}
    ann = domain.user("ann.e", unit)
    followed = Followed(watched(domain, unit, incremental=strategy, select=["sn"], **options))
    domain.disable(ann)
    assert (set(), {domain.guid(ann)}) == followed.told()
    domain.enable(ann)
    assert ({domain.guid(ann)}, set()) == followed.told()


def test_whoever_names_another_is_told_when_that_one_is_renamed(
    domain: Samba, unit: str, strategy: str
) -> None:
    """The value is another, and the person was not written to."""
    out = domain.unit("Out", unit)
    people = domain.unit("People", unit)
    boss = domain.user("boss(f)", out)
    ann = domain.user("ann.f", people, manager=boss)
    domain.user("ben.f", people, manager=ann)
    followed = Followed(watched(domain, people, incremental=strategy, select=["manager"]))
    boss = domain.rename(boss, "Boss, F".replace(",", "\\,"))
    assert ({domain.guid(ann)}, set()) == followed.told()
    domain.rename(boss, "boss.f", people)
    assert {domain.guid(ann), domain.guid(f"CN=boss.f,{people}")} == followed.told()[0]


def test_changes_elsewhere_do_not_count_for_max_entries(domain: Samba, unit: str, strategy: str) -> None:
    out, people = domain.unit("Out", unit), domain.unit("People", unit)
    (ann, *_) = domain.add_all(people, ["ann.g", "ben.g"])
    followed = Followed(watched(domain, people, incremental=strategy, max_entries=2))
    domain.add_all(out, [f"out{number}.g" for number in range(5)])
    domain.modify(ann, sn="Changed")
    assert ({domain.guid(ann)}, set()) == followed.told()


# --- units


def test_a_unit_that_is_moved_or_renamed_makes_the_read_a_full_one(
    domain: Samba, unit: str, strategy: str
) -> None:
    base, out = domain.unit("Base", unit), domain.unit("Out", unit)
    deep = domain.unit("Deep", base)
    deeper = domain.unit("Deeper", deep)
    domain.add_all(deeper, ["ann.h", "ben.h"])
    domain.user("cid.h", base)
    followed = Followed(watched(domain, base, incremental=strategy, select=["dn"]))
    for superior, name, there in ((out, "Deep", 1), (base, "Deep", 3), (base, "Deepest", 3)):
        domain.connection.modify_dn(deep, f"OU={name}", new_superior=superior)
        deep = f"OU={name},{superior}"
        followed.read()
        assert (there, True) == (len(followed.known), MOVED in followed.expired), followed.expired
        assert f"{deep} was " in followed.expired


def test_new_and_deleted_units_are_no_reason_to_read_all(domain: Samba, unit: str, strategy: str) -> None:
    followed = Followed(watched(domain, unit, incremental=strategy))
    new = domain.unit("New", unit)
    ann, ben = domain.add_all(new, ["ann.i", "ben.i"])
    anchors = {domain.guid(ann), domain.guid(ben)}
    assert (anchors, set()) == followed.told()
    domain.delete_tree(new)
    assert (set(), anchors) == followed.told()


def test_only_dirsync_can_tell_another_change_of_a_unit_from_a_move(domain: Samba, unit: str) -> None:
    deep = domain.unit("Deep", unit)
    domain.user("ann.j", deep)
    followed = {name: Followed(watched(domain, unit, incremental=name)) for name in STRATEGIES}
    domain.modify(deep, description="Deep")
    for one in followed.values():
        one.read()
    assert ("", True) == (followed["dirsync"].expired, MOVED in followed["usn"].expired)


def test_a_policy_is_a_container_that_nobody_is_in(domain: Samba, unit: str, strategy: str) -> None:
    policies = f"CN=Policies,CN=System,{DOMAIN}"
    domain.user("ann.k", unit)
    followed = Followed(watched(domain, unit, incremental=strategy))
    policy = domain.add(f"CN={{{uuid.uuid4()}}},{policies}", "groupPolicyContainer")
    assert (set(), set()) == followed.told()
    domain.modify(policy, versionNumber="2")
    assert (set(), set()) == followed.told()


# --- groups


@pytest.mark.parametrize("asked", ["select", "filter"])
def test_where_memberships_are_read_a_changed_group_makes_the_read_a_full_one(
    domain: Samba, unit: str, strategy: str, asked: str
) -> None:
    """Members that come and go, a group in the group, another name, its end."""
    ann, ben = domain.add_all(unit, ["ann.l", "ben.l"])
    outer = domain.group("outer.l", unit)
    inner = domain.group("inner.l", unit, ann)
    nested = f"(memberOf:1.2.840.113556.1.4.1941:={outer})"
    options: dict[str, Any] = {"filter": f"(&{AD_FILTER}{nested})"}
    if asked == "select":
        options = {"select": ["sAMAccountName", "memberOf"]}
    followed = Followed(watched(domain, unit, incremental=strategy, **options))

    def expired() -> str:
        followed.read()
        return followed.expired

    domain.modify(outer, member=inner)
    assert f"the group {outer} was changed" in expired()
    domain.modify(inner, member=[ann, ben])
    assert f"the group {inner} was changed" in expired()
    domain.modify(ann, sn="Changed")
    assert "" == expired()
    domain.modify(inner, member=None)
    assert f"the group {inner} was changed" in expired()
    domain.modify(outer, member=[inner, ben])
    assert "the group " in expired()
    domain.delete(inner, domain.rename(outer, "another.l"))
    assert "the group " in expired()


def test_a_group_is_nothing_to_whoever_reads_no_memberships(domain: Samba, unit: str, strategy: str) -> None:
    ann = domain.user("ann.m", unit)
    followed = Followed(watched(domain, unit, incremental=strategy))
    group = domain.group("group.m", unit, ann)
    domain.modify(group, member=None)
    assert (set(), set()) == followed.told()


def test_a_new_primary_group_changes_what_the_person_is_in(domain: Samba, unit: str, strategy: str) -> None:
    """``memberOf`` does not have the primary group, and has the one that was it before."""
    ann = domain.user("ann.n", unit)
    group = domain.group("group.n", unit, ann)
    number = domain.value(group, "primaryGroupToken").decode()
    select = ["primaryGroupID", "memberOf"]
    with_groups = Followed(watched(domain, unit, incremental=strategy, select=select))
    without = Followed(watched(domain, unit, incremental=strategy, select=["primaryGroupID"]))
    for group in (number, DOMAIN_USERS):
        domain.modify(ann, primaryGroupID=group)
        with_groups.read()
        assert "the group CN=" in with_groups.expired
        assert ({domain.guid(ann)}, set()) == without.told()


# --- what the bind identity may see


def test_who_may_not_see_tombstones_gets_a_list_of_all_who_are_there(domain: Samba, unit: str) -> None:
    ann, ben, cid = domain.add_all(unit, ["ann.o", "ben.o", "cid.o"])
    followed = Followed(ad_source(domain, unit, who=READER, incremental="usn"))
    domain.delete(ben)
    domain.modify(ann, sn="Changed")
    items = followed.read()
    entries = {one.anchor for one in items if isinstance(one, Entry)}
    present = {one.anchor for one in items if isinstance(one, Present)}
    assert ({domain.guid(ann)}, {domain.guid(cid)}) == (entries, present)
    assert (True, "") == (followed.full, followed.expired)


def test_who_may_not_see_deleted_groups_reads_memberships_in_full(domain: Samba, unit: str) -> None:
    domain.user("ann.p", unit)
    source = ad_source(domain, unit, who=READER, incremental="auto", select=["memberOf"])
    assert "usn: memberships are read, and who is deleted is not shown to the bind identity" in reason(source)


def test_dirsync_needs_its_right_and_the_sight_of_who_is_deleted(domain: Samba, unit: str) -> None:
    """On Samba; Active Directory shows it to everybody who has the right."""
    domain.user("ann.q", unit)
    for who, expected in (
        (READER, 'dirsync: the bind identity needs the right "Replicating Directory Changes"'),
        (FOLLOWER, f"dirsync: who is deleted from {DOMAIN} is not shown: let the bind identity list"),
    ):
        assert expected in reason(ad_source(domain, unit, who=who, incremental="dirsync"))
    told = list(watched(domain, unit, incremental="dirsync").check())
    assert "changes are found by dirsync: Active Directory" in "; ".join(told)


def test_who_may_not_search_people_by_their_numbers_reads_in_full(domain: Samba, unit: str) -> None:
    """It would find nobody who has changed, without an error."""
    domain.hide("uSNChanged", unit, WATCHER)
    domain.user("ann.t", unit)
    assert f"usn: nobody of {unit} is found by (uSNChanged>=1): let the" in reason(watched(domain, unit))


@pytest.mark.parametrize("name", ["lastLogon", "directReports", "msDS-User-Account-Control-Computed"])
def test_what_changes_without_a_trace_is_always_read_in_full(
    domain: Samba, unit: str, strategy: str, name: str
) -> None:
    domain.user("ann.r", unit)
    expected = f"{strategy}: a change of {name.lower()} leaves no trace in the directory"
    assert expected in reason(watched(domain, unit, incremental=strategy, select=["sn", name]))
    assert expected in reason(watched(domain, unit, incremental=strategy, filter=f"(&{AD_FILTER}({name}=0))"))


def test_a_global_catalogue_has_no_increments(domain: Samba, unit: str, strategy: str) -> None:
    source = watched(domain, unit, incremental=strategy, url=domain.catalogue_url)
    assert f"{strategy}: a global catalogue shows changes of its own domain only" in reason(source)


# --- another controller, and one that was restored


@pytest.fixture
def own(tmp_path: Path, domain: Samba) -> Samba:
    """A domain of the test's own, which is not started."""
    return Samba(tmp_path / "own", domain.authority)


def people_of(domain: Samba) -> tuple[str, str]:
    people = domain.unit("People")
    domain.add_all(people, ["ann", "ben"])
    return people, domain.guid(f"CN=ann,{people}")


def test_another_controller_is_read_in_full_by_usn_and_goes_on_by_dirsync(own: Samba, tmp_path: Path) -> None:
    """Its invocationId is another; what it has is the same."""
    with own:
        people, ann = people_of(own)
        cursors = {
            name: list(watched(own, people, incremental=name).read(None))[-1].cursor for name in STRATEGIES
        }
    other = Samba(tmp_path / "other", own.authority, of=own.directory)
    other.renew()
    with other:
        other.modify(f"CN=ann,{people}", sn="Changed")
        gone = other.guid(f"CN=ben,{people}")
        other.delete(f"CN=ben,{people}")
        with pytest.raises(CursorExpired, match="another server answers"):
            list(watched(other, people, incremental="usn").read(cursors["usn"]))
        followed = Followed(watched(other, people, incremental="dirsync"))
        followed.cursor = cursors["dirsync"]
        followed.known |= {gone: followed.known[ann]}
        assert ({ann}, {gone}) == followed.told()
        assert (set(), set()) == followed.told()


def test_a_controller_that_was_put_back_to_an_earlier_state_is_read_in_full(
    own: Samba, tmp_path: Path
) -> None:
    """By a snapshot, unnoticed by itself: its highestCommittedUSN is lower than it was."""
    with own:
        people, _ = people_of(own)
    snapshot = Samba(tmp_path / "snapshot", own.authority, of=own.directory)
    with own:
        for number in range(3):
            own.modify(f"CN=ann,{people}", sn=f"Changed {number}")
        cursor = list(watched(own, people).read(None))[-1].cursor
    with snapshot, pytest.raises(CursorExpired, match="counts from an earlier point: it was restored"):
        list(watched(snapshot, people).read(cursor))


@pytest.mark.parametrize(
    "mark", [{}, {DOMAIN: "rubbish!"}, {DOMAIN: 1}, {DOMAIN: ""}, {DOMAIN: "MSDS"}, {"DC=else": "AAAA"}]
)
def test_a_cookie_of_nobody_is_refused(domain: Samba, unit: str, mark: dict[str, Any]) -> None:
    domain.add_all(unit, ["ann.s", "ben.s"])
    source = watched(domain, unit, incremental="dirsync")
    cursor = parse(list(source.read(None))[-1].cursor)
    with pytest.raises(CursorExpired, match="cookie"):
        list(source.read(cursor._replace(mark=mark).text()))


@pytest.mark.parametrize("mark", [{}, {"usn": None}, {"usn": "7"}])
def test_a_cursor_without_a_number_is_refused(domain: Samba, unit: str, mark: dict[str, Any]) -> None:
    source = watched(domain, unit)
    cursor = parse(list(source.read(None))[-1].cursor)
    with pytest.raises(CursorExpired, match="the cursor has no number of the controller"):
        list(source.read(cursor._replace(mark=mark).text()))
