"""From an account as it is now to what one platform is to do about it. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from hashlib import blake2b
from typing import NamedTuple

from ..errors import Unavailable
from ..model import Account, Delivery, Value, sealed_of
from ..services import changed_fields, serves
from ..store.placements import Placement
from ..store.remotes import Due
from ..store.sealed import sealed_values
from ..store.standings import texts
from .lanes import Lane


class Step(NamedTuple):
    """One thing that a platform is to do.

    ``delivered`` is what ``remotes`` will say once it is confirmed. ``final`` is False where another step
    has to follow for the same revision. ``lets_go`` marks the first half of an exchange of keys.
    """

    row: Due
    action: str
    account: Account
    changed: frozenset[str]
    delivered: str | None
    final: bool = True
    lets_go: bool = False

    @property
    def sent(self) -> str | None:
        """What an add may have left on the platform, even if nobody heard of it; None for all else."""
        return self.delivered if self.action == "add" else None

    def delivery(self, number: int) -> Delivery:
        """Return it as the platform gets it."""
        return Delivery(number, self.action, self.row.wanted, self.row.remote_id, self.account, self.changed)


def belongs(lane: Lane, row: Due | Placement) -> bool:
    """Say whether an account is to be on the platform."""
    return _belongs(lane, row, texts(row.attributes))


def _belongs(lane: Lane, row: Due | Placement, attributes: Mapping[str, Value]) -> bool:
    return row.deleted_at is None and serves(lane.service, row.enterprise, row.kind, attributes)


def account_of(lane: Lane, row: Due | Placement) -> tuple[Account, bool]:
    """Return an account as the platform is to see it, but for what is sealed, and whether it belongs there."""
    attributes = texts(row.attributes)
    present = _belongs(lane, row, attributes)
    return _account(lane, row, attributes, present=present), present


def _account(lane: Lane, row: Due | Placement, attributes: Mapping[str, Value], *, present: bool) -> Account:
    enabled = present and row.disabled_by is None
    fields = _given(lane.fields_of(attributes))
    if '"sealed:' in row.attributes and row.sealed:
        kept = _secrets(lane) | {name for name, value in fields.items() if not _lies_sealed(row, value)}
        fields = {name: value for name, value in fields.items() if name in kept}
    return Account(str(row.account), row.kind, enabled, fields)


def _lies_sealed(row: Due | Placement, value: Value) -> bool:
    """Say whether a value speaks of a secret of the account, as an attribute does that is secret no more until it is read."""
    one = sealed_of(value)
    return one is not None and f"{one.attribute}:{one.word}" in sealed_values(row.sealed)


def step_of(lane: Lane, row: Due, without: Collection[str] = ()) -> Step | None:
    """Return what has to be done next to bring the platform to the wanted state, None if nothing.

    Attributes ``without`` are left out. Raises ValueError for an account that belongs there and whose values cannot be transformed.
    """
    attributes = texts(row.attributes)
    if not _belongs(lane, row, attributes):
        return None if row.remote_id is None else Step(row, "delete", _leaving(lane, row), frozenset(), None)
    if without:
        attributes = {name: value for name, value in attributes.items() if name not in without}
    account = _account(lane, row, attributes, present=True)
    kept = _kept(lane, account)
    if row.remote_id is None:
        # The platform's add may disable by itself; whether it does is not known, so it is asked to.
        state = _state(enabled=True if account.enabled else None, fields=kept)
        return Step(row, "add", account, frozenset(), state, final=account.enabled)
    state = _state(enabled=account.enabled, fields=kept)
    if row.delivered is None:
        changed = frozenset(lane.platform.fields) | frozenset(account.fields)
        return Step(row, "enable" if account.enabled else "disable", account, changed, state)
    was = json.loads(row.delivered)
    changed = changed_fields(_given(was["fields"]), kept)
    if was["enabled"] is not account.enabled:
        return Step(row, "enable" if account.enabled else "disable", account, changed, state)
    return Step(row, "update", account, changed, state) if changed else None


def _leaving(lane: Lane, row: Due) -> Account:
    """Return an account that is to vanish as the platform would see it, or, where it cannot be mapped, as it was told."""
    try:
        return account_of(lane, row)[0]
    except ValueError:
        fields = {} if row.delivered is None else _given(json.loads(row.delivered)["fields"])
        known = {name: value for name, value in fields.items() if name not in _secrets(lane)}
        return Account(str(row.account), row.kind, enabled=False, fields=known)


def cut_off(lane: Lane, step: Step) -> Step:
    """Return the step by which a leaver is disabled, if that is what the step does, and nothing else is changed.

    What has changed besides comes next: it may have to wait, for a key or a reference. Where it is not known how
    the account looks there, the whole step is returned.
    """
    row = step.row
    if step.action != "disable" or not step.changed or row.delivered is None:
        return step
    was, secrets = json.loads(row.delivered)["fields"], _secrets(lane)
    fields = {name: value for name, value in _given(was).items() if name not in secrets}
    fields |= {name: value for name, value in step.account.fields.items() if name in secrets - step.changed}
    account = Account(step.account.key, step.account.kind, enabled=False, fields=fields)
    state = _state(enabled=False, fields=was)
    return step._replace(account=account, changed=frozenset(), delivered=state, final=False)


def parting_of(lane: Lane, row: Due, attributes: Collection[str]) -> Step | None:
    """Return the step by which the account gives up its keys and nobody takes them yet.

    None if the platform holds nothing of them. It is the whole step where the platform requires a field
    that would have to be emptied: then it is for the platform to say whether it can be done.
    """
    whole = step_of(lane, row)
    if row.remote_id is None or whole is None or whole.action == "delete":
        return whole if whole is not None and whole.action == "delete" else None
    step = step_of(lane, row, attributes)
    if step is None:
        return None
    emptied = whole.account.fields.keys() - step.account.fields.keys()
    if any(name in lane.platform.fields and lane.platform.fields[name].required for name in emptied):
        return whole
    return step._replace(final=False, lets_go=True)


def sought(lane: Lane, row: Due) -> Account:
    """Return an account as the platform may know it, to look it up by; nothing is found by a secret."""
    account, _ = account_of(lane, row)
    was = {} if row.delivered is None else _given(json.loads(row.delivered)["fields"])
    known = {name: value for name, value in {**account.fields, **was}.items() if name not in _secrets(lane)}
    return Account(account.key, account.kind, account.enabled, known)


def opened(lane: Lane, row: Due | Placement, account: Account) -> Account:
    """Return an account with its secrets, which until now it only speaks of; a contact has none.

    Raises Unavailable while one cannot be opened.
    """
    sealed = {
        name: one
        for name in _secrets(lane) & account.fields.keys()
        if (one := sealed_of(account.fields[name]))
    }
    if not sealed:
        return account
    fields = {name: value for name, value in account.fields.items() if name not in sealed}
    stored = sealed_values(row.sealed)
    for name, one in sealed.items() if account.kind == "user" else ():
        found = stored.get(f"{one.attribute}:{one.word}")
        if found is None or lane.reveal is None:
            which = f"{one.attribute} {one.version}" if one.version else f"this {one.attribute}"
            raise Unavailable(
                f"{which} is not in the table secrets: "
                f"make a new one: syncd secrets renew {row.account} {one.attribute}"
            )
        fields[name] = lane.reveal(row.account, one.attribute, *found)
    return Account(account.key, account.kind, account.enabled, fields)


def unopened(lane: Lane, step: Step) -> Step:
    """Return a step that tells nothing of what is sealed; what it leaves out counts as not delivered."""
    sealed = {name for name in _secrets(lane) if sealed_of(step.account.fields.get(name))}
    fields = {name: value for name, value in step.account.fields.items() if name not in sealed}
    account = Account(step.account.key, step.account.kind, step.account.enabled, fields)
    state = _state(enabled=account.enabled, fields=_kept(lane, account))
    return step._replace(account=account, changed=step.changed - sealed, delivered=state)


def secrets_of(lane: Lane, account: Account) -> Iterator[str]:
    """Yield the values that no message may show."""
    for name in _secrets(lane) & account.fields.keys():
        value = account.fields[name]
        yield from (value,) if isinstance(value, str) else value


def _secrets(lane: Lane) -> frozenset[str]:
    return frozenset(name for name, field in lane.platform.fields.items() if field.secret)


def _given(fields: Mapping[str, Value | list[str]]) -> dict[str, Value]:
    """Return the fields that have a value, those of several texts as tuples."""
    return {
        name: value if isinstance(value, str) else tuple(value) for name, value in fields.items() if value
    }


def _kept(lane: Lane, account: Account) -> dict[str, Value]:
    """Return the fields as they are remembered: of a secret one only its version, or a digest.

    The digest has no key, and needs none: what is not sealed is an attribute that is not secret, and stands in
    the account as it is.
    """
    secrets = _secrets(lane)
    return {
        name: _digest(account.key, value) if name in secrets and sealed_of(value) is None else value
        for name, value in account.fields.items()
    }


def _digest(key: str, value: Value) -> str:
    return "#" + blake2b(repr((key, value)).encode(), digest_size=16).hexdigest()


def _state(*, enabled: bool | None, fields: Mapping[str, Value]) -> str:
    return json.dumps({"enabled": enabled, "fields": fields}, ensure_ascii=False, sort_keys=True)
