"""What has changed since the last read, over a real slapd: what is told, when all is read, and what goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import ldap3
import pytest
from servers.ldap_source import BIND, ldap_source, lines
from servers.slapd import (
    ADMIN,
    MISSING,
    PASSWORD,
    PEOPLE,
    READER,
    SUFFIX,
    Slapd,
    StartSlapd,
    people,
    person,
    record,
)
from servers.spoilers import How, Proxy

from syncd import Checkpoint, CursorExpired, Entry, Present, Removed, Unavailable
from syncd.model import Item
from syncd_ldap.cursors import parse
from syncd_ldap.source import LdapSource

pytest_plugins = ("servers.fixtures",)
pytestmark = pytest.mark.skipif(bool(MISSING), reason=str(MISSING))

DEEP, OUT = f"ou=deep,{PEOPLE}", f"ou=out,{SUFFIX}"


@pytest.fixture
def server(start_slapd: StartSlapd) -> Slapd:
    """Ten people, three of them in a unit of their own; one outside."""
    entries = [
        *people(7),
        record(DEEP, objectClass="organizationalUnit", ou="deep"),
        *(person(f"d{number}", DEEP) for number in range(3)),
        record(OUT, objectClass="organizationalUnit", ou="out"),
        person("stranger", OUT),
    ]
    return start_slapd(entries, session_log=100)


@pytest.fixture
def admin(server: Slapd) -> Iterator[ldap3.Connection]:
    connection = ldap3.Connection(
        ldap3.Server(server.url, get_info=ldap3.NONE), ADMIN, PASSWORD, auto_bind=True, raise_exceptions=True
    )
    yield connection
    connection.unbind()


@pytest.fixture(params=["sync", "timestamps"])
def strategy(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def source(server: Slapd, strategy: str) -> LdapSource:
    return ldap_source(server, incremental=strategy, select=["uid", "sn"])


def whole(source: LdapSource) -> tuple[dict[str, str], str]:
    """Read in full; return the anchors by uid, and the cursor."""
    *items, end = source.read(None)
    assert isinstance(end, Checkpoint)
    assert end.cursor
    return {one.attributes["uid"][0]: one.anchor for one in items if isinstance(one, Entry)}, end.cursor


def told(source: LdapSource, cursor: str) -> tuple[list[Entry], set[str], Checkpoint]:
    """Read from a cursor; return the entries, the anchors of who is gone, and the end."""
    known = set(whole(source)[0].values())
    items: list[Item] = list(source.read(cursor))
    entries = [one for one in items if isinstance(one, Entry)]
    end = items[-1]
    assert isinstance(end, Checkpoint)
    removed = {one.anchor for one in items if isinstance(one, Removed)}
    if end.full:
        present = {one.anchor for one in items if isinstance(one, Entry | Present)}
        assert known == present
    return entries, removed, end


def modify(admin: ldap3.Connection, dn: str, **values: str) -> None:
    admin.modify(dn, {name: [(ldap3.MODIFY_REPLACE, [value])] for name, value in values.items()})


def test_what_happened_is_told(source: LdapSource, admin: ldap3.Connection) -> None:
    """A change, an addition, a removal; nobody else by content synchronization."""
    anchors, cursor = whole(source)
    modify(admin, f"uid=u1,{PEOPLE}", sn="Changed")
    admin.delete(f"uid=u2,{PEOPLE}")
    admin.add(f"uid=new,{PEOPLE}", "inetOrgPerson", {"cn": "New", "sn": "New"})

    entries, removed, end = told(source, cursor)

    by_uid = {one.attributes["uid"][0]: one for one in entries}
    assert ("Changed",) == by_uid["u1"].attributes["sn"]
    assert "new" in by_uid
    assert "u2" not in by_uid
    if source.options.incremental == "sync":
        assert ({"u1", "new"}, {anchors["u2"]}, False) == (set(by_uid), removed, end.full)
    else:
        assert end.full


def test_a_unit_that_is_moved_out_or_in_makes_the_read_a_full_one(
    server: Slapd, source: LdapSource, admin: ldap3.Connection
) -> None:
    """Nobody below it changed themselves, and those who came were known to nobody."""
    source = ldap_source(server, incremental=source.options.incremental, overlap=1, select=["uid"])
    _settle(source)
    _, cursor = whole(source)
    admin.modify_dn(DEEP, "ou=deep", new_superior=OUT)
    with pytest.raises(CursorExpired, match="may have been renamed or moved with all that is in it"):
        list(source.read(cursor))
    assert 7 == len(whole(source)[0])

    _settle(source)
    _, cursor = whole(source)
    admin.modify_dn(f"ou=deep,{OUT}", "ou=deep", new_superior=PEOPLE)
    with pytest.raises(CursorExpired, match=f"ou=deep,{PEOPLE} was changed"):
        list(source.read(cursor))


def _settle(source: LdapSource) -> None:
    """By timestamps, what was made within the overlap is told once more anyway; let it pass."""
    if source.options.incremental == "timestamps":
        import time

        time.sleep(2.1)


def test_a_new_unit_with_new_people_is_no_reason_to_read_all(
    source: LdapSource, admin: ldap3.Connection
) -> None:
    import time

    _, cursor = whole(source)
    time.sleep(1.1)
    admin.add(f"ou=new,{PEOPLE}", "organizationalUnit")
    admin.add(f"uid=n1,ou=new,{PEOPLE}", "inetOrgPerson", {"cn": "N", "sn": "N"})

    entries, _, _ = told(source, cursor)

    assert "n1" in {one.attributes["uid"][0] for one in entries}


def test_another_question_or_server_or_word_of_nobody_expires_the_cursor(
    server: Slapd, source: LdapSource, start_slapd: StartSlapd
) -> None:
    _, cursor = whole(source)
    strategy = source.options.incremental
    other = start_slapd(people(3), session_log=10)
    expired = {
        "other entries or attributes": ldap_source(server, incremental=strategy, select=["uid"]),
        "other entries or attributes are": ldap_source(
            server, incremental=strategy, filter="(uid=u*)", select=["uid", "sn"]
        ),
        "another server answers": ldap_source(other, incremental=strategy, select=["uid", "sn"]),
        "changes were found by": ldap_source(server, incremental="off", select=["uid", "sn"]),
    }
    for reason, one in expired.items():
        with pytest.raises(CursorExpired, match=reason):
            list(one.read(cursor))
    for rubbish in ("", "rubbish", "{}", '{"strategy":1}', "[1]", cursor.replace(strategy, "nothing")):
        with pytest.raises(CursorExpired):
            list(source.read(rubbish))


def test_the_next_server_is_read_in_full(server: Slapd, start_slapd: StartSlapd) -> None:
    """A fail-over: what one server calls changed, another may call old."""
    second = start_slapd(people(7), session_log=10)
    source = ldap_source(server, url=[server.url, second.url], incremental="sync")
    _, cursor = whole(source)
    server.stop()
    with pytest.raises(CursorExpired, match="another server answers"):
        list(source.read(cursor))
    assert second.url == parse(whole(source)[1]).server


def test_without_a_session_log_the_server_lists_who_is_there(start_slapd: StartSlapd) -> None:
    server = start_slapd(people(5), session_log=0)
    source = ldap_source(server, incremental="sync")
    anchors, cursor = whole(source)
    server.delete(f"uid=u3,{PEOPLE}")
    items = list(source.read(cursor))
    present = {one.anchor for one in items if isinstance(one, Present)}
    assert (set(anchors.values()) - {anchors["u3"]}, True) == (present, items[-1].full)


def test_who_is_changed_or_new_is_told_once_where_the_server_lists_who_is_there(
    start_slapd: StartSlapd,
) -> None:
    """slapd lists them as well, and the engine uses nothing of an anchor that is told of twice."""
    server = start_slapd(people(5), session_log=0)
    source = ldap_source(server, incremental="sync")
    anchors, cursor = whole(source)
    server.delete(f"uid=u3,{PEOPLE}")
    server.modify(f"dn: uid=u1,{PEOPLE}\nchangetype: modify\nreplace: sn\nsn: Changed\n")
    server.add(person("new"))
    items = list(source.read(cursor))

    changed = [one for one in items if isinstance(one, Entry)]
    assert ["new", "u1"] == sorted(one.attributes["uid"][0] for one in changed)
    assert {anchors[name] for name in ("u0", "u2", "u4")} == {
        one.anchor for one in items if isinstance(one, Present)
    }
    assert (5, True) == (len(items) - 1, items[-1].full)


def test_a_list_of_changes_that_is_cut_short_removes_nobody(start_slapd: StartSlapd) -> None:
    """Content synchronization knows no pages: a size limit cuts it, and then all is read, in pages."""
    limits = [f'limits dn.exact="{READER}" size.soft=3 size.hard=3 size.pr=1000 size.prtotal=unlimited']
    server = start_slapd(people(9), session_log=100, limits=limits)
    source = ldap_source(server, incremental="sync", bind=BIND, allow_plaintext_bind=True)
    anchors, cursor = whole(source)
    for number in range(5):
        server.modify(f"dn: uid=u{number},{PEOPLE}\nchangetype: modify\nreplace: sn\nsn: X\n")
    with pytest.raises(CursorExpired, match="size limit; let the bind identity read without limits"):
        list(source.read(cursor))
    assert anchors == whole(source)[0]


def test_a_server_without_the_overlay_says_nothing_changed_and_is_not_believed(
    start_slapd: StartSlapd,
) -> None:
    """Its contextCSN stands still while its entries change."""
    server = start_slapd(people(3))
    source = ldap_source(server, incremental="sync")
    assert not list(source.read(None))[-1].cursor
    told = next(line for line in list(source.check()) if line.startswith("every read is full"))
    assert "sync: the server offers no content synchronization there (OpenLDAP: the overlay syncprov)" in told


@pytest.mark.parametrize("hidden", ["entryCSN", "hasSubordinates", "modifyTimestamp", "contextCSN"])
def test_what_may_not_be_searched_by_rules_a_strategy_out(start_slapd: StartSlapd, hidden: str) -> None:
    """A filter on an attribute that is hidden finds nobody, without an error."""
    access = [f"access to attrs={hidden} by * none", "access to attrs=userPassword by anonymous auth"]
    server = start_slapd(people(3), session_log=10, access=[*access, "access to * by * read"])
    chosen = {
        "entryCSN": "timestamps",
        "contextCSN": "timestamps",
        "hasSubordinates": None,
        "modifyTimestamp": "sync",
    }[hidden]
    end = list(ldap_source(server, incremental="auto").read(None))[-1]
    assert chosen == (parse(end.cursor).strategy if end.cursor else None)


def test_a_time_that_may_not_be_searched_by_of_people_rules_timestamps_out(start_slapd: StartSlapd) -> None:
    hidden = f"access to dn.children={PEOPLE} attrs=modifyTimestamp by * none"
    server = start_slapd(people(3), access=[hidden, "access to * by * read"])
    source = ldap_source(server, incremental="timestamps")
    assert not list(source.read(None))[-1].cursor
    told = next(line for line in list(source.check()) if line.startswith("every read is full"))
    assert f"nobody of {PEOPLE} is found by (modifyTimestamp>=19700101000000Z)" in told


@pytest.mark.parametrize("asked", [{"select": ["uid", "memberOf"]}, {"filter": "(memberOf=cn=x,dc=example)"}])
def test_memberships_are_always_read_in_full(server: Slapd, asked: dict[str, object]) -> None:
    """A group that changes does not touch its members."""
    source = ldap_source(server, incremental="auto", **asked)
    assert not list(source.read(None))[-1].cursor
    assert "memberships are read" in next(line for line in list(source.check()) if "every read" in line)


def test_a_reference_beside_the_bases_is_none_of_this_source(start_slapd: StartSlapd, strategy: str) -> None:
    """Moved containers are looked for in the whole directory, and people are not."""
    far = record(f"ou=far,{SUFFIX}", objectClass=["referral", "extensibleObject"], ou="far", ref="ldap://far")
    server = start_slapd([*people(3), far], session_log=100)
    source = ldap_source(server, incremental=strategy)
    _, cursor = whole(source)
    server.modify(f"dn: uid=u1,{PEOPLE}\nchangetype: modify\nreplace: sn\nsn: X\n")
    *_, end = source.read(cursor)
    assert (strategy == "timestamps", []) == (end.full, lines(source))


def test_a_base_without_anybody_is_no_reason_to_read_in_full(start_slapd: StartSlapd) -> None:
    """Nothing stands below it, which is no matter of rights."""
    bases = [PEOPLE, f"ou=empty,{SUFFIX}"]
    *_, end = ldap_source(start_slapd(people(3)), incremental="auto", base=bases).read(None)
    assert "timestamps" == parse(end.cursor).strategy


def test_people_count_once_for_max_entries(start_slapd: StartSlapd) -> None:
    """By timestamps all are listed, whoever has changed among them."""
    server = start_slapd(people(4))
    source = ldap_source(server, incremental="timestamps", max_entries=4)
    _, cursor = whole(source)
    *_, end = source.read(cursor)
    assert end.full


def test_a_clock_that_was_set_back_makes_the_read_a_full_one(server: Slapd) -> None:
    """The cursor is of a time that has not come yet, and nothing is found that has changed since then."""
    source = ldap_source(server, incremental="timestamps", overlap=60)
    _, cursor = whole(source)
    ahead = parse(cursor)
    server.modify(f"dn: uid=u1,{PEOPLE}\nchangetype: modify\nreplace: sn\nsn: Changed\n")
    later = f"{datetime.now(UTC) + timedelta(days=2):%Y%m%d%H%M%SZ}"
    with pytest.raises(CursorExpired, match="the clock of this machine was set back"):
        list(source.read(ahead._replace(mark={"since": later}).text()))


# --- a connection that breaks


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    with Slapd(tmp_path_factory.mktemp("busy"), people(40), session_log=100) as running:
        yield running


@pytest.mark.parametrize("strategy", ["sync", "timestamps"])
@pytest.mark.parametrize("how", ["fin", "rst", "hang"])
def test_wherever_an_incremental_read_is_cut_there_is_no_checkpoint(
    busy: Slapd, strategy: str, how: How
) -> None:
    """At twelve places of all that the server sends; and then it goes on from the same cursor."""
    options = {"incremental": strategy, "page_size": 10, "read_timeout": 1}
    with Proxy(busy.port) as proxy:
        source = ldap_source(f"ldap://127.0.0.1:{proxy.port}", **options)
        _, cursor = whole(source)
        busy.modify(f"dn: uid=u5,{PEOPLE}\nchangetype: modify\nreplace: sn\nsn: {how}{strategy}\n")
        busy.add(person(f"x{how}{strategy}"))
        busy.delete(f"uid=x{how}{strategy},{PEOPLE}")
        before = proxy.sent
        entries = [one for one in source.read(cursor) if isinstance(one, Entry)]
        length, port = proxy.sent - before, proxy.port
    assert 1 <= len(entries)
    places = range(1, length, max(length // (12 if how != "hang" else 4), 1))
    for after in places:
        with Proxy(busy.port, how, after) as proxy:
            source = ldap_source(f"ldap://127.0.0.1:{proxy.port}", **options)
            with pytest.raises(Unavailable):
                list(source.read(cursor.replace(f":{port}", f":{proxy.port}")))
    with Proxy(busy.port) as proxy:
        source = ldap_source(f"ldap://127.0.0.1:{proxy.port}", **options)
        again = list(source.read(cursor.replace(f":{port}", f":{proxy.port}")))
    assert {one.anchor for one in entries} == {one.anchor for one in again if isinstance(one, Entry)}
