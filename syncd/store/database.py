"""Opening, checking and copying the one database file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import StoreError

VERSION = 1
"""How many migrations this version of syncd knows; the file holds its own number in ``user_version``."""

_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA busy_timeout = 5000",
    "PRAGMA cache_size = -4000",
    "PRAGMA wal_autocheckpoint = 8000",
)

OPEN = "state IN ('detained','failed','waiting')"
"""Finds operations by the index of those that wait for somebody; another wording reads the whole journal."""


class Database:
    """One connection to the database: the writing one, or a read-only one.

    The writer must own the state directory's lock. Every write happens inside ``transaction``.
    """

    def __init__(self, conn: sqlite3.Connection, path: Path) -> None:
        self.conn = conn
        self.path = path

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit what the block did, or nothing of it. Raises StoreError when the disk refuses."""
        try:
            self.conn.execute("BEGIN IMMEDIATE")
            yield self.conn
            self.conn.execute("COMMIT")
        except sqlite3.OperationalError as error:
            self._roll_back()
            raise StoreError(f"{self.path}: {error}; nothing of this step was kept") from error
        except BaseException:
            self._roll_back()
            raise

    @contextmanager
    def hurried(self) -> Iterator[None]:
        """Let the transactions of the block be durable together, with the first one that follows it.

        A power cut may take the last of them back, whole and in order; never a part of one.
        """
        self.conn.execute("PRAGMA synchronous = NORMAL")
        try:
            yield
        finally:
            self.conn.execute("PRAGMA synchronous = FULL")

    def _roll_back(self) -> None:
        if self.conn.in_transaction:
            self.conn.execute("ROLLBACK")

    def close(self) -> None:
        """Close the file; harmless when repeated."""
        self.conn.close()


def open_database(path: Path) -> Database:
    """Open the database for writing, made or migrated if need be.

    Raises StoreError for a file that a newer syncd wrote, or that is no database of ours.
    """
    made = not path.exists()
    mask = os.umask(0o077)
    try:
        conn = sqlite3.connect(path, isolation_level=None)
        database = Database(conn, path)
        for pragma in _PRAGMAS:
            conn.execute(pragma)
        version = conn.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise StoreError(
                f"{path} was written by a newer syncd (schema {version}, this one knows {VERSION}); "
                "install that version, or restore a backup"
            )
        if version < VERSION:
            _migrate(database, backup=not made)
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}") from error
    finally:
        os.umask(mask)
    return database


def open_reading(path: Path) -> Database:
    """Open the database without the right to change it. Raises StoreError if there is none."""
    if not path.exists():
        raise StoreError(f"{path} does not exist yet; the first preview or sync makes it")
    conn = sqlite3.connect(f"file:{_quoted(path)}?mode=ro", uri=True, isolation_level=None)
    conn.execute("PRAGMA busy_timeout = 5000")
    conn.execute("PRAGMA query_only = ON")
    return Database(conn, path)


def _quoted(path: Path) -> str:
    from urllib.parse import quote

    return quote(str(path))


def _migrate(database: Database, *, backup: bool) -> None:
    from sqlite_utils import Database as Utils

    from .schema import MIGRATIONS

    if backup and database.conn.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]:
        copy(database, database.path.with_suffix(".before-migration.db"))
    utils = Utils(database.conn)
    MIGRATIONS.apply(utils)
    database.conn.execute(f"PRAGMA user_version = {VERSION}")


def copy(database: Database, target: Path) -> None:
    """Write a whole, compact copy of the database to ``target``, readable by its owner alone."""
    mask = os.umask(0o077)
    partial = target.with_name(target.name + ".partial")
    try:
        partial.unlink(missing_ok=True)
        database.conn.execute("VACUUM INTO ?", (str(partial),))
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.replace(target)
    except sqlite3.Error as error:
        raise StoreError(f"{target}: {error}") from error
    finally:
        os.umask(mask)


def faults_of(database: Database) -> list[str]:
    """Return what SQLite's own integrity check and the foreign keys find wrong; nothing is good."""
    found = [row[0] for row in database.conn.execute("PRAGMA integrity_check") if row[0] != "ok"]
    broken = database.conn.execute("PRAGMA foreign_key_check")
    found += [f"{row[0]} row {row[1]} refers to a missing row of {row[2]}" for row in broken]
    return found
