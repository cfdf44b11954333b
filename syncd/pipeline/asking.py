"""Runs that a person asks for: they take the same way as every other, from the staging on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from ..guard import Limits, Summary, review
from ..logs import bound, get_log
from ..model import Objection, Operation
from ..store import runs
from ..store.runs import Run
from ..store.settling import settle_asked
from ..store.staging import FLUSH, Staging
from ..store.summary import PlanView, summarise
from .installation import Installation, services_of, shared_of
from .line import report_plan

log = get_log("syncd.line")


def ask(
    here: Installation,
    *,
    kind: str,
    enterprise: str,
    operations: Iterable[Operation],
    connection: int | None = None,
    origins: Sequence[int] | None = None,
    undoes: Sequence[int | None] | None = None,
    undone_run: int | None = None,
    why: str | None = None,
    limits: Limits | None = None,
    decide: Callable[[int], None] | None = None,
) -> Run:
    """Plan a run of the given operations; held if somebody objects, else planned.

    ``origins`` are the open operations that these repeat (they are superseded), ``undoes`` those that
    they undo (None: nothing), one for one. The limits on quantities are not asked again where a person
    has named every single operation; ``limits`` asks them nevertheless. ``decide`` is given the number of a
    run that is not held, to record what was decided with it.
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
            shared = shared_of(here, enterprise)
            staging = Staging(here.database, number, connection, enterprise, here.settings.vocabulary, shared)
            _stage(staging, operations, here.now(), origins or (), undoes or ())
            plan_hash = settle_asked(staging)
            summary = _summary(here, staging, kind)
            objections = _judged(here, number, summary, limits)
            counts = {"add": summary.adds, "update": summary.updates, "remove": summary.removals}
            run = runs.ready_asked(
                staging,
                plan_hash,
                objections,
                counts,
                origins=origins or (),
                now=here.now(),
                decide=decide,
            )
        except BaseException as error:
            runs.fail(here.database, number, str(error) or type(error).__name__, here.now())
            raise
        report_plan(run, number)
    return run


def _stage(
    staging: Staging,
    operations: Iterable[Operation],
    now: str,
    origins: Sequence[int],
    undoes: Sequence[int | None],
) -> None:
    """Write the operations some thousand at a time, so that it does not matter how many there are."""
    stream, done = iter(operations), 0
    while batch := list(islice(stream, FLUSH)):
        with staging.database.transaction() as conn:
            ids = staging.add(batch, now)
            for column, others in (("origin", origins), ("undoes", undoes)):
                pairs = zip(others[done : done + len(ids)], ids, strict=bool(others))
                conn.executemany(f"UPDATE operations SET {column} = ? WHERE id = ?", pairs)
        done += len(batch)


def _summary(here: Installation, staging: Staging, kind: str) -> Summary:
    return summarise(
        staging,
        kind=kind,
        detain="never",
        settled=None,
        services=services_of(here, staging.enterprise),
        broken_plugins=[failure.plugin for failure in here.plugins.failures],
        licences=here.settings.licences,
        now=here.clock(),
    )


def _judged(here: Installation, run: int, summary: Summary, limits: Limits | None) -> list[Objection]:
    view = PlanView(here.database, run, summary)
    if limits is None:
        own = review(summary._replace(effects=()), Limits.unlimited())
    else:
        own = review(summary, limits)
    return sorted({*own, *here.plugins.hooks.review_plan(view, limits)})
