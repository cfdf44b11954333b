"""Giving back what a piece of work has needed, so that a service at rest stays small."""

from __future__ import annotations

import ctypes

from ..store.database import Database

_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
"""glibc keeps what was freed between what is still in use; other libraries give it back by themselves."""


def give_back(database: Database) -> None:
    """Empty the caches of a thread's connection, and let the system have what nobody uses."""
    database.conn.execute("PRAGMA shrink_memory")
    if _trim is not None:
        _trim(0)
