"""Who gets the licences that there are: of what a person releases, and of those who wait for one.

An account for which there is none is made all the same once a person says so, and is not active:
``disabled_by`` says ``licence`` then, until there is one.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence

from ..model import Fault, Need, Operation
from ..planning import encode, kind_of, operation
from ..store import licences as store
from ..store import runs
from ..store.licences import Stand, Unlicensed
from ..store.runs import Run
from ..store.standings import texts
from .asking import ask
from .installation import Installation
from .line import apply_run
from .turns import ACCOUNTS

WORD = "licence"
"""What ``disabled_by`` says of a user for whom there is no licence."""

WHY = "there are licences for users who waited for one"
"""Why a run makes accounts active that no source and no person has asked for."""


class _Free:
    """The licences that are free, while some of them are handed out."""

    def __init__(self, here: Installation) -> None:
        self.licences = here.settings.licences
        used = self.licences.used(store.users_by_profile(here.database))
        self.left = Counter({name: there - used[name] for name, there in self.licences.counts.items()})

    def wanted(self, was: str | None, will: str | None) -> frozenset[str]:
        """Return the features that a user needs beyond what he has."""
        return self.licences.features(will) - self.licences.features(was)

    def take(self, was: str | None, will: str | None) -> Need | None:
        """Take what a user needs, and give back what he needs no more; neither, and say what is short, if anything is."""
        wanted = self.wanted(was, will)
        for name in sorted(wanted):
            if self.left[name] < 1:
                return Need(name, self.licences.counts[name], self.left[name], 1)
        self.left.subtract(dict.fromkeys(wanted, 1))
        self.left.update(dict.fromkeys(self.wanted(will, was), 1))
        return None


def fitted(here: Installation, operations: Sequence[Operation]) -> list[Operation]:
    """Return operations that a person releases as they can be done with the licences that there are.

    What they give back is counted first. A user for whom there is none becomes not active; one who is active
    already is not disabled for it: what would need the licence stays detained.
    """
    if not here.settings.licences.counts:
        return list(operations)
    free = _Free(here)
    known = store.stands(here.database, [one.account for one in operations if one.account is not None])
    stands = [known.get(one.account or 0, Stand()) for one in operations]
    found = list(operations)
    profiles = [_profiles(one, stand) for one, stand in zip(operations, stands, strict=True)]
    for place in sorted(range(len(found)), key=lambda place: bool(free.wanted(*profiles[place]))):
        short, stand = free.take(*profiles[place]), stands[place]
        if short is not None:
            one = found[place]
            found[place] = _held(one, short) if stand.active else _not_active(one, stand)
    return found


def _profiles(one: Operation, stand: Stand) -> tuple[str | None, str | None]:
    """Return the feature profile that an operation finds a user active with, and the one that it leaves."""
    was = stand.profile if stand.active else None
    if one.account_kind != "user" or one.state != "planned":
        return was, was
    after = json.loads(one.after)
    deleted = after.get("deleted", one.kind != "add" and stand.deleted)
    active = not (after.get("disabled_by", stand.disabled_by) or deleted)
    return was, after.get("feature_profile", stand.profile) if active else None


def _not_active(one: Operation, stand: Stand) -> Operation:
    before, after = texts(one.before), {**texts(one.after), "disabled_by": WORD}
    if one.kind == "add":
        return one._replace(after=encode(after))
    told = {"disabled_by": stand.disabled_by, **before}
    return one._replace(kind=kind_of(told, after), before=encode(told), after=encode(after))


def _held(one: Operation, short: Need) -> Operation:
    reasons = [*json.loads(one.reasons or "[]"), Fault(short.code, None, short.text, "detained")]
    return one._replace(state="detained", reasons=encode(reasons))


def grant(here: Installation) -> list[Run]:
    """Make active who waited for licences that there are now, in the order of their accounts; return the runs.

    To be called after whatever may have freed one; it costs nothing while nobody waits.
    """
    if here.plugins.failures or not store.unlicensed(here.database):
        return []
    with here.alone(ACCOUNTS, "the handing out of licences"):
        return _granted(here)


def _granted(here: Installation) -> list[Run]:
    free = _Free(here)
    chosen: dict[str, list[Unlicensed]] = defaultdict(list)
    for one in store.unlicensed(here.database):
        if free.take(None, one.profile) is None:
            chosen[one.enterprise].append(one)
    granted = []
    for enterprise, some in sorted(chosen.items()):
        where = f"{runs.BEGUN} AND kind = 'policy' AND enterprise = ? AND why = ?"
        if not runs.runs(here.database, where, (enterprise, WHY)):
            run = ask(here, kind="policy", enterprise=enterprise, operations=map(_enabling, some), why=WHY)
            granted.append(apply_run(here, run) if run.state == "planned" else run)
    return granted


def _enabling(one: Unlicensed) -> Operation:
    return operation(
        anchor=None,
        kind="enable",
        account=one.account,
        link=None,
        link_action="none",
        before={"disabled_by": WORD},
        after={"disabled_by": None},
        seen=one.revision,
    )
