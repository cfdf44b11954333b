"""The due rows of one platform, in the order in which they are to be delivered."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import datetime

from ..store import remotes
from ..store.database import Database
from ..store.remotes import Due

_PAGE = 200


class Scan:
    """Gives every due row once, by revision, those that failed too often last; ``again`` puts accounts first."""

    def __init__(self, database: Database, platform: str) -> None:
        self._database = database
        self._platform = platform
        self._rows: deque[Due] = deque()
        self._again: dict[int, None] = {}
        self._after = (0, 0, 0)
        self._over = False

    def again(self, accounts: Iterable[int]) -> None:
        """Let these accounts come next, as they are by then."""
        self._again.update(dict.fromkeys(accounts))

    def back(self, row: Due) -> None:
        """Take back a row that was given too early."""
        self._rows.appendleft(row)

    def row(self, now: datetime) -> Due | None:
        """Return the next row, or None if there is none."""
        if self._again:
            rows = remotes.due_of(self._database, self._platform, now, self._again)
            self._again.clear()
            self._rows.extendleft(reversed(rows))
        while not self._rows and not self._over:
            self._read(now)
        return self._rows.popleft() if self._rows else None

    def _read(self, now: datetime) -> None:
        self._rows.extend(remotes.due(self._database, self._platform, now, self._after, _PAGE))
        if self._rows:
            last = self._rows[-1]
            self._after = (self._after[0], last.wanted, last.account)
        elif self._after[0] == 0:
            self._after = (1, 0, 0)
        else:
            self._over = True
