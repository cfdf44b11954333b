"""The sources of nodes over MariaDB and PostgreSQL: what only a real server can show."""

import gc

import pytest
from servers.databases import SERVERS, server_of
from servers.nodes import Meanwhile, asterisk_source
from sqlalchemy.exc import SQLAlchemyError

from syncd import Context, Denied, Unavailable
from syncd.testing import RecordingLog
from syncd_pbx.source import BATCH

PEOPLE = 3 * BATCH


@pytest.fixture(scope="module", params=[*SERVERS])
def server(request):
    with server_of(request.param) as running:
        yield running


@pytest.fixture
def database(server):
    made = server.database()
    rows = ", ".join(f"('{n}', '{n}', '\"P\" <{n}>', '{n}@default')" for n in range(10000, 10000 + PEOPLE))
    made.run(f"INSERT INTO ps_endpoints (id, aors, callerid, mailboxes) VALUES {rows}")
    made.run("INSERT INTO voicemail VALUES (1, 'default', '10000', 'geheim', 'P', 'p@acme.test')")
    return made


def reading(database, happens, **options):
    context = Context("north", RecordingLog(), str, Meanwhile(happens))
    return asterisk_source(database, context=context, **options)


def test_everybody_is_read_as_they_were_when_the_read_began(database):
    """The mailboxes are read first; what then changes is of the next read."""

    def happens():
        database.run("DELETE FROM ps_endpoints WHERE id > '10001'")
        database.run("UPDATE ps_endpoints SET callerid = '<9>'")

    *entries, _ = reading(database, happens).read(None)

    assert PEOPLE == len(entries)
    assert ("p@acme.test",) == entries[0].attributes["email"]
    assert {("P",)} == {one.attributes["name"] for one in entries}
    assert 2 == len(database.rows("ps_endpoints"))


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of the drivers, whose cursor or socket is lost
def test_a_connection_that_ends_midway_fails_the_read(database, server):
    ended = []

    def happens():
        with server.database("another").engine.connect() as other:
            for statement in server.ends(other):
                ended.append(statement)
                other.exec_driver_sql(statement)

    stream = reading(database, happens).read(None)
    with pytest.raises(Unavailable):
        list(stream)
    gc.collect()

    assert ended
    assert PEOPLE + 1 == len(list(asterisk_source(database).read(None)))


def test_a_table_that_is_locked_fails_the_read_in_time(database, server):
    lock = {
        "mariadb": "LOCK TABLES ps_endpoints WRITE",
        "postgresql": "LOCK TABLE ps_endpoints IN ACCESS EXCLUSIVE MODE",
    }
    with database.engine.connect() as other:
        other.exec_driver_sql(lock[server.scheme])
        with pytest.raises(Unavailable):
            list(asterisk_source(database, timeout=1).read(None))
        gc.collect()
        if server.scheme == "mariadb":
            other.exec_driver_sql("UNLOCK TABLES")


def test_a_table_that_vanishes_fails_the_read(database):
    """Between the look at the tables and their rows there is nothing that would hold it."""
    source = asterisk_source(database)
    source.open()
    database.run("DROP TABLE voicemail")
    with pytest.raises(Denied, match="no table voicemail"):
        list(source.read(None))


def test_a_session_that_reads_cannot_write(database):
    with (
        pytest.raises((Denied, Unavailable, SQLAlchemyError), match=r"(?i)read.only"),
        asterisk_source(database)._snapshot() as rows,
    ):
        rows.connection.exec_driver_sql("DELETE FROM ps_endpoints")

    assert PEOPLE == len(database.rows("ps_endpoints"))
