"""Random histories of a company with two nodes: whatever happens, nobody's extension is anybody else's."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from chances import chance_seed
from line_world import AT_ONCE, PLAIN, Site, plugins
from line_world import quiet as quiet  # noqa: PLC0414 - a fixture
from servers.nodes import sqlite_database

from syncd import Delivery, Outcome
from syncd.errors import Unavailable
from syncd.pipeline import people
from syncd.pipeline.delivering import deliver
from syncd.pipeline.policy import settle_policy
from syncd_pbx.asterisk import AsteriskPlatform

PLACES = ("north", "south")


@pytest.fixture(autouse=True)
def asterisk(monkeypatch):
    monkeypatch.setitem(plugins().platforms, "asterisk", AsteriskPlatform)


class Unreliable(AsteriskPlatform):
    """A node that does some of what it is told, and tells of less; nobody hears of the rest."""

    chances: ClassVar[dict[str, random.Random]] = {}
    """One for each place: they are delivered to at the same time."""

    def deliver(self, deliveries: Iterable[Delivery]) -> Iterator[Outcome]:
        chance, batch = self.chances[self.context.name], [*deliveries]
        done = [*super().deliver(batch[: chance.randint(0, len(batch))])]
        yield from done[: chance.randint(0, len(done))]
        raise Unavailable("the connection was lost")


class Company:
    """People whom two sources tell of, on a node each for north and south; numbers have five digits from 10000 on.

    ``room`` is how many numbers there are for each person: the fewer, the more often two want the same.
    """

    def __init__(self, folder: Path, size: int, seed: int, room: float = 1.5) -> None:
        self.chance = random.Random(seed)
        self.last = 10_000 + int(size * room)
        self.nodes = {place: sqlite_database(folder / f"{place}.sqlite") for place in PLACES}
        self.site = Site(
            top={
                "template": {"desk": {"allocate": {"extension": f"10000-{self.last}"}}},
                "role": {"sales": {"template": "desk"}},
                "platform": {place: self._platform(place) for place in PLACES},
            },
            **dict.fromkeys(("hq", "lab"), self._source()),
        )
        settle_policy(self.site.here)
        self.gone: list[tuple[str, str]] = []
        self.born = 0
        self.conflicts = self.third = 0
        for _ in range(size):
            self.join()

    def _platform(self, place: str) -> dict[str, Any]:
        off = {"remove": "off", "add": "off", "update": "off"}
        return {
            "type": "asterisk",
            "url": self.nodes[place].url,
            "accept": {"location": place},
            "limits": off,
        }

    def _source(self) -> dict[str, Any]:
        words = {**PLAIN["map"], "display_name": "sn", "location": "l"}
        return {
            "type": "memory-delta",
            "role": "sales",
            "map": words,
            "leavers": {**AT_ONCE, "missing": "delete", "removed": "delete"},
        }

    def number(self) -> str:
        return str(self.chance.randint(10_000, self.last))

    def anybody(self) -> tuple[str, str]:
        source = self.chance.choice(("hq", "lab"))
        return source, self.chance.choice(list(self.site.world(source).people))

    def ext(self, source: str, anchor: str) -> str:
        return "".join(self.site.world(source).people[anchor].get("ext", ()))

    # What happens to people

    def join(self) -> None:
        """Let somebody new come, whose number the source has, or has not."""
        self.born += 1
        anchor, ext = f"p{self.born}", self.number() if self.chance.random() < 0.3 else ""
        self.site.hire(
            anchor,
            source=self.chance.choice(("hq", "lab")),
            l=self.chance.choice(PLACES),
            ext=ext,
            sn=f"P {anchor}",
        )

    def leave(self) -> None:
        source, anchor = self.anybody()
        self.gone.append((source, anchor))
        self.site.fire(anchor, source=source)

    def come_back(self) -> None:
        if self.gone:
            source, anchor = self.gone.pop(self.chance.randrange(len(self.gone)))
            ext = self.number() if self.chance.random() < 0.3 else ""
            self.site.hire(anchor, source=source, l=self.chance.choice(PLACES), ext=ext, sn=f"P {anchor}")

    def move(self) -> None:
        source, anchor = self.anybody()
        self.site.world(source).change(anchor, l=self.chance.choice(PLACES))

    def change_number(self) -> None:
        source, anchor = self.anybody()
        self.site.world(source).change(anchor, ext=self.number())

    def lose_number(self) -> None:
        source, anchor = self.anybody()
        self.site.world(source).change(anchor, ext="")

    def pass_on(self) -> None:
        """Let each of some people get the number of the next one, within a source or across both."""
        some = list(dict.fromkeys(self.anybody() for _ in range(self.chance.randint(2, 4))))
        numbers = [self.ext(*one) for one in some]
        for (source, anchor), ext in zip(some, [*numbers[1:], self.number()], strict=True):
            self.site.world(source).change(anchor, ext=ext)

    def by_hand(self) -> None:
        """Let a person set somebody's number, if it is free."""
        accounts = self.site.rows("SELECT id FROM accounts WHERE deleted_at IS NULL ORDER BY id")
        (account,) = self.chance.choice(accounts)
        number = self.number()
        if not self.taken(number):
            people.edit(self.site.here, account, {"extension": number})

    def day(self, changes: int, *, full: bool = False) -> None:
        """Let some things happen, read both sources, and deliver."""
        self.happen(changes)
        self.read(full=full)
        self.deliver()

    def happen(self, changes: int) -> None:
        """Let some things happen to people."""
        happenings = (self.join, self.leave, self.come_back, self.move, self.change_number, self.lose_number)
        for _ in range(changes):
            self.chance.choice((*happenings, self.pass_on, self.by_hand))()

    def read(self, *, full: bool = False) -> None:
        """Read both sources in any order."""
        for source in self.chance.sample(("hq", "lab"), 2):
            run = self.site.sync(source, full=full)
            self.conflicts += run.counts.get("detained_operations", 0)

    def deliver(self) -> None:
        """Deliver; a person gives a third number to one of those who wait for each other's."""
        deliver(self.site.here)
        while waiting := self.site.rows("SELECT DISTINCT account FROM remotes WHERE state <> 'done' LIMIT 1"):
            number = next(one for one in iter(self.number, "") if not self.taken(one))
            people.edit(self.site.here, waiting[0][0], {"extension": number})
            self.site.wait(hours=2)
            deliver(self.site.here)
            self.third += 1

    def taken(self, number: str) -> bool:
        query = "SELECT 1 FROM keys WHERE attribute = 'extension' AND folded = ?"
        return bool(self.site.rows(query, number))

    # What has to hold

    def check(self) -> None:
        """Hold the accounts against the keys and both nodes."""
        assert self.site.claimed() == self.site.taken()
        found = {place: self.telephones(place) for place in PLACES}
        twice = Counter(number for place in PLACES for number in found[place])
        assert [] == [number for number, count in twice.items() if count > 1]
        wanted: dict[str, dict[str, str]] = {place: {} for place in PLACES}
        for one in self.site.people().values():
            if not one.deleted:
                number, name = one.attributes["extension"], one.attributes["display_name"]
                assert number not in wanted[one.attributes["location"]]
                wanted[one.attributes["location"]][number] = f'"{name}" <{number}>'
        assert wanted == found
        assert [] == self.site.rows("SELECT platform, account, message FROM remotes WHERE state <> 'done'")

    def telephones(self, place: str) -> dict[str, str]:
        ids = {row["id"] for table in ("ps_auths", "ps_aors") for row in self.nodes[place].rows(table)}
        found = {row["id"]: row["callerid"] for row in self.nodes[place].rows("ps_endpoints")}
        assert ids == set(found)
        return found


@pytest.mark.parametrize("seed", range(10))
def test_in_small_companies_that_want_the_same_numbers(seed, tmp_path):
    """Nearly every number is somebody's, so that most changes collide; exchanges on one node are among them."""
    company = Company(tmp_path, 30, chance_seed() + seed, room=1.2)
    company.day(0)

    for day in range(10):
        company.day(12, full=day % 3 == 0)
        company.check()

    assert company.conflicts
    assert company.third <= 5


@pytest.mark.parametrize("seed", range(10))
def test_where_the_answers_of_nodes_are_lost(seed, tmp_path, monkeypatch):
    """Whatever was asked and not heard of, and whatever has changed since, both nodes end as the accounts are."""
    company = Company(tmp_path, 20, chance_seed() + seed)
    company.day(0)
    chances = {place: random.Random(f"{chance_seed() + seed} {place}") for place in PLACES}
    monkeypatch.setattr(Unreliable, "chances", chances)

    for day in range(10):
        with monkeypatch.context() as trouble:
            trouble.setitem(plugins().platforms, "asterisk", Unreliable)
            for _ in range(company.chance.randint(1, 3)):
                company.happen(6)
                company.read(full=day % 3 == 0)
                deliver(company.site.here)
        company.site.wait(hours=2)
        company.deliver()
        company.check()


def test_in_a_company_of_ten_thousand(tmp_path):
    """A hundred days, on some of which everybody is read anew."""
    company = Company(tmp_path, 10_000, chance_seed())
    company.day(0)
    company.check()

    for day in range(100):
        company.day(12, full=day % 20 == 0)

    company.check()
    assert company.conflicts
    assert company.third <= 2
