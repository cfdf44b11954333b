"""What people type is judged as what sources say: characters, lengths, rules, places, platforms."""

from __future__ import annotations

from collections.abc import Mapping

from ..mapping import AttributeMapping, Rule, mapper
from ..model import Entry, Fault, Value, sampled
from ..validation import Check, Places, judged
from .installation import Installation, demands_of


def judge_by_hand(
    here: Installation,
    enterprise: str,
    values: Mapping[str, Value],
    was: Mapping[str, Value] | None,
    kind: str,
    checks: tuple[Check, ...] = (),
) -> list[Fault]:
    """Return what is wrong with values that a person wants; ``was`` is what the account says now, if it exists."""
    words = here.settings.vocabulary
    changed = {name: value for name, value in values.items() if was is None or was.get(name) != value}
    rules = tuple(
        Rule(attribute=name, sources=(name,), many=words[name].many) for name in changed if name in words
    )
    texts = {name: (value,) if isinstance(value, str) else value for name, value in sampled(changed).items()}
    record = mapper(AttributeMapping(rules, ""), words)(Entry("", texts))
    demands = demands_of(here, enterprise)
    return [*record.faults, *judged(values, was, checks, demands, places_of(here), kind)]


def places_of(here: Installation) -> Places:
    """Return where people may be, and which feature profiles and roles they may have."""
    known = {word for name, words in here.settings.locations.items() for word in (name, *words)}
    return Places(
        frozenset(known),
        frozenset(here.settings.departments),
        frozenset(here.settings.licences.profiles),
        frozenset(here.settings.roles),
    )
