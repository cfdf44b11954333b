"""Floor 3: from a finished record to the one operation that it asks for, and back to its inverse."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from hashlib import blake2b
from typing import Any

from .model import (
    Completed,
    Fault,
    Layer,
    Numbers,
    Operation,
    Refused,
    Standing,
    Untouched,
    Value,
    Vocabulary,
    fold,
    fold_layers,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leavers:
    """What becomes of people who left, by the way they left: ``disable``, ``delete`` or ``keep``.

    ``disabled``: the source disabled them. ``removed``: the source proved them gone. ``missing``: absent
    from ``reads`` complete reads in a row, and for as long as ``after``. ``delete_after``: how long a
    disabled leaver stays before the account is deleted; None is for ever.
    """

    disabled: str = "disable"
    removed: str = "disable"
    missing: str = "disable"
    reads: int = 2
    after: timedelta = timedelta(hours=24)
    delete_after: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a connection may do with accounts, and who has to agree.

    ``operations``: ``add``, ``update``, ``remove``. ``detain``: ``never``, ``first-run`` or ``always``.
    ``adopt``: an account found by a key becomes this connection's own. ``owns`` False: the connection
    enriches accounts and never makes or removes one. ``kind``: what it makes, ``user`` or ``contact``.
    """

    operations: frozenset[str] = frozenset({"add", "update", "remove"})
    detain: str = "first-run"
    adopt: bool = False
    owns: bool = True
    kind: str = "user"
    leavers: Leavers = Leavers()


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode


def encode(value: Any) -> str:
    """Return the one JSON text of a value: sorted, compact, UTF-8."""
    return _encode(value)


def plan(
    stream: Iterable[object],
    terms: Terms,
    vocabulary: Vocabulary,
    protected: tuple[tuple[str, str], ...] = (),
) -> Iterator[object]:
    """Turn each Completed into an Operation, Untouched or Refused; pass the rest on."""
    for item in stream:
        if isinstance(item, Completed):
            yield _planned(item, terms, vocabulary, protected)
        else:
            yield item


def _planned(
    item: Completed, terms: Terms, vocabulary: Vocabulary, protected: tuple[tuple[str, str], ...]
) -> Operation | Untouched | Refused:
    standing = item.standing
    if standing is None:
        return _addition(item, terms, vocabulary)
    after_state, deleted = _state(item, standing, terms)
    before, after = touched(standing.attributes, item.values)
    if after_state != standing.disabled_by:
        before["disabled_by"], after["disabled_by"] = standing.disabled_by, after_state
    if deleted != standing.deleted:
        before["deleted"], after["deleted"] = standing.deleted or None, deleted or None
    replaced = way_back(item.layer, standing.record)
    if item.verdict == "linked" and not (before or replaced or item.faults or standing.leaving):
        assert standing.link is not None  # noqa: S101 - a linked account has a link
        if item.record.enabled == standing.enabled:
            return Untouched(standing.link, item.record.fingerprint)
    kind = kind_of(before, after)
    faults = item.faults
    if item.verdict != "linked" and is_protected(standing.attributes, protected):
        message = f"account {standing.account} is protected and is linked only by a person"
        faults += (Fault("protected", None, message, "detained"),)
    if permit(kind) not in terms.operations:
        return Refused(item.record.anchor, kind)
    gains, frees = claims_of(before, after, standing.attributes, vocabulary)
    return operation(
        anchor=item.record.anchor,
        kind=kind,
        account=standing.account,
        link=standing.link,
        link_action={"linked": "keep", "relink": "move"}.get(item.verdict, "make"),
        record=encode(item.layer),
        replaced=encode(replaced) if standing.link is not None else None,
        before=before,
        after=after,
        enabled=item.record.enabled,
        owner=standing.owner if standing.link is not None else terms.owns and terms.adopt,
        fingerprint=item.record.fingerprint,
        faults=faults,
        gains=gains,
        frees=frees,
        account_kind=standing.kind,
    )


def _addition(item: Completed, terms: Terms, vocabulary: Vocabulary) -> Operation | Refused:
    record = item.record
    if "add" not in terms.operations or not terms.owns:
        return Refused(record.anchor, "add")
    after: dict[str, Any] = dict(item.values)
    if not record.enabled:
        if terms.leavers.disabled == "delete":
            return Refused(record.anchor, "add")
        if terms.leavers.disabled == "disable":
            after["disabled_by"] = "source"
    return operation(
        anchor=record.anchor,
        kind="add",
        account=None,
        link=None,
        link_action="make",
        record=encode(item.layer),
        replaced=None,
        before={},
        after=after,
        template=encode(item.template) if item.template else None,
        enabled=record.enabled,
        owner=True,
        fingerprint=record.fingerprint,
        faults=item.faults,
        gains=vocabulary.claims(item.values),
        account_kind=terms.kind,
        allocate=_missing_numbers(item),
    )


def _missing_numbers(item: Completed) -> Mapping[str, Numbers]:
    if item.role is None:
        return {}
    return {name: numbers for name, numbers in item.role.template.allocate.items() if name not in item.values}


def departure(
    standing: Standing,
    way: str,
    terms: Terms,
    vocabulary: Vocabulary,
    protected: tuple[tuple[str, str], ...],
    *,
    due: bool,
) -> Operation | None:
    """Plan what becomes of an account whose entry is gone; None if nothing does.

    ``way`` is ``removed`` or ``missing``. An account loses a link's layer when others still own it; it is
    disabled or deleted only when this was its last owner, and never if it is protected.
    """
    alive = [layer for layer in standing.others if not layer.gone]
    last = standing.owner and not any(layer.owner for layer in alive)
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    if last:
        action = terms.leavers.removed if way == "removed" else terms.leavers.missing
        if action == "keep" or is_protected(standing.attributes, protected):
            return None
        if action == "delete" and not standing.deleted:
            before["deleted"], after["deleted"] = None, True
        disabled_by = words(standing.disabled_by, add="missing")
        if disabled_by != standing.disabled_by:
            before["disabled_by"], after["disabled_by"] = standing.disabled_by, disabled_by
    else:
        values = fold_layers(standing.template, alive, standing.local)
        before, after = touched(standing.attributes, values)
    kind = kind_of(before, after)
    if last and permit(kind) not in terms.operations:
        return None
    gains, frees = claims_of(before, after, standing.attributes, vocabulary)
    return operation(
        anchor=standing.anchor,
        kind=kind,
        account=standing.account,
        link=standing.link,
        link_action="end",
        before=before,
        after=after,
        enabled=standing.enabled,
        owner=standing.owner,
        state="planned" if due else "waiting",
        gains=gains,
        frees=frees,
        account_kind=standing.kind,
    )


def final_deletion(standing: Standing, vocabulary: Vocabulary) -> Operation:
    """Plan the deletion of an account that has been a disabled leaver for long enough."""
    return operation(
        anchor=standing.anchor,
        kind="delete",
        account=standing.account,
        link=standing.link,
        link_action="none",
        before={"deleted": None},
        after={"deleted": True},
        frees=vocabulary.claims(standing.attributes),
        account_kind=standing.kind,
    )


def operation(
    *,
    anchor: str | None,
    kind: str,
    account: int | None,
    link: int | None,
    link_action: str,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    record: str | None = None,
    replaced: str | None = None,
    template: str | None = None,
    enabled: bool = True,
    owner: bool = True,
    fingerprint: bytes | None = None,
    faults: tuple[Fault, ...] = (),
    state: str = "planned",
    gains: list[tuple[str, str]] | None = None,
    frees: list[tuple[str, str]] | None = None,
    account_kind: str = "user",
    allocate: Mapping[str, Numbers] | None = None,
) -> Operation:
    """Make an operation, with its digest and the state that its faults give it."""
    before_text, after_text = encode(before), encode(after)
    reasons = encode(faults) if faults else None
    if faults:
        state = "failed" if any(fault.held == "failed" for fault in faults) else "detained"
    told = (anchor, kind, account, link_action, record, before_text, after_text, template, enabled, reasons)
    digest = blake2b(repr(told).encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return Operation(
        anchor,
        kind,
        account,
        link,
        link_action,
        record,
        replaced,
        before_text,
        after_text,
        template,
        enabled,
        owner,
        fingerprint,
        state,
        reasons,
        digest,
        gains or [],
        frees or [],
        account_kind,
        allocate or {},
    )


def kind_of(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Name the operation that leads from ``before`` to ``after``."""
    if "deleted" in after:
        return "delete" if after["deleted"] else "enable"
    if "disabled_by" in after:
        if not before["disabled_by"] and after["disabled_by"]:
            return "disable"
        if before["disabled_by"] and not after["disabled_by"]:
            return "enable"
    return "update"


def permit(kind: str) -> str:
    """Return which of a connection's ``operations`` covers this kind of operation."""
    return {"add": "add", "disable": "remove", "delete": "remove"}.get(kind, "update")


def is_protected(values: Mapping[str, Value], protected: tuple[tuple[str, str], ...]) -> bool:
    """Say whether any (attribute, shell pattern) pair matches, compared as keys are."""
    for attribute, pattern in protected:
        value = values.get(attribute, ())
        texts = (value,) if isinstance(value, str) else value
        if any(fnmatchcase(fold(text), fold(pattern)) for text in texts):
            return True
    return False


def words(disabled_by: str | None, *, add: str = "", drop: str = "") -> str | None:
    """Return the set of actors who disabled an account, with one more or one fewer; None when empty."""
    actors = set(disabled_by.split(",")) if disabled_by else set()
    actors.discard(drop)
    if add:
        actors.add(add)
    return ",".join(sorted(actors)) or None


def _state(item: Completed, standing: Standing, terms: Terms) -> tuple[str | None, bool]:
    """Decide who disables the account, and whether it is deleted, now that this entry is there."""
    enabled = item.record.enabled
    owner = standing.owner if standing.link is not None else terms.owns and terms.adopt
    disabled_by, deleted = standing.disabled_by, standing.deleted
    if owner:
        disabled_by, deleted = words(disabled_by, drop="missing"), False
    own = Layer(-1, {}, owner, gone=False, enabled=enabled)
    voices = [voice for voice in (own, *standing.others) if voice.owner and not voice.gone]
    if voices and terms.leavers.disabled != "keep":
        silent = not any(voice.enabled for voice in voices)
        disabled_by = words(disabled_by, add="source") if silent else words(disabled_by, drop="source")
        if silent and terms.leavers.disabled == "delete":
            deleted = True
    return disabled_by, deleted


def touched(was: Mapping[str, Value], will: Mapping[str, Value]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what differs, as it was and as it will be; None stands for no value."""
    if was == will:
        return {}, {}
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for name, value in will.items():
        if was.get(name) != value:
            before[name], after[name] = was.get(name), value
    for name, value in was.items():
        if name not in will:
            before[name], after[name] = value, None
    return before, after


def way_back(new: Mapping[str, Value], old: Mapping[str, Value]) -> dict[str, Value | None]:
    """Return the merge patch (RFC 7396) that leads from ``new`` back to ``old``."""
    if new == old:
        return {}
    patch: dict[str, Value | None] = {name: value for name, value in old.items() if new.get(name) != value}
    patch.update((name, None) for name in new if name not in old)
    return patch


def claims_of(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    attributes: Mapping[str, Value],
    vocabulary: Vocabulary,
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the keys that a change takes and lets go; ``attributes`` are the account's, as stored.

    Deleting an account frees all its keys, bringing it back takes them all again; a change of case alone
    does neither.
    """
    if after.get("deleted"):
        return [], vocabulary.claims(attributes)
    if "deleted" in after:
        return vocabulary.claims({**attributes, **after}), []
    gains, frees = vocabulary.claims(after), vocabulary.claims(before)
    if gains and frees:
        both = set(gains) & set(frees)
        return [one for one in gains if one not in both], [one for one in frees if one not in both]
    return gains, frees
