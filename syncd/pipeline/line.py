"""The line itself: read, plan, judge, apply."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta

from ..completion import complete
from ..correlation import correlate, skip_unchanged
from ..errors import CursorExpired, PluginError, SyncdError, Unavailable
from ..guard import Summary, review
from ..logs import bound, get_log
from ..mapping import map_entries
from ..model import Event, Objection
from ..planning import plan
from ..store import applying, runs
from ..store.runs import Connection, Run
from ..store.settling import Settled, settle
from ..store.staging import Staging, stamp
from ..store.standings import precedence_of
from ..store.summary import PlanView, counts_of, summarise
from ..validation import validate
from .installation import Installation, Line, shared_of
from .judging import places_of
from .renumbering import tell_renumbered
from .sealing import Keyless, hiding, sealer_for
from .turns import ACCOUNTS, Stopping

log = get_log("syncd.line")

FULL_AGAIN = timedelta(days=7)
"""An incremental source is read in full when the last time is this long ago: behind what it tells stands a whole read."""

Beat = Callable[[str, int], None]
"""Told of progress: the stage (``read``, ``apply``) and how far it is."""


def plan_run(here: Installation, line: Line, *, full: bool = False, beat: Beat | None = None) -> Run:
    """Read a source to its end and leave a plan: planned, held, or the open run that is the same.

    What was begun of the connection is finished first; else nothing of accounts, links or platforms changes.
    Raises ConnectorError if the source cannot be read, after the run has been failed.
    """
    with here.alone(line.settings.enterprise, f"the reading of {line.settings.name}"):
        resume(here, line.connection.id, beat=beat)
        return _planned(here, line, full=full, beat=beat)


def _planned(here: Installation, line: Line, *, full: bool, beat: Beat | None) -> Run:
    connection = runs.find_connection(here.database, line.connection.name) or line.connection
    number = runs.begin(
        here.database,
        connection=connection.id,
        enterprise=connection.enterprise,
        kind="sync",
        mode="full",
        actor=here.actor,
        now=here.now(),
    )
    with bound(run=number, connection=connection.name):
        try:
            with closing(line.source):
                line.source.open()
                scope = line.source.scope()
                switched = connection.scope not in (None, scope)
                cursor, why = _resumed(here, line, connection, asked=full, switched=switched)
                staging, begun = _read(here, line, number, cursor, why, beat)
            stored = connection.cursor if begun else None
            return _settled(here, line, staging, scope, stored, switched=switched)
        except BaseException as error:
            runs.fail(here.database, number, str(error) or type(error).__name__, here.now())
            log.info("run_failed", error=str(error) or type(error).__name__)
            tell(here, "run_failed", run=number, connection=connection.name, error=str(error))
            raise


def _resumed(
    here: Installation, line: Line, connection: Connection, *, asked: bool, switched: bool
) -> tuple[str | None, str | None]:
    """Return the cursor to read from; None for a read in full, with why if the source could have said what changed."""
    salt, _, cursor = (connection.cursor or "").partition(" ")
    if not line.source.incremental or not cursor:
        return None, None
    if asked:
        return None, "it was asked for"
    if switched:
        return None, "the source is configured in another way: server, base, filter, identity or anchor"
    if salt != line.salt.hex():
        return None, "the mapping is another one than at the last read, or what else makes a record"
    last = runs.last_full_read(here.database, connection.id)
    if last is None or last <= stamp(here.clock() - FULL_AGAIN):
        return None, f"the last full read was on {last}" if last else "there was no full read yet"
    return cursor, None


def _read(
    here: Installation, line: Line, number: int, cursor: str | None, why: str | None, beat: Beat | None
) -> tuple[Staging, str | None]:
    """Read to the Checkpoint; return what was staged, and the cursor that it was read from in the end."""
    mode = "full" if cursor is None else "incremental"
    log.info("run_started", mode=mode, actor=here.actor, **({"why": why} if why else {}))
    runs.read_as(here.database, number, mode, why)
    enterprise = line.connection.enterprise
    shared = shared_of(here, enterprise)
    staging = Staging(here.database, number, line.connection.id, enterprise, line.vocabulary, shared)
    staging.standings.rank(precedence_of(here.database.conn, line.siblings))
    try:
        with here.database.hurried():
            staging.stage(stages(here, line, staging, cursor), here.now(), _pulse(here, "read", beat))
    except CursorExpired as error:
        if cursor is None:
            raise
        log.warning("cursor_expired", reason=str(error))
        return _read(here, line, number, None, str(error), beat)
    if staging.checkpoint is None:
        log.warning("read_torn")
        raise Unavailable(
            f"source {line.settings.name} ended without its checkpoint: the read is torn, nothing of it was used"
        )
    return staging, cursor


def _items(line: Line, cursor: str | None) -> Iterator[object]:
    """Read the source, and blame its plugin for an error that is none of the contract's."""
    try:
        yield from line.source.read(cursor)
    except SyncdError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(line.settings.type, f"reading {line.settings.name}: {error!r}") from error


def stages(here: Installation, line: Line, staging: Staging, cursor: str | None) -> Iterator[object]:
    """Put the pure stages behind each other; whoever drains the stream makes them work."""
    stream = _items(line, cursor)
    keyed, hide = hiding(here, line, staging)
    stream = skip_unchanged(stream, staging.sightings.known, line.salt, keyed)
    stream = map_entries(stream, line.settings.mapping, line.vocabulary)
    stream = hide(stream)
    stream = correlate(stream, staging.candidates(line.settings.match))
    stream = complete(stream, line.completion)
    stream = validate(stream, line.settings.checks, line.demands, places_of(here), line.settings.terms.kind)
    return plan(stream, line.settings.terms, line.vocabulary, line.protected)


def _pulse(here: Installation, stage: str, beat: Beat | None) -> Callable[[int], None]:
    """Return what is called between two transactions: it tells how far it is, and ends it with the service."""

    def pulse(count: int) -> None:
        here.turns.heard()
        if beat is not None:
            beat(stage, count)
        if here.stopping.is_set():
            raise Stopping("the service ends; what was begun goes on after its next start")

    return pulse


def _settled(
    here: Installation, line: Line, staging: Staging, scope: str, stored: str | None, *, switched: bool
) -> Run:
    """Settle what was read and judge it; ``stored`` is the cursor that an incremental read began from."""
    terms = line.settings.terms
    settled = settle(staging, terms, line.protected, here.clock(), switched=switched)
    summary = summarise(
        staging,
        kind="sync",
        detain=terms.detain,
        settled=settled,
        services=line.services,
        broken_plugins=[failure.plugin for failure in here.plugins.failures],
        licences=here.settings.licences,
        now=here.clock(),
    )
    objections = judge(here, line, staging.run, summary)
    counts = counts_of(staging, settled, summary)
    cursor = _cursor(line, staging, settled, stored)
    run = runs.ready(staging, settled, objections, counts, cursor=cursor, scope=scope, now=here.now())
    report_plan(run, staging.run)
    if run.id == staging.run:
        objections_told = [one.code for one in run.objections]
        tell(
            here,
            f"run_{run.state}",
            run=run.id,
            connection=line.settings.name,
            objections=objections_told,
            **counts,
        )
    return run


def _cursor(line: Line, staging: Staging, settled: Settled, stored: str | None) -> str | None:
    """Return where the next read begins: where this one did, if it was incremental and told of an anchor twice.

    Of such an anchor nothing was used, and its entries change no more when the double is mended by the
    other's going: behind this read nobody would tell of them until the next full one. That reads whatever
    the cursor, so that a double which stays makes the increments longer until then, and no longer.
    """
    end = staging.checkpoint
    if end is None or end.cursor is None:
        return None
    if stored is not None and settled.doubles:
        log.warning("cursor_kept", doubles=settled.doubles)
        return stored
    return f"{line.salt.hex()} {end.cursor}"


def judge(here: Installation, line: Line, run: int, summary: Summary) -> list[Objection]:
    """Collect the objections of the guards and of every plugin."""
    view = PlanView(here.database, run, summary)
    own = review(summary, line.settings.limits)
    return sorted({*own, *here.plugins.hooks.review_plan(view, line.settings.limits)})


def report_plan(run: Run, number: int) -> None:
    """Log what became of a plan."""
    if run.id != number:
        log.info("run_ended", same_as=run.id)
    elif run.state == "held":
        log.warning("run_held", objections=[one.code for one in run.objections], **_told(run))
    else:
        log.info("run_planned", **_told(run))
    detained = [one.code for one in run.objections if one.scope == "removals"]
    if detained and run.id == number:
        log.warning("removals_detained", objections=detained, removals=run.counts.get("remove", 0))
    short = [one.code.partition(":")[2] for one in run.objections if one.scope == "licences"]
    if short and run.id == number:
        log.warning("licences_short", features=short)


def _told(run: Run) -> dict[str, int]:
    return {
        name: run.counts.get(name, 0)
        for name in ("entries", "add", "update", "remove", "problems", "warnings")
    }


def apply_run(here: Installation, run: Run, *, beat: Beat | None = None) -> Run:
    """Apply a planned or approved run to the accounts; the platforms are for ``distribute``.

    Raises SyncdError if the run cannot be applied as it stands.
    """
    platforms = [
        name
        for name, one in here.settings.platforms.items()
        if one.enterprises is None or run.enterprise in one.enterprises
    ]
    configured = here.settings.enterprises.get(run.enterprise)
    about = {"run": run.id, **_source(here, run)}
    with here.alone(ACCOUNTS, f"the applying of run {run.id}"), bound(**about):
        ended = applying.apply(
            here.database,
            run,
            platforms=platforms,
            sources=configured.sources if configured is not None else (),
            vocabulary=here.settings.vocabulary,
            clock=here.now,
            beat=_pulse(here, "apply", beat),
            licences=here.settings.licences,
            shared=shared_of(here, run.enterprise),
            seal=sealer_for(here, run.id),
        )
        states = {k: v for k, v in ended.counts.items() if k.endswith("_operations")}
        log.info("run_applied", **states)
    tell(here, "run_applied", run=run.id, **states)
    tell_renumbered(here, ended)
    return ended


def _source(here: Installation, run: Run) -> dict[str, str]:
    """Return ``connection``, the name of what a run has read; nothing for a run of another kind."""
    query = "SELECT name FROM connections WHERE id = ?"
    found = here.database.conn.execute(query, (run.connection,)).fetchone()
    return {} if found is None else {"connection": found[0]}


def tell(here: Installation, name: str, **fields: object) -> None:
    """Tell the observers what has been committed."""
    here.plugins.hooks.observe(Event(name, here.now(), fields))


def sync(here: Installation, line: Line, *, full: bool = False, beat: Beat | None = None) -> Run:
    """Finish what was begun, read, plan, and apply what nothing objects to; return the run."""
    with here.alone(line.settings.enterprise, f"a run of {line.settings.name}"):
        run = plan_run(here, line, full=full, beat=beat)
        if run.state == "planned":
            run = apply_run(here, run, beat=beat)
        return run


def resume(
    here: Installation,
    connection: int | None = None,
    *,
    beat: Beat | None = None,
    left: Callable[[Keyless], None] | None = None,
) -> list[Run]:
    """Clean up after a killed process: drop half-read runs, finish half-applied ones and those of a person's word.

    A run that has to wait for the key of its secrets is told to ``left``, and keeps none but its connection
    waiting; without ``left`` it raises Keyless.
    """
    runs.clean_up(here.database, here.now(), connection)
    begun = f"{runs.BEGUN} AND (state = 'applying' OR (state = 'planned' AND kind IN ('manual','release')))"
    where, values = (begun, ()) if connection is None else (f"{begun} AND connection = ?", (connection,))
    resumed = []
    for run in reversed(runs.runs(here.database, where, values, limit=1000)):
        log.warning("run_resumed", run=run.id)
        try:
            resumed.append(apply_run(here, run, beat=beat))
        except Keyless as error:
            if left is None:
                raise
            left(error)
    return resumed
