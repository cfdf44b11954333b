"""The sources of PBX nodes: whose telephone is which, and what is never taken for absence."""

import sqlite3
import threading
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from servers.nodes import Meanwhile, asterisk_source, kamailio_source, sqlite_database
from sqlalchemy import Engine, event

from syncd import Checkpoint, Context, Denied, Entry, Problem, Unavailable
from syncd.plugins import load
from syncd.testing import RecordingLog
from syncd_pbx.asterisk import AsteriskPlatform
from syncd_pbx.asterisksource import AsteriskSource
from syncd_pbx.devices import caller
from syncd_pbx.marks import off
from syncd_pbx.source import BATCH, Strange
from syncd_pbx.spool import Spool

ALL = sorted(AsteriskSource.offered)


@pytest.fixture
def database(tmp_path):
    return sqlite_database(tmp_path / "node.sqlite")


def endpoint(database, name, callerid=None, **columns):
    """Put an endpoint into the table; its caller id says its name unless it is told."""
    told = {"id": name, "aors": name, "auth": name, "callerid": callerid or f'"P" <{name}>', **columns}
    database.insert("ps_endpoints", **told)


def people(source):
    """Read everybody; the read has to be whole."""
    *items, end = source.read(None)
    assert Checkpoint(None, full=True) == end
    assert {Entry} >= {type(item) for item in items}, items
    return {
        entry.anchor: {name: texts for name, texts in entry.attributes.items() if texts} for entry in items
    }


def problems(source):
    return [(one.anchor, one.code) for one in source.read(None) if isinstance(one, Problem)]


# --- whose telephone it is ----------------------------------------------------------------------------------


def test_a_person_is_the_number_of_the_caller_id_and_all_telephones_with_it(database):
    endpoint(database, "100", '"Ada Lovelace" <100>', mailboxes="100@default,900@other", context="internal")
    endpoint(database, "100-soft", '"Ada Lovelace" <100>')
    endpoint(database, "180", '"Ada at home" <100>')
    endpoint(database, "SEP0011", "<101>")
    database.insert("voicemail", context="default", mailbox="100", password="4711", email="ada@acme.test")
    found = people(asterisk_source(database, *ALL, "context", softphone=".*-soft"))

    ada = {"extension": ("100",), "softphone_extension": ("100",), "secondary_extensions": ("180",)}
    ada |= {"devices": ("100", "180", "100-soft"), "name": ("Ada Lovelace",), "number": ("100",)}
    ada |= {"mailbox": ("100",), "mailbox_context": ("default",), "email": ("ada@acme.test",)}
    assert {
        "100": {**ada, "context": ("internal",)},
        "101": {"extension": ("101",), "devices": ("SEP0011",), "number": ("101",)},
    } == found


@pytest.mark.parametrize(
    ("person", "columns", "anchor"),
    [
        ("mailboxes", {"mailboxes": "100@default, 7@b"}, "100@default"),
        ("accountcode", {"accountcode": " E17 "}, "E17"),
        ("accountcode", {}, "endpoint:100"),
        ("id", {}, "100"),
    ],
)
def test_another_column_can_say_whose_a_telephone_is(database, person, columns, anchor):
    endpoint(database, "100", **columns)

    assert [anchor] == list(people(asterisk_source(database, person=person)))


@pytest.mark.parametrize("person", ["callerid", "mailboxes", "accountcode"])
def test_the_anchor_stays_while_telephones_come_and_go(database, person):
    """Whether it is the first, the last, or the one that names the person."""
    source = asterisk_source(database, person=person)
    shared = {"callerid": '"Ada" <150>', "mailboxes": "150@default", "accountcode": "E17"}
    endpoint(database, "150", **shared)
    (anchor,) = people(source)
    for name in ("100", "200", "150-soft"):
        endpoint(database, name, **shared)
        assert [anchor] == list(people(source))
    for name in ("150", "100", "200"):
        database.run(f"DELETE FROM ps_endpoints WHERE id = '{name}'")
        assert [anchor] == list(people(source))


def test_who_loses_the_last_telephone_is_absent_and_nobody_else(database):
    for name in ("100", "100-soft", "101"):
        endpoint(database, name, f"<{name[:3]}>")
    source = asterisk_source(database)
    database.run("DELETE FROM ps_endpoints WHERE id LIKE '100%'")

    assert ["101"] == list(people(source))


def test_a_caller_id_that_all_share_is_a_problem_and_makes_nobody_of_many(database):
    """Such as the company's main number, which calls to the outside are to show."""
    for number in range(100, 112):
        endpoint(database, str(number), '"Acme" <49401234>')
    endpoint(database, "200")
    source = asterisk_source(database)

    assert [("49401234", "too-many-devices")] == problems(source)
    (problem,) = [one for one in source.read(None) if isinstance(one, Problem)]
    assert (
        "12 telephones ('100', '101', '102', '103', '104', ...) are one person's by callerid"
        in problem.message
    )
    assert 13 == len(people(asterisk_source(database, extensions="[0-9]{3}")))


def test_few_who_share_a_caller_id_are_not_taken_for_one(database):
    """An office of three that shows its main number: nobody is made of them, and nobody goes."""
    for name in ("100", "101", "102"):
        endpoint(database, name, '"Acme" <49401234>')
    endpoint(database, "200", '"Own line" <49405678>')
    source = asterisk_source(database)

    assert [("49401234", "doubtful-person")] == problems(source)
    assert {"100", "101", "102", "200"} == set(people(asterisk_source(database, extensions="[0-9]{3}")))


def test_what_has_no_number_of_a_person_is_nobodys(database):
    endpoint(database, "trunk", '"Telco" <+49401234>')
    endpoint(database, "door", "asreceived")
    endpoint(database, "100", context="internal")
    endpoint(database, "101", context="lab")
    source = asterisk_source(database, where={"context": ["internal", "office"]})

    assert ["100"] == list(people(source))
    (line, strange) = source.check()
    assert line.endswith(": 4 rows of ps_endpoints, 1 people")
    assert strange == "3 rows are nobody's telephone: 'trunk', 'door', '101'"


def test_only_who_has_a_dynamic_extension(database):
    """Several telephones, or several that may register as one."""
    for name, number, contacts in (("100", 100, 1), ("101", 101, 5), ("102", 102, 1), ("102b", 102, 1)):
        endpoint(database, name, f"<{number}>")
        database.insert("ps_aors", id=name, max_contacts=contacts)
    endpoint(database, "103", aors="")
    endpoint(database, "104", aors="104,101")
    source = asterisk_source(database, dynamic_extensions_only=True)

    assert ["101", "102", "104"] == list(people(source))


def test_who_is_disabled_on_the_node_is_an_entry_that_is_disabled(database):
    """One telephone of several that still works keeps its person enabled."""
    endpoint(database, "100", aors=off("100"))
    endpoint(database, "101", aors=off("101"))
    endpoint(database, "101b", "<101>")
    entries = [one for one in asterisk_source(database).read(None) if isinstance(one, Entry)]

    assert [("100", False), ("101", True)] == [(one.anchor, one.enabled) for one in entries]


@pytest.mark.parametrize("softphone", ["5.*", {"transport": "wss"}, {"transport": ["ws", "wss"]}])
def test_a_soft_phone_is_known_by_its_id_or_by_a_column(database, softphone):
    endpoint(database, "100", "<100>", transport="udp")
    endpoint(database, "5100", "<100>", transport="wss")
    (found,) = people(asterisk_source(database, softphone=softphone)).values()

    assert (("100",), ("5100",)) == (found["extension"], found["softphone_extension"])


def test_a_view_can_stand_for_a_table(database):
    """Such as that of a front end with tables of its own."""
    endpoint(database, "100")
    database.run("ALTER TABLE ps_endpoints RENAME TO theirs")
    database.run("CREATE VIEW ps_endpoints AS SELECT id, aors, callerid, mailboxes FROM theirs")

    assert ["100"] == list(people(asterisk_source(database)))


def test_a_column_is_what_the_first_telephone_with_a_value_says(database):
    endpoint(database, "100", "<100>")
    endpoint(database, "100-soft", "<100>", accountcode="E17", set_var="a=1")
    endpoint(database, "150", "<100>", set_var="b=2")  # what has the person's own number is before it

    found = people(asterisk_source(database, "accountcode", "set_var"))["100"]
    assert (("E17",), ("a=1",)) == (found["accountcode"], found["set_var"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"Ada Lovelace" <100>', ("Ada Lovelace", "100")),
        ("Ada <100>", ("Ada", "100")),
        ('"Ada \\"A.\\" L" <100>', ('Ada "A." L', "100")),
        ("<100>", ("", "100")),
        (" 040 12-34 ", ("", "0401234")),
        ("Ada", ("Ada", "")),
        ('"', ('"', "")),
        ("", ("", "")),
    ],
)
def test_a_caller_id_is_a_name_and_a_number(text, expected):
    assert expected == caller(text)


@given(st.text())
def test_whatever_a_caller_id_is_it_can_be_split(text):
    name, number = caller(text)

    assert len(name) + len(number) <= len(text)


NAMES = st.one_of(
    st.integers(100, 104).map(str), st.sampled_from(["SEP1", "SEP2", "100-soft", "a\x01", "b\xe4"])
)
SHOWN = st.one_of(NAMES.map('"P" <{}>'.format), st.sampled_from(["", "P", "<49401234>", '"', "asreceived"]))


@given(st.dictionaries(NAMES, SHOWN), st.randoms(use_true_random=False))
def test_every_telephone_is_one_persons_in_whatever_order_rows_come(told, chance):
    """Or a problem's; what has no number of a person is nobody's."""
    source = AsteriskSource(
        AsteriskSource.Options(url="sqlite:////none"), Context("north", RecordingLog(), str)
    )
    rows = [{"id": name, "callerid": callerid, "aors": ""} for name, callerid in told.items()]
    items = grouped(source, rows)
    entries = [one for one in items if isinstance(one, Entry)]
    listed = [name for one in entries for name in one.attributes["devices"]]
    wanted = {name for name in told if name.isdigit() or caller(told[name])[1].isdigit()}
    anchors = [one.anchor for one in items if one.anchor is not None]

    assert len(anchors) == len(set(anchors))
    assert len(listed) == len(set(listed))
    assert set(listed) <= wanted
    assert len(entries) < len(items) or set(listed) == wanted
    assert [shown(one) for one in items] == [
        shown(one) for one in grouped(source, chance.sample(rows, len(rows)))
    ]


def grouped(source, rows):
    with Spool() as spool:
        spool.put(source._kept(rows, spool, Strange()))
        return list(source._people(spool))


def shown(one):
    return (one.anchor, one.enabled, one.attributes) if isinstance(one, Entry) else one


# --- subscribers --------------------------------------------------------------------------------------------


def test_subscribers_of_one_domain_are_people_and_rows_of_one_address_are_one(database):
    for name, domain, email in (
        ("100", "sip.test", "ada@acme.test"),
        ("9100", "sip.test", "ada@acme.test"),
        (off("101"), "sip.test", ""),
        ("102", "else.test", "x@acme.test"),
        ("trunk", "sip.test", ""),
    ):
        database.insert("subscriber", username=name, domain=domain, email_address=email)
    names = ("extension", "softphone_extension", "sip_address", "username")
    source = kamailio_source(database, *names, person="email_address", softphone="9[0-9]+")

    ada = {"extension": ("100",), "softphone_extension": ("9100",), "devices": ("100", "9100")}
    other = {"extension": ("101",), "devices": ("101",)}
    assert {
        "ada@acme.test": {**ada, "sip_address": ("100@sip.test",), "username": ("100",)},
        "subscriber:101": {**other, "sip_address": ("101@sip.test",), "username": ("101",)},
    } == people(source)
    assert [True, False] == [one.enabled for one in source.read(None) if isinstance(one, Entry)]


# --- what is never read ---------------------------------------------------------------------------------------


def test_no_secret_is_ever_asked_for(database):
    endpoint(database, "100", mailboxes="100@default")
    statements = []
    source = asterisk_source(database, *ALL, "accountcode", dynamic_extensions_only=True)

    def note(_connection, _cursor, statement, *_rest):
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        people(source)
        people_of_kamailio = kamailio_source(database)
        database.insert("subscriber", username="100", domain="sip.test")
        people(people_of_kamailio)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    read = [one for one in statements if one.startswith("SELECT") and "FROM sqlite_" not in one]

    assert {"ps_endpoints", "voicemail", "ps_aors", "subscriber"} == {
        one.split("FROM ")[1].split()[0] for one in read
    }
    assert not [one for one in read if "password" in one or "ha1" in one or "*" in one or "md5" in one]


def test_a_secret_can_be_mapped_from_no_node(database):
    for source in (asterisk_source(database, "password"), kamailio_source(database, "ha1")):
        with pytest.raises(Denied, match="never reads secrets; take it out of the map"):
            source.open()
    with pytest.raises(ValidationError, match="password is a secret"):
        asterisk_source(database, person="password")


# --- what is never taken for absence ----------------------------------------------------------------------------


def test_an_empty_table_is_a_failure(database):
    with pytest.raises(Denied, match=r"ps_endpoints is empty; see whether url is right.*syncd retire"):
        list(asterisk_source(database).read(None))


def test_all_that_is_missing_is_told_before_anything_is_read(database):
    database.run("DROP TABLE voicemail")
    source = asterisk_source(database, "email", "name", "acountcode", person="badge", where={"floor": "3"})
    with pytest.raises(Denied) as error:
        source.open()

    assert [
        "the table ps_endpoints has no column acountcode (did you mean accountcode?), badge, floor; add it, or leave out what needs it",
        "the database has no table voicemail; see whether url is right, or leave out what needs it",
    ] == str(error.value).splitlines()


def test_a_lock_is_a_failure(database):
    endpoint(database, "100")
    source = asterisk_source(database, timeout=1)
    with sqlite3.connect(database.url.removeprefix("sqlite:///"), isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Unavailable, match="locked"):
            list(source.read(None))
        other.execute("ROLLBACK")
    other.close()

    assert ["100"] == list(people(source))


def many(database, total=3 * BATCH):
    with database.engine.begin() as connection:
        statement = "INSERT INTO ps_endpoints (id, aors, callerid) VALUES ('{0}', '{0}', '<{0}>')"
        for number in range(10000, 10000 + total):
            connection.exec_driver_sql(statement.format(number))


def test_what_changes_during_a_read_is_not_half_seen(database):
    """The whole is of one moment, in a file with a write-ahead log as well."""
    database.run("PRAGMA journal_mode = WAL")
    many(database)
    context = Context(
        "north", RecordingLog(), str, Meanwhile(lambda: database.run("DELETE FROM ps_endpoints"))
    )
    found = people(asterisk_source(database, context=context))

    assert 3 * BATCH == len(found)


def test_a_service_that_stops_ends_the_read(database):
    many(database)
    stopping = threading.Event()
    stopping.set()
    source = asterisk_source(database, context=Context("north", RecordingLog(), str, stopping))
    with pytest.raises(Unavailable, match="stopping"):
        list(source.read(None))


def test_a_source_cannot_write(database):
    endpoint(database, "100")
    with asterisk_source(database)._snapshot() as rows, pytest.raises(Exception, match="readonly"):
        rows.connection.exec_driver_sql("DELETE FROM ps_endpoints")


# --- rubbish ----------------------------------------------------------------------------------------------------


def raw(database, statement, *values):
    with sqlite3.connect(database.url.removeprefix("sqlite:///")) as connection:
        connection.execute(statement, values)
    connection.close()


def test_rubbish_is_told_by_name_and_removes_nobody(database):
    endpoint(database, "100")
    insert = "INSERT INTO ps_endpoints (id, aors, callerid) VALUES (?, ?, CAST(? AS TEXT))"
    raw(database, insert, "", None, b"<500>")  # no name at all
    raw(database, insert, "x" * 300, "x", b"<300>")
    raw(database, insert, "200", None, b'"M\xfcller" <200>')
    raw(database, insert, "201", "", None)
    raw(database, insert, "SEP1", "", b"<20\xff>")  # the number itself cannot be read
    raw(database, insert, "202", "202", b'"\x01\x07" <202>')
    source = asterisk_source(database)
    items = list(source.read(None))

    assert {"100", "201", "202", "300"} == {one.anchor for one in items if isinstance(one, Entry)}
    assert [(None, "bad-anchor"), (None, "bad-anchor"), ("200", "bad-text")] == problems(source)
    assert "'200': name is not UTF-8" in next(
        one.message for one in items if getattr(one, "code", "") == "bad-text"
    )
    (control,) = [one for one in items[:-1] if one.anchor == "202"]
    assert ("\x01\x07",) == control.attributes["name"]  # which the mapping judges


@pytest.mark.parametrize("anchor", ["E\n17", "x" * 256, "\x00", "E\udcff"])
def test_what_cannot_be_an_anchor_takes_the_right_to_conclude_from_absence(database, anchor):
    endpoint(database, "100", accountcode="E16")
    endpoint(database, "101")
    text = anchor.encode("utf-8", "surrogateescape")
    raw(database, "UPDATE ps_endpoints SET accountcode = CAST(? AS TEXT) WHERE id = '101'", text)

    assert [(None, "bad-anchor")] == problems(asterisk_source(database, person="accountcode"))


# --- options and size -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"softphone": "(9"}, "is no regular expression"),
        ({"softphone": {"ha1": "x"}}, "ha1 is a secret"),
        ({"most_devices": 0}, "greater than or equal to 1"),
        ({"where": {"password": "x"}}, "password is a secret"),
        ({"persn": "id"}, "Extra inputs"),
    ],
)
def test_options_are_judged_without_the_node(database, options, message):
    with pytest.raises(ValidationError, match=message):
        asterisk_source(database, **options)


def test_what_absence_depends_on_is_in_the_scope(database):
    scopes = {
        asterisk_source(database, **options).scope()
        for options in (
            {},
            {"person": "id"},
            {"extensions": "1.."},
            {"where": {"context": "a"}},
            {"url": "sqlite:////b"},
        )
    }

    assert 5 == len(scopes)
    assert kamailio_source(database).scope() != kamailio_source(database, domain="b.test").scope()


def test_one_word_is_a_source_and_a_platform():
    plugins = load(["asterisk", "kamailio"])
    assert (AsteriskSource, AsteriskPlatform) == (plugins.sources["asterisk"], plugins.platforms["asterisk"])
    assert "pbx" == plugins.sources["kamailio"].synchronizer


def test_memory_stays_flat_however_many_people_there_are(database):
    many(database, 8_000)
    source = asterisk_source(database)
    source.open()
    tracemalloc.start()
    try:
        count = sum(1 for _ in source.read(None))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert 8_001 == count
    assert peak < 4 << 20
