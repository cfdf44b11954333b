"""When something is due by itself, as it is written in the configuration.

    every 15m                              every 2h
    daily at 02:30                         every 2 days at 2:30 PM
    monday at 02:30                        monthly on 31 at 02:30
    once 2026-12-01 at 02:30               off

``starting 2026-12-01`` may follow all but the last two. Times of day are local to the configured time
zone, on 24 hours or with AM and PM. Case and extra spaces do not matter.
"""

from __future__ import annotations

import re
from datetime import date, time, timedelta
from typing import Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal["off", "every", "daily", "every-n-days", "weekly", "monthly", "once"]

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
"""In the order of ``date.weekday()``."""

_LONGEST_INTERVAL = timedelta(days=7)
_FORMS = (
    '"every 15m", "daily at 02:30", "every 2 days at 02:30", "monday at 02:30", "monthly on 31 at 02:30", '
    '"once 2026-12-01 at 02:30" or "off"'
)


class Schedule(NamedTuple):
    """A schedule as a value; its text is what ``parse`` reads, in one spelling for each meaning.

    ``every`` belongs to the kind *every*. ``at`` is the local time of day of all kinds but *off* and
    *every*. ``days`` belongs to *every-n-days* (2 or more), ``weekday`` (0 is Monday) to *weekly*, ``day``
    (1 to 31; a shorter month has it on its last day) to *monthly*, ``on`` to *once*. Nothing is due
    before the day ``starting``, from which *every-n-days* counts.
    """

    kind: Kind
    every: timedelta | None = None
    at: time | None = None
    days: int | None = None
    weekday: int | None = None
    day: int | None = None
    on: date | None = None
    starting: date | None = None

    def __str__(self) -> str:
        text = self.kind.replace("every-n-days", f"every {self.days} days")
        if self.every is not None:
            minutes = self.every // timedelta(minutes=1)
            text = f"every {minutes // 60}h" if minutes % 60 == 0 else f"every {minutes}m"
        if self.weekday is not None:
            text = WEEKDAYS[self.weekday]
        if self.day is not None:
            text += f" on {self.day}"
        if self.on is not None:
            text += f" {self.on}"
        if self.at is not None:
            text += f" at {self.at:%H:%M}"
        return text if self.starting is None else f"{text} starting {self.starting}"


def parse(text: str) -> Schedule:
    """Read a schedule. Raises ValueError that says what is wrong with it and what would be right."""
    words, follows, start = " ".join(text.lower().split()).partition(" starting ")
    schedule = _recurrence(words, text)
    if not follows:
        return schedule
    if schedule.kind in {"off", "once"}:
        raise ValueError(f'"starting" cannot follow "{schedule.kind}"')
    return schedule._replace(starting=_date(start))


def _recurrence(words: str, text: str) -> Schedule:
    """Read what stands before ``starting``; ``text`` is the whole, for the message."""
    if words == "off":
        return Schedule(kind="off")
    interval = re.fullmatch(r"every ([0-9]{1,5}) ?(m|min|minutes?|h|hours?)", words)
    if interval is not None:
        return Schedule(kind="every", every=_interval(int(interval[1]), interval[2][0]))
    day, separator, clock = words.partition(" at ")
    if day == "daily":
        schedule = Schedule(kind="daily")
    elif day in WEEKDAYS:
        schedule = Schedule(kind="weekly", weekday=WEEKDAYS.index(day))
    elif match := re.fullmatch(r"every ([0-9]{1,3}) days?", day):
        schedule = _every_days(int(match[1]))
    elif match := re.fullmatch(r"monthly on ([0-9]{1,2})", day):
        schedule = Schedule(kind="monthly", day=_day_of_month(int(match[1])))
    elif match := re.fullmatch(r"once (\S+)", day):
        schedule = Schedule(kind="once", on=_date(match[1]))
    else:
        raise ValueError(f"{text!r} is no schedule; write {_FORMS}")
    if not separator:
        raise ValueError(f'{text!r} has no time of day; write "{day} at 02:30"')
    return schedule._replace(at=_time(clock))


def _interval(number: int, unit: str) -> timedelta:
    every = timedelta(hours=number) if unit == "h" else timedelta(minutes=number)
    if not timedelta(minutes=1) <= every <= _LONGEST_INTERVAL:
        raise ValueError('an interval is from 1m to 168h long; for days write "every 8 days at 02:30"')
    return every


def _every_days(number: int) -> Schedule:
    if number == 0:
        raise ValueError('"every 0 days" is never; write "off", or a number from 1 to 999')
    return Schedule(kind="daily") if number == 1 else Schedule(kind="every-n-days", days=number)


def _day_of_month(number: int) -> int:
    if not 1 <= number <= 31:
        raise ValueError(f"there is no day {number} in a month; write a number from 1 to 31")
    return number


def _date(text: str) -> date:
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"there is no day {text} in the calendar") from None
    raise ValueError(f'{text!r} is no date; write it as "2026-12-01"')


def _time(text: str) -> time:
    match = re.fullmatch(r"([0-9]{1,2}):([0-9]{2})(?: ?(am|pm))?", text)
    if match is not None:
        hour, minute, half = int(match[1]), int(match[2]), match[3]
        if minute <= 59 and (1 <= hour <= 12 if half else hour <= 23):
            return time(hour % 12 + (12 if half == "pm" else 0) if half else hour, minute)
    raise ValueError(f'{text!r} is no time of day; write it as "02:30", "14:30" or "2:30 PM"')
