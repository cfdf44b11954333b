"""The slots of a schedule: the instants at which it is due.

A local time that the clocks leave out is due at the first instant after the gap; one that they show twice,
at its first occurrence. An interval is counted from 1970-01-01 in UTC, or from the midnight with which
``starting`` begins: so it stays where it is, whenever a process starts.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from hashlib import blake2b
from typing import NamedTuple
from zoneinfo import ZoneInfo

from .grammar import Schedule

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONDAY = date(1970, 1, 5)
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


class Slot(NamedTuple):
    """One time at which a schedule is due: the instant, in UTC, and the local time with its offset."""

    at: datetime
    text: str


def slot_at(at: datetime, zone: ZoneInfo) -> Slot:
    """Return the slot of an instant."""
    return Slot(at, at.astimezone(zone).isoformat(timespec="minutes"))


def slots(schedule: Schedule, zone: ZoneInfo, after: datetime) -> Iterator[Slot]:
    """Yield the slots later than ``after``, in their order, to the end of the calendar."""
    if schedule.kind == "off":
        return
    instants = _intervals if schedule.every is not None else _days
    try:
        for at in instants(schedule, zone, after):
            if at > after:  # two days may share an instant: a zone that changed sides left a whole day out
                yield slot_at(at, zone)
                after = at
    except OverflowError:  # the calendar ends with the year 9999
        return


def latest(schedule: Schedule, zone: ZoneInfo, now: datetime) -> Slot | None:
    """Return the newest slot that is not later than ``now``."""
    if schedule.kind == "off":
        return None
    if schedule.every is not None:
        anchor = _anchor(schedule, zone)
        at = anchor + (now - anchor) // schedule.every * schedule.every
        return slot_at(at, zone) if at >= anchor or schedule.starting is None else None
    day = _on_or_before(schedule, now.astimezone(zone).date() + _DAY)
    while day is not None:
        at = _instant(schedule, day, zone)
        if at <= now:
            return slot_at(at, zone)
        day = _on_or_before(schedule, day - _DAY)
    return None


def begins(slot: Slot, jitter: timedelta, name: str) -> datetime:
    """Return when a slot of the source ``name`` begins: up to ``jitter`` later, always by the same delay."""
    if not jitter:
        return slot.at
    digest = blake2b(f"{name} {slot.at.isoformat()}".encode(), digest_size=8).digest()
    return slot.at + int.from_bytes(digest, "big") % (jitter // _SECOND + 1) * _SECOND


def begun(schedule: Schedule, zone: ZoneInfo, now: datetime, jitter: timedelta, name: str) -> Slot | None:
    """Return the newest slot that has begun; ``jitter`` is shorter than the time between two."""
    slot = latest(schedule, zone, now)
    if slot is not None and begins(slot, jitter, name) > now:
        return latest(schedule, zone, slot.at - _SECOND)
    return slot


def _anchor(schedule: Schedule, zone: ZoneInfo) -> datetime:
    return _EPOCH if schedule.starting is None else _first(schedule.starting, time(0), zone)


def _intervals(schedule: Schedule, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    every, anchor = schedule.every or _DAY, _anchor(schedule, zone)
    passed = (after - anchor) // every + 1
    at = anchor + (passed if schedule.starting is None else max(0, passed)) * every
    while True:
        yield at
        at += every


def _days(schedule: Schedule, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    day = _after(schedule, after.astimezone(zone).date() - 2 * _DAY)
    while day is not None:
        yield _instant(schedule, day, zone)
        day = _after(schedule, day)


def _instant(schedule: Schedule, day: date, zone: ZoneInfo) -> datetime:
    return _first(day, schedule.at or time(0), zone)


def _first(day: date, clock: time, zone: ZoneInfo) -> datetime:
    """Return the first instant at which the clocks of ``zone`` show that time, or are past it."""
    local = datetime.combine(day, clock, zone)
    try:
        instant = local.astimezone(UTC)
        if instant.astimezone(zone) == local:
            return instant
    except OverflowError:  # at the ends of the calendar
        return local.replace(tzinfo=UTC)
    # In a gap: somewhere between these two the offset changes, and that is when the clocks are moved.
    later = local.replace(fold=1)
    low, high, offset = later.astimezone(UTC), instant, local.utcoffset()
    while high - low > _SECOND:
        middle = low + (high - low) // 2 // _SECOND * _SECOND
        low, high = (middle, high) if middle.astimezone(zone).utcoffset() == offset else (low, middle)
    return high


def _on_or_before(schedule: Schedule, day: date) -> date | None:
    """Return the last day up to ``day`` that the schedule names."""
    found: date | None
    if schedule.on is not None:
        found = schedule.on if schedule.on <= day else None
    elif schedule.day is not None:
        found = _in_month(day, schedule.day)
        if found > day:
            found = _in_month(day.replace(day=1) - _DAY, schedule.day)
    else:
        step, anchor = _steps(schedule)
        found = day - _DAY * ((day - anchor).days % step)
    return None if found is None or found < (schedule.starting or date.min) else found


def _after(schedule: Schedule, day: date) -> date | None:
    """Return the first day after ``day`` that the schedule names."""
    if schedule.starting is not None:
        day = max(day, schedule.starting - _DAY)
    if schedule.on is not None:
        return schedule.on if schedule.on > day else None
    if schedule.day is not None:
        found = _in_month(day, schedule.day)
        return found if found > day else _in_month(day.replace(day=28) + 4 * _DAY, schedule.day)
    step, anchor = _steps(schedule)
    return day + _DAY * (step - (day - anchor).days % step)


def _steps(schedule: Schedule) -> tuple[int, date]:
    """Return every how many days, and one of these days."""
    if schedule.weekday is not None:
        return 7, _MONDAY + _DAY * schedule.weekday
    return schedule.days or 1, schedule.starting or _EPOCH.date()


def _in_month(month: date, day: int) -> date:
    """Return that day of the month in which ``month`` lies, or its last one."""
    return month.replace(day=min(day, monthrange(month.year, month.month)[1]))
