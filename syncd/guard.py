"""Floor 3: the guards, which judge a whole plan before anything of it is applied."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How much of one kind a single plan may do; the lowest wins, None is no limit.

    ``percent`` is of the accounts that the connection manages (or that are on the platform), never of
    what was just read. ``per_day`` counts what was applied in the last 24 hours as well.
    """

    percent: float | None = None
    count: int | None = None
    per_day: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one connection.

    ``container``: percent of the people of one container (OU, folder) that may go at once. ``shrink``:
    percent that a complete read may be smaller than the median of the last five.
    """

    remove: Limit = Limit(percent=5.0, count=50, per_day=100)
    add: Limit = Limit(percent=30.0)
    update: Limit = Limit(percent=30.0)
    container: float | None = 50.0
    shrink: float | None = 20.0
