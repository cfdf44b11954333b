"""The platforms of nodes over MariaDB and PostgreSQL: what only a real server can show."""

import gc

import pytest
from servers.databases import SERVERS
from servers.nodes import account, asterisk, opened

from syncd import Denied, Rejected, Unavailable


@pytest.fixture(scope="module", params=[*SERVERS])
def server(request):
    kind, missing = SERVERS[request.param]
    if missing:
        pytest.skip(missing)
    with kind() as running:
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
