"""Keys that the table of keys alone cannot say to be free on a platform.

A key is unique within an enterprise, and a platform may serve several of them. And a number that was allocated
is free as far as syncd knows: on the platform it may be that of something which has no account.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from ..errors import Blocked
from ..model import Account, fold
from ..store import placements, remotes
from ..store.database import Database
from ..store.standings import texts
from .lanes import Lane
from .steps import Step, belongs
from .waits import reached


def require_free(database: Database, lane: Lane, step: Step) -> None:
    """Raise Blocked where the account of another enterprise has a key on the platform that the step would take."""
    if not lane.shared or step.action == "delete":
        return
    taken = [names for field, names in lane.keys.items() if step.action == "add" or field in step.changed]
    row, values = step.row, texts(step.row.attributes)
    for name in sorted(frozenset().union(*taken).intersection(values)):
        value = values[name]
        for text in (value,) if isinstance(value, str) else value:
            for rival in placements.rivals(database, lane.name, row.enterprise, name, fold(text)):
                if rival.remote_id or (rival.account < row.account and belongs(lane, rival)):
                    raise Blocked(
                        f"{name} {text!r} belongs to account {rival.account} of enterprise {rival.enterprise}, "
                        f"which platform {lane.name} serves as well: one of both needs another one"
                    )


def circling(database: Database, platforms: Iterable[str], moving: Collection[int]) -> set[int]:
    """Return the first account of every circle of those who move, each waiting for the next one's key over there.

    Nobody of them could ever arrive, as everybody stays in the old place until then.
    """
    wants: dict[int, set[int]] = {}
    for name in platforms:
        for account, holder, _ in remotes.contended(database, name):
            if name in remotes.unsettled(database, account):
                wants.setdefault(account, set()).add(holder)
    ahead = {one: reached(wants, one) for one in wants}
    return {
        one
        for one in ahead.keys() & set(moving)
        if one == min((other for other in ahead[one] if one in ahead.get(other, ())), default=None)
    }


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
