"""From a finished record to the one operation that it asks for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..model import Completed, Fault, Numbers, Operation, Refused, Standing, Untouched, Vocabulary
from .operations import claims_of, encode, is_protected, kind_of, operation, permit, touched, way_back, words
from .terms import Terms


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
    before, after = touched(standing.attributes, item.values)
    # Where a link speaks alone, what the link said is what the account said.
    alone = item.layer is item.values and standing.record is standing.attributes
    replaced = dict(before) if alone else way_back(item.layer, standing.record)
    same = item.verdict == "linked" and item.record.enabled == standing.enabled
    same = same and not (replaced or standing.leaving)
    disabled_by, deleted = _state(item, standing, terms, protected)
    if same and standing.deleted and not _by_source(standing):
        deleted = True  # by a person, or undone: it stays so until the source says something else
    if disabled_by != standing.disabled_by:
        before["disabled_by"], after["disabled_by"] = standing.disabled_by, disabled_by
    if deleted != standing.deleted:
        before["deleted"], after["deleted"] = standing.deleted or None, deleted or None
    if same and not (before or item.faults):
        assert standing.link is not None  # noqa: S101 - a linked account has a link
        return Untouched(standing.link, item.record.fingerprint, item.record.warnings)
    kind = kind_of(before, after)
    if permit(kind) not in terms.operations:
        return Refused(item.record.anchor, kind, item.record.warnings)
    faults = item.faults
    if item.verdict != "linked" and is_protected(standing.attributes, protected):
        message = f"account {standing.account} is protected and is linked only by a person"
        faults += (Fault("protected", None, message, "detained"),)
    gains, frees = claims_of(before, after, standing.attributes, vocabulary, deleted=standing.deleted)
    return operation(
        anchor=item.record.anchor,
        kind=kind,
        account=standing.account,
        link=standing.link,
        link_action=_link_action(item.verdict, standing),
        record=encode(item.layer),
        replaced=replaced if standing.link is not None else None,
        before=before,
        after=after,
        enabled=item.record.enabled,
        owner=_owns(standing, terms),
        fingerprint=item.record.fingerprint,
        faults=faults,
        warnings=item.record.warnings,
        gains=gains,
        frees=frees,
        account_kind=standing.kind,
        seen=standing.revision,
        gone_at=standing.leaving,
        secrets=item.record.secrets,
    )


def _addition(item: Completed, terms: Terms, vocabulary: Vocabulary) -> Operation | Refused:
    record = item.record
    if not terms.owns:
        return Refused(record.anchor, "unmatched", record.warnings)
    if "add" not in terms.operations:
        return Refused(record.anchor, "add", record.warnings)
    after: dict[str, Any] = item.values
    if not record.enabled:
        if terms.leavers.disabled == "delete":
            return Refused(record.anchor, "add", record.warnings)
        if terms.leavers.disabled == "disable":
            after = {**after, "disabled_by": "source"}
    text = encode(item.layer)
    return operation(
        anchor=record.anchor,
        kind="add",
        account=None,
        link=None,
        link_action="make",
        record=text,
        before={},
        after=after,
        after_text=text if after is item.layer else None,
        template=encode(item.template) if item.template else None,
        enabled=record.enabled,
        owner=True,
        fingerprint=record.fingerprint,
        faults=item.faults,
        warnings=record.warnings,
        gains=vocabulary.claims(item.values),
        account_kind=terms.kind,
        allocate=_missing_numbers(item),
        secrets=record.secrets,
    )


def _missing_numbers(item: Completed) -> Mapping[str, Numbers]:
    if item.role is None:
        return {}
    return {name: numbers for name, numbers in item.role.template.allocate.items() if name not in item.values}


def _link_action(verdict: str, standing: Standing) -> str:
    if verdict == "linked":
        return "keep"
    return "make" if standing.link is None else "move"


def _owns(standing: Standing, terms: Terms) -> bool:
    return standing.owner if standing.link is not None else terms.owns and terms.adopt


def _by_source(standing: Standing) -> bool:
    return words(words(standing.disabled_by, drop="missing"), drop="source") != standing.disabled_by


def _state(
    item: Completed, standing: Standing, terms: Terms, protected: tuple[tuple[str, str], ...]
) -> tuple[str | None, bool]:
    """Decide who disables the account, and whether it is deleted, now that this entry is there.

    Only an owner has a say. The source disables an account when the entries of all its owners are
    disabled; a protected account is left as it is then.
    """
    enabled = item.record.enabled
    if enabled and not (standing.disabled_by or standing.deleted):
        return None, False
    if not _owns(standing, terms):
        return standing.disabled_by, standing.deleted
    disabled_by = words(standing.disabled_by, drop="missing")
    if terms.leavers.disabled == "keep":
        return disabled_by, False
    if enabled or any(layer.enabled for layer in standing.others if layer.owner and not layer.gone):
        return words(disabled_by, drop="source"), False
    if is_protected(standing.attributes, protected):
        return disabled_by, False
    return words(disabled_by, add="source"), terms.leavers.disabled == "delete"
