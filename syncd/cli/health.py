"""The verb ``health``: one line and an exit code, as Nagios and its kin want them (Nagios plugin guidelines)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..errors import ConfigError
from .options import examples, json_option
from .output import counted, shown, write, write_json
from .session import session_of
from .status import DAEMON, by_itself, look, told_of

if TYPE_CHECKING:
    from ..lock import Owner
    from ..pipeline.installation import Installation
    from ..pipeline.troubles import Trouble
    from ..pipeline.watching import Standing

WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
"""What each exit code means."""

_UNKNOWN = 3


@click.command(epilog=examples("syncd health", "syncd health --json"))
@json_option
@click.pass_context
def health(ctx: click.Context, /, *, as_json: bool) -> None:
    """Say in one line and an exit code how all stands, for monitoring.

    0: all is well. 1: something is held, detained or failed, and waits for a person. 2: something is down or
    late, or no daemon keeps the schedules. 3: it cannot be told, as the configuration or the database
    cannot be read. Performance data follow behind a bar. Works whether the daemon runs or not.
    """
    try:
        document = _document(*look(session_of(ctx)))
    except Exception as error:  # noqa: BLE001 - whatever it is, monitoring wants its one line and code
        told = session_of(ctx).blamed(error)
        text = told.problems[0] if isinstance(told, ConfigError) and told.problems else str(told)
        document = {"code": _UNKNOWN, "status": WORDS[_UNKNOWN], "text": shown(text), "performance": {}}
    if as_json:
        write_json(document)
    else:
        write(_line(document))
    ctx.exit(document["code"])


def _document(here: Installation, stands: Standing, owner: Owner | None) -> dict[str, Any]:
    from ..pipeline.troubles import CRITICAL, troubles

    found = troubles(stands)
    code = max((one.severity for one in found), default=0)
    texts = [_told(one) for one in found]
    if (owner is None or owner.verb != DAEMON) and by_itself(here):
        code = CRITICAL
        texts.insert(0, told_of(owner))
    return {
        "code": code,
        "status": WORDS[code],
        "text": "; ".join(texts) or _well(stands),
        "performance": _performance(stands),
    }


def _well(stands: Standing) -> str:
    sources, platforms = len(stands.connections), len(stands.platforms)
    return f"{counted(sources, 'source')} and {counted(platforms, 'platform')}, nothing waits for a person"


def _told(one: Trouble) -> str:
    return f"{one.subject}: {one.text}"


def _performance(stands: Standing) -> dict[str, int]:
    """Return the numbers by their labels; what ends in ``_age`` is in seconds."""
    from ..pipeline.metrics import seconds_since

    of_all = [*(one.operations for one in stands.connections), stands.by_hand]
    numbers = {
        "held": len(stands.held),
        **{state: sum(one.get(state, 0) for one in of_all) for state in ("detained", "failed", "waiting")},
        "late": sum(bool(one.late) for one in stands.connections),
        "down": sum(one.state != "well" for one in stands.platforms),
        "undelivered": sum(sum(one.deliveries.values()) for one in stands.platforms),
    }
    for source in stands.connections:
        if source.configured and source.success:
            numbers[f"source_{source.name}_age"] = seconds_since(max(source.success.values()), stands.at)
    for platform in stands.platforms:
        numbers[f"platform_{platform.name}_age"] = seconds_since(platform.oldest, stands.at)
    numbers |= {f"licence_{one.feature}_free": one.count - one.used for one in stands.licences}
    return numbers


def _line(document: dict[str, Any]) -> str:
    """Return what a monitoring system reads: one line, in which a bar stands before the numbers and nowhere else."""
    text = f"SYNCD {document['status']} - {shown(document['text']).replace('|', '/')}"
    numbers = " ".join(
        f"'{label}'={number}{'s' if label.endswith('_age') else ''}"
        for label, number in document["performance"].items()
    )
    return f"{text} | {numbers}" if numbers else text
