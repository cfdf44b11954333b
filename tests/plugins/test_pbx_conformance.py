"""The platforms of PBX nodes keep the contract, over each kind of database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import pytest
from servers.databases import databases_on
from servers.nodes import Database, asterisk, kamailio
from servers.slapd import free_port

from syncd import Platform, Value
from syncd.testing import PlatformConformance
from syncd_pbx.asterisk import AsteriskPlatform
from syncd_pbx.kamailio import KamailioPlatform


class OverADatabase(PlatformConformance):
    """One server for all tests of a class; its tables are empty for each."""

    lists = True
    server: ClassVar[str | None] = None
    """The scheme of a real server; without one, it is a file."""

    @pytest.fixture(scope="class")
    @classmethod
    def make_database(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Database]]:
        with databases_on(cls.server, tmp_path_factory) as make:
            yield make

    @pytest.fixture
    def database(self, make_database: Callable[[], Database]) -> Database:
        self.world = make_database()
        return self.world


class TestAsterisk(OverADatabase):
    """PJSIP realtime, with mailboxes and soft phones."""

    text_field = "set_var"

    @pytest.fixture
    def platform(self, database: Database) -> AsteriskPlatform:
        return asterisk(database, softphone={})

    def values(self, platform: Platform, number: int) -> dict[str, Value]:
        return {**super().values(platform, number), "softphone": str(5000 + number)}

    @pytest.fixture
    def unreachable(self, database: Database, tmp_path: Path) -> AsteriskPlatform:
        if self.server is None:
            return asterisk(database, url=f"sqlite:///{tmp_path}/none.sqlite")
        return asterisk(database, url=f"{self.server}://tester@127.0.0.1:{free_port()}/node", socket=None)

    @pytest.fixture
    def denied(self, database: Database) -> AsteriskPlatform:
        database.run("DROP TABLE ps_auths")
        return asterisk(database)

    def stored(self, platform: Platform, remote_id: str) -> Mapping[str, Value] | None:
        endpoint = self.world.one("ps_endpoints", id=remote_id)
        box, _, _ = (endpoint["mailboxes"] or "").partition("@")
        mailbox = self.world.one("voicemail", mailbox=box)
        login = self.world.one("ps_auths", id=f"{remote_id}-soft")
        return {
            "softphone": self.world.one("ps_endpoints", auth=login["id"])["id"],
            "softphone_password": login["password"],
            "extension": endpoint["id"],
            "name": endpoint["callerid"].partition('"')[2].partition('"')[0],
            "password": self.world.one("ps_auths", id=endpoint["auth"])["password"],
            "mailbox": box,
            "pin": mailbox["password"],
            "email": mailbox["email"],
            "accountcode": endpoint["accountcode"] or "",
            "set_var": endpoint["set_var"] or "",
        }


class TestAsteriskOnMariaDb(TestAsterisk):
    """The same, on MariaDB."""

    server = "mariadb"


class TestAsteriskOnPostgresql(TestAsterisk):
    """The same, on PostgreSQL."""

    server = "postgresql"


class TestKamailio(OverADatabase):
    """Subscribers."""

    @pytest.fixture
    def platform(self, database: Database) -> KamailioPlatform:
        return kamailio(database)


class TestKamailioOnMariaDb(TestKamailio):
    """The same, on MariaDB."""

    server = "mariadb"


class TestKamailioOnPostgresql(TestKamailio):
    """The same, on PostgreSQL."""

    server = "postgresql"
