"""``syncd queue list`` and ``show``: what waits for a person, and why."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from ..errors import SyncdError
from .completing import source_names
from .options import examples, json_option
from .output import age, heading, pairs, shown, table, when, write, write_json
from .session import session_of

if TYPE_CHECKING:
    from ..pipeline.installation import Installation
    from ..store.queue import Stored

STATES = ("planned", "held", "detained", "failed", "waiting")


@click.command(
    "list",
    epilog=examples(
        "syncd queue list --state detained --connection hq",
        "syncd queue list --ignored",
        "syncd queue list --kept-away      what was undone or discarded, and is not asked again",
    ),
)
@click.option("--state", type=click.Choice(STATES), help="Only what is in this state.")
@click.option(
    "--connection", metavar="SOURCE", shell_complete=source_names, help="Only what this source asks for."
)
@click.option("--ignored", is_flag=True, help="The entries that are ignored, instead.")
@click.option(
    "--kept-away", "away", is_flag=True, help="The proposals that were undone or discarded, instead."
)
@json_option
@click.pass_context
def list_(
    ctx: click.Context,
    /,
    *,
    state: str | None,
    connection: str | None,
    ignored: bool,
    away: bool,
    as_json: bool,
) -> None:
    """List everything that waits, however much it is. Works while another process is at work.

    An entry that is ignored, and a proposal that was undone or discarded, wait for nobody: "syncd queue
    unignore" ends that.
    """
    from ..pipeline.queue import waiting
    from .documents import operation_documents

    here = session_of(ctx).reading
    if ignored or away:
        _list_decided(here, connection, "ignored" if ignored else "kept_away", as_json=as_json)
        return
    found = waiting(here, connection=connection, state=state)
    since = since_of(here, found)
    documents = [{**one, "since": since.get(one["run"])} for one in operation_documents(here, found)]
    if as_json:
        write_json({"operations": documents})
        return
    now = here.clock()
    table(
        ("id", "age", "connection", "kind", "who", "state", "reason"),
        (
            (
                one["operation"],
                age(one["since"], now),
                one["connection"],
                one["kind"],
                one["who"] or one["anchor"],
                one["state"],
                reason_of(one),
            )
            for one in documents
        ),
        empty="nothing waits",
    )


def since_of(here: Installation, found: Sequence[Stored]) -> dict[int, str]:
    """Return since when operations wait, by the number of their run."""
    marks = json.dumps(sorted({one.run for one in found}))
    rows = here.database.conn.execute(
        "SELECT id, COALESCE(planned_at, started_at) FROM runs WHERE id IN (SELECT value FROM json_each(?))",
        (marks,),
    )
    return dict(rows.fetchall())


def reason_of(one: dict[str, Any]) -> str:
    """Return why an operation waits, on one line."""
    if one["reasons"]:
        return "; ".join(reason["message"] for reason in one["reasons"])
    if one["state"] == "waiting":
        return f"tried again {one['next_try']}" if one["next_try"] else "its grace is not over"
    return f"run {one['run']}: syncd apply {one['run']}"


def _list_decided(here: Installation, connection: str | None, which: str, *, as_json: bool) -> None:
    from ..store.queue import KEPT_AWAY, decisions

    ignored = which == "ignored"
    where = "d.verb = 'ignore' AND d.ended_at IS NULL" if ignored else KEPT_AWAY
    values = [] if connection is None else [connection]
    found = decisions(here.database, f"{where} AND c.name = ?" if values else where, values)
    if as_json:
        write_json({which: [one._asdict() for one in found]})
        return
    zone = here.settings.timezone
    about = () if ignored else ("decision", "operation")
    table(
        ("connection", "entry", *about, "by", "since", "why"),
        (
            (
                one.connection,
                one.anchor,
                *(() if ignored else (one.verb, one.operation)),
                one.who,
                when(one.at, zone),
                one.why,
            )
            for one in found
        ),
        empty="no entry is ignored" if ignored else "no proposal is kept away",
    )


@click.command(epilog=examples("syncd queue show 17", "syncd queue show 17 --json"))
@click.argument("operation", type=int)
@json_option
@click.pass_context
def show(ctx: click.Context, /, *, operation: int, as_json: bool) -> None:
    """Show all that is known of one OPERATION, whatever its state."""
    here = session_of(ctx).reading
    document = _detail(here, operation)
    if as_json:
        write_json(document)
    else:
        _print_detail(here, document)


def _detail(here: Installation, number: int) -> dict[str, Any]:
    from ..store import queue as stored
    from .documents import masked, operation_documents

    found = stored.by_ids(here.database, [number])
    if not found:
        raise SyncdError(f"there is no operation {number}; see syncd queue list")
    one = found[0]
    secrets = here.settings.vocabulary.secrets
    record = json.loads(one.record) if one.record else {}
    decisions = stored.decisions(
        here.database,
        "(d.operation = ? OR (d.connection = ? AND d.anchor = ?))",
        (number, one.connection, one.anchor),
    )
    return {
        **operation_documents(here, [one])[0],
        "since": since_of(here, found).get(one.run),
        "record": {name: masked(name, value, secrets) for name, value in record.items()},
        "enabled": bool(one.enabled),
        "owner": bool(one.owner),
        "digest": one.digest.hex(),
        "decisions": [decision._asdict() for decision in decisions],
    }


def _print_detail(here: Installation, one: dict[str, Any]) -> None:
    from .plans import print_changes, reason_text, warning_text

    zone = here.settings.timezone
    heading(f"operation {one['operation']}")
    pairs(
        [
            ("who", one["who"]),
            ("account", f"{one['account']} ({one['account_kind']}, enterprise {one['enterprise']})"),
            ("kind", one["kind"]),
            ("state", one["state"]),
            ("connection", one["connection"]),
            ("entry", one["anchor"]),
            ("link", f"{one['link_action']}, {'owner' if one['owner'] else 'no owner'}"),
            ("enabled there", one["enabled"]),
            ("run", one["run"]),
            ("since", when(one["since"], zone)),
            *((name, one[name]) for name in ("origin", "undoes", "undone_by", "next_try") if one[name]),
        ],
        indent=2,
    )
    if one["reasons"]:
        heading("reasons")
    for reason in one["reasons"]:
        write(f"  {reason_text(reason)}")
    if one["warnings"]:
        heading("warnings")
    for warning in one["warnings"]:
        write(f"  {warning_text(warning).removeprefix('warning: ')}")
    if one["changes"]:
        heading("changes")
        print_changes(one["changes"], added=one["kind"] == "add", indent=2)
    if one["record"]:
        heading("what the source says" if one["connection"] else "what a person says")
        pairs(sorted(one["record"].items()), indent=2)
    if one["decisions"]:
        heading("decisions")
    for decision in one["decisions"]:
        ended = f", ended {when(decision['ended_at'], zone)}" if decision["ended_at"] else ""
        why = f": {shown(decision['why'])}" if decision["why"] else ""
        write(f"  {decision['verb']} by {decision['who']}, {when(decision['at'], zone)}{ended}{why}")
