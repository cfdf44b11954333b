"""A person's approval of a plan, bound to what the person has seen."""

from __future__ import annotations

import json

from ..errors import SyncdError
from ..logs import get_log
from ..store import runs
from ..store.runs import Run
from .installation import Installation, require_unconfigured

log = get_log("syncd.line")


def approve(here: Installation, number: int, *, why: str | None = None, plan_hash: str | None = None) -> Run:
    """Record a person's approval of a held or planned run, bound to its plan; return the run.

    Raises SyncdError if the run is not open, or is not the plan that the person has seen.
    """
    run = runs.run_of(here.database, number)
    if run is None:
        raise SyncdError(f"there is no run {number}; see syncd runs")
    if run.state not in ("planned", "held"):
        newer = runs.open_run(here.database, run.connection)
        hint = f"; the open run is {newer.id}" if newer is not None else "; run syncd preview again"
        raise SyncdError(f"run {number} is {run.state} and cannot be applied{hint}")
    if run.kind == "retire":
        require_unconfigured(here, run.connection)
    if plan_hash is not None and not (run.plan_hash or "").startswith(plan_hash):
        raise SyncdError(f"run {number} has the plan {run.plan_hash}, which does not begin with {plan_hash}")
    overrides = sorted({one.code for one in run.objections if one.scope == "run"})
    closed = [code for code in overrides if code in ("plugin-missing", "reviewer-failed")]
    if closed:
        raise SyncdError(
            f"run {number} cannot be approved while {', '.join(closed)} stands; mend the plugin first"
        )
    approval = {
        "who": here.actor,
        "at": here.now(),
        "plan_hash": run.plan_hash,
        "overrides": overrides,
        "why": why,
    }
    with here.database.transaction() as conn:
        conn.execute("UPDATE runs SET approved = ? WHERE id = ?", (json.dumps(approval), number))
        conn.execute(
            "INSERT INTO decisions (connection, verb, who, at, why, run, ended_at) VALUES (?,'apply',?,?,?,?,?)",
            (run.connection, here.actor, here.now(), why, number, here.now()),
        )
    log.info("decision_recorded", verb="apply", run=number, overrides=overrides)
    approved = runs.run_of(here.database, number)
    assert approved is not None  # noqa: S101 - it was just written
    return approved
