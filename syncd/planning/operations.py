"""Making an operation: what it touches, what it is called, which keys it exchanges, its digest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from hashlib import blake2b
from typing import Any

from ..model import Fault, Hidden, Numbers, Operation, Value, Vocabulary, fold

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode


def encode(value: Any) -> str:
    """Return the one JSON text of a value: sorted, compact, UTF-8."""
    return _encode(value)


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
    replaced: Mapping[str, Any] | str | None = None,
    template: str | None = None,
    enabled: bool = True,
    owner: bool = True,
    fingerprint: bytes | None = None,
    faults: tuple[Fault, ...] = (),
    warnings: tuple[Fault, ...] = (),
    state: str = "planned",
    gains: list[tuple[str, str]] | None = None,
    frees: list[tuple[str, str]] | None = None,
    account_kind: str = "user",
    allocate: Mapping[str, Numbers] | None = None,
    seen: int | None = None,
    gone_at: str | None = None,
    after_text: str | None = None,
    secrets: tuple[Hidden, ...] = (),
) -> Operation:
    """Make an operation, with its digest and the state that its faults give it.

    ``after_text`` is the text of ``after`` where the caller has it.
    """
    before_text = encode(before) if before else "{}"
    if after_text is None:
        after_text = encode(after)
    if isinstance(replaced, Mapping):
        replaced = before_text if replaced == before else encode(replaced)
    reasons = encode((*faults, *warnings)) if faults or warnings else None
    if faults:
        state = "failed" if any(fault.held == "failed" for fault in faults) else "detained"
    told = (
        (anchor, kind, account, account_kind, link_action, owner, enabled),
        (record, before_text, after_text, template, reasons),
    )
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
        seen,
        gone_at,
        secrets,
    )


def kind_of(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Name the operation that leads from ``before`` to ``after``."""
    if "deleted" in after:
        return "delete" if after["deleted"] else "enable"
    if "disabled_by" in after:
        if not before["disabled_by"]:
            return "disable"
        if not after["disabled_by"]:
            return "enable"
    return "update"


def permit(kind: str) -> str:
    """Return which of a connection's ``operations`` covers this kind of operation."""
    return {"add": "add", "disable": "remove", "delete": "remove"}.get(kind, "update")


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
    *,
    deleted: bool = False,
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the keys that a change takes and lets go; ``attributes`` are the account's, as stored.

    Deleting an account frees all its keys, bringing it back takes them all again, and one that is and
    stays ``deleted`` has none; a change of case alone does neither.
    """
    if after.get("deleted"):
        return [], vocabulary.claims(attributes)
    if "deleted" in after:
        return vocabulary.claims({**attributes, **after}), []
    if deleted:
        return [], []
    gains, frees = vocabulary.claims(after), vocabulary.claims(before)
    if gains and frees:
        both = set(gains) & set(frees)
        return [one for one in gains if one not in both], [one for one in frees if one not in both]
    return gains, frees


def words(disabled_by: str | None, *, add: str = "", drop: str = "") -> str | None:
    """Return the set of actors who disabled an account, with one more or one fewer; None when empty."""
    actors = set(disabled_by.split(",")) if disabled_by else set()
    actors.discard(drop)
    if add:
        actors.add(add)
    return ",".join(sorted(actors)) or None


def is_protected(values: Mapping[str, Value], protected: tuple[tuple[str, str], ...]) -> bool:
    """Say whether any (attribute, shell pattern) pair matches, compared as keys are."""
    for attribute, pattern in protected:
        value = values.get(attribute, ())
        texts = (value,) if isinstance(value, str) else value
        if any(fnmatchcase(fold(text), fold(pattern)) for text in texts):
            return True
    return False
