"""The sources of PBX nodes keep the contract, over each kind of database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from servers.databases import databases_on
from servers.nodes import Database, asterisk_source, kamailio_source
from servers.slapd import free_port

from syncd.testing import SourceConformance
from syncd_pbx.source import NodeSource


class Endpoints:
    """People of an Asterisk."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.last = 100
        for _ in range(3):
            self.add()

    def add(self) -> str:
        self.last += 1
        number = str(self.last)
        self.database.insert(
            "ps_endpoints", id=number, aors=number, auth=number, callerid=f'"P {number}" <{number}>'
        )
        return number

    def change(self, anchor: str) -> None:
        self.database.run(f"UPDATE ps_endpoints SET callerid = '\"Other\" <{anchor}>' WHERE id = '{anchor}'")

    def remove(self, anchor: str) -> None:
        self.database.run(f"DELETE FROM ps_endpoints WHERE id = '{anchor}'")


class Subscribers(Endpoints):
    """People of a Kamailio."""

    def add(self) -> str:
        self.last += 1
        number = str(self.last)
        self.database.insert(
            "subscriber", username=number, domain="sip.test", email_address=f"{number}@acme.test"
        )
        return number

    def change(self, anchor: str) -> None:
        self.database.run(
            f"UPDATE subscriber SET email_address = 'other@acme.test' WHERE username = '{anchor}'"
        )

    def remove(self, anchor: str) -> None:
        self.database.run(f"DELETE FROM subscriber WHERE username = '{anchor}'")


class OverADatabase(SourceConformance):
    """One server for all tests of a class; its tables are empty for each."""

    server: ClassVar[str | None] = None
    """The scheme of a real server; without one, it is a file."""

    make: ClassVar[Callable[..., NodeSource]]
    people: ClassVar[type[Endpoints]]
    table: ClassVar[str]

    @pytest.fixture(scope="class")
    @classmethod
    def make_database(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Database]]:
        with databases_on(cls.server, tmp_path_factory) as make:
            yield make

    @pytest.fixture
    def database(self, make_database: Callable[[], Database]) -> Database:
        return make_database()

    @pytest.fixture
    def world(self, database: Database) -> Endpoints:
        return self.people(database)

    @pytest.fixture
    def source(self, database: Database, world: Endpoints) -> NodeSource:
        return type(self).make(database)

    @pytest.fixture
    def unreachable(self, database: Database, tmp_path: Path) -> NodeSource:
        if self.server is None:
            return type(self).make(database, url=f"sqlite:///{tmp_path}/none.sqlite")
        url = f"{self.server}://tester@127.0.0.1:{free_port()}/node"
        return type(self).make(database, url=url, socket=None)

    @pytest.fixture
    def denied(self, database: Database) -> NodeSource:
        database.run(f"DROP TABLE {self.table}")
        return type(self).make(database)


class TestAsterisk(OverADatabase):
    """PJSIP realtime, with mailboxes."""

    make, people, table = asterisk_source, Endpoints, "ps_endpoints"


class TestAsteriskOnMariaDb(TestAsterisk):
    """The same, on MariaDB."""

    server = "mariadb"


class TestAsteriskOnPostgresql(TestAsterisk):
    """The same, on PostgreSQL."""

    server = "postgresql"


class TestKamailio(OverADatabase):
    """Subscribers."""

    make, people, table = kamailio_source, Subscribers, "subscriber"


class TestKamailioOnMariaDb(TestKamailio):
    """The same, on MariaDB."""

    server = "mariadb"


class TestKamailioOnPostgresql(TestKamailio):
    """The same, on PostgreSQL."""

    server = "postgresql"
