"""What a policy would do to an account on a platform, and whether the platform can take it: judged as a sync judges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from ..model import Fault, sampled
from ..store import placements
from ..store.database import Database
from ..store.standings import texts
from ..validation import Demand, lacking
from .delivering import lanes_of
from .installation import Installation, demands_of

if TYPE_CHECKING:
    from ..distribution import Lane
    from ..distribution.steps import Step
    from ..store.remotes import Due

_EFFECTS = {"add": "appear", "delete": "vanish"}


class Effect(NamedTuple):
    """``name`` is ``appear``, ``vanish`` or ``change`` (of fields that are ``changed``); ``faults`` stand against it."""

    name: str
    changed: frozenset[str] = frozenset()
    faults: tuple[Fault, ...] = ()


def demands_by_platform(here: Installation, enterprise: str) -> dict[str, Demand]:
    """Return what the platforms of an enterprise demand of the accounts that they serve, by their names."""
    return {one.platform: one for one in demands_of(here, enterprise)}


def effect_on(database: Database, lane: Lane, demand: Demand | None, row: Due) -> Effect | None:
    """Return what would become of an account on a platform by what is configured now; None if nothing."""
    from ..distribution.steps import step_of

    try:
        step = step_of(lane, row)
    except ValueError as error:
        fault = Fault("transform", None, f"platform {lane.name}: {error}", "detained")
        return Effect("appear" if row.remote_id is None else "change", faults=(fault,))
    if step is None:
        return None
    name = _EFFECTS.get(step.action, "change")
    faults = () if name == "vanish" else tuple(_faults(database, lane, demand, step))
    return Effect(name, step.changed, faults)


def _faults(database: Database, lane: Lane, demand: Demand | None, step: Step) -> Iterator[Fault]:
    from ..distribution.claims import claimed

    if demand is not None:
        for fault in lacking(demand, sampled(texts(step.row.attributes))):
            if step.action == "add" or fault.attribute is None or fault.attribute in step.changed:
                yield fault._replace(held="detained")
    taken = claimed(database, lane, step, expected=True)
    if taken is not None:
        yield Fault("key_taken", *taken, "detained")


def reconsider(here: Installation) -> None:
    """Let platforms have those whom they could not take, as a policy wanted, and can take by now.

    So it is for those of whom nothing is wanted there any more, and for leavers, who are cut off in any case.
    """
    found = [one for one in placements.withheld(here.database) if one[1] in here.settings.platforms]
    if not found:
        return
    lanes = {one.name: one for one in lanes_of(here, {platform for _, platform, _ in found})}
    demands = {name: demands_by_platform(here, name) for name in {row.enterprise for _, _, row in found}}
    over = []
    for operation, platform, row in found:
        effect = effect_on(here.database, lanes[platform], demands[row.enterprise].get(platform), row)
        leaves = row.remote_id is not None and row.disabled_by is not None
        if effect is None or not effect.faults or leaves:
            over.append(operation)
    if over:
        with here.database.transaction() as conn:
            placements.give_back(conn, over, here.now())
