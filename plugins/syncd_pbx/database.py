"""The database of a node: its engine, the shape of its tables, and its errors in words."""

from __future__ import annotations

import sqlite3
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy
from sqlalchemy import Connection, Engine, MetaData, Table, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from syncd import ConnectorError, Denied, Rejected, Unavailable

from .options import DRIVERS, DatabaseOptions
from .rows import Lookup

_REFUSALS = (
    *("access denied", "command denied", "authentication failed", "permission denied", "no pg_hba.conf"),
    *("readonly database", "does not exist", "unknown database", "no such table", "not a database"),
    "certificate verify failed",
)
"""What the drivers say when only a person can help; they have no common codes (SQLite has none at all)."""
_OF_ONE_ROW = frozenset({1364, 1366, 1644, 3819, 4025, "P0001"})
"""Codes of MariaDB, MySQL and PostgreSQL for a row that a check, a trigger or a column without a default refuses."""


def engine_of(options: DatabaseOptions, password: str | None, *, reading: bool = False) -> Engine:
    """Return an engine that holds one connection, tries it before use, and tells no values in its errors.

    One for ``reading`` sees one state of the database within a transaction, keeps no writer out, and cannot write.
    """
    url = make_url(options.url)
    common: dict[str, Any] = {
        "poolclass": QueuePool,
        "pool_size": 1,
        "pool_pre_ping": True,
        "hide_parameters": True,
        "paramstyle": "qmark" if url.drivername == "sqlite" else "format",
    }
    if url.drivername == "sqlite":
        engine = sqlalchemy.create_engine(
            "sqlite://",
            creator=lambda: _sqlite(str(url.database), options.timeout, reading=reading),
            **common,
        )
        # The driver would begin a transaction late, and end it before a savepoint.
        begin = "BEGIN" if reading else "BEGIN IMMEDIATE"
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
        return engine
    if reading:
        common["isolation_level"] = "REPEATABLE READ"
    url = url.set(drivername=DRIVERS[url.drivername], password=password)
    arguments = _arguments(options, url.drivername, reading=reading)
    return sqlalchemy.create_engine(url, connect_args=arguments, **common)


def _sqlite(path: str, timeout: int, *, reading: bool) -> sqlite3.Connection:
    """Open a file that is there; SQLite by itself would make a new one."""
    connection = sqlite3.connect(
        f"file:{quote(path)}?mode={'ro' if reading else 'rw'}",
        uri=True,
        timeout=timeout,
        isolation_level=None,
        check_same_thread=False,
    )
    if reading:  # one text that is not UTF-8 would make all others unreadable
        connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
    return connection


def _arguments(options: DatabaseOptions, driver: str, *, reading: bool) -> dict[str, Any]:
    if driver.startswith("postgresql"):
        postgres: dict[str, Any] = {"connect_timeout": options.timeout}
        postgres["options"] = f"-c lock_timeout={options.timeout}s"
        if reading:
            postgres["options"] += " -c default_transaction_read_only=on"
        if options.socket is not None:
            postgres["host"] = options.socket
        if options.verifies:
            postgres |= {"sslmode": "verify-full", "sslrootcert": options.ca_file or "system"}
        return postgres
    found: dict[str, Any] = {"connect_timeout": options.timeout, "charset": "utf8mb4"}
    found |= {"read_timeout": options.timeout, "write_timeout": options.timeout}
    # Without it, MariaDB may cut a text that is too long, and say nothing.
    found["sql_mode"] = "STRICT_ALL_TABLES"
    if reading:
        found["init_command"] = "SET SESSION TRANSACTION READ ONLY"
    if options.socket is not None:
        found["unix_socket"] = options.socket
    if options.verifies:
        found["ssl"] = ssl.create_default_context(cafile=options.ca_file)
    return found


def tables_of(
    connection: Connection, lookups: Mapping[str, Lookup]
) -> tuple[dict[str, Table], dict[str, Lookup]]:
    """Return the tables by name, as they really are, and those of the lookups that can be done on them.

    Raises Denied where a table or a column is missing that is not optional.
    """
    there = set(sqlalchemy.inspect(connection).get_table_names())
    metadata = MetaData()
    wanted = {one.table for one in lookups.values()}
    if lacking := sorted({one.table for one in lookups.values() if not one.optional} - there):
        raise Denied(
            f"the database has no table {', '.join(lacking)}; is url the database of this node, and do all "
            "options mean tables of it?"
        )
    metadata.reflect(connection, only=sorted(wanted & there), resolve_fks=False)
    found = {}
    for name, one in lookups.items():
        absent = one.needed
        if one.table in there:
            absent = one.needed - set(metadata.tables[one.table].columns.keys())
        if absent and not one.optional:
            raise Denied(
                f"the table {one.table} has no column {', '.join(sorted(absent))}; "
                "add it, or leave it out of the options"
            )
        if not absent:
            found[name] = one
    return dict(metadata.tables), found


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn what SQLAlchemy and the drivers raise into the errors of syncd; no value and no SQL gets out."""
    try:
        yield
    except DBAPIError as error:
        raise error_of(error, where) from None
    except SQLAlchemyError as error:
        raise Unavailable(f"{where}: {type(error).__name__}; see whether the database works") from error


def error_of(error: DBAPIError, where: str) -> ConnectorError:
    """Return the error of syncd for one of a driver."""
    # A second line may hold the whole row, with its secrets.
    text = str(error.orig).partition("\n")[0]
    codes = {getattr(error.orig, "sqlstate", None), *(error.orig.args[:1] if error.orig else ())}
    if isinstance(error, IntegrityError | DataError) or codes & _OF_ONE_ROW:
        return Rejected(f"{where}: {text}")
    if isinstance(error, ProgrammingError) or any(refusal in text.lower() for refusal in _REFUSALS):
        return Denied(f"{where}: {text}")
    return Unavailable(f"{where}: {text}")


def place(options: DatabaseOptions) -> str:
    """Return the database as messages name it."""
    url = make_url(options.url)
    if url.drivername == "sqlite":
        return f"SQLite file {Path(str(url.database))}"
    return f"{url.drivername} database {url.database} at {options.socket or url.host or 'localhost'}"
