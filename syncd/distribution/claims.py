"""Keys that the table of keys alone cannot say to be free on a platform.

A key is unique within an enterprise, and a platform may serve several of them. It may be free here, and on another
platform not yet. And a number that was allocated is free as far as syncd knows: on the platform it may be that of
something which has no account.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import TypeAlias

from ..errors import Blocked
from ..model import Account, fold
from ..store import placements
from ..store.database import Database
from ..store.handovers import Contended, undone
from ..store.standings import texts
from .lanes import Lane
from .steps import Step, belongs, step_of
from .waits import circles

Place: TypeAlias = tuple[int, str]
"""An account on a platform."""


def require_free(database: Database, lane: Lane, step: Step) -> None:
    """Raise Blocked where the account of another enterprise has a key on the platform that the step would take."""
    taken = claimed(database, lane, step)
    if taken is not None:
        raise Blocked(taken[1])


def claimed(database: Database, lane: Lane, step: Step, *, expected: bool = False) -> tuple[str, str] | None:
    """Return a key that the step would take from the account of another enterprise: its attribute, and whose it is.

    ``expected``: those count as well of whom the platform was not told yet. Who has only to let it go is waited for,
    as within an enterprise.
    """
    if not lane.shared or step.action == "delete":
        return None
    row, values = step.row, texts(step.row.attributes)
    for name in sorted(_taken(lane, step, {"add"}).intersection(values)):
        value = values[name]
        for text in (value,) if isinstance(value, str) else value:
            found = placements.rivals(
                database, lane.name, row.enterprise, name, fold(text), expected=expected
            )
            for rival in found:
                if rival.remote_id or (rival.account < row.account and belongs(lane, rival)):
                    whose = f"account {rival.account} of enterprise {rival.enterprise}"
                    both = f"which platform {lane.name} serves as well: one of both needs another one"
                    if not belongs(lane, rival):
                        both = f"who is still on platform {lane.name}"
                    return name, f"{name} {text!r} belongs to {whose}, {both}"
    return None


def elsewhere(
    database: Database, lanes: Mapping[str, Lane], lane: Lane, step: Step, rivals: Iterable[Contended]
) -> dict[Place, str]:
    """Return what has to be done on other platforms before the step may take its keys on this one, each told in words.

    A key is taken nowhere before every platform on which it is one has confirmed that its former owner gave it up.
    Who is disabled waits for nobody, until enabled: what cannot be used is in nobody's way.
    """
    taken = _taken(lane, step, {"add", "enable"}) if step.account.enabled else frozenset()
    return {
        (rival.holder, rival.platform): (
            f"account {rival.holder} has yet to give up {rival.attribute} {rival.value!r} on platform {rival.platform}"
        )
        for rival in rivals
        if rival.attribute in taken
        and rival.platform in lanes
        and _may_have(database, lanes[rival.platform], rival.holder, rival.attribute)
    }


def _taken(lane: Lane, step: Step, whole: Collection[str]) -> frozenset[str]:
    """Return the attributes that fill the key fields which a step writes: all of them, where it does one of ``whole``."""
    fields = lane.keys.keys() if step.action in whole else lane.keys.keys() & step.changed
    return frozenset().union(*(lane.keys[field] for field in fields))


def _may_have(database: Database, lane: Lane, account: int, attribute: str) -> bool:
    """Say whether a platform may still have an account under a former value of an attribute that is a key there."""
    filled = {field for field, names in lane.keys.items() if attribute in names}
    row = undone(database, lane.name, account) if filled else None
    if row is None or (row.last is not None and row.last_intent is None):
        return row is not None
    if row.remote_id is None:
        return False
    try:
        step = step_of(lane, row)
    except Exception:  # noqa: BLE001 - one account that cannot be mapped keeps what it has
        return True
    return step is not None and (step.action == "delete" or not filled.isdisjoint(step.changed))


def giving_way(waits: Mapping[Place, Collection[Place]], awaiting: Mapping[Place, str]) -> set[Place]:
    """Return who goes first wherever accounts wait for each other across platforms, so that nobody could ever go.

    They are all who take the key of somebody on another platform: for a moment both have it. Where there is none,
    one of those who move leaves without having arrived. Where a circle is tied to others, so that nobody of it could
    go on, it is one of those.
    """
    first: set[Place] = set()
    for circle in circles(waits, lambda place: place):
        able = [one for one in sorted(circle) if one in awaiting]
        taking = [one for one in able if awaiting[one] != "delete"]
        first.update(taking or able[:1] or _tied(waits, awaiting, circle))
    return first


def _tied(
    waits: Mapping[Place, Collection[Place]], awaiting: Mapping[Place, str], circle: Iterable[Place]
) -> list[Place]:
    """Return the one who is to go of those for whom a circle waits besides, if there is any."""
    found, left = set[Place](), set(circle)
    while left:
        found |= left
        left = set().union(*(waits[one] for one in left)) - found
    return sorted(found & awaiting.keys(), key=lambda one: (awaiting[one] == "delete", one))[:1]


def doubtful(database: Database, lane: Lane, step: Step) -> Account | None:
    """Return what to look for before an account is added by nothing but a number that was allocated to it.

    None where the account has no such number, or another key by which it can be known there. Where keys are
    required, it is known by those: nobody's soft phone tells whose a telephone is.
    """
    if step.action != "add" or not lane.allocated:
        return None
    fields = lane.platform.fields
    keys = {field for field in lane.keys if field in step.account.fields}
    keys = {field for field in keys if field in fields and fields[field].required} or keys
    if not keys or not all(lane.keys[field] & lane.allocated for field in keys):
        return None
    names = frozenset().union(*(lane.keys[field] for field in keys)) & lane.allocated
    if not placements.was_allocated(database, step.row.account, names):
        return None
    return replace(step.account, fields={field: step.account.fields[field] for field in keys})
