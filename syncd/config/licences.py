"""Compiles ``[licence.FEATURE]`` and, of these, ``[feature_profile.NAME]``."""

from __future__ import annotations

from ..model import DEFAULT_PROFILE, Licences, Profile
from .checking import checked
from .compiling import Draft
from .kinds import profile_name
from .models import LicenceTable, ProfileTable


def compile_licences(draft: Draft) -> None:
    """Note how many licences there are, and which of them each feature profile takes."""
    counts: dict[str, int] = {}
    for name, written in draft.document.tables("licence").items():
        path = ("licence", name)
        table = checked(draft.document, LicenceTable, written, path)
        draft.effective.note(path, written, table)
        if isinstance(written, dict) and "count" not in written:
            draft.objection((*path, "count"), "is missing")
        counts[name] = table.count or 0
    profiles: dict[str, Profile] = {}
    for name, written in draft.document.tables("feature_profile").items():
        profiles[name] = _profile(draft, name, written, counts)
    if profiles:
        profiles.setdefault(DEFAULT_PROFILE, Profile(DEFAULT_PROFILE))
    draft.licences = Licences(counts, profiles)


def _profile(draft: Draft, name: str, written: object, counts: dict[str, int]) -> Profile:
    path = ("feature_profile", name)
    table = checked(draft.document, ProfileTable, written, path)
    draft.effective.note(path, written, table)
    try:
        profile_name(name)
    except ValueError as error:
        draft.objection(path, f"its name {error}")
    if name == DEFAULT_PROFILE and table.licences:
        draft.objection((*path, "licences"), "has no place here: the profile Default takes no licence")
    for place, feature in enumerate(table.licences):
        if feature not in counts:
            draft.document.object_to_name((*path, "licences", place), "licence", feature, counts)
    return Profile(name, frozenset(table.licences), table.description)
