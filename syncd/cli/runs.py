"""The verb ``runs``: what was read, planned and done, and by whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from ..errors import SyncdError
from .completing import run_numbers, source_names
from .options import all_option, examples, json_option
from .output import heading, pairs, shown, table, when, write, write_json
from .session import session_of

if TYPE_CHECKING:
    from ..pipeline.installation import Installation

_SIGNS = {"+": "add", "~": "update", "-": "remove"}
STATES = ("reading", "planned", "held", "applying", "ended", "failed", "superseded")


@click.command(
    epilog=examples(
        "syncd runs                       the latest twenty",
        "syncd runs --connection hq --all",
        "syncd runs --state held          what a guard holds",
        "syncd runs 12                    one run: objections, approval, problems, warnings, operations",
    )
)
@click.argument("run", type=int, required=False, shell_complete=run_numbers)
@click.option("--connection", metavar="SOURCE", shell_complete=source_names, help="Only runs of this source.")
@click.option("--state", type=click.Choice(STATES), help="Only runs in this state.")
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="How many, at most.",
)
@all_option("All of them, however many.")
@json_option
@click.pass_context
def runs(
    ctx: click.Context,
    /,
    *,
    run: int | None,
    connection: str | None,
    state: str | None,
    limit: int,
    everything: bool,
    as_json: bool,
) -> None:
    """List the runs, the newest first, or show RUN in detail.

    Works while another process is at work.
    """
    here = session_of(ctx).reading
    if run is not None:
        _show(here, run, as_json=as_json)
        return
    found = _list(here, connection, state, -1 if everything else limit)
    if as_json:
        write_json({"runs": found})
        return
    zone = here.settings.timezone
    table(
        ("run", "kind", "connection", "state", "entries", "plan", "by", "started"),
        (
            (
                one["run"],
                one["kind"],
                one["connection"],
                one["state"],
                one["entries"],
                f"as run {one['same_as']}"
                if one["same_as"]
                else " ".join(f"{sign}{one['counts'].get(name, 0)}" for sign, name in _SIGNS.items()),
                one["actor"],
                when(one["started_at"], zone),
            )
            for one in found
        ),
        empty="there are no such runs; syncd preview makes one",
    )


def _list(here: Installation, connection: str | None, state: str | None, limit: int) -> list[dict[str, Any]]:
    from ..store.runs import runs as stored_runs
    from .documents import run_document

    where, values = ["1"], []
    if connection is not None:
        where.append("connection IN (SELECT id FROM connections WHERE name = ?)")
        values.append(connection)
    if state is not None:
        where.append("state = ?")
        values.append(state)
    return [run_document(here, one) for one in stored_runs(here.database, " AND ".join(where), values, limit)]


def _show(here: Installation, number: int, *, as_json: bool) -> None:
    from ..store.runs import run_of
    from ..store.warned import of_run
    from .documents import run_document

    run = run_of(here.database, number)
    if run is None:
        raise SyncdError(f"there is no run {number}; see syncd runs")
    document = {
        **run_document(here, run),
        "operations": _summary(here, number),
        "queue": _queue(here, number),
        "problems": _problems(here, number),
        "warnings": [one._asdict() for one in of_run(here.database, number)],
        "extensions_changed": _renumbered(here, number),
    }
    if as_json:
        write_json(document)
    else:
        _print(here, document)


def _summary(here: Installation, number: int) -> list[dict[str, Any]]:
    rows = here.database.conn.execute(
        "SELECT kind, state, COUNT(*) FROM operations WHERE run = ? GROUP BY kind, state ORDER BY kind, state",
        (number,),
    )
    return [{"kind": kind, "state": state, "count": count} for kind, state, count in rows]


def _queue(here: Installation, number: int) -> list[dict[str, Any]]:
    from ..store.queue import operations
    from .documents import operation_documents

    return operation_documents(
        here, operations(here.database, "o.run = ? AND o.state IN ('detained','failed')", [number])
    )


def _renumbered(here: Installation, number: int) -> list[dict[str, Any]]:
    from ..model.naming import label
    from ..store.renumbering import renumbered
    from .documents import attributes_of

    found = renumbered(here.database.conn, number)
    known = attributes_of(here, {one.account for one in found})
    return [{"who": label(known.get(one.account, {})), **one._asdict()} for one in found]


def _problems(here: Installation, number: int) -> list[dict[str, Any]]:
    rows = here.database.conn.execute(
        "SELECT anchor, code, message FROM problems WHERE run = ? AND attribute IS NULL ORDER BY id",
        (number,),
    )
    return [{"anchor": anchor, "code": code, "message": message} for anchor, code, message in rows]


def _print(here: Installation, run: dict[str, Any]) -> None:
    zone = here.settings.timezone
    heading(f"run {run['run']}")
    pairs(
        [
            *((name, run[name]) for name in ("kind", "connection", "enterprise", "mode", "state")),
            ("by", run["actor"]),
            ("why", run["why"]),
            *(
                (name.removesuffix("_at"), when(run[name], zone))
                for name in ("started_at", "planned_at", "ended_at")
            ),
            ("plan", run["plan_hash"]),
            ("entries", run["entries"]),
            ("unchanged", run["unchanged"]),
            *((name, run[name]) for name in ("undoes", "same_as", "error") if run[name] is not None),
        ],
        indent=2,
    )
    _print_list("counts", [f"{name}: {count}" for name, count in run["counts"].items() if count])
    _print_list("operations", [f"{one['kind']}, {one['state']}: {one['count']}" for one in run["operations"]])
    _print_list("for a person to see to: syncd queue list", _told(run["queue"]))
    _print_list(
        "platforms",
        [f"{one['platform']}: {one['appear']} appear, {one['vanish']} vanish" for one in run["platforms"]],
    )
    _print_list(
        "objections",
        [
            f"{one['code']} ({one['scope']}, {one['by']}): {shown(one['message'])}"
            for one in run["objections"]
        ],
    )
    if run["approved"]:
        heading("approved")
        pairs(sorted(run["approved"].items()), indent=2)
    _print_list(
        "extensions changed: these people restart their desktop client",
        [
            f"account {one['account']}, {shown(one['who'])}: {one['attribute']} {shown(one['before'])} -> {shown(one['after'])}"
            for one in run["extensions_changed"]
        ],
    )
    _print_list(
        "problems",
        [f"{shown(one['anchor'])}: {shown(one['message'])} ({one['code']})" for one in run["problems"]],
    )
    from .plans import warned_lines

    _print_list("warnings", warned_lines(run["warnings"], f"syncd runs {run['run']} --json"))
    if run["next"]:
        write(f"to apply it: {run['next']}")


def _told(queue: Sequence[Mapping[str, Any]]) -> list[str]:
    from .plans import MOST, reason_text

    told = [
        f"{one['operation']}, {one['kind']} {shown(one['who'] or one['anchor'])}: "
        + "; ".join(map(reason_text, one["reasons"]))
        for one in queue[:MOST]
    ]
    return [*told, f"and {len(queue) - MOST} more"] if len(queue) > MOST else told


def _print_list(title: str, lines: list[str]) -> None:
    if lines:
        heading(title)
    for line in lines:
        write(f"  {line}")
