"""What a connection may do, and what becomes of people who left."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple


class Leavers(NamedTuple):
    """What becomes of people who left, by the way they left: ``disable``, ``delete`` or ``keep``.

    ``disabled``: the source disabled them. ``removed``: the source proved them gone. ``missing``: absent
    from ``reads`` complete reads in a row, and for as long as ``after``. ``delete_after``: how long a
    disabled leaver stays before the account is deleted; None is for ever.
    """

    disabled: str = "disable"
    removed: str = "disable"
    missing: str = "disable"
    reads: int = 2
    after: timedelta = timedelta(hours=24)
    delete_after: timedelta | None = None


class Terms(NamedTuple):
    """What a connection may do with accounts, and who has to agree.

    ``operations``: ``add``, ``update``, ``remove``. ``detain``: ``never``, ``first-run`` or ``always``.
    ``adopt``: an account found by a key becomes this connection's own. ``owns`` False: the connection
    enriches accounts and never makes or removes one. ``kind``: what it makes, ``user`` or ``contact``.
    """

    operations: frozenset[str] = frozenset({"add", "update", "remove"})
    detain: str = "first-run"
    adopt: bool = False
    owns: bool = True
    kind: str = "user"
    leavers: Leavers = Leavers()
