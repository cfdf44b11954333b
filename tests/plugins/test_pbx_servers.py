"""The platforms of nodes over MariaDB and PostgreSQL: what only a real server can show."""

import gc
from dataclasses import replace

import pytest
from servers.databases import SERVERS, server_of
from servers.nodes import account, asterisk, kamailio, opened

from syncd import Delivery, Denied, Rejected, Unavailable


@pytest.fixture(scope="module", params=[*SERVERS])
def server(request):
    with server_of(request.param) as running:
        yield running


@pytest.fixture
def platform(server):
    made = opened(asterisk(server.database(), columns={"direct_media": "department"}))
    yield made
    made.close()


def test_a_column_of_choices_takes_only_these(platform):
    with pytest.raises(Rejected, match=r"ps_endpoints\.direct_media takes one of yes, no"):
        platform.add(account(direct_media="maybe"))

    platform.add(account(direct_media="no"))

    assert [("100", platform.fingerprint(account(direct_media="no")))] == list(platform.list())


@pytest.mark.parametrize("make", [asterisk, kamailio])
def test_numbers_are_exchanged_waited_for_and_freed(server, make):
    database = server.database()
    status = {"table": "dynamic_status", "column": "make_call_from", "what": "dynamic status"}
    more = {"softphone": {}, "twinning": {}} if make is asterisk else {}
    platform = opened(make(database, references=[status], **more))
    fields = {"softphone": "500", "twinning": "0170", "mailbox": "100"} if make is asterisk else {}
    platform.add(account(100, **fields))
    platform.add(account(200))
    exchange = [
        Delivery(was, "update", was, str(was), one, frozenset({"extension"}))
        for was, one in ((100, account(200, **fields)), (200, account(100)))
    ]
    database.insert("dynamic_status", id=7, make_call_from=200)
    before = database.everything()

    assert [("dynamic status 7",)] * 2 == [one.error.references for one in platform.deliver(exchange)]
    assert before == database.everything()

    database.run("DELETE FROM dynamic_status")

    assert ["200", "100"] == [one.remote_id for one in platform.deliver(exchange)]
    assert {one.account.fields["extension"]: platform.fingerprint(one.account) for one in exchange} == dict(
        platform.list()
    )

    platform.disable("200", replace(exchange[0].account, enabled=False))

    assert "200" == platform.find(account(200))

    for number in ("200", "100"):
        platform.delete(number)

    assert not any(database.everything().values())
    platform.close()


def test_what_the_server_refuses_harms_no_other_of_its_batch(server):
    database = server.database()
    platform = opened(asterisk(database))
    database.run("ALTER TABLE ps_auths ADD CONSTRAINT never CHECK (username <> '1003')")
    try:
        batch = [Delivery(number, "add", number, None, account(number)) for number in range(1000, 1010)]
        outcomes = list(platform.deliver(batch))
    finally:
        database.run("ALTER TABLE ps_auths DROP CONSTRAINT never")

    assert [1003] == [one.id for one in outcomes if one.error is not None]
    assert 9 == len(database.rows("ps_endpoints")) == len(database.rows("ps_auths"))
    platform.close()


def test_a_connection_that_the_server_has_ended_is_made_anew(platform, server):
    platform.add(account(100))
    database = server.database("another")
    with database.engine.connect() as other:
        for statement in server.ends(other):
            other.exec_driver_sql(statement)

    assert "100" == platform.find(account(100))


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_a_server_that_is_away_is_unavailable_and_back_when_it_is_back(server):
    database = server.database()
    platform = opened(asterisk(database))
    platform.add(account(100))
    server.stop()
    try:
        with pytest.raises(Unavailable):
            platform.find(account(100))
        gc.collect()  # PyMySQL forgets the socket that it could not connect: not in the middle of another test
    finally:
        server.start()

    assert "100" == platform.find(account(100))
    platform.close()


def test_an_unknown_database_is_denied_in_words(server):
    platform = asterisk(server.database(), url=f"{server.scheme}://tester@localhost/nowhere")
    with pytest.raises(Denied, match="nowhere"):
        platform.open()
