"""Licences: how many there are of each feature, who takes them, and what a plan needs of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

DEFAULT_PROFILE = "Default"
"""The feature profile without a licensed feature, which is always there (a vendor's rule)."""


TOO_FEW = "too-few-licences"
"""What an objection is called that is about a feature; its name follows, behind a colon."""


class Profile(NamedTuple):
    """A feature profile: each active user who has it takes one licence of each of its ``features``."""

    name: str
    features: frozenset[str] = frozenset()
    description: str = ""


class Change(NamedTuple):
    """How many users go from one feature profile to another; None: not active, before or afterwards.

    ``leaves``: they are disabled or deleted.
    """

    was: str | None
    will: str | None
    leaves: bool
    users: int


class Need(NamedTuple):
    """What a plan needs of one feature: ``wanted`` more licences, where ``free`` of those that are ``there`` are free.

    What the plan itself gives back is free; fewer than none are where more are in use than there are.
    """

    feature: str
    there: int
    free: int
    wanted: int

    @property
    def code(self) -> str:
        """What an objection to it is called."""
        return f"{TOO_FEW}:{self.feature}"

    @property
    def text(self) -> str:
        """What is short, in words."""
        free = max(self.free, 0)
        over = f"; {-self.free} more are in use than there are" if self.free < 0 else ""
        return f"{self.feature}: {self.wanted} needed, {free} of {self.there} free ({self.wanted - free} short){over}"


class Licences(NamedTuple):
    """``counts`` has the licensed features, and how many licences there are of each, in all enterprises together.

    ``profiles`` are the feature profiles by their names; while none is configured, any name may be used.
    """

    counts: Mapping[str, int] = {}
    profiles: Mapping[str, Profile] = {}

    def features(self, profile: str | None) -> frozenset[str]:
        """Return what an active user of a profile takes; of a profile that is not configured that is nothing."""
        found = self.profiles.get(profile or "")
        return found.features if found is not None else frozenset()

    def used(self, users: Mapping[str, int]) -> Counter[str]:
        """Return how many licences of each feature so many active ``users`` of each profile take."""
        used = Counter(dict.fromkeys(self.counts, 0))
        for profile, count in users.items():
            used.update(dict.fromkeys(self.features(profile), count))
        return used

    def short(self, users: Mapping[str, int], changes: Iterable[Change]) -> list[Need]:
        """Return the needs of a plan that cannot be met, by feature; ``users`` are those before it.

        Who cannot be given one feature is left as he is, and so gives back nothing of another one.
        """
        used, left, found = self.used(users), list(changes), dict[str, Need]()
        while True:
            wanted, freed = Counter[str](), Counter[str]()
            for one in left:
                was, will = self.features(one.was), self.features(one.will)
                wanted.update(dict.fromkeys(will - was, one.users))
                freed.update(dict.fromkeys(was - will, one.users))
            needs = [
                Need(name, count, count - used[name] + freed[name], wanted[name])
                for name, count in self.counts.items()
            ]
            more = {need.feature: need for need in needs if need.wanted > max(need.free, 0)}
            found |= more
            if not more:
                return [found[name] for name in sorted(found)]
            left = [
                one
                for one in left
                if found.keys().isdisjoint(self.features(one.will) - self.features(one.was))
            ]
