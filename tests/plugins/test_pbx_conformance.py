"""The platforms of PBX nodes keep the contract, over each kind of database."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from servers.nodes import Database, asterisk, sqlite_database

from syncd import Platform, Value
from syncd.testing import PlatformConformance
from syncd_pbx.asterisk import AsteriskPlatform


class TestAsterisk(PlatformConformance):
    """PJSIP realtime, with mailboxes."""

    lists = True
    text_field = "set_var"

    @pytest.fixture
    def database(self, tmp_path: Path) -> Database:
        self.world = sqlite_database(tmp_path / "node.sqlite")
        return self.world

    @pytest.fixture
    def platform(self, database: Database) -> AsteriskPlatform:
        return asterisk(database)

    @pytest.fixture
    def unreachable(self, database: Database, tmp_path: Path) -> AsteriskPlatform:
        return asterisk(database, url=f"sqlite:///{tmp_path}/none.sqlite")

    @pytest.fixture
    def denied(self, database: Database) -> AsteriskPlatform:
        database.run("DROP TABLE ps_auths")
        return asterisk(database)

    def stored(self, platform: Platform, remote_id: str) -> Mapping[str, Value] | None:
        endpoint = self.world.one("ps_endpoints", id=remote_id)
        box, _, _ = (endpoint["mailboxes"] or "").partition("@")
        mailbox = self.world.one("voicemail", mailbox=box)
        return {
            "extension": endpoint["id"],
            "name": endpoint["callerid"].partition('"')[2].partition('"')[0],
            "password": self.world.one("ps_auths", id=endpoint["auth"])["password"],
            "mailbox": box,
            "pin": mailbox["password"],
            "email": mailbox["email"],
            "accountcode": endpoint["accountcode"] or "",
            "set_var": endpoint["set_var"] or "",
        }
