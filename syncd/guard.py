"""Floor 3: the guards, which judge a whole plan before anything of it is applied.

The rules and their figures come from what trusted systems do (Entra Connect, GCDS, Okta, CUCM) and from
the accidents that they did not stop: a count *and* a percentage, of what is managed and never of what
was just read; a disable counts as a removal; small numbers have a rule of their own; a day has a sum,
so that many small plans cannot do what one large plan may not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .model import Change, Licences, Objection

FEW = 20
"""Below this many managed accounts a percentage says nothing."""

FEW_REMOVALS = 2
"""How many removals such a small connection may plan at once, whatever the percentage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How much of one kind a single plan may do; the lowest wins, None is no limit.

    ``percent`` is of the accounts that the connection owns or is linked to (or that are on the
    platform), never of what was just read. ``per_day`` counts what was applied in the last 24 hours as well.
    """

    percent: float | None = None
    count: int | None = None
    per_day: int | None = None


class Limits(NamedTuple):
    """The limits of one connection.

    ``container``: percent of the people of one container (OU, folder) that may go at once. ``shrink``:
    percent that a complete read may be smaller than the median of the last five.
    """

    remove: Limit = Limit(percent=5.0, count=50, per_day=100)
    add: Limit = Limit(percent=30.0)
    update: Limit = Limit(percent=30.0)
    container: float | None = 50.0
    shrink: float | None = 20.0

    @classmethod
    def unlimited(cls) -> Limits:
        """Return limits that let everything pass."""
        return cls(remove=Limit(), add=Limit(), update=Limit(), container=None, shrink=None)


class Effect(NamedTuple):
    """What a plan means for one platform, in accounts.

    ``there`` are those that the platform has confirmed. Of them so many would ``change``, or ``vanish``
    (who is disabled counts); others would ``appear``. What is of today was applied in the last 24 hours.
    """

    platform: str
    there: int
    limits: Limits
    appear: int = 0
    change: int = 0
    vanish: int = 0
    appeared_today: int = 0
    changed_today: int = 0
    vanished_today: int = 0


class Summary(NamedTuple):
    """What the guards look at: the counts of a plan and what is known of its source.

    ``removals`` are all operations that take an account away, those that wait out their grace included:
    guards judge when people are first missing. ``managed`` are the accounts that the connection owns, which
    removals are judged by, ``linked`` all that it says something of. ``containers`` maps a container to (people in it, people
    of it who would go). ``sizes`` are the last complete reads, newest last; ``size`` is this one, None
    when it was not a complete read. ``users`` are the active users of each feature profile before the plan,
    and ``changes`` says what the plan makes of them; both are empty where no ``licences`` are counted.
    """

    kind: str = "sync"
    adds: int = 0
    updates: int = 0
    removals: int = 0
    moves: int = 0
    managed: int = 0
    linked: int = 0
    removed_today: int = 0
    added_today: int = 0
    updated_today: int = 0
    size: int | None = None
    sizes: Sequence[int] = ()
    first: bool = False
    detain: str = "never"
    containers: Mapping[str, tuple[int, int]] = {}
    effects: Sequence[Effect] = ()
    broken_plugins: Sequence[str] = ()
    licences: Licences = Licences()
    users: Mapping[str, int] = {}
    changes: Sequence[Change] = ()


def review(plan: Summary, limits: Limits) -> list[Objection]:
    """Return every objection to a plan, sorted; none means that it may be applied."""
    found = list(_objections(plan, limits))
    leaving = all(one.scope != "removals" for one in found)
    return sorted([*found, *_licences(plan, leaving=leaving)])


def allowed(limit: Limit, total: int) -> int | None:
    """Return how many of ``total`` may go at once; None is no limit.

    Below 20 accounts a percentage allows at least two, unless it is 0.
    """
    bounds = []
    if limit.percent is not None:
        share = int(total * limit.percent / 100)
        bounds.append(max(share, FEW_REMOVALS) if limit.percent and total < FEW else share)
    if limit.count is not None:
        bounds.append(limit.count)
    return min(bounds, default=None)


def _objections(plan: Summary, limits: Limits) -> Iterator[Objection]:
    for plugin in plan.broken_plugins:
        message = f"the plugin {plugin} is configured and did not load, so its guards are not heard"
        yield Objection("plugin-missing", "run", message)
    if plan.kind == "sync":
        yield from _source(plan, limits)
        yield from _agreement(plan)
    yield from _removals(plan, limits)
    for effect in plan.effects:
        yield from _platform(effect, first=plan.first)
    if not plan.first:
        yield from _changes("add", plan.adds, plan.linked, plan.added_today, limits.add)
        yield from _changes("update", plan.updates, plan.linked, plan.updated_today, limits.update)


def _licences(plan: Summary, *, leaving: bool) -> Iterator[Objection]:
    """Judge the demand of the whole plan; leavers who are detained give nothing back."""
    changes = [one for one in plan.changes if leaving or not one.leaves]
    for need in plan.licences.short(plan.users, changes):
        yield Objection(need.code, "licences", need.text)


def _median(sizes: Sequence[int]) -> float:
    """Return the median; importing ``statistics`` takes longer than a small plan does."""
    ordered = sorted(sizes)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def _source(plan: Summary, limits: Limits) -> Iterator[Objection]:
    if plan.size == 0 and plan.linked:
        message = f"the source is empty, and {plan.linked} accounts come from it"
        yield Objection("source-empty", "run", message)
    elif plan.size is not None and plan.sizes and limits.shrink is not None:
        usual = _median(plan.sizes[-5:])
        least = usual * (100 - limits.shrink) / 100
        if plan.size < least and usual - plan.size > FEW_REMOVALS:
            message = (
                f"the source has {plan.size} entries, and {usual:g} were usual: more than "
                f"{limits.shrink:g} percent fewer"
            )
            yield Objection("source-shrunk", "run", message)
    for container, (before, leaving) in sorted(plan.containers.items()):
        if limits.container is None or leaving <= FEW_REMOVALS:
            continue
        if leaving > before * limits.container / 100:
            message = f"{leaving} of {before} people of {container} would go at once"
            yield Objection("container-emptied", "run", message)
    if plan.moves > FEW_REMOVALS and plan.moves * 2 > plan.linked:
        message = (
            f"{plan.moves} of {plan.linked} accounts would be linked to another anchor: was the "
            "directory rebuilt, or the anchor attribute changed?"
        )
        yield Objection("anchors-new", "run", message)


def _agreement(plan: Summary) -> Iterator[Objection]:
    if not (plan.adds or plan.updates or plan.removals):
        return
    if plan.detain == "always":
        yield Objection("detain-always", "run", "every plan of this connection waits for a person")
    elif plan.detain == "first-run" and plan.first:
        yield Objection("first-run", "run", "the first plan of this connection waits for a person")


def _removals(plan: Summary, limits: Limits) -> Iterator[Objection]:
    if not plan.removals:
        return
    most = allowed(limits.remove, plan.managed)
    if most is not None and plan.removals > most:
        message = f"{plan.removals} of {plan.managed} accounts would be removed, and at most {most} may be"
        yield Objection("too-many-removals", "removals", message)
    day = limits.remove.per_day
    if day is not None and plan.removed_today + plan.removals > day:
        message = (
            f"{plan.removals} accounts would be removed, {plan.removed_today} were in the last 24 hours, "
            f"and at most {day} may be in a day"
        )
        yield Objection("too-many-removals-today", "removals", message)


def _platform(effect: Effect, *, first: bool) -> Iterator[Objection]:
    """Judge a platform as a source is judged; what fills it for the first time is no surprise."""
    there, limits, name = effect.there, effect.limits, f"platform {effect.platform}"
    vanish = f"{effect.vanish} of {there} accounts would vanish from {name}"
    yield from _there("removals", effect, vanish, effect.vanish, effect.vanished_today, limits.remove)
    if there and not first:
        appear = f"{effect.appear} accounts would appear on {name}, {there} are there"
        yield from _there("adds", effect, appear, effect.appear, effect.appeared_today, limits.add)
        change = f"{effect.change} of {there} accounts would change on {name}"
        yield from _there("updates", effect, change, effect.change, effect.changed_today, limits.update)


def _there(what: str, effect: Effect, told: str, count: int, today: int, limit: Limit) -> Iterator[Objection]:
    scope = "removals" if what == "removals" else "run"
    most, day = allowed(limit, effect.there), limit.per_day
    if most is not None and count > most:
        yield Objection(f"too-many-{what}:{effect.platform}", scope, f"{told}, and at most {most} may")
    if count and day is not None and today + count > day:
        message = f"{told}, {today} did in the last 24 hours, and at most {day} may in a day"
        yield Objection(f"too-many-{what}-today:{effect.platform}", scope, message)


def _changes(kind: str, count: int, linked: int, today: int, limit: Limit) -> Iterator[Objection]:
    day = limit.per_day
    if count and day is not None and today + count > day:
        message = f"{count} {kind}s are planned, {today} were in the last 24 hours, and at most {day} may be in a day"
        yield Objection(f"too-many-{kind}s-today", "run", message)
    most = allowed(limit, linked)
    if most is not None and count > most:
        message = f"{count} {kind}s are planned, {linked} accounts are linked, and at most {most} may be"
        yield Objection(f"too-many-{kind}s", "run", message)
