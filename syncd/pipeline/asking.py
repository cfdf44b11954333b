"""Runs that a person asks for: they take the same way as every other, from the staging on."""

from __future__ import annotations

from collections.abc import Sequence

from ..guard import Limits, Summary, review
from ..logs import bound, get_log
from ..model import Objection, Operation
from ..store import runs
from ..store.runs import Run
from ..store.settling import settle_asked
from ..store.staging import Staging
from ..store.summary import PlanView, summarise
from .installation import Installation, services_of
from .line import report_plan

log = get_log("syncd.line")


def ask(
    here: Installation,
    *,
    kind: str,
    enterprise: str,
    operations: Sequence[Operation],
    connection: int | None = None,
    origins: Sequence[int] | None = None,
    undoes: Sequence[int] | None = None,
    undone_run: int | None = None,
    why: str | None = None,
    limits: Limits | None = None,
) -> Run:
    """Plan a run of the given operations; held if somebody objects, else planned.

    ``origins`` are the open operations that these repeat (they are superseded), ``undoes`` those that
    they undo, one for one. The limits on quantities are not asked again where a person has named every
    single operation; ``limits`` asks them nevertheless.
    """
    number = runs.begin(
        here.database,
        connection=connection,
        enterprise=enterprise,
        kind=kind,
        mode="none",
        actor=here.actor,
        now=here.now(),
        why=why,
        undoes=undone_run,
    )
    with bound(run=number):
        try:
            staging = Staging(here.database, number, connection, enterprise, here.settings.vocabulary)
            with here.database.transaction() as conn:
                ids = staging.add(operations, here.now())
                for ours, origin in zip(ids, origins or (), strict=bool(origins)):
                    conn.execute("UPDATE operations SET origin = ? WHERE id = ?", (origin, ours))
                for ours, undone in zip(ids, undoes or (), strict=bool(undoes)):
                    conn.execute("UPDATE operations SET undoes = ? WHERE id = ?", (undone, ours))
            plan_hash = settle_asked(staging)
            summary = _summary(here, staging, kind)
            objections = _judged(here, number, summary, limits)
            counts = {"add": summary.adds, "update": summary.updates, "remove": summary.removals}
            run = runs.ready_asked(
                staging, plan_hash, objections, counts, origins=origins or (), now=here.now()
            )
        except BaseException as error:
            runs.fail(here.database, number, str(error) or type(error).__name__, here.now())
            raise
        report_plan(run, number)
    return run


def _summary(here: Installation, staging: Staging, kind: str) -> Summary:
    return summarise(
        staging,
        kind=kind,
        detain="never",
        settled=None,
        services=services_of(here, staging.enterprise),
        broken_plugins=[failure.plugin for failure in here.plugins.failures],
        now=here.clock(),
    )


def _judged(here: Installation, run: int, summary: Summary, limits: Limits | None) -> list[Objection]:
    view = PlanView(here.database, run, summary)
    own = review(summary, limits if limits is not None else _UNLIMITED)
    if limits is None:
        own = [one for one in own if one.scope == "run"]
    return sorted({*own, *here.plugins.hooks.review_plan(view, limits)})


_UNLIMITED = Limits.unlimited()
