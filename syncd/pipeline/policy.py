"""Whom a platform takes, and what it is told of them: a change of that is a run like any other (law 11).

The stored text of a platform's policy is the one in force. As long as the configuration says another,
the platform is unsettled: nothing is delivered to it until a run of kind ``policy`` has been applied.
That run names everybody who would appear there, vanish, or look different.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..config.settings import PlatformSettings
from ..guard import Limits, Summary, review
from ..logs import bound
from ..model import Objection, Operation
from ..planning import encode, operation
from ..store import policies, runs
from ..store.contesting import ONE_MORE
from ..store.effects import effect_of
from ..store.runs import Run
from ..store.settling import settle_asked
from ..store.staging import FLUSH, Staging
from ..store.summary import PlanView
from .delivering import lanes_of
from .installation import Installation, platform_of, service_of
from .licences import grant
from .line import apply_run, report_plan

if TYPE_CHECKING:
    from ..distribution import Lane

CHUNK = 1000
"""How many accounts are looked at together."""

_WAITS = frozenset({"pending", "waiting"})

Effects = Counter[tuple[str, str]]
"""(platform, ``appear``, ``vanish`` or ``change``) -> how many accounts."""


def policy_texts(here: Installation) -> dict[str, str]:
    """Return the policy of each configured platform as one text, by the platform's name."""
    return {name: _text(here, settings) for name, settings in here.settings.platforms.items()}


def unsettled(here: Installation) -> list[str]:
    """Return the platforms that nothing may be delivered to until a policy run has been applied."""
    known = policies.in_force(here.database)
    return sorted(name for name, text in policy_texts(here).items() if known.get(name) != text)


def plan_policy(here: Installation) -> list[Run]:
    """Plan what the configured policies change: one run for each enterprise in which they change anything.

    A new platform is such a change: everybody who belongs there appears. An objection to how many would
    vanish detains them and lets the others go on. The same plan as before is the run as before, with its
    approval. Where nobody is touched, the new text is in force at once, without a run.
    """
    if not unsettled(here):
        with here.database.transaction() as conn:
            policies.supersede_open(conn, (), (), here.now())
        return []
    with here.alone(None, "what the configuration has changed for platforms"):
        return _planned(here)


def _planned(here: Installation) -> list[Run]:
    _rename(here)
    texts = policy_texts(here)
    known = policies.in_force(here.database)
    changed = {name: text for name, text in sorted(texts.items()) if known.get(name) != text}
    lanes = lanes_of(here, changed) if changed else []
    known_runs = [
        _run_of(here, enterprise, lanes, changed)
        for enterprise in sorted(here.settings.enterprises if changed else ())
    ]
    found = [run for run in known_runs if run is not None]
    planned = [run for run in found if run.state != "ended"]
    with here.database.transaction() as conn:
        policies.supersede_open(conn, changed, [run.id for run in found], here.now())
        if not planned:
            policies.store(conn, changed, here.now())
    return planned


def settle_policy(here: Installation) -> list[Run]:
    """Plan what the configured policies and licences change and apply what nobody objects to; return the runs.

    To be called before a source is read, and before anything is delivered.
    """
    half_applied = runs.runs(here.database, f"{runs.BEGUN} AND kind = 'policy' AND state = 'applying'")
    for run in reversed(half_applied):
        finish_policy(here, apply_run(here, run))
    settled = []
    for run in plan_policy(here):
        ended = apply_run(here, run) if run.state == "planned" else run
        finish_policy(here, ended)
        settled.append(ended)
    return [*settled, *grant(here)]


def finish_policy(here: Installation, run: Run) -> None:
    """Let the policies of an applied run be in force; to be called after every apply, and harmless then."""
    if run.kind == "policy" and run.state == "ended":
        with here.database.transaction() as conn:
            policies.bring_into_force(conn, run, here.now())


def _text(here: Installation, settings: PlatformSettings) -> str:
    platform, service = platform_of(here, settings), service_of(here, settings)
    mapped = {rule.attribute for rule in settings.mapping.rules}
    return encode(
        {
            "accept": {name: sorted(values) for name, values in service.accept.items()},
            "enterprises": None if service.enterprises is None else sorted(service.enterprises),
            "kinds": sorted(service.kinds),
            "without_roles": sorted(service.elsewhere),
            "map": settings.mapping.text if mapped else None,
            "fields": {
                name: field.attribute for name, field in platform.fields.items() if name not in mapped
            },
        }
    )


def _rename(here: Installation) -> None:
    known = policies.in_force(here.database)
    for name, settings in here.settings.platforms.items():
        if settings.formerly is not None and name not in known:
            policies.rename(here.database, settings.formerly, name)


def _run_of(here: Installation, enterprise: str, lanes: list[Lane], changed: Mapping[str, str]) -> Run | None:
    """Return the enterprise's run: one that is or was applied, the open one that is the same, or a new one."""
    where = (
        "kind = 'policy' AND enterprise = ? AND state NOT IN ('failed','superseded') AND same_as IS NULL"
        " AND scope IS NOT NULL"
    )
    last = next(iter(runs.runs(here.database, where, (enterprise,), limit=1)), None)
    if last is not None and (last.state == "applying" or _waits_for_others(here, last, changed)):
        return last
    effects: Effects = Counter()
    operations = _operations(here, enterprise, lanes, effects)
    first = next(operations, None)
    if first is None:
        return None
    number = runs.begin(
        here.database,
        connection=None,
        enterprise=enterprise,
        kind="policy",
        mode="none",
        actor=here.actor,
        now=here.now(),
        why=f"what the configuration says of {', '.join(changed)} is new",
    )
    with bound(run=number):
        try:
            staging = Staging(here.database, number, None, enterprise, here.settings.vocabulary)
            staging.write([first], (), here.now())
            while batch := list(islice(operations, FLUSH)):
                staging.write(batch, (), here.now())
            run = _ready(here, staging, effects, changed, last)
        except BaseException as error:
            runs.fail(here.database, number, str(error) or type(error).__name__, here.now())
            raise
        report_plan(run, number)
    return run


def _waits_for_others(here: Installation, run: Run, changed: Mapping[str, str]) -> bool:
    """Say whether a run was applied whose policies are not in force yet, for another enterprise's sake."""
    applied = run.state == "ended" and run.scope == encode(changed)
    return applied and (run.ended_at or "") > policies.since(here.database, changed)


def _operations(
    here: Installation, enterprise: str, lanes: list[Lane], effects: Effects
) -> Iterator[Operation]:
    """Yield an operation for each account and platform where something changes, counting the effects.

    Whom a platform could not take is detained, and none of those.
    """
    from ..store.remotes import Due
    from .fitting import demands_by_platform, effect_on

    demands = demands_by_platform(here, enterprise)
    for account, kind, attributes, disabled_by, revision, remotes in _accounts(here, enterprise):
        for lane in lanes:
            state, remote_id, delivered = remotes.get(lane.name, (None, None, None))
            row = Due(
                account, 0, remote_id, delivered, 0, enterprise, kind, attributes, disabled_by,
                None, None, None, None, None,
            )  # fmt: skip
            effect = effect_on(here.database, lane, demands.get(lane.name), row)
            if effect is None:
                continue
            if not effect.faults:
                if state in _WAITS and effect.name != "vanish":
                    continue  # what waits to be delivered is delivered by the new policy anyway
                effects[lane.name, effect.name] += 1
            told = {"platform": lane.name, "effect": effect.name, "changed": sorted(effect.changed)}
            yield operation(
                anchor=None,
                kind="update",
                account=account,
                link=None,
                link_action="policy",
                before={},
                after={},
                record=encode(told),
                faults=effect.faults,
                account_kind=kind,
                seen=revision,
            )


def _accounts(here: Installation, enterprise: str) -> Iterator[tuple[Any, ...]]:
    """Yield the accounts of an enterprise that are not deleted, each with its remotes by platform."""
    conn, last = here.database.conn, 0
    while True:
        rows = conn.execute(
            "SELECT id, kind, attributes, disabled_by, revision FROM accounts"
            " WHERE id > ? AND enterprise = ? AND deleted_at IS NULL ORDER BY id LIMIT ?",
            (last, enterprise, CHUNK),
        ).fetchall()
        if not rows:
            return
        remotes: dict[int, dict[str, tuple[str, str | None, str | None]]] = {}
        for platform, account, *rest in conn.execute(
            "SELECT platform, account, state, remote_id, delivered FROM remotes WHERE account BETWEEN ? AND ?",
            (rows[0][0], rows[-1][0]),
        ):
            remotes.setdefault(account, {})[platform] = (rest[0], rest[1], rest[2])
        for row in rows:
            yield (*row, remotes.get(row[0], {}))
        last = rows[-1][0]


def _ready(
    here: Installation, staging: Staging, effects: Effects, changed: Mapping[str, str], last: Run | None
) -> Run:
    plan_hash = settle_asked(staging)
    scope = encode(changed)
    if last is not None and last.state != "ended" and (last.plan_hash, last.scope) == (plan_hash, scope):
        _end_as(here, staging.run, last, plan_hash)
        return last
    objections = _judged(here, staging, effects, changed)
    with here.database.transaction() as conn:
        conn.execute("UPDATE runs SET scope = ? WHERE id = ?", (scope, staging.run))
        for one in objections:
            if one.scope == "removals":
                _detain_vanishing(staging, one)
    return runs.ready_asked(staging, plan_hash, objections, _counts(effects), origins=(), now=here.now())


def _judged(
    here: Installation, staging: Staging, effects: Effects, changed: Mapping[str, str]
) -> list[Objection]:
    """Collect the objections: of the guards only to what would become of which platform."""
    conn, platforms = here.database.conn, here.settings.platforms
    summary = Summary(
        kind="policy",
        updates=effects.total(),
        effects=[
            effect_of(
                conn,
                service_of(here, platforms[name]),
                platforms[name].limits,
                {effect: effects[name, effect] for effect in ("appear", "change", "vanish")},
                here.clock(),
            )
            for name in changed
        ],
        broken_plugins=[failure.plugin for failure in here.plugins.failures],
    )
    view = PlanView(here.database, staging.run, summary)
    own = review(summary, Limits.unlimited())
    return sorted({*own, *here.plugins.hooks.review_plan(view, None)})


def _detain_vanishing(staging: Staging, objection: Objection) -> None:
    """Detain whom an objection is about: those who vanish from the platform that it names, or from any."""
    platform = objection.code.partition(":")[2] if objection.by == "syncd" else ""
    staging.conn.execute(
        f"UPDATE operations SET state = 'detained', {ONE_MORE} WHERE run = ?"
        " AND json_extract(record, '$.effect') = 'vanish'"
        " AND (? = '' OR json_extract(record, '$.platform') = ?)",
        (
            encode([objection.code, None, objection.message, "detained"]),
            staging.run,
            platform,
            platform,
        ),
    )


def _counts(effects: Effects) -> dict[str, int]:
    vanishing = sum(count for (_, effect), count in effects.items() if effect == "vanish")
    return {
        "add": 0,
        "update": effects.total() - vanishing,
        "remove": vanishing,
        **{f"{effect}:{platform}": count for (platform, effect), count in sorted(effects.items())},
    }


def _end_as(here: Installation, number: int, same: Run, plan_hash: str) -> None:
    with here.database.transaction() as conn:
        conn.execute("DELETE FROM operations WHERE run = ?", (number,))
        conn.execute(
            "UPDATE runs SET state = 'ended', ended_at = ?, plan_hash = ?, same_as = ? WHERE id = ?",
            (here.now(), plan_hash, same.id, number),
        )
