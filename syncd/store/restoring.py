"""Copies of the database: made while it is in use, and put in its place again.

At every moment one whole database is there.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

from ..errors import StoreError
from .database import (
    BROKEN,
    TABLES,
    VERSION,
    Database,
    faults_of,
    open_looking,
    put_in_place,
    tables_of,
    uncopied,
)

_GAP = 1_000_000


def back_up(database: Database, target: Path) -> None:
    """Write a whole, compact copy of an open database to ``target``, readable by its owner alone.

    The database may be open for reading only, and another process may be writing to it. ``target``
    appears at once, or not at all. Raises StoreError if it cannot be written.
    """
    partial = target.with_name(f"{target.name}.partial")
    mask = os.umask(0o077)
    try:
        partial.unlink(missing_ok=True)
        # SQLite 3.40 cannot VACUUM INTO what has generated columns over a connection that only reads.
        with closing(sqlite3.connect(partial, isolation_level=None)) as copy:
            database.conn.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
            copy.execute("VACUUM")
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.replace(target)
    except (*BROKEN, OSError) as error:
        partial.unlink(missing_ok=True)
        raise uncopied(database, target, error) from error
    finally:
        os.umask(mask)


def restore(source: Path, target: Path, now: datetime) -> Path | None:
    """Replace the database ``target`` by a copy of ``source``; return where the old one is kept.

    The caller owns the state directory. Raises StoreError, with nothing changed, if ``source`` is no
    database of syncd, is damaged, or was written by a newer version.
    """
    fresh = target.with_name(f"{target.name}.restoring")
    _copy_checked(source, fresh)
    kept = _keep(target, now) if target.exists() else None
    _count_on(fresh, kept)
    _doubt(fresh)
    put_in_place(fresh, target)
    return kept


def _count_on(fresh: Path, kept: Path | None) -> None:
    """Let new numbers begin behind those of the old database: platforms know accounts by them.

    Of an old one that is lost, or cannot be read, nothing is known, so a wide gap is left.
    """
    numbers: dict[str, int] = {}
    if kept is not None:
        with suppress(*BROKEN), closing(open_looking(kept)) as old:
            numbers = dict(old.conn.execute("SELECT name, seq FROM sqlite_sequence"))
    with closing(sqlite3.connect(fresh, isolation_level=None)) as conn:
        for name, own in conn.execute("SELECT name, seq FROM sqlite_sequence").fetchall():
            number = max(own, numbers[name]) if name in numbers else own + _GAP
            conn.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = ?", (number, name))


def _doubt(fresh: Path) -> None:
    """Forget how accounts look on platforms, which may be ahead: whoever is delivered next is told whole."""
    with closing(sqlite3.connect(fresh, isolation_level=None)) as conn:
        conn.execute("UPDATE remotes SET delivered = NULL WHERE delivered IS NOT NULL")


def _copy_checked(source: Path, fresh: Path) -> None:
    if not source.is_file():
        raise StoreError(f"{source}: there is no such file")
    try:
        with closing(open_looking(source)) as database:
            _check(database)
            faults = faults_of(database)
            if faults:
                raise StoreError(f"{source} is damaged: {faults[0]} ({len(faults)} faults in all)")
            back_up(database, fresh)
    except BROKEN as error:
        raise StoreError(f"{source}: {error}; it is no database of syncd, or it is damaged") from error


def _check(database: Database) -> None:
    source = database.path
    if not tables_of(database) >= TABLES:
        raise StoreError(f"{source} is no database of syncd")
    version = database.conn.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise StoreError(
            f"{source} was written by a newer syncd (schema {version}, this one knows {VERSION}); "
            "restore it with that version"
        )


def _keep(target: Path, now: datetime) -> Path:
    """Give the old database a second name; what its write-ahead log holds goes into it, or beside it."""
    kept = target.with_name(f"{target.name}.replaced-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}")
    if kept.exists():
        raise StoreError(f"{kept} exists already; wait a second, or move it away")
    log = target.with_name(target.name + "-wal")
    if not _emptied(target) and log.exists():
        kept.with_name(kept.name + "-wal").hardlink_to(log)
    kept.hardlink_to(target)
    return kept


def _emptied(target: Path) -> bool:
    """Bring the write-ahead log into the database; False if that cannot be done, as it may be damaged."""
    try:
        with closing(sqlite3.connect(target)) as conn:
            busy = conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except BROKEN:
        return False
    return not busy
