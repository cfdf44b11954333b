"""What ``check`` tells of a configuration that has no mistake: what it has, and what accounts have that it has not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from .output import counted

if TYPE_CHECKING:
    from ..config import Settings
    from ..store.database import Database

_NAMED = 5
"""So many accounts are named; how many there are is said in any case."""


def configured(settings: Settings) -> dict[str, int]:
    """Count what is configured, in the order in which it is needed: platforms first, sources last."""
    found: Mapping[str, int] = {
        "platform": len(settings.platforms),
        "licence": len(settings.licences.counts),
        "feature profile": len(settings.licences.profiles),
        "location": len(settings.locations),
        "department": len(settings.departments),
        "template": len(settings.templates),
        "role": len(settings.roles),
        "enterprise": len(settings.enterprises),
        "source": len(settings.sources),
    }
    return {what: count for what, count in found.items() if count}


def still_used(settings: Settings, database: Database) -> Iterator[tuple[str, str]]:
    """Yield what is said of roles and feature profiles that accounts have and nobody configured, and of licences."""
    known = {"role": settings.roles, "feature_profile": settings.licences.profiles}
    for name, names in known.items():
        rows = database.conn.execute(
            "SELECT said, COUNT(*), json_group_array(id) FROM (SELECT id, json_extract(attributes, :path) AS said"
            " FROM accounts WHERE deleted_at IS NULL ORDER BY id) WHERE said IS NOT NULL GROUP BY said",
            {"path": f"$.{name}"},
        )
        for said, count, ids in rows if names else ():
            if said not in names:
                yield _not_configured(name.replace("_", " "), said, count, ids)
    yield from _over(settings, database)


def _not_configured(what: str, said: str, count: int, ids: str) -> tuple[str, str]:
    import json

    numbers = ", ".join(map(str, json.loads(ids)[:_NAMED])) + (", ..." if count > _NAMED else "")
    lost = (
        "their platforms are no longer those of its template"
        if what == "role"
        else "no licence is counted for it"
    )
    have = f"{counted(count, 'account')} still {'has' if count == 1 else 'have'} it ({numbers})"
    return f"{what} {said}", f"is not configured, and {have}: {lost}"


def _over(settings: Settings, database: Database) -> Iterator[tuple[str, str]]:
    from ..store.licences import users_by_profile

    counts = settings.licences.counts
    used = settings.licences.used(users_by_profile(database)) if counts else {}
    for feature, count in counts.items():
        if used[feature] > count:
            yield (
                f"licence {feature}",
                f"{used[feature]} are in use, and {count} are configured: syncd licences",
            )
