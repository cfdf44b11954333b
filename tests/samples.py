"""Values of the line, made short: each takes only what the test is about."""

from __future__ import annotations

from typing import Any

from syncd.model import Completed, Correlated, Fault, Layer, Record, Role, Standing, Template

MONDAY, TUESDAY = "2026-01-05T08:00:00Z", "2026-01-06T08:00:00Z"


def record(anchor: str = "a1", *, enabled: bool = True, **values: Any) -> Record:
    return Record(anchor, values, enabled, b"print")


def layer(
    precedence: int = 1, *, owner: bool = True, gone: str | None = None, enabled: bool = True, **said: Any
) -> Layer:
    return Layer(precedence, said, owner, gone, enabled)


def standing(**changes: Any) -> Standing:
    """Return account 7, linked under a1 by a connection that owns it and speaks alone."""
    attributes = changes.pop("attributes", {"login": "ann"})
    usual: dict[str, Any] = {
        "account": 7,
        "kind": "user",
        "attributes": attributes,
        "disabled_by": None,
        "deleted": False,
        "template": {},
        "local": {},
        "link": 3,
        "anchor": "a1",
        "record": dict(attributes),
        "owner": True,
        "enabled": True,
        "leaving": None,
        "fingerprint": b"old",
        "revision": 5,
    }
    return Standing(**(usual | changes))


def stranger(**changes: Any) -> Standing:
    """Return account 7 as a connection sees it that has no link to it."""
    return standing(link=None, anchor=None, record={}, owner=False, **changes)


def correlated(one: Record, known: Standing | None = None, verdict: str | None = None) -> Correlated:
    return Correlated(one, verdict or ("new" if known is None else "linked"), known)


def completed(
    known: Standing | None = None,
    *,
    verdict: str | None = None,
    layer: dict[str, Any] | None = None,
    template: dict[str, Any] | None = None,
    faults: tuple[Fault, ...] = (),
    made_with: Role | None = None,
    enabled: bool = True,
    **values: Any,
) -> Completed:
    """Return a finished record; its layer is its values unless the test says otherwise."""
    one = record(enabled=enabled, **values)
    verdict = verdict or ("new" if known is None else "linked")
    said = values if layer is None else layer
    return Completed(one, verdict, known, said, values, template or {}, faults, made_with)


def role(name: str = "sales", **template: Any) -> Role:
    return Role(name=name, template=Template(name=f"{name}-template", **template))
