"""Which verbs the running service carries out, and who may have it do so."""

from __future__ import annotations

from collections.abc import Sequence

LOOK, CHANGE = "reader", "operator"
"""What a peer has to be."""

GROUPS = {"accounts": "list", "db": "", "deliveries": "list", "queue": "list", "secrets": ""}
"""Verb that has others below it -> the one that is meant where none is named."""

LEVELS = {
    **dict.fromkeys(
        ["status", "health", "schedule", "runs", "explain", "verify", "accounts list", "accounts show"], LOOK
    ),
    **dict.fromkeys(["licences", "deliveries list", "queue list", "queue show", "db verify"], LOOK),
    **dict.fromkeys(["preview", "sync", "apply", "undo", "retire", "deliveries retry", "db prune"], CHANGE),
    **dict.fromkeys(["queue release", "queue edit", "queue retry"], CHANGE),
    **dict.fromkeys(["queue discard", "queue ignore", "queue unignore"], CHANGE),
    **dict.fromkeys(["accounts add", "accounts edit", "accounts reset", "accounts disable"], CHANGE),
    **dict.fromkeys(["accounts enable", "accounts delete", "accounts erase"], CHANGE),
    **dict.fromkeys(["secrets show", "secrets renew", "secrets rotate"], CHANGE),
    **dict.fromkeys(["accounts link", "accounts unlink"], CHANGE),
}
"""Verb -> what is needed for it. All others are done where they are typed: they need files of the person's
own (``db backup``), or no database (``check``), must not be done beside a service (``db restore``), or have to
tell that it does not answer (``health``)."""


def verb_of(arguments: Sequence[str]) -> str | None:
    """Return the verb that arguments begin with, as the command line finds it; None if it is not carried out here."""
    if not arguments:
        return None
    verb, below = arguments[0], arguments[1] if len(arguments) > 1 else "-"
    if verb in GROUPS:
        verb = f"{verb} {GROUPS[verb] if below.startswith('-') else below}"
    if verb == "schedule" and any(word.startswith("--simulate") for word in arguments):
        return None  # which needs the configuration alone
    return verb if verb in LEVELS else None
