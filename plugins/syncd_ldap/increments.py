"""Which way of finding changes a server offers, and whether the last cursor is still good."""

from __future__ import annotations

from syncd import CursorExpired

from . import witnesses
from .adapter import Session
from .catalogue import is_catalogue
from .cursors import CONTROLS, Strategy
from .entries import Shape
from .paging import Reading

STRATEGIES = ("sync", "usn", "dirsync", "timestamps")
ANCHORS = {"sync": "entryUUID", "usn": "objectGUID", "dirsync": "objectGUID"}
"""The anchor by which a strategy learns who is gone."""
OF_DOMAINS = frozenset({"usn", "dirsync"})
"""What finds changes in a domain of Active Directory, of its groups as well."""


def make(name: str, session: Session, reading: Reading, shape: Shape) -> Strategy:
    """Return the strategy of that name. Raises CursorExpired if there is none, or another is configured."""
    configured = reading.options.incremental
    if name not in STRATEGIES or configured not in {"auto", name}:
        raise CursorExpired(f'changes were found by "{name}", and incremental is "{configured}" now')
    reason = _unfit(name, session, reading, shape)
    if reason is not None:
        raise CursorExpired(reason)
    return _strategy(name, session, reading, shape)


def choose(session: Session, reading: Reading, shape: Shape) -> tuple[Strategy | None, str]:
    """Return the strategy to go on with after a full read, and why this one; None if every read is to be full.

    What is configured and cannot be had is no error: a full read is always right.
    """
    configured = reading.options.incremental
    if configured == "off":
        return None, 'incremental = "off"'
    best = {"ad": "usn", "openldap": "sync"}.get(session.root.kind, "timestamps")
    reasons: list[str] = []
    for name in dict.fromkeys((best, "timestamps")) if configured == "auto" else (configured,):
        reason = _unfit(name, session, reading, shape)
        if reason is None:
            strategy = _strategy(name, session, reading, shape)
            reason = strategy.unusable()
            if reason is None:
                return strategy, "; ".join((session.root.label, *reasons))
        reasons.append(f"{name}: {reason}")
    return None, "; ".join(reasons)


def _strategy(name: str, session: Session, reading: Reading, shape: Shape) -> Strategy:
    """Return it; a server needs one of them, and the modules of the others are not loaded."""
    if name == "sync":
        from .syncrepl import SyncRepl

        return SyncRepl(session, reading, shape)
    if name == "usn":
        from .updates import UpdateNumbers

        return UpdateNumbers(session, reading, shape)
    if name == "dirsync":
        from .dirsync import DirSync

        return DirSync(session, reading, shape)
    from .timestamps import Timestamps

    return Timestamps(session, reading, shape)


def _unfit(name: str, session: Session, reading: Reading, shape: Shape) -> str | None:
    """Return why what is asked for, or whom, rules a strategy out."""
    if name == "sync" and session.root.kind == "389":
        # Seen in 2.3.1; and without a setting of its retro changelog it tells of no change at all.
        return "389 Directory Server does not tell of people who leave the filter"
    anchor = ANCHORS.get(name)
    if anchor is not None and shape.anchor.lower() != anchor.lower():
        return f"whoever is removed is told by {anchor}, and the anchor is {shape.anchor}"
    if name == "sync" and CONTROLS[name] not in session.root.controls:
        return "the server does not offer content synchronization (RFC 4533)"
    if name == "sync" and reading.options.groups and reading.options.groups.only:
        return "it tells of everybody, also of those who are in none of groups.only"
    if name == "dirsync" and CONTROLS[name] not in session.root.controls:
        return "the server does not offer DirSync, which Active Directory has"
    if name in OF_DOMAINS and is_catalogue(session):
        return "a global catalogue shows changes of its own domain only"
    if name not in OF_DOMAINS and witnesses.uses_memberships(reading.options.filter, shape.requested):
        return "memberships are read, and change without the person"
    return None
