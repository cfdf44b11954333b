"""Which attributes are numbers of telephones: what one person has as one of them, nobody else has as another."""

from __future__ import annotations

TELEPHONES = ("extension", "softphone_extension")
"""The internal numbers of desk and of soft phones, which are dialled alike."""


def alike(attribute: str) -> str:
    """Return the SQL list of the attributes whose keys must not be the same as those of this one, a column."""
    desk, soft = TELEPHONES
    return f"({attribute}, CASE {attribute} WHEN '{desk}' THEN '{soft}' WHEN '{soft}' THEN '{desk}' END)"
