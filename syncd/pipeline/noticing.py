"""Notices: events about what is not well, when it begins, once a day while it lasts, and when it is over.

What a plugin's ``observe`` and the observers of the configuration get as notices has a ``severity``
(``warning``, ``critical``, or ``ok`` when it is over, and then ``was``). docs/monitoring.md lists them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from ..model import Event
from ..store import notices as store
from ..store.database import Database
from ..store.notices import Key, Notice
from ..store.staging import stamp
from .troubles import ENDS, OVER, WORDS, Trouble, troubles
from .watching import Standing

AGAIN = timedelta(days=1)
"""How long after it was told a trouble is told again."""

ABOUT = ("connection", "enterprise", "platform", "plugin")
"""The fields that say what a notice is about; those are kept of it, and how grave it was."""


class News(NamedTuple):
    """What is to be told, what is to be remembered of it, and what is over."""

    events: list[Event]
    told: dict[Key, Notice]
    over: list[Key]


def news(known: Mapping[Key, Notice], found: Iterable[Trouble], now: datetime) -> News:
    """Return what has begun, lasts for another day, or is over, of what was known and what is found."""
    at = stamp(now)
    current = {(one.kind, one.subject): one for one in found}
    events: list[Event] = []
    told: dict[Key, Notice] = {}
    for key, one in current.items():
        before = known.get(key)
        if before is not None and timedelta(0) <= now - datetime.fromisoformat(before.told_at) < AGAIN:
            continue
        since = at if before is None else before.since
        about = {name: value for name, value in one.fields.items() if name in ABOUT}
        told[key] = Notice(since, at, {**about, "was": WORDS[one.severity]})
        events.append(_begun(one, at, since, again=before is not None))
    over = [key for key in known if key not in current]
    lasting = {(ENDS.get(kind), subject) for kind, subject in current}
    ended: dict[Key, Event] = {}
    for kind, subject in over:
        name = ENDS.get(kind)  # None: a kind that an earlier version knew
        if name is not None and (name, subject) not in lasting:
            ended.setdefault((name, subject), _over(name, subject, known[kind, subject], at))
    return News([*events, *ended.values()], told, over)


def look(database: Database, standing: Standing) -> list[Event]:
    """Return the notices that are due, and remember that they were told.

    To be called by the owner of the state directory alone, and told only after this has returned: what a
    crash swallows in between is told again a day later.
    """
    found = news(store.load(database), troubles(standing), standing.at)
    if found.told or found.over:
        store.save(database, found.told, found.over)
    return found.events


def _begun(one: Trouble, at: str, since: str, *, again: bool) -> Event:
    fields = {
        "severity": WORDS[one.severity],
        "subject": one.subject,
        "text": one.text,
        "next": one.next,
        "since": since,
        "again": again,
    }
    return Event(one.kind, at, {**one.fields, **fields})


def _over(name: str, subject: str, notice: Notice, at: str) -> Event:
    fields = {
        "severity": WORDS[0],
        "subject": subject,
        "text": OVER[name],
        "next": "",
        "since": notice.since,
        "again": False,
    }
    return Event(name, at, {**notice.about, **fields})
