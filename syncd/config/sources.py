"""Compiles ``[source.NAME]``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import cast

from pydantic import BaseModel

from ..connector import Connector, Source
from ..planning import Leavers, Terms
from ..schedules import Timetable, shortest
from ..validation import Check, Test
from .checking import checked
from .compiling import Draft
from .connections import Parts, check_former_names, limits_of, options_of, tables_of, type_of
from .lines import KeyPath
from .mappings import compile_map, of_source
from .models import RuleTable, ScheduleTable, SourceTable
from .presets import PRESETS, Preset
from .settings import Origin, SourceSettings
from .words import unknown

SOURCE_KEYS = frozenset(SourceTable.model_fields)
"""The engine's keys of a source; no plugin may have an option of such a name."""


def compile_sources(draft: Draft) -> dict[str, SourceSettings]:
    """Return every source that belongs to an enterprise."""
    homes = {
        source: (enterprise.name, place)
        for enterprise in draft.enterprises.values()
        for place, source in enumerate(enterprise.sources)
    }
    found = {}
    for name, parts in tables_of(draft, "source", SOURCE_KEYS):
        path = ("source", name)
        enterprise, precedence = homes.get(name, ("", 0))
        if not enterprise and not draft.document.incomplete:
            draft.objection(path, "belongs to no enterprise; name it in the sources of [enterprise.NAME]")
        found[name] = _source(draft, path, parts, enterprise, precedence)
    check_former_names(draft, "source", found.values())
    return found


def _source(draft: Draft, path: KeyPath, parts: Parts, enterprise: str, precedence: int) -> SourceSettings:
    preset = _preset(draft, path, parts)
    kind = type_of(draft, path, parts, "source", draft.catalog.sources, SOURCE_KEYS)
    options_model = getattr(kind, "Options", None)
    _lend(draft, path, parts, preset, options_model)
    table = checked(draft.document, SourceTable, parts.engine, path)
    draft.effective.note(path, parts.engine, table)
    options = options_of(draft, path, parts, kind, SOURCE_KEYS)
    if kind is not None and enterprise and table.owns:
        _check_synchronizer(draft, path, cast("type[Source]", kind), enterprise)
    if table.owns and (reason := getattr(options, "only_enriches", "")):
        draft.objection((*path, "owns"), f"{reason}; write owns = false")
    side = of_source(draft.document, draft.vocabulary)
    mapping = compile_map(draft.document, draft.catalog, (*path, "map"), table.map, side)
    for rule in mapping.rules:
        if rule.attribute == "feature_profile":
            draft.profile((*path, "map", rule.attribute, "default"), rule.default)
            draft.profile((*path, "map", rule.attribute, "constant"), rule.constant)
        if rule.attribute in draft.vocabulary.secrets and rule.policy == "create-only" and not table.owns:
            cure = 'write policy = "always", or "detain"'
            message = f"is used for new accounts alone, and this source makes none (owns = false); {cure}"
            draft.objection((*path, "map", rule.attribute), message)
    if _is_whole(parts) and not table.map:
        draft.objection(path, f"maps nothing; write [source.{path[1]}.map], or name a preset")
    if table.role is not None and table.role not in draft.roles:
        draft.document.object_to_name((*path, "role"), "role", table.role, draft.roles)
    return SourceSettings(
        name=str(path[1]),
        type=table.type or "",
        enterprise=enterprise,
        precedence=precedence,
        options=options,
        mapping=mapping,
        match=_match(draft, path, table, whole=_is_whole(parts)),
        terms=_terms(draft, path, table, kind),
        limits=limits_of(table.limits),
        checks=_checks(draft, (*path, "rules"), table.rules),
        default_role=table.role,
        schedule=_timetable(draft, (*path, "schedule"), table.schedule),
        formerly=table.formerly,
    )


def _preset(draft: Draft, path: KeyPath, parts: Parts) -> Preset | None:
    name = parts.engine.get("preset")
    if not isinstance(name, str):
        return None
    if name not in PRESETS:
        draft.objection((*path, "preset"), unknown("preset", name, PRESETS))
    return PRESETS.get(name)


def _lend(
    draft: Draft, path: KeyPath, parts: Parts, preset: Preset | None, model: type[BaseModel] | None
) -> None:
    """Put into the table what the preset says and the table does not."""
    if preset is None:
        return
    origin, lent, written = Origin(f"preset {parts.engine['preset']}"), draft.effective.lent, parts.engine
    for key, value in {"map": preset.map, **preset.keys}.items():
        mine = written.get(key, {})
        if isinstance(value, Mapping) and isinstance(mine, dict):
            written[key] = {**value, **mine}
            lent.update({(*path, key, name): origin for name in value if name not in mine})
        elif key not in written:
            written[key] = value
            lent[(*path, key)] = origin
    if "match" not in written and isinstance(written["map"], dict):
        written["match"] = [name for name in preset.match if written["map"].get(name) != {"from": []}]
        lent[(*path, "match")] = origin
    for name, value in preset.options.items():
        if model is not None and name in model.model_fields and name not in parts.options:
            parts.options[name] = value
            lent[(*path, name)] = origin


def _check_synchronizer(draft: Draft, path: KeyPath, kind: type[Source], enterprise: str) -> None:
    """Note a source of the other kind; one that owns nobody is not asked about."""
    settings = draft.enterprises[enterprise]
    if settings.synchronizer not in {kind.synchronizer, "none"}:
        place = settings.sources.index(str(path[1]))
        message = (
            f"{path[1]!r} is a {kind.synchronizer} source, and the synchronizer of this enterprise is "
            f"{settings.synchronizer!r}: give it to another enterprise, write synchronizer = "
            f'"{kind.synchronizer}" and name sources of that kind alone, or let it only add to accounts (owns = false)'
        )
        draft.objection(("enterprise", enterprise, "sources", place), message)


def _is_whole(parts: Parts) -> bool:
    """Tell whether all rows of the map are known: not when the map, or the preset, is not understood."""
    preset = parts.engine.get("preset")
    known = preset is None or (isinstance(preset, str) and preset in PRESETS)
    return known and isinstance(parts.engine.get("map", {}), dict)


def _match(draft: Draft, path: KeyPath, table: SourceTable, *, whole: bool) -> tuple[str, ...]:
    for place, name in enumerate(table.match):
        here = (*path, "match", place)
        word = draft.attribute(here, name)
        if word is not None and not word.key:
            keys = ", ".join(draft.vocabulary.keys_)
            draft.objection(here, f"{name!r} can be shared by accounts; match by one of {keys}")
        elif word is not None and whole and table.map.get(name, {"from": []}) == {"from": []}:
            draft.objection(here, f"{name!r} is not filled by the map, so nothing can match by it")
    return table.match


def _terms(draft: Draft, path: KeyPath, table: SourceTable, kind: type[Connector] | None) -> Terms:
    default: frozenset[str] = getattr(kind, "default_operations", Terms().operations)
    if table.operations is None:
        draft.effective.put((*path, "operations"), sorted(default), Origin("default"))
    leavers = table.leavers
    return Terms(
        operations=frozenset(table.operations) if table.operations is not None else default,
        detain=table.detain,
        adopt=table.adopt,
        owns=table.owns,
        kind=table.kind,
        leavers=Leavers(**{key: getattr(leavers, key) for key in type(leavers).model_fields}),
    )


def _timetable(draft: Draft, path: KeyPath, table: ScheduleTable) -> Timetable:
    for key, schedule in (("incremental", table.incremental), ("full", table.full)):
        between = shortest(schedule)
        if between is not None and table.jitter >= between:
            message = f'must be shorter than the time between two slots of {key} = "{schedule}"'
            draft.objection((*path, "jitter"), message)
    return Timetable(
        full=table.full, incremental=table.incremental, jitter=table.jitter, catch_up=table.catch_up
    )


def _checks(draft: Draft, path: KeyPath, rules: Mapping[str, RuleTable]) -> tuple[Check, ...]:
    found = []
    for name in sorted(rules):
        draft.attribute((*path, name), name)
        rule = rules[name]
        tests = tuple(_tests(draft, (*path, name), rule))
        secret = name in draft.vocabulary.secrets
        found.append(Check(attribute=name, required=rule.required, tests=tests, secret=secret))
    return tuple(found)


def _tests(draft: Draft, path: KeyPath, rule: RuleTable) -> Iterable[Test]:
    from ..validation import length, one_of, pattern

    makers: dict[str, Callable[[], Test]] = {}
    if rule.pattern is not None:
        makers["pattern"] = partial(pattern, rule.pattern)
    if rule.length is not None:
        makers["length"] = partial(length, *rule.length)
    if rule.one_of is not None:
        makers["one_of"] = partial(one_of, rule.one_of)
    for key, make in makers.items():
        try:
            yield make()
        except ValueError as error:
            draft.objection((*path, key), str(error))
    for place, item in enumerate(rule.also):
        name, colon, argument = item.partition(":")
        factory = draft.catalog.rules.get(name)
        here = (*path, "also", place)
        if factory is None:
            draft.document.object_to_name(here, "rule", name, draft.catalog.rules)
            continue
        try:
            yield factory(argument if colon else None)
        except ValueError as error:
            draft.objection(here, str(error))
