"""Who is in which group, as the source ``ldap`` reads it from the groups of a real slapd."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from servers.ldap_source import drain, ldap_source
from servers.liar import Liar, done, entry, message
from servers.slapd import MISSING, PEOPLE, SUFFIX, Slapd, StartSlapd, person, record
from servers.spoilers import Proxy

from syncd import Checkpoint, ConnectorError, CursorExpired, Denied, Entry, Unavailable
from syncd_ldap import dn
from syncd_ldap.cursors import parse
from syncd_ldap.memberships import key
from syncd_ldap.options import Groups
from syncd_ldap.source import LdapSource
from syncd_ldap.wire import element

pytest_plugins = ("servers.fixtures",)
pytestmark = pytest.mark.skipif(bool(MISSING), reason=str(MISSING))

GROUPS = f"ou=groups,{SUFFIX}"
OPTIONS = {"base": [GROUPS]}
NAMES = ["ann", "ben", "cid", "dora", "x, eve"]


def who(uid: str) -> str:
    return f"uid={dn.escape(uid)},{PEOPLE}"


def cn(name: str) -> str:
    return f"cn={name},{GROUPS}"


def group(name: str, *members: str, unique: bool = False) -> str:
    kind, member = ("groupOfUniqueNames", "uniqueMember") if unique else ("groupOfNames", "member")
    return record(cn(name), **{"objectClass": kind, "cn": name, member: members})


TREE = [
    record(GROUPS, objectClass="organizationalUnit", ou="groups"),
    *map(person, NAMES),
    group("deep", who("ann"), unique=True),
    group("mid", cn("deep"), who("ben")),
    group("top", cn("mid"), cn("loop")),
    group("loop", cn("top"), cn("loop"), f"cn=nobody,{SUFFIX}"),
    group("odd", "UID = Cid , OU=PEOPLE,DC=Example, dc=TEST", r"uid=X\2C  EVE,ou=people,dc=example,dc=test"),
]
"""ann is in deep, that in mid with ben, that in top, and top and loop are in each other; dora is in none."""

EXPECTED = {
    "ann": ("deep", "loop", "mid", "top"),
    "ben": ("loop", "mid", "top"),
    "cid": ("odd",),
    "dora": (),
    "x, eve": ("odd",),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    """A slapd for tests that only read."""
    with Slapd(tmp_path_factory.mktemp("tree"), TREE) as server:
        yield server


@pytest.fixture
def server(start_slapd: StartSlapd) -> Slapd:
    return start_slapd(TREE, session_log=100)


def group_source(
    server: Slapd | str, *, select: Iterable[str] = ("uid", "memberOf"), **options: Any
) -> LdapSource:
    groups = OPTIONS | options.pop("groups", {})
    return ldap_source(server, groups=groups, select=select, **options)


def found(entries: Iterable[object]) -> dict[str, tuple[str, ...]]:
    """Return the short names of everybody's groups, in the order that they came in."""
    return {
        one.attributes["uid"][0]: tuple(
            dn.parse(name)[0][0][1] for name in one.attributes.get("memberOf", ())
        )
        for one in entries
        if isinstance(one, Entry)
    }


def change(server: Slapd, kind: str, name: str, member: str, attribute: str = "member") -> None:
    server.modify(f"dn: {cn(name)}\nchangetype: modify\n{kind}: {attribute}\n{attribute}: {member}\n")


# --- what a mapping sees


@pytest.mark.parametrize("page_size", [0, 2, 1000])
def test_everybody_has_the_groups_that_the_groups_name_nested_ones_too(tree: Slapd, page_size: int) -> None:
    read = drain(group_source(tree, page_size=page_size))
    assert EXPECTED == found(read.entries)
    assert ([Checkpoint(cursor=None, full=True)], []) == (read.checkpoints, read.problems)


def test_without_nesting_only_the_groups_that_name_the_person(tree: Slapd) -> None:
    read = drain(group_source(tree, groups={"nested": False}))
    expected = {"ann": ("deep",), "ben": ("mid",), "cid": ("odd",), "dora": (), "x, eve": ("odd",)}
    assert expected == found(read.entries)


def test_the_names_of_groups_are_written_as_the_server_writes_them(tree: Slapd) -> None:
    read = drain(group_source(tree, select=["uid", "MEMBEROF", "memberof"]))
    (ben,) = [one for one in read.entries if one.attributes["uid"] == ("ben",)]
    expected = tuple(map(cn, ("loop", "mid", "top")))
    assert {"uid": ("ben",), "MEMBEROF": expected, "memberof": expected} == ben.attributes


def test_groups_that_two_bases_have_count_once(tree: Slapd) -> None:
    source = group_source(tree, groups={"base": [SUFFIX, GROUPS]})
    assert EXPECTED == found(drain(source).entries)


def test_what_the_server_says_of_memberships_is_replaced(start_slapd: StartSlapd) -> None:
    attribute = "( 1.2.840.113556.1.2.102 NAME 'memberOf' SYNTAX 1.3.6.1.4.1.1466.115.121.1.12 )"
    lines = [
        f"attributetype {attribute}",
        "objectclass ( 1.3.6.1.4.1.4203.666.11.999.2 NAME 'told' AUXILIARY MAY memberOf )",
    ]
    ann = person("ann", objectClass=["inetOrgPerson", "told"], memberOf=cn("told"))
    others = [one for one in TREE if one != person("ann")]
    server = start_slapd([*others, ann], lines=lines)
    plain = drain(ldap_source(server, select=["uid", "memberOf"]))
    assert ("told",) == found(plain.entries)["ann"]
    assert EXPECTED == found(drain(group_source(server)).entries)


def test_the_fingerprint_changes_with_the_groups_and_with_nothing_else(server: Slapd) -> None:
    def prints(source: LdapSource) -> dict[str, bytes | None]:
        return {one.attributes["uid"][0]: one.fingerprint for one in drain(source).entries}

    before, plain = prints(group_source(server)), prints(ldap_source(server, select=["uid"]))
    assert before == prints(group_source(server, page_size=2))
    change(server, "add", "mid", who("dora"))
    change(server, "delete", "mid", cn("deep"))
    after = prints(group_source(server))
    assert ["ann", "dora"] == sorted(uid for uid in before if before[uid] != after[uid])
    assert plain == prints(ldap_source(server, select=["uid"]))
    assert plain == prints(group_source(server, select=["uid"]))


# --- only


def test_only_who_is_in_one_of_the_groups_is_read(tree: Slapd) -> None:
    for only, expected in (
        ([cn("top")], ["ann", "ben"]),
        ([cn("deep"), f"CN=Odd, {GROUPS}"], ["ann", "cid", "x, eve"]),
    ):
        read = drain(group_source(tree, groups={"only": only}))
        assert (expected, True) == (read.values("uid"), read.checkpoints[0].full)
    direct = drain(group_source(tree, groups={"only": [cn("mid")], "nested": False}))
    assert ["ben"] == direct.values("uid")


def test_who_leaves_the_nested_group_is_not_read_any_more(server: Slapd) -> None:
    source = group_source(server, groups={"only": [cn("top")]}, select=["uid"])
    assert ["ann", "ben"] == drain(source).values("uid")
    change(server, "delete", "mid", cn("deep"))
    assert ["ben"] == drain(source).values("uid")


def test_the_scope_names_what_absence_depends_on(tree: Slapd) -> None:
    plain = ldap_source(tree).scope()
    assert plain == group_source(tree).scope()
    scopes = {
        group_source(tree, groups={"only": [cn("top")]} | more).scope()
        for more in ({}, {"nested": False}, {"member": ["member"]}, {"filter": "(cn=*)"}, {"base": [SUFFIX]})
    }
    assert 5 == len(scopes)
    assert all(f"groups only {cn('top')}" in scope.splitlines() for scope in scopes)


# --- no failure is read as "in no group"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"base": [GROUPS, f"ou=typo,{SUFFIX}"]},
            rf"page 1 of ou=typo,{SUFFIX}, .*noSuchObject \(32\).*mend base",
        ),
        ({"filter": "(cn=none)"}, r"none is found by \(cn=none\); mend groups.base or groups.filter"),
        ({"member": ["seeAlso"]}, r"none of 5 shows a member; let the bind identity read seeAlso"),
        ({"only": [cn("top"), cn("typo")]}, rf"{cn('typo')} of groups.only is not there; mend groups.only"),
        (
            {"member": ["cn"]},
            r"the group cn=deep,.* has a member that is no name .*mend it, or groups.member",
        ),
    ],
)
def test_groups_that_cannot_be_right_fail_the_read(
    tree: Slapd, options: dict[str, Any], expected: str
) -> None:
    source = group_source(tree, groups=options)
    with pytest.raises(Denied, match=expected):
        drain(source)
    with pytest.raises(Denied, match=expected):
        list(source.check())


@pytest.mark.parametrize(
    ("referrals", "expected"), [("partial", "are on another server, ldap://other.test/"), ("ignore", None)]
)
def test_groups_on_another_server_fail_the_read_unless_they_are_to_be_ignored(
    start_slapd: StartSlapd, referrals: str, expected: str | None
) -> None:
    reference = record(
        f"ou=far,{GROUPS}", objectClass=["referral", "extensibleObject"], ref="ldap://other.test/"
    )
    source = group_source(start_slapd([*TREE, reference]), referrals=referrals)
    if expected is None:
        assert EXPECTED == found(drain(source).entries)
    else:
        with pytest.raises(Denied, match=expected):
            drain(source)


def length_of_answers(server: Slapd) -> int:
    """Return how many bytes the server sends for a whole read."""
    with Proxy(server.port) as proxy:
        source = group_source(f"ldap://127.0.0.1:{proxy.port}", page_size=2)
        assert EXPECTED == found(drain(source).entries)
        return proxy.sent


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_wherever_the_connection_is_cut_there_is_no_checkpoint_and_nobody_without_groups(
    tree: Slapd, how: Any
) -> None:
    everything = length_of_answers(tree)
    reasons = []
    for after in range(everything % 37, everything, 37):
        with Proxy(tree.port, how, after) as proxy:
            source = group_source(f"ldap://127.0.0.1:{proxy.port}", page_size=2, read_timeout=2)
            items: list[object] = []
            with closing(source), pytest.raises(ConnectorError) as caught:
                items.extend(source.read(None))
            reasons.append(str(caught.value))
            assert not any(isinstance(one, Checkpoint) for one in items)
            assert found(items).items() <= EXPECTED.items()
    assert any(f"of {GROUPS}, after" in reason for reason in reasons)


def test_a_group_that_no_one_can_decode_fails_the_read() -> None:
    def script(number: int, page: int) -> list[bytes]:
        broken = element(0x64, element(0x04, b"cn=\xff"), element(0x30))
        return [message(number, broken), done(number)]

    expected = f"a group below {GROUPS} cannot be read"
    with Liar(script) as liar, pytest.raises(Unavailable, match=expected):
        drain(group_source(liar.url))


def test_a_person_whose_name_is_none_is_a_problem_and_not_in_no_group() -> None:
    def script(number: int, page: int) -> list[bytes]:
        if page == 0:
            return [entry(number, cn("a"), {"member": [who("ann")]}), done(number)]
        ids = {"entryUUID": ["0f8fad5b-d9cb-469f-a165-70867728950e"], "uid": ["ann"]}
        return [entry(number, f'uid="ann",{PEOPLE}', ids), done(number)]

    with Liar(script) as liar:
        read = drain(group_source(liar.url))
    assert [] == read.entries
    assert [("malformed", True)] == [
        (one.code, "no distinguished name" in one.message) for one in read.problems
    ]


# --- changes


def settled(source: LdapSource) -> str:
    *_, end = source.read(None)
    assert isinstance(end, Checkpoint)
    assert end.cursor
    return end.cursor


@pytest.mark.parametrize("strategy", ["sync", "timestamps"])
def test_changes_are_read_by_themselves_until_a_group_changes(server: Slapd, strategy: str) -> None:
    source = group_source(server, incremental=strategy)
    cursor = settled(source)
    server.modify(f"dn: {who('ben')}\nchangetype: modify\nreplace: sn\nsn: New\n")
    server.modify(f"dn: {who('ann')}\nchangetype: modrdn\nnewrdn: uid=anna\ndeleteoldrdn: 1\n")
    items = list(source.read(cursor))
    told = found(items)
    assert (EXPECTED["ben"], ()) == (told["ben"], told["anna"])
    (*_, end) = items
    assert isinstance(end, Checkpoint)
    assert strategy == parse(end.cursor or "").strategy

    change(server, "add", "deep", who("dora"), "uniqueMember")
    with pytest.raises(CursorExpired, match="or groups have changed"):
        list(source.read(end.cursor))
    assert EXPECTED["ann"] == found(source.read(None))["dora"]


def test_with_only_a_changed_person_who_is_in_no_group_is_absent_from_a_whole_read(server: Slapd) -> None:
    """Content synchronization tells of everybody who is there, without names: so it is not used."""
    source = group_source(server, incremental="auto", groups={"only": [cn("top")]})
    cursor = settled(source)
    assert "timestamps" == parse(cursor).strategy
    server.modify(f"dn: {who('ann')}\nchangetype: modrdn\nnewrdn: uid=anna\ndeleteoldrdn: 1\n")
    server.modify(f"dn: {who('dora')}\nchangetype: modify\nreplace: sn\nsn: New\n")
    *items, end = source.read(cursor)
    assert end.full
    assert ["ben"] == sorted(found(items))
    assert 1 == len(items), items
    told = list(group_source(server, incremental="sync", groups={"only": [cn("top")]}).check())
    assert any("every read is full: sync: it tells of everybody" in line for line in told)


# --- for people


def test_check_tells_how_many_groups_there_are_and_how_deep(tree: Slapd) -> None:
    told = list(group_source(tree, groups={"only": [cn("top")]}).check())
    assert "5 groups with 10 members, nested 4 deep" in told
    assert f"{PEOPLE}: 2 of them are in groups.only" in told
    flat = list(group_source(tree, groups={"filter": "(cn=odd)"}).check())
    assert "1 groups with 2 members, none in another" in flat


def test_groups_of_log_in_names_are_refused_offline() -> None:
    with pytest.raises(
        ValidationError, match=r"memberUid holds log-in names.*use groups that have member or"
    ):
        Groups.model_validate(OPTIONS | {"member": ["member", "memberUid"]})


def test_every_option_of_groups_is_described() -> None:
    assert all(field.description for field in Groups.model_fields.values())


# --- names

VALUES = st.text(alphabet='aAbB =,+\\#"<>;üÜßſé\u00a0\x00\x1f', min_size=1, max_size=5)
STEPS = st.lists(st.tuples(st.sampled_from(["cn", "CN", "ou", "2.5.4.3"]), VALUES), min_size=1, max_size=3)


@given(STEPS, STEPS, st.booleans())
@settings(max_examples=400)
def test_names_have_the_same_key_if_they_are_the_same_name(
    one: list[tuple[str, str]], two: list[tuple[str, str]], swapped: bool
) -> None:
    if swapped:
        two = [(kind.swapcase(), value.swapcase()) for kind, value in one]
    first, second = (",".join(dn.step([pair]) for pair in steps) for steps in (one, two))
    assert dn.same(first, second) == (key(first) == key(second))
    assert key(first) == key(first.replace(",", " , ", 0 if "\\" in first else -1))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("cn=a,dc=b", "CN=A, DC=B", True),
        ("cn=a  b,dc=b", "cn=A B ,dc=b", True),
        (r"cn=a\2cb,dc=b", r"cn=A\,B,dc=b", True),
        (r"cn=a\,cn\=x,dc=b", "cn=a,cn=x,dc=b", False),
        ("cn=a=b,dc=b", r"cn=a\=b,dc=b", True),
        ("cn=a+sn=b,dc=b", "SN=B+CN=A,dc=b", True),
        ("cn=Müller,dc=b", r"cn=M\C3\BCLLER,dc=b", True),
        ("cn=a,dc=b#'0101'B", "cn=a,dc=b", True),
        ("cn=a,dc=b", "cn=a,dc=c", False),
    ],
)
def test_writings_of_names(one: str, other: str, *, same: bool) -> None:
    assert same == (key(one) == key(other))


@pytest.mark.parametrize("text", ["ann", "=", "cn", 'cn="a",dc=b', "cn=a,", "cn=a;dc=b"])
def test_what_is_no_name_has_no_key(text: str) -> None:
    with pytest.raises(ValueError, match="no distinguished name"):
        key(text)


# --- through the whole line

CONFIGURATION = """
state_directory = "{folder}/state"
[enterprise.acme]
sources = ["hq"]
[source.hq]
type = "ldap"
url = ["{url}"]
tls = "none"
base = ["{people}"]
filter = "(objectClass=inetOrgPerson)"
groups = {{ base = ["{groups}"], only = ["{only}"] }}
match = ["login"]
detain = "never"
leavers = {{ missing = "disable", reads = 1, after = "0s" }}
limits = {{ remove = {{ percent = "off", count = "off", per_day = "off" }}, add = "off", update = "off" }}
[source.hq.map]
login = "uid"
groups = "memberOf"
"""


def test_through_the_whole_line_groups_change_accounts_and_decide_who_leaves(
    server: Slapd, tmp_path: Path
) -> None:
    file = tmp_path / "syncd.toml"
    names = {"folder": tmp_path, "url": server.url, "people": PEOPLE, "groups": GROUPS, "only": cn("top")}
    file.write_text(CONFIGURATION.format(**names))
    file.chmod(0o600)

    def sync(code: int = 0) -> dict[str, tuple[bool, list[str]]]:
        command = [sys.executable, "-m", "syncd", "--config", str(file), "sync", "hq"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert code == ended.returncode, ended.stdout + ended.stderr
        with closing(sqlite3.connect(tmp_path / "state" / "syncd.db")) as database:
            rows = database.execute("SELECT active, attributes FROM accounts").fetchall()
        accounts = [(bool(active), json.loads(attributes)) for active, attributes in rows]
        return {one["login"]: (active, one.get("groups", [])) for active, one in accounts}

    def groups(uid: str) -> list[str]:
        return list(map(cn, EXPECTED[uid]))

    assert {"ann": (True, groups("ann")), "ben": (True, groups("ben"))} == sync()
    change(server, "add", "odd", who("ben"))
    more = list(map(cn, ("loop", "mid", "odd", "top")))
    assert {"ann": (True, groups("ann")), "ben": (True, more)} == sync()
    server.modify(f"dn: {GROUPS}\nchangetype: modrdn\nnewrdn: ou=away\ndeleteoldrdn: 1\n")
    assert {"ann": (True, groups("ann")), "ben": (True, more)} == sync(77)
    server.modify(f"dn: ou=away,{SUFFIX}\nchangetype: modrdn\nnewrdn: ou=groups\ndeleteoldrdn: 1\n")
    change(server, "delete", "mid", cn("deep"))
    after = sync()
    assert (False, (True, more)) == (after["ann"][0], after["ben"])
