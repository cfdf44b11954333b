"""What one source is due for: its two schedules, and what goes for both."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal, NamedTuple, TypeAlias

from .grammar import Schedule

Mode: TypeAlias = Literal["full", "incremental"]
CatchUp: TypeAlias = Literal["once", "skip"]

MODES: tuple[Mode, ...] = ("full", "incremental")
"""A full read comes first: what an incremental one would find, it finds as well."""

OFF = Schedule(kind="off")

_DAY = timedelta(days=1)


class Timetable(NamedTuple):
    """When a source is read by itself.

    A slot begins up to ``jitter`` late, each by its own delay. ``catch_up``: of the slots that were missed
    while nothing ran, the newest is made up for ("once"), or none is ("skip").
    """

    full: Schedule = OFF
    incremental: Schedule = OFF
    jitter: timedelta = timedelta(0)
    catch_up: CatchUp = "once"

    def of(self, mode: Mode) -> Schedule:
        """Return the schedule of full reads, or that of incremental ones."""
        return self.full if mode == "full" else self.incremental


def shortest(schedule: Schedule) -> timedelta | None:
    """Return the time between two slots, as clocks show it, where it is shortest; None if there is at most one."""
    if schedule.kind in ("off", "once"):
        return None
    return schedule.every or _DAY * {"every-n-days": schedule.days or 1, "weekly": 7, "monthly": 28}.get(
        schedule.kind, 1
    )


def longest(schedule: Schedule) -> timedelta | None:
    """Return the time between two slots, as clocks show it, where it is longest; None if there is at most one."""
    return _DAY * 31 if schedule.kind == "monthly" else shortest(schedule)
