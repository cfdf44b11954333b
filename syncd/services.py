"""Floor 3: which accounts a platform serves, and what it is to see of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .model import Role, Value, Values


class Service(NamedTuple):
    """A platform's place in the line.

    ``accept`` maps attributes to the values that are let in (empty: everybody), ``kinds`` are the kinds
    of account that it takes, ``enterprises`` None means every enterprise. ``roles`` are all that are
    configured, by name. ``told`` are the attributes of which the platform would be told.
    """

    name: str
    kinds: frozenset[str] = frozenset({"user", "contact"})
    enterprises: frozenset[str] | None = None
    accept: Mapping[str, frozenset[str]] = {}
    roles: Mapping[str, Role] = {}
    told: frozenset[str] = frozenset()

    @property
    def elsewhere(self) -> list[str]:
        """The roles whose accounts the platform does not serve."""
        return [
            name
            for name, role in self.roles.items()
            if role.template.services is not None and self.name not in role.template.services
        ]


class Shared(NamedTuple):
    """A platform that several enterprises are on, and the attributes that fill its key fields."""

    service: Service
    keys: frozenset[str]


def serves(service: Service, enterprise: str, kind: str, values: Mapping[str, Value]) -> bool:
    """Say whether an account with these values, if it is not deleted, belongs on the platform.

    The template of its role must name the platform among its services (or name none at all), and each
    attribute of ``accept`` must hold one of the values let in.
    """
    if kind not in service.kinds or (
        service.enterprises is not None and enterprise not in service.enterprises
    ):
        return False
    name = values.get("role")
    role = service.roles.get(name) if isinstance(name, str) else None
    if role is not None and role.template.services is not None and service.name not in role.template.services:
        return False
    return all(_meets(values.get(attribute), allowed) for attribute, allowed in service.accept.items())


def _meets(value: Value | None, allowed: frozenset[str]) -> bool:
    if value is None:
        return False
    return value in allowed if isinstance(value, str) else not allowed.isdisjoint(value)


def changed_fields(delivered: Values, wanted: Values) -> frozenset[str]:
    """Return the names of the fields that differ from what the platform confirmed last."""
    names = delivered.keys() | wanted.keys()
    return frozenset(name for name in names if delivered.get(name) != wanted.get(name))
