"""Opening, checking and copying the one database file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ..errors import StoreError

VERSION = 1
"""How many migrations this version of syncd knows; the file holds its own number in ``user_version``."""

BROKEN = (sqlite3.Error, UnicodeDecodeError)
"""What comes of reading a broken file: the second where SQLite's own message quotes what is in it."""

TABLES = frozenset({"accounts", "connections", "operations", "runs"})
"""Some tables of every database of ours."""

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_CURE = "'syncd db restore BACKUP' puts a backup in its place and keeps this file beside it"

_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA busy_timeout = 60000",  # of threads of one process: no other process may write
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

    Raises StoreError for a file that a newer syncd wrote, that is no database of ours, or that is broken.
    """
    mask = os.umask(0o077)
    try:
        if not path.exists():
            _make(path)
        database = Database(sqlite3.connect(path, isolation_level=None), path)
        with _opening(database):
            version = _version(database)
            for pragma in _PRAGMAS:
                database.conn.execute(pragma)
            if version < VERSION:
                _migrate(database)
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}") from error
    finally:
        os.umask(mask)
    return database


def _make(path: Path) -> None:
    """Make a database without a row. It appears whole: an empty file is never one that was being made."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with closing(sqlite3.connect(fresh, isolation_level=None)) as conn:
        conn.execute("PRAGMA journal_mode = MEMORY")
        conn.execute("PRAGMA synchronous = OFF")
        make_tables(conn)
        # Switched over here: a process that dies while it does that leaves a journal that no reader can undo.
        conn.execute("PRAGMA journal_mode = WAL")
    put_in_place(fresh, path)


def put_in_place(fresh: Path, target: Path) -> None:
    """Make a database that nobody has open take the place of ``target`` at once, and last."""
    with fresh.open("rb") as written:
        os.fsync(written.fileno())
    for suffix in ("-wal", "-shm"):  # of the old one: SQLite would take them for the new one's
        target.with_name(target.name + suffix).unlink(missing_ok=True)
    fresh.replace(target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def open_reading(path: Path) -> Database:
    """Open the database without the right to change it. Raises StoreError as ``open_database`` does."""
    database = open_looking(path)
    with _opening(database):
        _version(database)
    return database


def open_looking(path: Path) -> Database:
    """Open what may be broken, or no database at all, to look at it; nothing is read yet."""
    if not path.exists():
        raise StoreError(f"{path} does not exist yet; the first preview or sync makes it")
    conn = sqlite3.connect(f"file:{_quoted(path)}?mode=ro", uri=True, isolation_level=None)
    conn.execute("PRAGMA busy_timeout = 5000")
    conn.execute("PRAGMA query_only = ON")
    return Database(conn, path)


@contextmanager
def _opening(database: Database) -> Iterator[None]:
    """Close the database again if the block fails, and tell why in words."""
    try:
        yield
    except BaseException as error:
        database.close()
        if isinstance(error, BROKEN):
            raise blamed(database.path, error) from error
        raise


def tables_of(database: Database) -> frozenset[str]:
    """Return the names of the tables that there are."""
    rows = database.conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return frozenset(name for (name,) in rows)


def _version(database: Database) -> int:
    """Return the version of the schema. Raises StoreError if it is a newer one, or none of ours."""
    path, tables = database.path, tables_of(database)
    if not tables >= TABLES:
        what = "is no database of syncd" if tables else "is empty"
        raise StoreError(f"{path} {what}; {_CURE}; to begin with an empty one, move it away")
    version: int = database.conn.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise StoreError(
            f"{path} was written by a newer syncd (schema {version}, this one knows {VERSION}); "
            "install that version, or restore a backup"
        )
    return version


def _quoted(path: Path) -> str:
    from urllib.parse import quote

    return quote(str(path))


def _migrate(database: Database) -> None:
    copy(database, database.path.with_suffix(".before-migration.db"))
    make_tables(database.conn)


def make_tables(conn: sqlite3.Connection) -> None:
    """Bring what a connection is to, an empty database or one of an older version, up to this version."""
    from sqlite_utils import Database as Utils

    from .schema import MIGRATIONS

    MIGRATIONS.apply(Utils(conn))
    conn.execute(f"PRAGMA user_version = {VERSION}")


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
    except BROKEN as error:
        raise uncopied(database, target, error) from error
    finally:
        os.umask(mask)


def uncopied(database: Database, target: Path, error: Exception) -> StoreError:
    """Return what to tell of a copy that could not be made: the database is damaged, or it is the target."""
    if _is_damage(error) or isinstance(error, UnicodeDecodeError):
        return _damaged(database.path, str(error))
    return StoreError(f"{target}: {getattr(error, 'strerror', None) or error}")


def faults_of(database: Database) -> list[str]:
    """Return what SQLite's own integrity check and the foreign keys find wrong; nothing is good."""
    found = []
    try:
        for (fault,) in database.conn.execute("PRAGMA integrity_check"):
            found += [fault] if fault != "ok" else []
        for table, row, parent, _ in database.conn.execute("PRAGMA foreign_key_check"):
            found.append(f"{table} row {row} refers to a missing row of {parent}")
        missing = TABLES - tables_of(database)
        found += [f"there is no table {table}" for table in sorted(missing)]
    except BROKEN as error:
        found.append(str(error))
    return found


def blamed(path: Path, error: Exception) -> Exception:
    """Return what to tell of an error if the database at ``path`` is the cause of it, else the error itself.

    SQLite finds damage only where it looks, and what it did not find may fail anywhere: so the whole file
    is looked at.
    """
    if _is_damage(error):
        return _damaged(path, str(error))
    try:
        with closing(open_looking(path)) as database:
            faults = faults_of(database)
    except (StoreError, sqlite3.Error):
        faults = []
    if faults:
        return _damaged(path, faults[0])
    return StoreError(f"{path}: {error}") if isinstance(error, sqlite3.Error) else error


def _is_damage(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE


def _damaged(path: Path, reason: str) -> StoreError:
    return StoreError(
        f"{path} is damaged: {reason}; 'syncd db verify' tells all that is wrong with it, and {_CURE}"
    )
