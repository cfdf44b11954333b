"""What is not well, as one list: what ``status`` shows, what ``health`` counts, what notices are made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from .watching import ConnectionStanding, LicenceStanding, PlatformStanding, Standing

WARNING, CRITICAL = 1, 2
"""How grave a trouble is: somebody has to look at it, or something does not work."""

WORDS = {0: "ok", WARNING: "warning", CRITICAL: "critical"}

ENDS = {
    "connection_failed": "connection_recovered",
    "connection_late": "connection_recovered",
    "deliveries_failed": "deliveries_cleared",
    "disk_low": "disk_recovered",
    "licences_scarce": "licences_enough",
    "platform_failed": "platform_recovered",
    "plan_held": "plan_settled",
    "plugin_failed": "plugin_recovered",
    "queue_waiting": "queue_cleared",
}
"""Kind of trouble -> the event that says that it is over."""

OVER = {
    "connection_recovered": "is read again",
    "deliveries_cleared": "no delivery is failed any more",
    "disk_recovered": "has room again",
    "licences_enough": "has enough again",
    "platform_recovered": "works again",
    "plan_settled": "no plan is held any more",
    "plugin_recovered": "can be loaded again",
    "queue_cleared": "nothing waits for a person any more",
}
"""What such an event says."""

_LEAST_FREE = 256 * 1024 * 1024

_WHY = {
    "unavailable": "does not answer",
    "denied": "refuses to be used: a password, a right or a certificate is to be mended",
    "breaker": "refused too many deliveries, and is left alone for a while",
    "plugin": "has a plugin that broke the contract",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One thing that is not well; ``fields`` names what it is about, and counts.

    ``text`` names nobody and quotes no source or platform, so that it can be sent by mail; ``detail`` is
    what they said, for the screen of who runs syncd. ``next`` is the command to begin with.
    """

    kind: str
    subject: str
    severity: int
    text: str
    next: str
    detail: str = ""
    fields: Mapping[str, object] = field(default_factory=dict)


def troubles(standing: Standing) -> list[Trouble]:
    """Return what is not well, the worst first."""
    found = [
        *_of_plugins(standing),
        *(one for connection in standing.connections for one in _of_connection(connection)),
        *(one for platform in standing.platforms for one in _of_platform(platform)),
        *_of_runs(standing),
        *_of_queue("", standing.by_hand),
        *(trouble for one in standing.licences for trouble in _of_licence(one)),
        *_of_disk(standing),
    ]
    return sorted(found, key=lambda one: -one.severity)


def _of_plugins(standing: Standing) -> Iterator[Trouble]:
    for name in standing.broken_plugins:
        yield Trouble(
            kind="plugin_failed",
            subject=f"plugin {name}",
            severity=CRITICAL,
            text="cannot be loaded; every run is held until it is mended",
            next="syncd plugins",
            fields={"plugin": name},
        )


def _of_connection(one: ConnectionStanding) -> Iterator[Trouble]:
    subject, about = f"source {one.name}", {"connection": one.name}
    if one.failed and one.configured and one.latest is not None:
        yield Trouble(
            kind="connection_failed",
            subject=subject,
            severity=CRITICAL,
            text=f"the last read failed (run {one.latest.run})",
            next=f"syncd runs {one.latest.run}",
            detail=one.latest.error or "",
            fields={**about, "run": one.latest.run},
        )
    if one.late:
        last = max(one.read.values(), default="")
        yield Trouble(
            kind="connection_late",
            subject=subject,
            severity=CRITICAL,
            text=f"the {' and the '.join(one.late)} read is overdue; the last that came to its end was at {last}",
            next=f"syncd sync {one.name}",
            fields={**about, "modes": list(one.late), "last_read": last},
        )
    yield from _of_queue(one.name, one.operations)


def _of_queue(connection: str, operations: Mapping[str, int]) -> Iterator[Trouble]:
    """What is waiting is tried again by itself; the rest is for a person."""
    counts = {state: operations[state] for state in ("detained", "failed") if operations.get(state)}
    if counts:
        told = " and ".join(f"{count} {state}" for state, count in counts.items())
        yield Trouble(
            kind="queue_waiting",
            subject=f"source {connection}" if connection else "changes by hand",
            severity=WARNING,
            text=f"{told} {'operation waits' if sum(counts.values()) == 1 else 'operations wait'} for a person",
            next=f"syncd queue list --connection {connection}" if connection else "syncd queue",
            fields={**({"connection": connection} if connection else {}), **counts},
        )


def _of_runs(standing: Standing) -> Iterator[Trouble]:
    for run in standing.held:
        about = {"connection": run.connection} if run.connection else {"enterprise": run.enterprise}
        yield Trouble(
            kind="plan_held",
            subject=f"source {run.connection}" if run.connection else f"enterprise {run.enterprise}",
            severity=WARNING,
            text=f"run {run.run} ({run.kind}) is held with {run.changes} changes: {', '.join(run.objections)}",
            next=f"syncd runs {run.run}",
            fields={**about, "run": run.run, "changes": run.changes, "objections": list(run.objections)},
        )


def _of_platform(one: PlatformStanding) -> Iterator[Trouble]:
    subject, about = f"platform {one.name}", {"platform": one.name}
    waiting = sum(count for state, count in one.deliveries.items() if state != "failed")
    if one.state != "well":
        yield Trouble(
            kind="platform_failed",
            subject=subject,
            severity=CRITICAL,
            text=f"{_WHY[one.state]}; {waiting} deliveries wait",
            next=f"syncd deliveries list --platform {one.name}",
            detail=one.message,
            fields={**about, "reason": one.state, "waiting": waiting},
        )
    if failed := one.deliveries.get("failed"):
        yield Trouble(
            kind="deliveries_failed",
            subject=subject,
            severity=WARNING,
            text=f"{failed} failed {'delivery waits' if failed == 1 else 'deliveries wait'} for a person",
            next=f"syncd deliveries list --platform {one.name}",
            fields={**about, "failed": failed},
        )


def _of_licence(one: LicenceStanding) -> Iterator[Trouble]:
    """What waits in the queue for a licence is told with the queue."""
    if one.over or one.waiting:
        waiting = (
            f"; {one.waiting} {'user is' if one.waiting == 1 else 'users are'} not active for want of one"
        )
        yield Trouble(
            kind="licences_scarce",
            subject=f"licence {one.feature}",
            severity=WARNING,
            text=f"{one.used} of {one.count} are in use{waiting if one.waiting else ''}",
            next="syncd licences",
            fields={"feature": one.feature, "count": one.count, "used": one.used, "waiting": one.waiting},
        )


def _of_disk(standing: Standing) -> Iterator[Trouble]:
    """A backup and a migration need as much as the database has."""
    free = standing.free_bytes
    if free is not None and free < max(_LEAST_FREE, standing.database_bytes):
        yield Trouble(
            kind="disk_low",
            subject="the disk of the state directory",
            severity=WARNING,
            text=f"{free >> 20} MiB are free, and the database has {standing.database_bytes >> 20} MiB",
            next="syncd db prune",
            fields={"free": free, "database": standing.database_bytes},
        )
