"""What people call an account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def label(values: Mapping[str, Any]) -> str | None:
    """Return what people call an account: ``Ada Lovelace (ada)``; None if it says nothing of that."""
    name, login = person(values), values.get("login") or values.get("email")
    if name and login:
        return f"{name} ({login})"
    return name or login or values.get("phone")


def person(values: Mapping[str, Any]) -> str | None:
    """Return the name that is shown to others, else the given and the family name."""
    full = " ".join(values[part] for part in ("first_name", "last_name") if values.get(part))
    return values.get("display_name") or full or None
