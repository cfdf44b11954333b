"""The verb ``status``: what is well, what waits, and what to do next."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from ..schedules import MODES, OFF
from .licences import licence_document
from .options import examples, json_option
from .output import age, age_text, counted, heading, shown, table, when, write, write_json
from .session import Session, session_of

if TYPE_CHECKING:
    from ..lock import Owner
    from ..pipeline.installation import Installation
    from ..pipeline.retiring import Frozen
    from ..pipeline.troubles import Trouble
    from ..pipeline.watching import ConnectionStanding, PlatformStanding, Standing

DAEMON = "daemon"
"""The verb of the owner that reads and delivers by itself."""


@click.command(epilog=examples("syncd status", "syncd status --json"))
@json_option
@click.pass_context
def status(ctx: click.Context, /, *, as_json: bool) -> None:
    """Say what is well, what waits, and what to do next.

    Works whether the daemon runs or not, reads nothing but the database, and always ends with 0: syncd
    health is for monitoring.
    """
    from ..pipeline.retiring import frozen as frozen_sources
    from ..pipeline.troubles import troubles
    from ..store.warned import standing
    from .plans import warned_lines

    session = session_of(ctx)
    here, stands, owner = look(session)
    found = troubles(stands)
    warned = [one._asdict() for one in standing(here.database)]
    house = None if session.guest is None else session.guest.house
    refused, stopped = (None, None) if house is None else (house.refused, house.trouble)
    if as_json:
        more = {
            "frozen": [one._asdict() for one in frozen_sources(here)],
            "reload_refused": refused,
            "deliveries_stopped": stopped,
        }
        write_json({**_document(stands, owner, found), **more, "warnings": warned})
        return
    if refused is not None:
        write(
            "the configuration on disk cannot be used, and the one before it stays in force: see syncd check"
        )
        for line in refused.splitlines():
            write(f"  {shown(line)}")
    if stopped is not None:
        write(f"nothing can be delivered, and a new configuration not be used: {shown(stopped)}")
    _print(here, stands, owner, found)
    for place, line in enumerate(warned_lines(warned, "syncd status --json", sources=True)):
        if not place:
            heading("to correct in the source")
        write(f"  {line}")


def look(session: Session) -> tuple[Installation, Standing, Owner | None]:
    """Return how everything stands, and who owns the state directory."""
    from ..lock import owner_of
    from ..pipeline.scheduling import next_due
    from ..pipeline.watching import standing

    here = session.reading
    owner = owner_of(session.settings.state_directory)
    runs = owner is not None and owner.verb == DAEMON
    since = datetime.fromtimestamp(owner.since, UTC) if owner is not None and runs else None
    due: dict[tuple[str, str], datetime] = {
        (one.source, one.mode): one.begins for one in next_due(here) if one.begins is not None
    }
    return here, standing(here, due=due, since=since), owner


def by_itself(here: Installation) -> list[str]:
    """Return the sources that have a schedule, which only a daemon keeps."""
    return [
        name
        for name, settings in here.settings.sources.items()
        if any(settings.schedule.of(mode) != OFF for mode in MODES)
    ]


def told_of(owner: Owner | None) -> str:
    """Return what the service is doing, in words."""
    if owner is None:
        return "no daemon is running"
    if owner.verb == DAEMON:
        return f"the daemon is running (process {owner.pid})"
    return f"no daemon is running; process {owner.pid} is at work (syncd {owner.verb})"


def state_of(one: ConnectionStanding, stands: Standing) -> str:
    """Return one word for a source."""
    if not one.configured:
        return "frozen"
    if one.failed:
        return "failed"
    if one.late:
        return "late"
    states = [run.state for run in stands.runs if run.connection == one.name]
    for state in ("held", "applying", "planned", "reading"):
        if state in states:
            return state
    return "well" if one.read else "never read"


def _document(stands: Standing, owner: Owner | None, found: list[Trouble]) -> dict[str, Any]:
    return {
        "at": stands.at.isoformat(timespec="seconds"),
        "daemon": owner is not None and owner.verb == DAEMON,
        "owner": None if owner is None else {"process": owner.pid, "verb": owner.verb},
        "sources": [_of_source(one, stands) for one in stands.connections],
        "platforms": [_of_platform(one) for one in stands.platforms],
        "held_runs": [run._asdict() for run in stands.held],
        "by_hand": dict(stands.by_hand),
        "licences": [licence_document(one) for one in stands.licences],
        "broken_plugins": list(stands.broken_plugins),
        "database_bytes": stands.database_bytes,
        "free_bytes": stands.free_bytes,
        "troubles": [_of_trouble(one) for one in found],
    }


def _of_source(one: ConnectionStanding, stands: Standing) -> dict[str, Any]:
    latest = one.latest
    return {
        "source": one.name,
        "enterprise": one.enterprise,
        "configured": one.configured,
        "state": state_of(one, stands),
        "last_read": dict(one.read),
        "last_success": dict(one.success),
        "last_run": None if latest is None else latest.run,
        "last_run_state": None if latest is None else latest.state,
        "error": None if latest is None else latest.error,
        "problems": 0 if latest is None else latest.problems,
        "entries": one.entries,
        "missing": one.missing,
        **{state: one.operations.get(state, 0) for state in ("detained", "failed", "waiting")},
        "next": {mode: time.isoformat(timespec="seconds") for mode, time in one.due.items()},
        "late": list(one.late),
    }


def _of_platform(one: PlatformStanding) -> dict[str, Any]:
    return {
        "platform": one.name,
        "state": one.state,
        "message": one.message or None,
        **{state: one.deliveries.get(state, 0) for state in ("pending", "waiting", "failed")},
        "oldest": one.oldest,
    }


def _of_trouble(one: Trouble) -> dict[str, Any]:
    from ..pipeline.troubles import WORDS

    return {
        "kind": one.kind,
        "subject": one.subject,
        "severity": WORDS[one.severity],
        "text": one.text,
        "detail": one.detail or None,
        "next": one.next,
    }


def _print(here: Installation, stands: Standing, owner: Owner | None, found: list[Trouble]) -> None:
    idle = by_itself(here) if owner is None or owner.verb != DAEMON else []
    write(told_of(owner) + (f"; nothing reads {', '.join(idle)} by itself" if idle else ""))
    _print_sources(here, stands)
    _print_platforms(stands)
    if not found:
        write("nothing waits for a person")
    else:
        heading("to do")
    for one in found:
        write(f"  {one.subject}: {one.text}")
        if one.detail:
            write(f"    {shown(one.detail)}")
        write(f"    {one.next}")
    print_frozen(here)


def print_frozen(here: Installation) -> None:
    """Say of each source that is not configured any more what that means."""
    from ..pipeline.retiring import frozen

    for one in frozen(here):
        write(f"source {one.name} {frozen_text(one)}")


def frozen_text(one: Frozen) -> str:
    """Return what it means that a source is not configured any more, and what to do."""
    return (
        f"is not configured any more: nobody is removed until syncd retire {one.name}; {one.alone} of its "
        f"{counted(one.accounts, 'account')} belong to no other source (--preview shows what would become of them, "
        "--keep keeps them as accounts made by hand)"
    )


def _print_sources(here: Installation, stands: Standing) -> None:
    zone = here.settings.timezone
    table(
        ("source", "state", "last success", "next", "entries", "queue", "waiting", "missing", "problems"),
        (
            (
                one.name,
                state_of(one, stands),
                _ago(max(one.success.values(), default=None), stands.at),
                when(min(one.due.values()).isoformat(), zone) if one.due else "-",
                "-" if one.entries is None else one.entries,
                one.operations.get("detained", 0) + one.operations.get("failed", 0),
                one.operations.get("waiting", 0),
                one.missing,
                0 if one.latest is None else one.latest.problems,
            )
            for one in stands.connections
        ),
        empty="no source is configured",
    )


def _print_platforms(stands: Standing) -> None:
    table(
        ("platform", "state", "to deliver", "failed", "oldest"),
        (
            (
                one.name,
                one.state,
                one.deliveries.get("pending", 0) + one.deliveries.get("waiting", 0),
                one.deliveries.get("failed", 0),
                age(one.oldest, stands.at),
            )
            for one in stands.platforms
        ),
        empty="no platform is configured",
    )


def _ago(stamp: str | None, now: datetime) -> str:
    if stamp is None:
        return "never"
    return f"{age_text((now - datetime.fromisoformat(stamp)).total_seconds())} ago"
