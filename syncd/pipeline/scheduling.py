"""What is due by itself: from the schedules of the configuration and the slots that the database has.

Whoever calls ``due`` once a minute, claims what it returns, reads, and says when that has ended, runs every
slot once: over restarts, kills, sleep, and clocks that are set forward or back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import NamedTuple

from ..config import Settings
from ..config.settings import SourceSettings
from ..schedules import MODES, OFF, Mode, Slot, begins, begun, slot_at, slots
from ..store import runs
from ..store import slots as stored
from ..store.retirement import start_anew
from ..store.runs import Connection
from ..store.slots import Row
from ..store.staging import stamp
from .installation import Installation

GRACE = timedelta(minutes=5)
"""With ``catch_up = "skip"`` a slot that nobody could begin within this time is passed over."""

_NEVER = "off"
_MOST_KNOWN = 1000


@dataclass(frozen=True, slots=True)
class Due:
    """A source that is to be read now: in full or not, for which slot, and the incremental slot in its place."""

    source: str
    mode: Mode
    slot: Slot
    swallowed: Slot | None = None


class Outlook(NamedTuple):
    """One schedule of one source: its next slot, when that begins, and the last one that was begun or skipped.

    The next slot is in the past where it is due at this moment.
    """

    source: str
    mode: Mode
    schedule: str
    next: Slot | None
    begins: datetime | None
    last: Row | None


def due(here: Installation) -> list[Due]:
    """Return what is to be read now, one for each source at most, by enterprise and precedence.

    To be called once a minute. A source of which a claimed slot has not ended has nothing due. A schedule
    that is met for the first time counts from now on, but a source that was never read completely is due
    at once. What is passed over, and what is met for the first time, is recorded.
    """
    now = here.clock()
    found = (_due(here, here.settings.sources[name], now) for name in sources_in_order(here.settings))
    return [one for one in found if one is not None]


def claim(here: Installation, due: Due) -> bool:
    """Begin a slot, and the one that it swallowed; False if another has begun it, or the source is busy.

    Claim at once and then let it wait for its turn: what is claimed is not late any more.
    """
    settings, now = here.settings.sources[due.source], here.now()
    start_anew(here.database, settings.name, settings.enterprise)
    connection = runs.find_connection(here.database, settings.name) or _made(here, settings)
    taken: list[tuple[Mode, Slot]] = [(due.mode, due.slot)]
    if due.swallowed is not None:
        taken.append(("incremental", due.swallowed))
    rows = [
        Row(connection.id, mode, stamp(slot.at), _told(here, settings, mode), "claimed", None, now, None)
        for mode, slot in taken
    ]
    return stored.claim(here.database, rows)


def finished(here: Installation, due: Due, run: int | None) -> None:
    """Record that what was claimed is over, whatever came of it; ``run`` is None if it failed before it was one."""
    connection = runs.find_connection(here.database, due.source)
    if connection is not None:
        stored.finish(here.database, connection.id, run, here.now())


def unfinished(here: Installation, in_hand: Collection[str] = ()) -> list[Due]:
    """Return what was claimed and nobody has ``in_hand`` any more: to be read now, and then ``finished``.

    A process that is no more has left it, or a configuration that is not in force any more. To be called
    by the process that owns the state directory, after what was half applied has been resumed. A slot
    whose run came to its end all the same is finished here, and not read again.
    """
    found = []
    for name in sources_in_order(here.settings):
        if name in in_hand:
            continue
        connection = runs.find_connection(here.database, name)
        rows = [] if connection is None else stored.unfinished(here.database, connection.id)
        if connection is None or not rows:
            continue
        first = rows[0]
        slot, *swallowed = (_slot(here, datetime.fromisoformat(row.slot)) for row in rows)
        run = stored.run_since(here.database, connection.id, first.mode, first.started_at)
        if run is not None:
            stored.finish(here.database, connection.id, run, here.now())
            continue
        stored.begin_again(here.database, connection.id, here.now())
        found.append(Due(name, first.mode, slot, next(iter(swallowed), None)))
    return found


def next_due(here: Installation) -> list[Outlook]:
    """Return the outlook of every schedule that is not off; only looks."""
    now = here.clock()
    return [
        _outlook(here, here.settings.sources[name], mode, now)
        for name in sources_in_order(here.settings)
        for mode in MODES
        if here.settings.sources[name].schedule.of(mode) != OFF
    ]


def sources_in_order(settings: Settings) -> Iterator[str]:
    """Yield the names of the sources by enterprise and precedence."""
    for enterprise in settings.enterprises.values():
        yield from enterprise.sources


def _due(here: Installation, settings: SourceSettings, now: datetime) -> Due | None:
    connection = runs.find_connection(here.database, settings.name)
    if connection is None and all(settings.schedule.of(mode) == OFF for mode in MODES):
        return None
    connection = connection or _made(here, settings)
    if stored.is_busy(here.database, connection.id):
        return None
    if _is_first(here, settings, connection, now):
        first = _slot(here, now)
        return Due(settings.name, "full", first, first if settings.schedule.incremental != OFF else None)
    full, incremental = (_coming(here, settings, connection, mode, now) for mode in MODES)
    if full is not None:
        return Due(settings.name, "full", full, incremental)
    return None if incremental is None else Due(settings.name, "incremental", incremental)


def _made(here: Installation, settings: SourceSettings) -> Connection:
    """Return a source's connection, made or renamed if need be."""
    return runs.connection_of(
        here.database, settings.name, settings.enterprise, settings.type, settings.formerly
    )


def _is_first(
    here: Installation, settings: SourceSettings, connection: Connection | None, now: datetime
) -> bool:
    """Tell whether a source was never read completely, and its schedule does not say to wait for a day."""
    today = now.astimezone(here.settings.timezone).date()
    recurs = any(
        schedule.kind not in ("off", "once") and (schedule.starting or today) <= today
        for schedule in map(settings.schedule.of, MODES)
    )
    if not recurs or connection is None or connection.retired_at is not None:
        return recurs
    new = stored.is_empty(here.database, connection.id)
    return new and runs.last_full_read(here.database, connection.id) is None


def _coming(
    here: Installation, settings: SourceSettings, connection: Connection, mode: Mode, now: datetime
) -> Slot | None:
    """Return the slot that is to begin now; note a schedule that is new, and a slot that is passed over."""
    told = _told(here, settings, mode)
    newest = stored.newest(here.database, connection.id, mode, stamp(now))
    row = Row(connection.id, mode, stamp(now), told, "seen", None, stamp(now), stamp(now))
    if newest is None or newest.schedule != told:
        if newest is not None or told != _NEVER:
            stored.note(here.database, row)
        return None
    slot = _begun(here, settings, mode, now)
    if slot is None or stamp(slot.at) <= newest.slot:
        return None
    if settings.schedule.catch_up == "skip" and _is_late(here, settings, connection, slot, now):
        stored.note(here.database, row._replace(slot=stamp(slot.at), state="skipped"))
        return None
    return slot


def _is_late(
    here: Installation, settings: SourceSettings, connection: Connection, slot: Slot, now: datetime
) -> bool:
    """Tell whether a slot was missed: not begun in time, and not kept waiting by the source's own reads."""
    begin = begins(slot, settings.schedule.jitter, settings.name)
    waited = stored.waited(here.database, connection.id, stamp(begin))
    return now - (begin if waited is None else datetime.fromisoformat(waited)) > GRACE


def _begun(here: Installation, settings: SourceSettings, mode: Mode, now: datetime) -> Slot | None:
    schedule, jitter = settings.schedule.of(mode), settings.schedule.jitter
    return begun(schedule, here.settings.timezone, now, jitter, settings.name)


def _told(here: Installation, settings: SourceSettings, mode: Mode) -> str:
    """Return what names the slots of a source: with another schedule, or in another zone, it counts anew."""
    schedule = settings.schedule.of(mode)
    return _NEVER if schedule == OFF else f"{schedule} {here.settings.timezone.key}"


def _slot(here: Installation, at: datetime) -> Slot:
    return slot_at(at.replace(microsecond=0), here.settings.timezone)


def _outlook(here: Installation, settings: SourceSettings, mode: Mode, now: datetime) -> Outlook:
    connection = runs.find_connection(here.database, settings.name)
    schedule = str(settings.schedule.of(mode))
    last = None if connection is None else stored.last_begun(here.database, connection.id, mode)
    if _is_first(here, settings, connection, now):
        first = _slot(here, now)
        return Outlook(settings.name, mode, schedule, first, first.at, last)
    slot = _next(here, settings, connection, mode, now)
    begin = None if slot is None else begins(slot, settings.schedule.jitter, settings.name)
    return Outlook(settings.name, mode, schedule, slot, begin, last)


def _next(
    here: Installation, settings: SourceSettings, connection: Connection | None, mode: Mode, now: datetime
) -> Slot | None:
    """Return the slot that is due, or else the first one to come that has not been begun yet."""
    schedule, zone = settings.schedule.of(mode), here.settings.timezone
    if connection is None:
        return next(slots(schedule, zone, now), None)
    after, newest = now, stored.newest(here.database, connection.id, mode, stamp(now))
    if newest is not None and newest.schedule == _told(here, settings, mode):
        after, last = datetime.fromisoformat(newest.slot), _begun(here, settings, mode, now)
        if last is not None and last.at > after:
            return last
    coming = islice(slots(schedule, zone, after), _MOST_KNOWN)
    known = stored.known(here.database, connection.id, mode, stamp(after))
    return next((slot for slot in coming if stamp(slot.at) not in known), None)
