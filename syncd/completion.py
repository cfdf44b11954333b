"""Floor 3: from what one source says to what the account will say: roles, templates, layers, policies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from .model import Completed, Correlated, Fault, Layer, Record, Role, Standing, Value, fold_layers


class Completion(NamedTuple):
    """What one connection's records are completed with.

    ``policies`` holds the mapped attributes whose policy is not ``always``. ``precedence`` is the
    connection's own: the first source of an enterprise has 0 and beats all others. ``adopts``: an account
    that is found by a key becomes the connection's own. ``owns`` False: it only adds to accounts.
    """

    precedence: int = 0
    owns: bool = True
    adopts: bool = False
    roles: Mapping[str, Role] = {}
    default_role: str | None = None
    policies: Mapping[str, str] = {}


def complete(stream: Iterable[object], plan: Completion) -> Iterator[object]:
    """Turn each Correlated into a Completed: the template for what is new, the field policies for what is not."""
    for item in stream:
        if not isinstance(item, Correlated):
            yield item
        elif item.verdict == "new" or (item.verdict == "ambiguous" and plan.owns):
            yield _newcomer(item, plan)
        else:
            yield _acquaintance(item, plan)


def _newcomer(item: Correlated, plan: Completion) -> Completed:
    record = item.record
    faults = record.faults
    if item.verdict == "ambiguous":
        faults += (_ambiguous(item),)
    role, fault = _role(record.values, plan)
    if fault is not None:
        faults += (fault,)
    if role is None:
        return Completed(record, item.verdict, None, record.values, record.values, {}, faults)
    template = {**role.template.defaults, "role": role.name}
    layer = _without(record.values, role.template.wins)
    return Completed(record, item.verdict, None, layer, {**template, **layer}, template, faults, role)


def _acquaintance(item: Correlated, plan: Completion) -> Completed:
    record, standing = item.record, item.standing
    assert standing is not None  # noqa: S101 - true of every verdict that comes here
    layer = record.values
    faults = record.faults
    if item.verdict == "ambiguous" or (item.verdict == "linked" and item.rivals and not plan.owns):
        faults += (_ambiguous(item),)
    name = standing.template.get("role")  # the one that it was made with, whatever it has become
    role = plan.roles.get(name) if isinstance(name, str) else None
    if role is not None:
        layer = _without(layer, role.template.wins)
    if plan.policies or record.unknown:
        layer, held = _under_policies(layer, record, standing, plan.policies)
        faults += held
    if standing.others or standing.template or standing.local:
        owner = standing.owner if standing.link is not None else plan.adopts
        own = Layer(plan.precedence, layer, owner, gone=None, enabled=record.enabled)
        values = fold_layers(standing.template, (*standing.others, own), standing.local)
    else:
        values = layer
    return Completed(record, item.verdict, standing, layer, values, standing.template, faults, role)


def _ambiguous(item: Correlated) -> Fault:
    return Fault("ambiguous", None, "; ".join(item.rivals), "detained")


def _under_policies(
    layer: dict[str, Value], record: Record, standing: Standing, policies: Mapping[str, str]
) -> tuple[dict[str, Value], tuple[Fault, ...]]:
    layer = dict(layer)
    held: list[Fault] = []
    for name in record.unknown:
        _restore(layer, name, standing)
    for name, policy in policies.items():
        if policy == "create-only":
            _restore(layer, name, standing)
        elif layer.get(name) != standing.record.get(name) and standing.link is not None:
            held.append(
                Fault("policy", name, f"{name} would change, and its policy is to ask first", "detained")
            )
    return layer, tuple(held)


def _restore(layer: dict[str, Value], name: str, standing: Standing) -> None:
    if name in standing.record:
        layer[name] = standing.record[name]
    else:
        layer.pop(name, None)


def _role(values: Mapping[str, Value], plan: Completion) -> tuple[Role | None, Fault | None]:
    name = values.get("role") or plan.default_role
    if not isinstance(name, str) or not plan.roles:
        return None, None
    role = plan.roles.get(name)
    if role is None:
        known = ", ".join(sorted(plan.roles))
        return None, Fault("role_unknown", "role", f"there is no role {name!r}; configured are: {known}")
    return role, None


def _without(values: dict[str, Value], names: frozenset[str]) -> dict[str, Value]:
    if names.isdisjoint(values):
        return values
    return {name: value for name, value in values.items() if name not in names}
