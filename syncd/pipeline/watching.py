"""How everything stands: one look at the database and the settings, which changes nothing and costs little."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ..config.settings import SourceSettings
from ..model import TOO_FEW
from ..schedules import MODES, Schedule, longest
from ..store import licences as licensing
from ..store import watching as store
from ..store.remotes import time_of
from ..store.watching import Known, Latest, Open
from .installation import Installation

if TYPE_CHECKING:
    from ..distribution import Lane

MISSED = 2
"""A source is late when so many of its slots have gone by without a read that came to its end."""

SLACK = timedelta(minutes=10)
"""What is added to that: a read takes its time."""

Due = Mapping[tuple[str, str], datetime]
"""(source, mode) -> when it is to be read next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionStanding:
    """A source, or what is left of one. Times are as stored; ``read`` and ``success`` are by mode.

    A ``read`` came to its end; a ``success`` was applied as well. ``late`` are the modes that are overdue,
    ``missing`` the entries that the last reads missed and whose grace is not over.
    """

    name: str
    enterprise: str
    configured: bool = True
    read: Mapping[str, str] = field(default_factory=dict)
    success: Mapping[str, str] = field(default_factory=dict)
    latest: Latest | None = None
    entries: int | None = None
    missing: int = 0
    operations: Mapping[str, int] = field(default_factory=dict)
    due: Mapping[str, datetime] = field(default_factory=dict)
    late: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether the last read failed."""
        return self.latest is not None and self.latest.state == "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformStanding:
    """A platform. ``deliveries`` counts accounts by state; ``oldest`` is when the oldest of them was wanted.

    What failed does not count for ``oldest``: it waits for a person. ``state`` is ``well``,
    ``unavailable``, ``denied``, ``breaker`` or ``plugin``; ``message`` says why.
    """

    name: str
    deliveries: Mapping[str, int] = field(default_factory=dict)
    oldest: str | None = None
    state: str = "well"
    message: str = ""


@dataclass(frozen=True, slots=True)
class LicenceStanding:
    """A licensed feature: how many licences there are, and how many users have one.

    ``waiting`` users are not active for want of one; ``queued`` operations are detained for it.
    """

    feature: str
    count: int
    used: int
    waiting: int = 0
    queued: int = 0

    @property
    def over(self) -> int:
        """How many more are in use than there are."""
        return max(self.used - self.count, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How everything stood at ``at``. ``by_hand`` counts open operations that belong to no source."""

    at: datetime
    connections: tuple[ConnectionStanding, ...]
    platforms: tuple[PlatformStanding, ...]
    runs: tuple[Open, ...] = ()
    by_hand: Mapping[str, int] = field(default_factory=dict)
    licences: tuple[LicenceStanding, ...] = ()
    broken_plugins: tuple[str, ...] = ()
    database_bytes: int = 0
    free_bytes: int | None = None

    @property
    def held(self) -> tuple[Open, ...]:
        """The runs that a guard holds."""
        return tuple(run for run in self.runs if run.state == "held")


def standing(
    here: Installation,
    *,
    due: Due | None = None,
    lanes: Iterable[Lane] = (),
    since: datetime | None = None,
) -> Standing:
    """Look at everything once; a few milliseconds, whatever the number of accounts.

    ``lanes`` know better than the database how their platforms are. ``since`` is when the service began:
    nobody is late for what was missed before.
    """
    now = here.clock()
    operations = store.open_operations(here.database)
    sizes, free = _sizes(here)
    return Standing(
        at=now,
        connections=_connections(here, operations, due or {}, since, now),
        platforms=_platforms(here, {lane.name: lane for lane in lanes}),
        runs=tuple(store.open_runs(here.database)),
        by_hand=_of(operations, None),
        licences=licences_of(here),
        broken_plugins=tuple(sorted({failure.plugin for failure in here.plugins.failures})),
        database_bytes=sizes,
        free_bytes=free,
    )


def overdue(schedule: Schedule, last: datetime | None, now: datetime, since: datetime | None = None) -> bool:
    """Say whether a schedule has missed its slots. What was never read is not late: its first read is to come."""
    allowed = longest(schedule)
    if allowed is None or last is None:
        return False
    begin = max(last, since) if since is not None else last
    return now - begin > MISSED * allowed + SLACK


def _connections(
    here: Installation,
    operations: Mapping[tuple[str | None, str], int],
    due: Due,
    since: datetime | None,
    now: datetime,
) -> tuple[ConnectionStanding, ...]:
    """Return the configured sources, read or not, and those that are frozen."""
    missing = store.missing(here.database)
    found = {known.name: known for known in store.connections(here.database)}
    sources = here.settings.sources
    for name, settings in sources.items():  # the first read gives it its new name
        if name not in found and settings.formerly in found and settings.formerly not in sources:
            found[name] = found.pop(settings.formerly)
    return tuple(
        _connection(
            here,
            name,
            found.get(name),
            sources.get(name),
            operations=_of(operations, found[name].name if name in found else name),
            missing=missing.get(found[name].name if name in found else name, 0),
            due={mode: due[name, mode] for mode in MODES if (name, mode) in due},
            since=since,
            now=now,
        )
        for name in sorted({*found, *sources})
    )


def _connection(
    here: Installation,
    name: str,
    known: Known | None,
    settings: SourceSettings | None,
    *,
    operations: Mapping[str, int],
    missing: int,
    due: Mapping[str, datetime],
    since: datetime | None,
    now: datetime,
) -> ConnectionStanding:
    enterprise = settings.enterprise if settings is not None else known.enterprise if known else ""
    if known is None:
        return ConnectionStanding(name=name, enterprise=enterprise, due=due)
    read = _told({mode: store.last_read(here.database, known.id, mode) for mode in MODES})
    return ConnectionStanding(
        name=name,
        enterprise=enterprise,
        configured=settings is not None,
        read=read,
        success=_told({mode: store.last_success(here.database, known.id, mode) for mode in MODES}),
        latest=store.latest(here.database, known.id),
        entries=known.entries,
        missing=missing,
        operations=operations,
        due=due,
        late=_late(settings, read, since, now),
    )


def _late(
    settings: SourceSettings | None, read: Mapping[str, str], since: datetime | None, now: datetime
) -> tuple[str, ...]:
    """Return the modes that are overdue; a full read tells what has changed as well."""
    if settings is None:
        return ()
    last = {"full": read.get("full"), "incremental": max(read.values(), default=None)}
    return tuple(
        mode for mode in MODES if overdue(settings.schedule.of(mode), time_of(last[mode]), now, since)
    )


def _platforms(here: Installation, lanes: Mapping[str, Lane]) -> tuple[PlatformStanding, ...]:
    found = store.undelivered(here.database)
    return tuple(
        _platform(
            here, name, {state: one for (platform, state), one in found.items() if platform == name}, lanes
        )
        for name in here.settings.platforms
    )


def _platform(
    here: Installation, name: str, found: Mapping[str, tuple[int, str | None]], lanes: Mapping[str, Lane]
) -> PlatformStanding:
    begun = [since for state, (_, since) in found.items() if state != "failed" and since is not None]
    lane = lanes.get(name)
    state, message = _health(lane) if lane is not None and lane.health.known else _heard(here, name)
    return PlatformStanding(
        name=name,
        deliveries={state: count for state, (count, _) in sorted(found.items())},
        oldest=min(begun, default=None),
        state=state,
        message=message,
    )


def _health(lane: Lane) -> tuple[str, str]:
    """Return how a platform is as far as this process knows."""
    health = lane.health
    if health.denied:
        return "denied", health.message
    if health.down:
        return "unavailable", health.message
    if health.open:
        return "breaker", health.message
    broken = health.why == "plugin" and health.setbacks > 0
    return ("plugin", health.message) if broken else ("well", "")


def _heard(here: Installation, name: str) -> tuple[str, str]:
    """Return how a platform was when it was last heard of, by what its deliveries say."""
    for message in store.messages(here.database, name):
        for state in ("denied", "unavailable"):
            if message.startswith(state):
                return state, message
    return "well", ""


def licences_of(here: Installation) -> tuple[LicenceStanding, ...]:
    """Return each licensed feature; nothing is looked up where there is none."""
    licences = here.settings.licences
    if not licences.counts:
        return ()
    used = licences.used(licensing.users_by_profile(here.database))
    waiting = licences.used(Counter(one.profile or "" for one in licensing.unlicensed(here.database)))
    queued = licensing.queued(here.database)
    return tuple(
        LicenceStanding(name, count, used[name], waiting[name], queued[f"{TOO_FEW}:{name}"])
        for name, count in sorted(licences.counts.items())
    )


def _of(operations: Mapping[tuple[str | None, str], int], name: str | None) -> dict[str, int]:
    return {
        state: count
        for (connection, state), count in sorted(operations.items(), key=lambda one: one[0][1])
        if connection == name
    }


def _told(times: Mapping[str, str | None]) -> dict[str, str]:
    return {mode: time for mode, time in times.items() if time is not None}


def _sizes(here: Installation) -> tuple[int, int | None]:
    """Return the bytes that the database takes on the disk, and those that are free there."""
    path, total, free = here.database.path, 0, None
    for suffix in ("", "-wal"):
        with suppress(OSError):  # there is no journal while nobody has the database open
            total += path.with_name(path.name + suffix).stat().st_size
    with suppress(OSError):  # a database in memory has no folder
        disk = os.statvfs(path.parent)
        free = disk.f_bavail * disk.f_frsize
    return total, free
