"""Every call to the database may fail, or be the last one: the books agree all the same.

Processes that are really killed are in test_kills.
"""

from __future__ import annotations

import contextlib
import json
import random
import sqlite3

import pytest
from chances import chance_seed
from line_world import AT_ONCE, PLAIN, Site, check_books, quiet  # noqa: F401

from syncd.errors import StoreError
from syncd.pipeline import people, queue
from syncd.pipeline.approving import approve
from syncd.pipeline.line import resume
from syncd.pipeline.undoing import plan_undo
from syncd.store import applying

DESK = {
    "template": {"desk": {"allocate": {"extension": "100-199"}}},
    "role": {"sales": {"template": "desk"}},
    "platform": {"phones": {"type": "memory"}},
}
ASKS = {**PLAIN["map"], "phone": {"from": "tel", "policy": "detain"}}
HQ = {"leavers": {**AT_ONCE, "delete_after": "1d"}, "role": "sales", "map": ASKS, "adopt": True}


class Killed(BaseException):
    """The process is no more."""


class Failing:
    """A connection whose nth call fails: before it is done, with all that follow it, or (a COMMIT) after it.

    In most modes another process comes after it; where it ``survived`` the same one goes on.
    """

    def __init__(self, real, nth, mode):
        self.real = real
        self.nth = nth
        self.mode = mode
        self.calls = 0
        self.failed = False

    def execute(self, *arguments):
        return self._called(self.real.execute, arguments)

    def executemany(self, *arguments):
        return self._called(self.real.executemany, arguments)

    def __getattr__(self, name):
        return getattr(self.real, name)

    def _called(self, method, arguments):
        self.calls += self.mode != "committed" or arguments[0] == "COMMIT"
        if self.calls < self.nth or (self.failed and self.mode != "killed"):
            return method(*arguments)
        self.failed = True
        if self.mode == "killed":
            raise Killed
        if self.mode == "committed":
            method(*arguments)
        raise sqlite3.OperationalError("disk I/O error")


def prepared(**hq):
    """Make a site to which a bit of everything is about to happen."""
    site = Site(top=DESK, hq={**HQ, **hq})
    for number in range(10):
        site.hire(f"p{number}", ext=str(number))
    site.sync()
    site.fire("p9")
    site.sync()
    people.add(site.here, "acme", {"login": "manual"})
    site.wait(days=2)
    world = site.world()
    world.change("p0", sn="Renamed")
    world.change("p1", mail="p2@acme.example", ext="2")
    world.change("p2", mail="p1@acme.example", ext="1")
    world.disable("p3")
    site.fire("p4", "p5")
    site.hire("p5-new", uid="p5", ext="5")
    site.hire("new1", "new2")
    site.hire("adopts", uid="manual")
    world.change("p6", tel="asked")
    world.change("p7", mail="wanted@acme.example")
    site.hire("rival", mail="wanted@acme.example")
    return site


def picture(site):
    """Return what has to be the same in the end: everything but the numbers and the times."""
    people_by_anchor = {anchor: person[1:] for anchor, person in site.linked().items()}
    links = site.rows(
        "SELECT anchor, owner, record, enabled, fingerprint, missing_since IS NULL, gone_at IS NULL FROM links ORDER BY 1"
    )
    cursor = site.rows("SELECT cursor, scope, trusted_since IS NULL FROM connections")
    held = [(*told, one.faults) for told, one in zip(site.told(), sorted_open(site), strict=True)]
    keys = [row[:3] for row in site.taken()]
    return people_by_anchor, links, cursor, held, keys


def sorted_open(site):
    return sorted(site.operations(), key=lambda one: (one.anchor or "", one.kind, one.state))


def broken(site, nth, mode, work):
    """Do some work whose nth call fails; return the site of the next process, and if there was such a call."""
    again = site.copied()
    failing = again.database.conn = Failing(again.database.conn, nth, mode)
    with contextlib.suppress(Killed, StoreError, sqlite3.OperationalError):
        work(again)
    again.database.conn = failing.real
    if mode == "survived":
        assert not failing.real.in_transaction
        return again, failing.failed
    failing.real.rollback()
    following = again.copied()
    again.database.close()
    return following, failing.failed


def healed(site):
    """Do what a process does when it begins, and look at the books."""
    site.wait(seconds=1)
    resume(site.here)
    site.wait(seconds=1)
    check_books(site)
    assert [] == site.rows("SELECT id FROM runs WHERE state IN ('reading','applying')")


def every_call(site, mode, work):
    """Let each call of the work fail in turn, and yield the site every time when it is healed."""
    for nth in range(1, 10_000):
        again, failed = broken(site, nth, mode, work)
        healed(again)
        yield again
        again.database.close()
        if not failed:
            return


MODES = pytest.mark.parametrize("mode", ["failed", "survived", "committed", "killed"])


@MODES
def test_a_read_that_fails_at_any_call_ends_where_one_ends_that_does_not(monkeypatch, mode):
    monkeypatch.setattr(applying, "CHUNK", 3)
    site = prepared()
    clean = site.copied()
    clean.sync()
    clean.sync()
    expected = picture(clean)
    kinds = {kind for _, kind, _ in clean.told(clean.value("SELECT MAX(run) FROM operations"))}
    assert {"add", "update", "disable", "delete"} <= kinds

    for again in every_call(site, mode, Site.sync):
        again.sync()
        again.sync()
        assert expected == picture(again)


@MODES
def test_an_approved_plan_that_fails_at_any_call_is_applied_or_still_open(monkeypatch, mode):
    monkeypatch.setattr(applying, "CHUNK", 3)
    site = prepared(detain="always")
    run = site.plan()
    assert "held" == run.state
    planned = [one.id for one in site.operations(run) if one.state == "planned"]

    def work(site):
        site.apply(approve(site.here, run.id))

    for again in every_call(site, mode, work):
        now = again.run(run.id)
        states = {one.state for one in again.operations(run) if one.id in planned}
        assert (now.state, states) in (("held", {"planned"}), ("ended", {"applied"}))
        if now.state == "held":
            again.approve(now)
        assert [] == again.rows("SELECT id FROM operations WHERE state = 'planned'")


@MODES
@pytest.mark.parametrize("verb", ["release", "discard", "edit", "people", "ignore"])
def test_what_a_person_decides_is_done_as_a_whole_or_still_to_be_decided(mode, verb):
    site = prepared()
    site.sync()
    asked = site.open_one("p6").id
    account = site.person("p0").id
    works = {
        "release": lambda site: queue.release(site.here, [asked]),
        "discard": lambda site: queue.discard(site.here, [asked]),
        "edit": lambda site: queue.edit(site.here, asked, {"phone": "edited"}),
        "people": lambda site: people.edit(site.here, account, {"phone": "by hand", "email": None}),
        "ignore": lambda site: queue.ignore(site.here, "hq", "p6"),
    }
    outcomes = set()
    for again in every_call(site, mode, works[verb]):
        again.sync()
        waiting = [(one.state, json.loads(one.after)) for one in again.operations() if one.anchor == "p6"]
        phones = again.person("p6").attributes.get("phone"), again.person("p0").attributes.get("phone")
        outcomes.add(json.dumps([waiting, phones]))
        decided = again.rows("SELECT anchor FROM decisions WHERE verb = 'release'")
        assert ([("p6",)] if verb == "release" and phones[0] == "asked" else []) == decided
    before = [[["detained", {"phone": "asked"}]], [None, None]]
    done = {
        "release": [[], ["asked", None]],
        "discard": [[], [None, None]],
        "edit": [[["detained", {"phone": "edited"}]], [None, None]],
        "people": [before[0], [None, "by hand"]],
        "ignore": [[], [None, None]],
    }[verb]
    assert {json.dumps(before), json.dumps(done)} >= outcomes >= {json.dumps(done)}


@MODES
def test_a_release_that_was_cut_short_is_not_lost_where_only_changes_are_read(mode):
    """The entry is not read again: what a person released is done, or is still to be released."""
    site = prepared(type="memory-delta")
    site.sync()
    asked = site.open_one("p6").id

    for again in every_call(site, mode, lambda site: queue.release(site.here, [asked])):
        again.sync()
        if [one for one in again.operations() if one.anchor == "p6"]:
            queue.release(again.here, [again.open_one("p6").id])
        assert "asked" == again.person("p6").attributes["phone"]


@MODES
def test_an_undo_that_fails_at_any_call_is_applied_or_planned_again(monkeypatch, mode):
    monkeypatch.setattr(applying, "CHUNK", 3)
    site = prepared()
    before = picture(site)[0]
    run = site.sync()
    after = picture(site)[0]

    def work(site):
        site.apply(plan_undo(site.here, run.id))

    moved = {"p5": "p5-new"}
    for again in every_call(site, mode, work):
        if picture(again)[0] == after:
            again.apply(plan_undo(again.here, run.id))
        undone = picture(again)[0]
        assert before == {anchor: undone[moved.get(anchor, anchor)] for anchor in before}
        assert {"new1", "new2", "p5-new"} == set(undone) - set(before)
        check_books(again)


def test_failures_one_after_another_do_no_more_harm_than_one(monkeypatch):
    """The process that is to clean up is killed as well, and the next one, and then one is left alone."""
    monkeypatch.setattr(applying, "CHUNK", 3)
    site = prepared()
    clean = site.copied()
    clean.sync()
    clean.sync()
    expected = picture(clean)
    number = chance_seed()
    chance = random.Random(number)
    for _ in range(60):
        again = site.copied()
        for _ in range(chance.randrange(1, 5)):
            again, _ = broken(again, chance.randrange(1, 140), chance.choice(["failed", "killed"]), Site.sync)
        healed(again)
        again.sync()
        again.sync()
        assert expected == picture(again), f"seed {number}"
        again.database.close()
