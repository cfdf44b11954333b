"""Sources that could not be read: said once, tried again after a while that grows, said once when they are well."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..distribution.health import back_off
from ..errors import ConfigError, Denied, PluginError, Unavailable
from ..logs import get_log

log = get_log("syncd.daemon")

UNAVAILABLE = 60.0, 3600.0
"""Seconds until a source that was not reachable is tried again, at first and at most."""

DENIED = 1800.0, 6 * 3600.0
"""The same where a password or a right is wrong: directories lock accounts that knock too often."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with a source, since when, and until when it is left alone."""

    error: str
    since: datetime
    until: datetime
    attempts: int
    full: bool
    failed: datetime

    def rests(self, now: datetime) -> bool:
        """Say whether the source is left alone; not until a time of a clock that was set back since."""
        return self.failed <= now < self.until


class Troubles:
    """The sources that could not be read at their last attempt. For the thread of one enterprise alone."""

    def __init__(self) -> None:
        self.known: dict[str, Trouble] = {}

    def failed(self, source: str, error: BaseException, now: datetime, *, full: bool) -> None:
        """Note that a source could not be read, and say so unless that is known."""
        before = self.known.get(source)
        attempts = before.attempts + 1 if before is not None else 1
        for_a_person = isinstance(error, Denied | PluginError | ConfigError)
        pause = back_off(attempts, *(DENIED if for_a_person else UNAVAILABLE))
        if isinstance(error, Unavailable) and error.retry_after:
            pause = max(pause, timedelta(seconds=error.retry_after))
        text = str(error) or type(error).__name__
        self.known[source] = Trouble(
            error=text,
            since=before.since if before is not None else now,
            until=now + pause,
            attempts=attempts,
            full=full or (before is not None and before.full),
            failed=now,
        )
        if before is None:
            log.warning("connection_failed", connection=source, error=text, next_try=str(now + pause))

    def recovered(self, source: str) -> None:
        """Note that a source was read, and say so if it could not be before."""
        before = self.known.pop(source, None)
        if before is not None:
            log.info("connection_recovered", connection=source, attempts=before.attempts)

    def keep(self, sources: Collection[str]) -> None:
        """Forget all other sources."""
        self.known = {name: one for name, one in self.known.items() if name in sources}

    def resting(self, source: str, now: datetime) -> bool:
        """Say whether a source is left alone at the moment."""
        trouble = self.known.get(source)
        return trouble is not None and trouble.rests(now)

    def over(self, now: datetime) -> list[tuple[str, bool]]:
        """Return the sources that are to be tried again now, and whether in full."""
        return [(name, one.full) for name, one in self.known.items() if not one.rests(now)]
