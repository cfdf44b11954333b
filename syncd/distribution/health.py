"""How a platform has been of late, and when it is left alone for a while. For the main thread alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple


class Line(NamedTuple):
    """One line for the log, to be written after the commit."""

    level: str
    event: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """When a platform is left alone for a while: after too many failures in a row, or in one batch.

    ``share`` of a batch of at least ``least``. ``pause`` and ``longest`` are seconds; each time the
    breaker opens again without a success in between, the pause is twice as long.
    """

    failures: int = 5
    share: float = 0.2
    least: int = 20
    pause: float = 30.0
    longest: float = 3600.0


@dataclass(slots=True)
class Health:
    """What is known of a platform; as old as the process, but for what ``remotes`` say at the beginning.

    ``why`` is the reason of the last pause: ``unavailable``, ``denied``, ``breaker`` or ``plugin``.
    ``failures`` in a row count for the breaker, ``setbacks`` in a row for the back-off of the platform.
    """

    known: bool = False
    down: bool = False
    denied: bool = False
    open: bool = False
    failures: int = 0
    setbacks: int = 0
    opened: int = 0
    told_until: datetime | None = None
    paused_until: datetime | None = None
    since: datetime | None = None
    why: str = ""
    message: str = ""
    working: Callable[[], bool] = bool
    """Says whether a thread that was given up is still calling the platform."""

    @property
    def probing(self) -> bool:
        """Whether a single delivery has to show first that the platform is well again."""
        return self.down or self.denied or self.open

    def until(self, now: datetime) -> datetime | None:
        """Return the end of the pause that the platform is in, or None; none outlasts a clock that is set back."""
        if self.since is not None and now < self.since:
            self.told_until = self.paused_until = self.since = None
        times = [time for time in (self.told_until, self.paused_until) if time is not None and time > now]
        return max(times) if times else None

    def forgive(self) -> None:
        """End every pause but one that the platform itself asked for: a person says that it is well again."""
        self.paused_until = None
        self.failures = self.setbacks = self.opened = 0

    def setback(
        self, why: str, message: str, now: datetime, pause: timedelta, *, told: bool = False
    ) -> list[Line]:
        """The platform as a whole cannot be used: leave it alone for ``pause``, and say so once."""
        known = {"unavailable": self.down, "denied": self.denied, "plugin": self.why == "plugin"}[why]
        self.since, until = now, now + pause
        if told:
            self.told_until = max(until, self.told_until or until)
        else:
            self.paused_until = max(until, self.paused_until or until)
        self.setbacks += 1
        self.down, self.denied = self.down or why == "unavailable", self.denied or why == "denied"
        self.why, self.message = why, message
        level = "warning" if why == "unavailable" else "error"
        return [] if known else [Line(level, _EVENTS[why], {"error": message})]

    def answers(self) -> list[Line]:
        """The platform can be used."""
        was_away = self.down or self.denied
        self.down = self.denied = False
        self.setbacks = 0
        return [Line("info", "platform_recovered", {})] if was_away else []

    def confirms(self) -> list[Line]:
        """The platform did what it was asked for."""
        was_open = self.open
        self.open, self.failures, self.opened = False, 0, 0
        return [Line("info", "platform_breaker_closed", {})] if was_open else []

    def judge(self, breaker: Breaker, now: datetime, *, answered: int, failed: int) -> list[Line]:
        """Look back at one batch, and open the breaker after too many failures."""
        many = answered >= breaker.least and failed >= breaker.share * answered
        if not failed or (self.failures < breaker.failures and not many):
            return []
        was_open, self.open = self.open, True
        self.opened += 1
        self.since, until = now, now + back_off(self.opened, breaker.pause, breaker.longest)
        self.paused_until = max(until, self.paused_until or until)
        if not (self.down or self.denied):
            self.why, self.message = "breaker", f"{failed} of {answered} deliveries failed"
        fields = {"failed": failed, "answered": answered}
        return [] if was_open else [Line("warning", "platform_breaker_opened", fields)]


def back_off(attempts: int, first: float, longest: float) -> timedelta:
    """Return how long to wait after so many attempts: doubled each time, between half of it and all of it."""
    whole = min(longest, first * 2.0 ** min(max(attempts - 1, 0), 30))
    return timedelta(seconds=whole * random.uniform(0.5, 1.0))  # noqa: S311 - only spreads the load


_EVENTS = {
    "unavailable": "platform_unavailable",
    "denied": "platform_denied",
    "plugin": "platform_broken",
}
