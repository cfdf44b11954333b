"""What a person can do with an operation that waits for somebody."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from ..errors import SyncdError
from ..logs import get_log
from ..model import Fault, Layer, Numbers, Operation, Value, fold_layers
from ..planning import claims_of, encode, kind_of, operation, touched, way_back
from ..services import Shared
from ..store import queue as stored
from ..store.layers import outdated, patch_of, patched
from ..store.queue import Stored
from ..store.runs import Run, find_connection, run_of
from ..store.sharing import is_taken_elsewhere
from ..store.standings import texts
from ..validation import Check
from .asking import ask
from .delivering import finish
from .installation import Installation, shared_of
from .judging import judge_by_hand
from .licences import fitted
from .line import apply_run
from .people import require_typable, standings_of
from .sealing import unhidden

log = get_log("syncd.line")


def waiting(here: Installation, *, connection: str | None = None, state: str | None = None) -> list[Stored]:
    """Return every operation that waits for somebody, without a limit."""
    where, values = [stored.WAITS], []
    if connection is not None:
        where.append("c.name = ?")
        values.append(connection)
    if state is not None:
        where.append("CASE WHEN o.state = 'planned' THEN r.state ELSE o.state END = ?")
        values.append(state)
    return stored.operations(here.database, " AND ".join(where), values)


def found(here: Installation, ids: Iterable[int]) -> list[Stored]:
    """Return open operations by their numbers; raises SyncdError naming those that are not open."""
    wanted = sorted(set(ids))
    rows = {one.id: one for one in stored.by_ids(here.database, wanted)}
    problems = []
    for number in wanted:
        one = rows.get(number)
        if one is None:
            problems.append(f"there is no operation {number}")
        elif one.state not in ("detained", "failed", "waiting") and not _in_open_run(one):
            problems.append(f"operation {number} is {one.state}")
    if problems:
        raise SyncdError("; ".join(problems) + "; see syncd queue list")
    return [rows[number] for number in wanted]


def _in_open_run(one: Stored) -> bool:
    return one.state == "planned" and one.run_state in ("planned", "held")


def release(here: Installation, ids: Iterable[int], *, why: str | None = None) -> list[Run]:
    """Do what was held, now, by a person's word; one run for each connection.

    Raises SyncdError for a failed operation: that has to be mended or edited first.
    """
    chosen = found(here, ids)
    _require_one_each(chosen)
    failed = [one.id for one in chosen if one.state == "failed"]
    if failed:
        numbers = ", ".join(map(str, failed))
        raise SyncdError(
            f"operation {numbers} failed and cannot be done as it is: syncd queue edit {failed[0]} ..."
        )
    _require_source(here, chosen)
    groups: dict[tuple[int | None, str], list[Stored]] = defaultdict(list)
    for one in chosen:
        groups[one.connection, one.enterprise].append(one)
    released = []
    for (connection, enterprise), some in groups.items():
        shared = shared_of(here, enterprise)
        operations = fitted(here, [_again(here, one, shared) for one in some])
        run = ask(
            here,
            kind="release",
            enterprise=enterprise,
            connection=connection,
            operations=operations,
            origins=[one.id for one in some],
            undoes=[one.undoes for one in some],
            why=why,
            decide=partial(_decide_release, here, some, why),
        )
        log.info("decision_recorded", verb="release", run=run.id, operations=len(some))
        released.append(finish(here, apply_run(here, run)) if run.state == "planned" else run)
    return released


def _decide_release(here: Installation, some: list[Stored], why: str | None, run: int) -> None:
    for one in some:
        stored.decide(
            here.database, "release", who=here.actor, at=here.now(), connection=one.connection,
            anchor=one.anchor, digest=one.digest, why=why, run=run, operation=one.id,
        )  # fmt: skip
        _agree(here, one)


def _require_source(here: Installation, chosen: list[Stored]) -> None:
    """Refuse to go round an objection to the source: that is for an approval of the whole run, by its name."""
    for number in sorted({one.run for one in chosen if one.run_state == "held"}):
        run = run_of(here.database, number)
        codes = {one.code for one in run.objections if one.scope == "run"} if run is not None else set()
        against = sorted(codes - {"first-run", "detain-always"})
        if against:
            raise SyncdError(
                f"run {number} is held ({', '.join(against)}), and so is all of it: syncd apply {number} sets that aside"
            )


def _require_one_each(chosen: list[Stored]) -> None:
    accounts: dict[int, int] = {}
    for one in chosen:
        if accounts.setdefault(one.account, one.id) != one.id:
            raise SyncdError(
                f"operations {accounts[one.account]} and {one.id} are both of account {one.account}: "
                "release one after the other"
            )


def _agree(here: Installation, one: Stored) -> None:
    """Take the first plan of a connection as accepted when nothing of it is left that was held."""
    here.database.conn.execute(
        "UPDATE connections SET trusted_since = COALESCE(trusted_since, ?) WHERE id = ?"
        " AND EXISTS (SELECT 1 FROM runs WHERE id = ? AND kind = 'sync' AND state = 'held')"
        " AND NOT EXISTS (SELECT 1 FROM operations WHERE run = ? AND state = 'planned')",
        (here.now(), one.connection, one.run, one.run),
    )


def _again(here: Installation, one: Stored, shared: Sequence[Shared]) -> Operation:
    if one.kind == "add":
        one, allocate = _renumbered(here, one, shared)
        return stored.again(here.database, one, here.settings.vocabulary, allocate=allocate)
    again = stored.again(here.database, one, here.settings.vocabulary)
    standings = standings_of(here, one.connection or 0, one.enterprise)
    standing = standings.by_account([one.account]).get(one.account)
    message = outdated(standings, standing, again) if standing is not None else None
    if message is None:
        return again
    stale = Fault("stale", None, message, "detained")
    return again._replace(state="detained", reasons=encode((*one.warnings, stale)))


def _renumbered(
    here: Installation, one: Stored, shared: Sequence[Shared]
) -> tuple[Stored, dict[str, Numbers]]:
    """Return an add without the allocated numbers that others have by now, and what is to be allocated."""
    said, template, after = texts(one.record), texts(one.template), texts(one.after)
    role = here.settings.roles.get(str(template.get("role")))
    if role is None:
        return one, {}
    conn, allocate = here.database.conn, {}
    for name, pool in role.template.allocate.items():
        number = template.get(name)
        taken = conn.execute(
            "SELECT 1 FROM keys WHERE attribute = ? AND folded = ? AND enterprise = ?",
            (name, number, one.enterprise),
        ).fetchone()
        taken = taken or is_taken_elsewhere(conn, one.enterprise, shared, one.id, name, str(number))
        if name not in said and (number is None or taken):
            allocate[name] = pool
    kept = {name: value for name, value in template.items() if name not in allocate}
    after = {name: value for name, value in after.items() if name not in allocate}
    return one._replace(template=encode(kept), after=encode(after)), allocate


def discard(here: Installation, ids: Iterable[int], *, why: str | None = None) -> int:
    """Refuse proposals: the very same is not made again until the source's value changes."""
    chosen = found(here, ids)
    with here.database.transaction() as conn:
        for one in chosen:
            conn.execute(
                "UPDATE operations SET state = 'discarded', changed_at = ? WHERE id = ?", (here.now(), one.id)
            )
            stored.decide(
                here.database, "discard", who=here.actor, at=here.now(), connection=one.connection,
                anchor=one.anchor, digest=one.digest, why=why, operation=one.id,
            )  # fmt: skip
            _agree(here, one)
    log.info("decision_recorded", verb="discard", operations=len(chosen))
    return len(chosen)


def ignore(here: Installation, connection: str, anchor: str, *, why: str | None = None) -> int:
    """Leave an entry alone for good; its open proposals are discarded. Returns how many those were."""
    known = _connection(here, connection)
    with here.database.transaction():
        count = stored.leave_alone(here.database, known, anchor, who=here.actor, at=here.now(), why=why)
    log.info("decision_recorded", verb="ignore")
    return count


def unignore(here: Installation, connection: str, anchor: str) -> int:
    """End every decision that keeps an entry's proposals away; returns how many there were."""
    known = _connection(here, connection)
    with here.database.transaction() as conn:
        count = conn.execute(
            "UPDATE decisions SET ended_at = ? WHERE connection = ? AND anchor = ? AND ended_at IS NULL",
            (here.now(), known, anchor),
        ).rowcount
        conn.execute(
            "UPDATE links SET fingerprint = NULL WHERE connection = ? AND anchor = ?", (known, anchor)
        )
    return count


def _connection(here: Installation, name: str) -> int:
    found_one = find_connection(here.database, name)
    if found_one is None:
        raise SyncdError(f"there is no connection {name!r}; see syncd runs")
    return found_one.id


def edit(
    here: Installation, number: int, changes: Mapping[str, Value | None], *, why: str | None = None
) -> Run:
    """Correct a proposal by hand: the corrected one is detained and has to be released.

    Nothing is written back to the source; without the same change there, the old proposal returns when
    the source's value changes. Raises SyncdError for unknown and secret attributes and for operations on links alone.
    """
    (one,) = found(here, [number])
    require_typable(here, changes)
    if one.link_action == "policy":
        raise SyncdError(
            f"operation {number} changes nothing of the account but what a platform is told: "
            f"syncd accounts edit {one.account}"
        )
    if one.record is None or one.link_action == "drop" or (one.link_action == "make" and one.replaced):
        raise SyncdError(
            f"operation {number} proposes to {one.kind} an account; there is nothing to edit in it"
        )
    run = ask(
        here,
        kind="manual",
        enterprise=one.enterprise,
        connection=one.connection,
        operations=[_edited(here, one, changes)._replace(digest=one.digest)],
        origins=[one.id],
        why=why,
    )
    return apply_run(here, run) if run.state == "planned" else run


def retry(here: Installation, ids: Iterable[int]) -> list[Run]:
    """Judge failed proposals again by the rules as they are now; what passes is detained."""
    return [edit(here, one.id, {}) for one in found(here, ids)]


def _edited(here: Installation, one: Stored, changes: Mapping[str, Value | None]) -> Operation:
    by_hand = one.link_action == "local"
    standings = standings_of(here, one.connection or 0, one.enterprise)
    standing = standings.by_account([one.account]).get(one.account)
    said = patched(standing.local, patch_of(one)) if by_hand and standing is not None else texts(one.record)
    layer = {**said, **{name: "" if value is None else value for name, value in changes.items()}}
    record = {name: value for name, value in layer.items() if by_hand or value not in ("", ())}
    before: dict[str, Any]
    after: dict[str, Any]
    replaced = one.replaced
    if standing is None:
        values: Mapping[str, Value] = {**texts(one.template), **record}
        before, after = {}, dict(values)
    elif by_hand:
        values = fold_layers(standing.template, standing.others, record)
        before, after = touched(standing.attributes, values)
        replaced = encode(way_back(record, standing.local))
    else:
        place = standings.precedence_of(one.connection)
        own = Layer(place, record, bool(one.owner), gone=None, enabled=bool(one.enabled))
        values = fold_layers(standing.template, (*standing.others, own), standing.local)
        before, after = touched(standing.attributes, values)
    state = texts(one.after)
    for word in [word for word in ("disabled_by", "deleted") if word in state]:
        before[word], after[word] = texts(one.before).get(word), state[word]
    was = standing.attributes if standing is not None else None
    told = unhidden(here, values)
    faults = tuple(judge_by_hand(here, one.enterprise, told, was, one.account_kind, _checks(here, one)))
    held = faults or (Fault("edited", None, f"edited by {here.actor}", "detained"),)
    gains, frees = claims_of(
        before,
        after,
        standing.attributes if standing else {},
        here.settings.vocabulary,
        deleted=standing is not None and standing.deleted,
    )
    return operation(
        anchor=one.anchor,
        kind="add" if standing is None else kind_of(before, after),
        account=None if standing is None else one.account,
        link=one.link,
        link_action=one.link_action,
        record=encode(record),
        replaced=replaced,
        before=before,
        after=after,
        template=one.template,
        enabled=bool(one.enabled),
        owner=bool(one.owner),
        fingerprint=one.fingerprint,
        faults=held,
        warnings=tuple(warning for warning in one.warnings if warning.attribute not in changes),
        gains=gains,
        frees=frees,
        account_kind=one.account_kind,
    )


def _checks(here: Installation, one: Stored) -> tuple[Check, ...]:
    source = here.settings.sources.get(one.connection_name or "")
    return source.checks if source is not None else ()
