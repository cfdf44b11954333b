"""What every verb does with a run that is to be done: ask, apply, deliver, tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .asking import confirm
from .delivering import deliver_all
from .documents import closed, name_of, next_command, plan_document, run_document
from .failures import BAD_DATA, HELD, worst
from .output import counted, shown, write, write_json
from .plans import KEPT_AWAY, MOST, UNMATCHED, print_plan
from .progress import progress

if TYPE_CHECKING:
    from ..pipeline.installation import Installation
    from ..store.runs import Run


def settle(
    here: Installation,
    run: Run,
    *,
    yes: bool,
    why: str | None,
    as_json: bool = False,
    ask: str = "",
) -> int:
    """Apply a run with the person's agreement, deliver it, and return the exit code.

    Agreement is asked for where objections are set aside, and with the question ``ask`` in any case.
    """
    from ..pipeline.approving import approve
    from ..pipeline.delivering import finish
    from ..pipeline.line import apply_run

    held = [one for one in run.objections if one.scope == "run"]
    again = [
        "apply",
        run.id,
        f"--plan={run.plan_hash}",
        why and f"--why={why}",
        "--json" if as_json else None,
    ]
    if run.state == "held" and held and not closed(run):
        about = [f"{one.code}: {shown(one.message)}" for one in held]
        confirm(f"Apply run {run.id} all the same?", yes=yes, about=about, again=again)
    elif run.state == "planned" and ask:
        confirm(ask, yes=yes, again=again)
    approved = approve(here, run.id, why=why, plan_hash=run.plan_hash)
    with progress(here, f"run {run.id}", quiet=as_json) as beat:
        ended = finish(here, apply_run(here, approved, beat=beat))
    return report_done(here, [ended], as_json=as_json)


def show_and_settle(
    here: Installation,
    run: Run,
    *,
    only_plan: bool,
    everything: bool,
    yes: bool,
    why: str | None,
    as_json: bool,
) -> int:
    """Show the plan of a run that a person asked for, then apply it if that is wanted."""
    plan = plan_document(here, run, most=None if everything or as_json else MOST)
    if not as_json:
        print_plan(here, plan)
        write()
    if only_plan:
        if as_json:
            write_json({"runs": [plan]})
        return HELD if run.state == "held" else 0
    question = f"Apply run {run.id}? Otherwise it stays planned."
    return settle(here, run, yes=yes, why=why, as_json=as_json, ask=question)


def report_done(
    here: Installation, runs: Sequence[Run], *, as_json: bool, more: Mapping[str, Any] | None = None
) -> int:
    """Deliver what runs have done, tell what became of both, and return the exit code.

    ``more`` belongs to the document as well.
    """
    if not as_json:
        for run in runs:
            print_done(here, run)
    reports = deliver_all(here, quiet=as_json)
    if as_json:
        documents = [run_document(here, run) for run in runs]
        write_json({**(more or {}), "runs": documents, "deliveries": reports})
    return worst([exit_code(run, asked=True) for run in runs] + [one["exit_code"] for one in reports])


def exit_code(run: Run, *, asked: bool = False) -> int:
    """Return the exit code of one run: a guard holds it, nothing of what a person asked for was done, or all is well.

    ``asked``: a person has asked for this very run, as for every one that reads no source.
    """
    asked = asked or run.kind != "sync"
    done = {state: run.counts.get(f"{state}_operations", 0) for state in ("applied", "detained", "failed")}
    if run.state == "held" or (asked and done["detained"] and not done["applied"]):
        return HELD
    return BAD_DATA if asked and done["failed"] and not done["applied"] else 0


def print_done(here: Installation, run: Run) -> None:
    """Write what became of a run, and the command with which it goes on."""
    about = name_of(here, run.connection) or run.enterprise
    kind = "" if run.kind == "sync" else f" ({run.kind})"
    read = ""
    if run.kind == "sync":
        of = "changes of " if run.mode == "incremental" else ""
        read = f"{of}{counted(run.entries, 'entry', 'entries')}, {run.unchanged} unchanged, "
    if run.counts.get("warnings"):
        read += f"{counted(run.counts['warnings'], 'warning')}, "
    held = run.state == "held"
    write(f"{about}: run {run.id}{kind} {'is held' if held else 'is done'}: {read}{_counts(run, held=held)}")
    if run.kind == "sync" and run.why:
        write(f"  it was read in full: {shown(run.why)}")
    for one in run.objections:
        if held or one.scope != "run":  # the others were set aside
            write(f"  {one.code}: {shown(one.message)}")
    for line in _what_next(here, run):
        write(f"  {line}")


def _counts(run: Run, *, held: bool) -> str:
    if held:
        return ", ".join(f"{run.counts.get(name, 0)} to {name}" for name in ("add", "update", "remove"))
    done = {
        state: run.counts.get(f"{state}_operations", 0)
        for state in ("applied", "detained", "failed", "waiting")
    }
    return ", ".join(f"{count} {state}" for state, count in done.items() if count or state == "applied")


def _what_next(here: Installation, run: Run) -> list[str]:
    lines = []
    if run.state == "held":
        command = next_command(run)
        lines.append(
            f"to apply it all the same: {command}"
            if command
            else "nobody can set this aside: mend the cause, then do it again"
        )
    if run.kind == "release" and (idle := _without_licence(here, run)):
        told = f"{counted(idle, 'account')} {'is' if idle == 1 else 'are'}"
        lines.append(f"{told} not active for want of a licence: syncd licences")
    waiting = _waiting(here, run)
    if waiting:
        lines.append(f"{waiting} in the queue for a person: syncd queue list")
    if run.counts.get("extensions_changed"):
        people = counted(run.counts["extensions_changed"], "person", "people")
        lines.append(
            f"other extensions than before, so restart the desktop client: {people} (syncd runs {run.id})"
        )
    if run.counts.get("kept_away"):
        lines.append("{0}: {2} ({1})".format(*KEPT_AWAY, run.counts["kept_away"]))
    if run.counts.get("unmatched"):
        lines.append(f"{UNMATCHED}: {run.counts['unmatched']}")
    if run.counts.get("problems"):
        lines.append(f"entries that could not be used: {run.counts['problems']} (syncd runs {run.id})")
    if run.counts.get("warnings"):
        lines.append(
            f"warnings, of values that had to be mended: {run.counts['warnings']} (syncd runs {run.id})"
        )
    return lines


def _without_licence(here: Installation, run: Run) -> int:
    """Count those whom a run has left without a licence."""
    row: tuple[Any, ...] = here.database.conn.execute(
        "SELECT COUNT(*) FROM operations o JOIN accounts a ON a.id = o.account"
        " WHERE o.run = ? AND o.state = 'applied' AND a.disabled_by = 'licence' AND a.deleted_at IS NULL",
        (run.id,),
    ).fetchone()
    return int(row[0])


def _waiting(here: Installation, run: Run) -> int:
    """Count what waits for a person: of the run's connection, or of the run itself."""
    from ..store.database import OPEN

    column, value = ("run", run.id) if run.connection is None else ("connection", run.connection)
    row: tuple[Any, ...] = here.database.conn.execute(
        f"SELECT COUNT(*) FROM operations WHERE {OPEN} AND state <> 'waiting' AND {column} = ?", (value,)
    ).fetchone()
    return int(row[0])
