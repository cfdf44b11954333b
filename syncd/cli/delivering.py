"""Platforms are brought to what is wanted, and what came of it is told."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from .output import shown, when, write
from .progress import progress

if TYPE_CHECKING:
    from ..distribution import LaneReport
    from ..pipeline.installation import Installation

DIFFERS = 65
"""Exit code when a platform is not as it should be."""

_STOPPED = {
    "unavailable": 69,
    "breaker": 69,
    "busy": 69,
    "denied": 77,
    "plugin": 70,
    "stopping": 75,
    "deadline": 75,
}


def deliver_all(here: Installation, *, quiet: bool, forgiven: Collection[str] = ()) -> list[dict[str, Any]]:
    """Bring the platforms to what is wanted; return a document for each, and write it unless ``quiet``.

    The pauses of those ``forgiven`` are ended first.
    """
    documents = delivered(here, quiet=quiet, forgiven=forgiven)
    if not quiet:
        for one in documents:
            print_delivered(here, one)
    return documents


def delivered(here: Installation, *, quiet: bool, forgiven: Collection[str] = ()) -> list[dict[str, Any]]:
    """Bring the platforms to what is wanted, and return a document for each."""
    from ..pipeline.delivering import deliver
    from ..pipeline.policy import unsettled

    with progress(here, "to platforms", quiet=quiet) as beat:
        done = deliver(here, beat, forgiven=forgiven)
    documents = [*_documents(here, done.values())]
    return documents + [_closed(name) for name in unsettled(here)]


def _documents(here: Installation, reports: Collection[LaneReport]) -> Iterator[dict[str, Any]]:
    if reports:
        from ..store.remotes import failed

        stand = failed(here.database)
        yield from (_document(one, stand.get(one.platform, 0)) for one in reports)


def _document(one: LaneReport, stand: int) -> dict[str, Any]:
    """Return what is told of a platform; ``stand`` are all of its deliveries that have failed, now or before."""
    code = DIFFERS if one.failed else 0
    if one.stopped or one.waiting:
        code = max(code, _STOPPED.get(one.stopped, 69))
    return {
        "platform": one.platform,
        **{name: getattr(one, name) for name in _NUMBERS},
        _BEFORE: max(0, stand - one.failed),
        "stopped": one.stopped or None,
        "until": None if one.until is None else one.until.isoformat(timespec="seconds"),
        "message": one.message or None,
        "exit_code": code,
    }


_NUMBERS = ("confirmed", "unchanged", "failed", "waiting", "held")
_BEFORE = "failed_before"

CLOSED = "nothing is delivered until what the configuration changed is applied: syncd runs --state held"


def _closed(name: str) -> dict[str, Any]:
    return {
        "platform": name,
        **dict.fromkeys([*_NUMBERS, _BEFORE], 0),
        "stopped": "policy",
        "until": None,
        "message": CLOSED,
        "exit_code": 3,
    }


def print_delivered(here: Installation, one: dict[str, Any]) -> None:
    """Write what became of the deliveries to one platform, if anything did."""
    told = ", ".join(
        f"{one[name]} {name.replace('_', ' ')}"
        for name in (*_NUMBERS, _BEFORE)
        if one[name] and name != "unchanged"
    )
    if one["stopped"]:
        until = f" until {when(one['until'], here.settings.timezone)}" if one["until"] else ""
        told = ", ".join(filter(None, [told, f"stopped{until}: {one['stopped']}"]))
    if told:
        message = f": {shown(one['message'])}" if one["message"] else ""
        write(f"platform {one['platform']}: {told}{message}")
    if one["failed"] or one[_BEFORE] or one["waiting"] or one["stopped"] not in (None, "policy"):
        write("  see to them: syncd deliveries list")
