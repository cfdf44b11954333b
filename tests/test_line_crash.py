"""Every call to the database may fail, and the process may be killed at any moment: the books agree all the same."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from line_world import AT_ONCE, PLAIN, Site, check_books, quiet  # noqa: F401

from syncd.errors import StoreError
from syncd.pipeline import people, queue
from syncd.pipeline.line import approve, resume
from syncd.pipeline.undoing import plan_undo
from syncd.store import applying
from syncd.store.database import faults_of

TESTS = Path(__file__).parent
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
    chance = random.Random(7)
    for _ in range(60):
        again = site.copied()
        for _ in range(chance.randrange(1, 5)):
            again, _ = broken(again, chance.randrange(1, 140), chance.choice(["failed", "killed"]), Site.sync)
        healed(again)
        again.sync()
        again.sync()
        assert expected == picture(again)
        again.database.close()


# --- real processes, really killed ---


def nursery():
    """Fork a process for every folder that is told on standard input; each syncs, and may be killed meanwhile."""
    for line in sys.stdin:
        folder = Path(line.strip())
        child = os.fork()
        if child == 0:
            site = large(folder)
            applying.CHUNK = 10
            print("ready", flush=True)
            site.sync()
            os._exit(0)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def large(folder):
    """Open a site of some hundred people in the state in which everything of ``grown`` is to be read."""
    site = Site(folder, top=DESK, hq=HQ)
    for number in range(100):
        site.hire(f"p{number:03}")
    if not site.rows("SELECT 1 FROM runs"):
        site.sync()
    else:
        site.wait(hours=1)
    for number in range(0, 60, 2):
        one, other = f"p{number:03}", f"p{number + 1:03}"
        site.world().change(one, mail=f"{other}@acme.example", sn="Changed")
        site.world().change(other, mail=f"{one}@acme.example")
    site.fire(*[f"p{number:03}" for number in range(60, 75)])
    site.hire(*[f"new{number:03}" for number in range(70)])
    return site


def test_a_process_that_is_killed_at_any_moment_leaves_what_the_next_one_can_finish(tmp_path, monkeypatch):
    """Twenty-five of them, each at another moment of reading, planning or applying."""
    monkeypatch.setattr(applying, "CHUNK", 10)
    start = tmp_path / "start"
    start.mkdir()
    large(start).database.close()
    clean = copied_folder(start, tmp_path / "clean")
    begun = time.perf_counter()
    clean.sync()
    long = time.perf_counter() - begun
    clean.sync()
    expected = picture(clean)
    chance, killed, number = random.Random(11), 0, 0
    command = [sys.executable, "-c", "import test_line_crash; test_line_crash.nursery()"]
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    ) as parent:
        while killed < 25:
            number += 1
            folder = tmp_path / f"killed{number}"
            shutil.copytree(start, folder)
            parent.stdin.write(f"{folder}\n")
            parent.stdin.flush()
            told = {parent.stdout.readline().strip(), parent.stdout.readline().strip()}
            (child,) = told - {"ready"}
            time.sleep(chance.random() * long)
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
            status = int(parent.stdout.readline())
            assert status in (0, -signal.SIGKILL)
            if status == 0:
                long *= 0.8  # it was quicker than the first one
            killed += status != 0
            site = copied_folder(folder, folder)
            assert [] == faults_of(site.database)
            healed(site)
            site.sync()
            site.sync()
            assert expected == picture(site), number
            site.database.close()
        parent.stdin.close()
        assert 0 == parent.wait(10)


def copied_folder(source, folder):
    if source != folder:
        shutil.copytree(source, folder)
    return large(folder)
