"""Some hundred ``syncd`` processes are killed by SIGKILL in all that they do; in the end nobody can tell."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import closing
from typing import Any, NamedTuple

import pytest
from chances import EXPLORING, chance_seed
from doomed_site import DoomedSite, check_wreck, differences, person, picture
from victims import Life, Nursery

from syncd.store.database import faults_of, open_reading

KILLS = 200 if EXPLORING else 25
"""How often each verb is killed: one half before an event, one half at some time."""

AGAIN = 0.25
"""How often the next process is killed as well."""


@pytest.fixture(scope="module")
def nursery(tmp_path_factory):
    made = Nursery(tmp_path_factory.mktemp("nursery") / "output")
    yield made
    made.close()


class Scenario(NamedTuple):
    """What comes before; what is killed; and what people, and the next process, do after that.

    What comes after has to lead to the same end, whether or not the killed process had finished.
    """

    prepare: Callable[[DoomedSite], None]
    words: Callable[[DoomedSite], list[str]]
    follow: Callable[[DoomedSite], None]


def staffed(site):
    """Let everybody be there, and on the platforms."""
    site.run("sync")
    site.later(days=1)


def moved(site):
    """Let a bit of everything happen in the sources, which nobody has read yet."""
    staffed(site)
    hq = site.hq
    for number in range(4):
        hq[f"p{number:02}"]["sn"] = "Changed"
    for one, other in (("p04", "p05"), ("p06", "p07")):
        hq[one]["mail"], hq[other]["mail"] = hq[other]["mail"], hq[one]["mail"]
    for gone in ("p08", "p09", "p10"):
        del hq[gone]
    hq["p11"]["status"] = hq["p12"]["status"] = "off"
    for number in range(13, 17):
        hq[f"p{number}"]["telephoneNumber"] = f"+49 40 {number}"
    hq["p17-again"] = hq.pop("p17")
    hq["p18"]["l"] = "south"
    for name in ("n1", "n2", "n3", "n4", "n5", "n6"):
        hq[name] = person(name)
    del site.branch["b0"]
    site.branch["b1"]["sn"] = "Changed"
    site.branch["b8"] = person("b8")
    site.write()


def synced(site):
    moved(site)
    site.run("sync")


def backlog(site):
    """Let everything be applied, and nothing of the last sync be delivered."""
    moved(site)
    out = site.folder / "out"
    out.rename(site.folder / "away")
    site.run("sync", codes=(69,))
    (site.folder / "away").rename(out)


def held(site):
    """Let the first plans of both sources wait for a person."""
    site.configure('detain = "never"', 'detain = "first-run"')
    site.run("preview", codes=(3,))


def old(site):
    """Let leavers be deleted, and all that be long ago."""
    synced(site)
    site.later(days=2)
    site.run("sync")
    site.later(days=100)
    site.hq["p00"]["sn"] = "New"
    site.write()
    site.run("sync")


def given_up(site):
    """Let plans wait that nobody has applied, and one source be gone from the configuration."""
    moved(site)
    site.run("preview")
    site.configure('sources = ["hq", "branch"]', 'sources = ["hq"]')
    text = site.config.read_text("utf-8")
    start, end = text.index("[source.branch]"), text.index("[platform.phones]")
    site.configure(text[start:end], "")


def backed_up(site):
    """Let a copy of the database be there, and some things happen after it was made."""
    staffed(site)
    site.run("db", "backup", str(site.folder / "copy.db"))
    site.hq["p00"]["sn"] = "Later"
    site.hq["p01"]["status"] = "off"
    del site.branch["b0"]
    site.write()
    site.run("sync")


def other_policy(site):
    """Let the configuration say that one platform takes fewer people, and another one a new attribute."""
    staffed(site)
    site.hq["p00"]["l"] = site.hq["p01"]["l"] = "south"
    site.write()
    site.run("sync")
    site.configure("dn = ", 'accept = { location = "south" }\ndn = ')
    site.configure('login = "login"\nemail', 'login = "login"\nphone = "phone"\nemail')


def open_runs(site, kind):
    return site.numbers(
        "SELECT id FROM runs WHERE state IN ('planned','held') AND kind = ? ORDER BY id", kind
    )


def queued(site):
    """Return what waits in the queue for somebody's word on what hq says."""
    return site.numbers(
        "SELECT o.id FROM operations o JOIN runs r ON r.id = o.run JOIN connections c ON c.id = o.connection"
        " WHERE c.name = 'hq' AND (o.state = 'detained' OR (o.state = 'planned' AND r.state = 'held')) ORDER BY 1"
    )


def again(*words, codes=(0,)):
    """Return a follow-up: the same once more, then a sync, which may be held by a first plan."""

    def follow(site):
        if words:
            site.run(*words, codes=codes)
        site.run("sync", codes=(0, 3, 65))

    return follow


def back_up_again(site):
    file = site.folder / "copy.db"
    if file.exists():
        with closing(open_reading(file)) as copy:
            assert [] == faults_of(copy)
    site.run("db", "backup", str(file), "--force")
    assert ["copy.db"] == [path.name for path in site.folder.glob("copy.db*")]
    again()(site)


def resume(site):
    """Let a process that changes nothing finish what was left."""
    site.run("deliveries", "retry")


def edit_it(site):
    resume(site)
    if not site.numbers("SELECT id FROM accounts WHERE email = 'new@acme.example'"):
        site.run(*EDIT)
    again()(site)


def retire_it(site):
    resume(site)
    if not site.numbers("SELECT id FROM runs WHERE kind = 'retire' AND state = 'ended'"):
        site.run("retire", "branch", "--yes")
    assert [] == site.rows("SELECT id FROM connections WHERE name = 'branch' AND retired_at IS NULL")
    again()(site)


def apply_all(site):
    for number in open_runs(site, "sync"):
        site.run("apply", number, "--yes")
    again()(site)


def release_all(site):
    if numbers := queued(site):
        site.run("queue", "release", *numbers, "--yes")
    again()(site)


def undo_it(site):
    site.run("undo", last_applied(site), "--yes", codes=(0, 3, 64))
    again()(site)


def last_applied(site):
    """Return the run of hq that applied something last."""
    return site.numbers(
        "SELECT MAX(r.id) FROM runs r JOIN operations o ON o.run = r.id JOIN connections c ON c.id = r.connection"
        " WHERE r.kind = 'sync' AND c.name = 'hq' AND o.state = 'applied'"
    )[0]


EDIT = ("accounts", "edit", "p00", "phone=1", "email=new@acme.example")
SCENARIOS = {
    "preview": Scenario(
        lambda site: site.configure('detain = "never"', 'detain = "first-run"'),
        lambda site: ["preview"],
        lambda site: (site.run("preview", codes=(3,)), apply_all(site)),
    ),
    "apply": Scenario(held, lambda site: ["apply", open_runs(site, "sync")[0], "--yes"], apply_all),
    "sync": Scenario(moved, lambda site: ["sync"], again()),
    "deliveries": Scenario(backlog, lambda site: ["deliveries", "retry"], again("deliveries", "retry")),
    "undo": Scenario(synced, lambda site: ["undo", last_applied(site), "--yes"], undo_it),
    "release": Scenario(synced, lambda site: ["queue", "release", *queued(site), "--yes"], release_all),
    "release of a first plan": Scenario(held, lambda site: ["queue", "release", *queued(site), "--yes"], release_all),
    "edit": Scenario(staffed, lambda site: list(EDIT), edit_it),
    "retire": Scenario(given_up, lambda site: ["retire", "branch", "--yes"], retire_it),
    "policy": Scenario(other_policy, lambda site: ["sync"], again()),
    "prune": Scenario(old, lambda site: ["db", "prune"], again("db", "prune")),
    "backup": Scenario(synced, lambda site: ["db", "backup", str(site.folder / "copy.db")], back_up_again),
    "restore": Scenario(
        backed_up,
        lambda site: ["db", "restore", str(site.folder / "copy.db"), "--yes"],
        lambda site: (
            site.run("db", "restore", str(site.folder / "copy.db"), "--yes"),
            again("verify", "--repair", codes=(0, 65))(site),
        ),
    ),
}  # fmt: skip


class Reaper:
    """Chooses when to kill: spread over the events, then over the time, of a life that nobody ended."""

    def __init__(self, life: Life, chance: random.Random) -> None:
        self.life, self.chance = life, chance
        self.killed, self.pace = 0, 1.0

    def death(self) -> dict[str, Any]:
        half, life = KILLS // 2, self.life
        if self.killed < half:
            return {"event": int((self.killed + self.chance.random()) / half * life.events) + 1}
        return {"after": self.chance.uniform(life.first, life.last) * self.pace}

    def told(self, *, killed: bool) -> None:
        """Hear whether it came in time; one that came too late comes earlier next time."""
        self.killed += killed
        self.pace *= 1.02 if killed else 0.8


@pytest.mark.parametrize("verb", SCENARIOS)
def test_a_killed_process_leaves_what_the_next_one_brings_to_the_same_end(verb, nursery, tmp_path):
    scenario, number = SCENARIOS[verb], chance_seed()
    chance = random.Random(f"{number} {verb}")
    site = DoomedSite(tmp_path, nursery)
    scenario.prepare(site)
    site.keep()
    reaper = Reaper(site.run(*scenario.words(site), codes=(0, 3)), chance)
    scenario.follow(site)
    expected = picture(site)
    while reaper.killed < KILLS:
        site.back()
        death = reaper.death()
        reaper.told(killed=site.live(*scenario.words(site), **death).killed)
        check_wreck(site)
        if chance.random() < AGAIN:
            death = {**death, "then": chance.randrange(1, 300)}
            site.live("deliveries", "retry", event=death["then"])
            check_wreck(site)
        scenario.follow(site)
        found = picture(site)
        assert expected == found, f"seed {number}, {death}:\n{differences(expected, found)}"
