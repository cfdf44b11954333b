"""Databases of PBX nodes for tests: the tables as Asterisk and Kamailio make them, in SQLite by default."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import sqlalchemy
from sqlalchemy import Column, Engine, Enum, Integer, MetaData, String, Table, UniqueConstraint, create_engine
from sqlalchemy.pool import NullPool

from syncd import Account, Context, Platform, Value
from syncd.testing import RecordingLog
from syncd_pbx.asterisk import AsteriskPlatform
from syncd_pbx.asterisksource import AsteriskSource
from syncd_pbx.kamailio import KamailioPlatform
from syncd_pbx.kamailiosource import KamailioSource

METADATA = MetaData()
YES_NO = Enum("yes", "no", name="yes_no")
Table(
    "ps_endpoints",
    METADATA,
    Column("id", String(40), primary_key=True),
    Column("transport", String(40)),
    Column("aors", String(200)),
    Column("auth", String(40)),
    Column("context", String(40)),
    Column("disallow", String(200)),
    Column("allow", String(200)),
    Column("direct_media", YES_NO),
    Column("mailboxes", String(40)),
    Column("device_state_busy_at", Integer),
    Column("callerid", String(40)),
    Column("accountcode", String(80)),
    Column("set_var", String(8192)),
)
Table(
    "ps_auths",
    METADATA,
    Column("id", String(40), primary_key=True),
    Column("auth_type", Enum("md5", "userpass", name="auth_type")),
    Column("md5_cred", String(40)),
    Column("password", String(80)),
    Column("realm", String(40)),
    Column("username", String(40)),
)
Table(
    "ps_aors",
    METADATA,
    Column("id", String(40), primary_key=True),
    Column("max_contacts", Integer),
    Column("remove_existing", YES_NO),
    Column("mailboxes", String(80)),
)
Table(
    "voicemail",
    METADATA,
    Column("uniqueid", Integer, primary_key=True),
    Column("context", String(80), nullable=False),
    Column("mailbox", String(80), nullable=False),
    Column("password", String(80), nullable=False),
    Column("fullname", String(80)),
    Column("email", String(80)),
)
Table(
    "queue_members",
    METADATA,
    Column("queue_name", String(80), primary_key=True),
    Column("interface", String(80), primary_key=True),
    Column("uniqueid", String(80), nullable=False),
)
Table(
    "followme",
    METADATA,
    Column("name", String(80), primary_key=True),
    Column("musicclass", String(80)),
    Column("context", String(80)),
)
Table(
    "followme_numbers",
    METADATA,
    Column("name", String(80), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("phonenumber", String(80), nullable=False),
    Column("timeout", Integer),
)
Table(
    "dynamic_status",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("title", String(80)),
    Column("make_call_from", Integer),
)
Table(
    "ps_contacts",
    METADATA,
    Column("id", String(255), primary_key=True),
    Column("endpoint", String(40)),
)
Table(
    "subscriber",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("username", String(64), nullable=False, server_default=""),
    Column("domain", String(64), nullable=False, server_default=""),
    Column("password", String(64), nullable=False, server_default=""),
    Column("ha1", String(128), nullable=False, server_default=""),
    Column("ha1b", String(128), nullable=False, server_default=""),
    Column("email_address", String(128), nullable=False, server_default=""),
    UniqueConstraint("username", "domain"),
)


class Database:
    """One database with the tables of nodes, all empty; ``url`` and ``options`` are what a platform is told of it."""

    def __init__(self, url: str, engine: Engine, **options: Any) -> None:
        self.url = url
        self.engine = engine
        self.options = options
        METADATA.create_all(engine)
        with engine.begin() as connection:
            for table in METADATA.tables.values():
                connection.execute(table.delete())

    def rows(self, table: str, **key: Any) -> list[dict[str, Any]]:
        """Return the rows of a table, those with this key."""
        columns = METADATA.tables[table].columns
        query = sqlalchemy.select(*columns).where(*(columns[name] == key[name] for name in key))
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def one(self, table: str, **key: Any) -> dict[str, Any]:
        """Return the row with this key, of which there has to be one."""
        (row,) = self.rows(table, **key)
        return row

    def insert(self, table: str, **values: Any) -> None:
        """Put a row into a table."""
        with self.engine.begin() as connection:
            connection.execute(METADATA.tables[table].insert().values(values))

    def run(self, statement: str) -> None:
        """Execute one statement."""
        with self.engine.begin() as connection:
            connection.exec_driver_sql(statement)

    def everything(self) -> dict[str, list[dict[str, Any]]]:
        """Return all rows of all tables."""
        return {table: self.rows(table) for table in METADATA.tables}


def sqlite_database(path: Path) -> Database:
    """Return a new database in a file."""
    return Database(f"sqlite:///{path}", create_engine(f"sqlite:///{path}", poolclass=NullPool))


def asterisk(database: Database, **options: Any) -> AsteriskPlatform:
    """Return a platform with mailboxes, an account code and a call group from the account."""
    told = {"voicemail": "default", "columns": {"accountcode": "department", "set_var": "description"}}
    told |= {"endpoint": {"context": "internal", "disallow": "all", "allow": "opus,alaw"}}
    settings = AsteriskPlatform.Options(**{"url": database.url, **database.options, **told, **options})
    return AsteriskPlatform(settings, Context("north", RecordingLog(), lambda _: "geheim"))


def kamailio(database: Database, **options: Any) -> KamailioPlatform:
    """Return a platform of the domain sip.test, with an address from the account."""
    told = {"domain": "sip.test", "columns": {"email_address": "email"}}
    settings = KamailioPlatform.Options(**{"url": database.url, **database.options, **told, **options})
    return KamailioPlatform(settings, Context("south", RecordingLog(), lambda _: "geheim"))


def asterisk_source(
    database: Database, *selected: str, context: Context | None = None, **options: Any
) -> AsteriskSource:
    """Return a source whose mapping uses the ``selected`` attributes, or the usual ones."""
    settings = AsteriskSource.Options(**{"url": database.url, **database.options, **options})
    source = AsteriskSource(settings, context or Context("north", RecordingLog(), lambda _: "geheim"))
    source.select(selected or ("extension", "softphone_extension", "name", "mailbox", "email"))
    return source


def kamailio_source(
    database: Database, *selected: str, context: Context | None = None, **options: Any
) -> KamailioSource:
    """Return a source of the domain sip.test whose mapping uses the ``selected`` attributes, or the usual ones."""
    told = {"url": database.url, "domain": "sip.test", **database.options, **options}
    settings = KamailioSource.Options(**told)
    source = KamailioSource(settings, context or Context("south", RecordingLog(), lambda _: "geheim"))
    source.select(selected or ("extension", "email_address"))
    return source


class Meanwhile(Event):
    """Something that happens between two batches of rows, where the source asks whether to stop."""

    def __init__(self, happens: Callable[[], object]) -> None:
        super().__init__()
        self.happens = happens

    def is_set(self) -> bool:
        happens, self.happens = self.happens, lambda: None
        happens()
        return False


def account(number: int = 100, *, enabled: bool = True, **fields: Value) -> Account:
    """Return an account whose extension is the number, with further fields."""
    usual = {"extension": str(number), "name": f"Person {number}", "password": f"geheim-{number}"}
    return Account(f"a{number}", "user", enabled, {**usual, **fields})


def opened(platform: Platform) -> Platform:
    """Return the platform, connected."""
    platform.open()
    return platform
