"""What people were told of, so that a restart neither tells it again nor forgets that it is over."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from .database import Database

Key = tuple[str, str]
"""The kind of a trouble, and what it is about."""


class Notice(NamedTuple):
    """One trouble that lasts: since when, when it was told last, and the fields that name what it is about."""

    since: str
    told_at: str
    about: Mapping[str, Any]


def load(database: Database) -> dict[Key, Notice]:
    """Return what was told and is not over."""
    rows = database.conn.execute("SELECT kind, subject, since, told_at, about FROM notices")
    return {
        (kind, subject): Notice(since, told_at, json.loads(about))
        for kind, subject, since, told_at, about in rows
    }


def save(database: Database, told: Mapping[Key, Notice], over: Iterable[Key]) -> None:
    """Write down what was told, and what is over, in one transaction."""
    with database.transaction() as conn:
        conn.executemany("DELETE FROM notices WHERE kind = ? AND subject = ?", over)
        conn.executemany(
            "INSERT INTO notices (kind, subject, since, told_at, about) VALUES (?,?,?,?,?)"
            " ON CONFLICT (kind, subject) DO UPDATE SET told_at = excluded.told_at",
            [(*key, one.since, one.told_at, json.dumps(one.about)) for key, one in told.items()],
        )
