"""The verb ``licences``: how many there are of each feature, who takes them, and who waits for one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from .options import examples, json_option
from .output import counted, say, shown, table, write, write_json
from .session import session_of

if TYPE_CHECKING:
    from ..pipeline.installation import Installation
    from ..pipeline.watching import LicenceStanding


@click.command(epilog=examples("syncd licences", "syncd licences --json"))
@json_option
@click.pass_context
def licences(ctx: click.Context, /, *, as_json: bool) -> None:
    """Say how many licences there are of each feature, how many are in use, and who waits for one.

    Active users take those of their feature profile; contacts, and who is disabled or deleted, take none.
    """
    document = _document(session_of(ctx).looking)
    if as_json:
        write_json(document)
    else:
        _print(document)


def licence_document(one: LicenceStanding) -> dict[str, Any]:
    """Return what there is to say of one feature."""
    return {
        "feature": one.feature,
        "count": one.count,
        "used": one.used,
        "free": max(one.count - one.used, 0),
        "over": one.over,
        "waiting": one.waiting,
        "queued": one.queued,
    }


def _document(here: Installation) -> dict[str, Any]:
    from ..pipeline.watching import licences_of
    from ..store.licences import users_by_profile

    users = users_by_profile(here.database)
    profiles = here.settings.licences.profiles
    return {
        "licences": [licence_document(one) for one in licences_of(here)],
        "feature_profiles": [
            {
                "profile": one.name,
                "description": one.description,
                "licences": sorted(one.features),
                "users": users.get(one.name, 0),
            }
            for one in profiles.values()
        ],
        "unknown_profiles": [
            {"profile": name, "users": count} for name, count in sorted(users.items()) if name not in profiles
        ],
    }


def _print(document: dict[str, Any]) -> None:
    found = document["licences"]
    table(
        ["licence", "count", "used", "free", "over", "waiting", "queued"],
        (list(one.values()) for one in found),
        empty="no licence is configured: [licence.FEATURE], see docs/configuration.md",
    )
    if document["feature_profiles"]:
        write()
        table(
            ["feature profile", "users", "licences", "description"],
            (
                (one["profile"], one["users"], ", ".join(one["licences"]) or "-", one["description"] or "-")
                for one in document["feature_profiles"]
            ),
            empty="",
        )
    for line in _notes(document):
        say(line)


def _notes(document: dict[str, Any]) -> Iterator[str]:
    """Say what to look at, with the commands that lead there."""
    waiting = sum(one["waiting"] for one in document["licences"])
    if waiting:
        yield "users who are not active for want of a licence get it by themselves: syncd accounts list --disabled"
    if any(one["queued"] for one in document["licences"]):
        yield "what waits in the queue for licences is for a person: syncd queue list --state detained"
    if document["feature_profiles"]:
        for one in document["unknown_profiles"]:
            name, users = shown(one["profile"]), counted(one["users"], "user")
            yield f"{users} with the feature profile {name}, which is not configured: no licence is counted for it"
