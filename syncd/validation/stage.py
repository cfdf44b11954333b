"""The stage of the line that judges finished records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from ..connector import Field
from ..model import Completed, Fault, Value, sampled
from .judging import Check, fits, judge


class Demand(NamedTuple):
    """What one platform demands of the accounts that it serves.

    ``serves`` says of (kind, values) whether it does; ``fields_of`` makes its fields from the values, and
    raises ValueError where it cannot.
    """

    platform: str
    serves: Callable[[str, Mapping[str, Value]], bool]
    fields: Mapping[str, Field]
    fields_of: Callable[[Mapping[str, Value]], dict[str, Value]]


class Places(NamedTuple):
    """What may be said of people, as far as it is configured; an empty set lets everything in."""

    locations: frozenset[str] = frozenset()
    departments: frozenset[str] = frozenset()
    profiles: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()


def validate(
    stream: Iterable[object],
    checks: tuple[Check, ...],
    demands: tuple[Demand, ...],
    places: Places,
    kind: str,
) -> Iterator[object]:
    """Judge each Completed: the connection's rules, the places that exist, what its platforms demand.

    What was wrong before the change and is not touched by it is not held against it.
    """
    if not (checks or demands or any(places)):
        yield from stream
        return
    for item in stream:
        if isinstance(item, Completed):
            was, its_kind = (item.standing.attributes, item.standing.kind) if item.standing else (None, kind)
            faults = judged({**_promised(item), **item.values}, was, checks, demands, places, its_kind)
            if faults:
                item = item._replace(faults=(*item.faults, *faults))
        yield item


def _promised(item: Completed) -> dict[str, Value]:
    """Return the numbers that a new account will be given; which ones is not known yet."""
    if item.role is None or item.standing is not None:
        return {}
    return {name: next(iter(pool)) for name, pool in item.role.template.allocate.items()}


def judged(
    values: Mapping[str, Value],
    was: Mapping[str, Value] | None,
    checks: tuple[Check, ...],
    demands: tuple[Demand, ...],
    places: Places,
    kind: str,
) -> list[Fault]:
    """Return what is wrong with an account's values; ``was`` is what it says now, None for a new one."""
    same, told, values = values == was, values, sampled(values)
    if was is None:  # whose role was looked up when the record was completed
        places = places._replace(roles=frozenset())
        return [*judge(values, checks), *_placed(values, places), *_demanded(values, None, demands, kind)]
    if same:
        return []
    was = sampled(was, told)
    faults = [*judge(values, checks), *_placed(values, places)]
    return [*_of_the_change(faults, values, was), *_demanded(values, was, demands, kind)]


def _of_the_change(
    faults: Iterable[Fault], values: Mapping[str, Value], was: Mapping[str, Value]
) -> Iterator[Fault]:
    for fault in faults:
        if fault.attribute is None or values.get(fault.attribute) != was.get(fault.attribute):
            yield fault


def _placed(values: Mapping[str, Value], places: Places) -> Iterator[Fault]:
    for name, known, cure, state in (
        ("location", places.locations, "add it to [location]", "detained"),
        ("department", places.departments, "add it to departments", "detained"),
        ("feature_profile", places.profiles, "write a table [feature_profile.NAME] for it", "detained"),
        ("role", places.roles, "write a table [role.NAME] for it", "failed"),
    ):
        value = values.get(name)
        if known and value is not None and value not in known:
            message = f"{name} {value!r} is not configured; {cure}, or mend it in the source"
            yield Fault(f"{name}_unknown", name, message, state)


def _demanded(
    values: Mapping[str, Value], was: Mapping[str, Value] | None, demands: tuple[Demand, ...], kind: str
) -> Iterator[Fault]:
    for demand in demands:
        if demand.serves(kind, values):
            faults: Iterable[Fault] = lacking(demand, values)
            if faults and was is not None and demand.serves(kind, was):
                faults = _of_the_change(faults, _fitted(demand, values)[0], _fitted(demand, was)[0])
            yield from faults


def lacking(demand: Demand, values: Mapping[str, Value]) -> list[Fault]:
    """Return why a platform cannot take an account with these values; a fault's attribute is its field."""
    return [
        fault._replace(message=f"platform {demand.platform}: {fault.message}")
        for fault in _fitted(demand, values)[1]
    ]


def _fitted(demand: Demand, values: Mapping[str, Value]) -> tuple[Mapping[str, Value], list[Fault]]:
    try:
        fields = demand.fields_of(values)
    except ValueError as error:
        return {}, [Fault("transform", None, str(error))]
    return fields, fits(demand.fields, fields)
