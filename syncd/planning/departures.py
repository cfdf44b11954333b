"""What becomes of an account whose entry is gone."""

from __future__ import annotations

from typing import Any

from ..model import Operation, Standing, Vocabulary, fold_layers
from .operations import claims_of, is_protected, kind_of, operation, permit, touched, words
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
        seen=standing.revision,
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
        seen=standing.revision,
    )
