"""What becomes of an account whose entry is gone."""

from __future__ import annotations

from typing import Any

from ..model import Layer, Operation, Standing, Vocabulary, fold_layers
from .operations import claims_of, is_protected, kind_of, operation, touched, words
from .terms import Terms


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

    ``way`` is ``removed`` or ``missing``. An account that others still own loses this link's layer, and is
    disabled if all of them have disabled it; one that loses its last owner is disabled or deleted. A
    protected account is neither.
    """
    owners = [layer for layer in standing.others if layer.owner and not layer.gone]
    removable = "remove" in terms.operations and not is_protected(standing.attributes, protected)
    if owners or not standing.owner:
        before, after = _handover(standing, owners)
        silent = standing.owner and not any(layer.enabled for layer in owners)
        word = "source" if silent and removable and terms.leavers.disabled != "keep" else ""
    else:
        action = terms.leavers.removed if way == "removed" else terms.leavers.missing
        if action == "keep" or not removable:
            return None
        before, after = {}, {}
        if action == "delete" and not standing.deleted:
            before["deleted"], after["deleted"] = None, True
        word = "missing"
    disabled_by = words(standing.disabled_by, add=word)
    if disabled_by != standing.disabled_by:
        before["disabled_by"], after["disabled_by"] = standing.disabled_by, disabled_by
    gains, frees = claims_of(before, after, standing.attributes, vocabulary, deleted=standing.deleted)
    return operation(
        anchor=standing.anchor,
        kind=kind_of(before, after),
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
        seen=standing.revision,
    )


def parting(standing: Standing) -> Operation:
    """Plan that a link ends and nothing else: the account keeps what it has."""
    return operation(
        anchor=standing.anchor,
        kind="update",
        account=standing.account,
        link=standing.link,
        link_action="end",
        before={},
        after={},
        enabled=standing.enabled,
        owner=standing.owner,
        account_kind=standing.kind,
        seen=standing.revision,
    )


def _handover(standing: Standing, owners: list[Layer]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what changes for an account whose last owner this is not: the layer of this link goes."""
    if not owners and any(layer.owner for layer in standing.others):
        return {}, {}  # all its owners are gone: a leaver keeps what was said of them
    alive = [layer for layer in standing.others if not layer.gone]
    return touched(standing.attributes, fold_layers(standing.template, alive, standing.local))


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
        seen=standing.revision,
    )
