"""The laws of the line, one by one, each over a whole installation."""

from __future__ import annotations

import itertools
import json
import random

import pytest
from line_world import AT_ONCE, END, PLAIN, UNLIMITED, Person, Site, quiet, reads  # noqa: F401
from line_world import plugins as real_plugins

from syncd.errors import ConnectorError, CursorExpired, PluginError, SyncdError, Unavailable
from syncd.guard import Limit, Limits, Summary, review
from syncd.model import Checkpoint, Entry, Objection, Present, Problem, Removed
from syncd.pipeline import people, queue
from syncd.pipeline.approving import approve
from syncd.pipeline.explaining import explain
from syncd.pipeline.undoing import plan_undo
from syncd.pipeline.unlinking import unlink
from syncd.store import applying
from syncd.testing import HostileSource

LINKS = "SELECT * FROM links ORDER BY id"
BOOKS = "SELECT id, attributes, template, local, disabled_by, deleted_at, revision, changed_at FROM accounts"
SAID = "SELECT anchor, account, owner, record, enabled, fingerprint, gone_at FROM links ORDER BY id"
DAY = {"reads": 2, "after": "24h"}


def mixed(site):
    """Read a company, then let a bit of everything happen to it: the next plan has every kind of operation."""
    site.hired(8)
    world = site.world()
    world.change("p000", sn="Renamed")
    world.change("p001", mail="p002@acme.example")
    world.change("p002", mail="p001@acme.example")
    world.disable("p003")
    site.fire("p004", "p005")
    site.hire("new1", "new2", "new3")
    world.change("p006", uid="Taken")
    site.hire("rival", uid="TAKEN")


# --- a plan is made, and applied as it was made ---


def test_accounts_become_what_the_source_says():
    site = Site()
    mixed(site)

    site.sync()
    site.fire("rival")
    site.sync()

    linked = site.linked()
    active = {anchor: one.attributes["login"] for anchor, one in linked.items() if one.active}
    world = site.world()
    expected = {anchor: one["uid"][0] for anchor, one in world.people.items() if anchor not in world.disabled}
    assert expected == active
    assert "Renamed" == linked["p000"].attributes["last_name"]
    assert {"p003": "source", "p004": "missing", "p005": "missing"} == {
        anchor: one.disabled_by for anchor, one in linked.items() if not one.active
    }
    assert site.claimed() == site.taken()


def test_a_second_run_has_no_operations_and_writes_no_link():
    """What a run over unchanged data writes is its own row and that of the connection."""
    site = Site()
    site.hired(50)
    links, accounts = site.rows(LINKS), site.rows(BOOKS)
    changes = site.database.conn.total_changes

    run = site.sync()

    assert [] == site.operations(run)
    assert (50, 50) == (run.entries, run.unchanged)
    assert links == site.rows(LINKS)
    assert accounts == site.rows(BOOKS)
    assert site.database.conn.total_changes - changes < 20


def test_the_operations_of_a_preview_are_those_that_are_applied():
    site = Site()
    mixed(site)
    before = site.rows(SAID), site.rows(BOOKS), site.taken()

    preview = site.plan()
    planned = [one for one in site.operations(preview) if one.state == "planned"]
    assert before == (site.rows(SAID), site.rows(BOOKS), site.taken())
    run = site.sync()

    assert run.id == preview.id
    applied = [one for one in site.operations(run) if one.state == "applied"]
    assert 9 == len(planned)
    assert [one._replace(state="applied", run_state="ended", changed_at=None) for one in planned] == [
        one._replace(changed_at=None) for one in applied
    ]


def test_the_order_of_the_source_and_of_its_batches_does_not_change_the_plan(monkeypatch):
    hashes = set()
    for seed, batch in itertools.product(range(4), (1, 3, 500)):
        monkeypatch.setattr("syncd.correlation.BATCH", batch)
        monkeypatch.setattr("syncd.store.staging.FLUSH", batch)
        site = Site(hq={"map": {**PLAIN["map"], "did": "did"}})
        site.hired(12)
        for number in range(12):
            site.world().change(f"p{number:03}", uid=f"p{(number + 1) % 12:03}", sn=f"n{number}")
        for number in range(6):
            site.world().change(f"p{number:03}", mail="wanted@acme.example", did="49", ext="p")
        site.world().change("p007", tel="\u0007")
        site.hire("x1", "x2", mail="same@acme.example")
        site.hire("y1", "y2", uid="same")
        site.fire("p009", "p010")
        entries = [site.world().entry(anchor) for anchor in site.world().people]
        entries += [site.world().entry("p008"), site.world().entry("x1")]
        random.Random(seed).shuffle(entries)
        site.spoiled["hq"] = reads(*entries, END)

        hashes.add(site.plan().plan_hash)

    assert 1 == len(hashes)


def test_the_same_plan_keeps_its_run_its_age_and_its_approval():
    site = Site(hq={"detain": "always"})
    site.hire("a", "b")
    first = site.plan()
    approve(site.here, first.id)
    site.wait(hours=1)

    again = site.sync()

    assert (first.id, "held") == (again.id, again.state)
    assert "ada" == again.approved["who"]
    assert first.planned_at == again.planned_at
    assert [(1, "held", None), (2, "ended", 1)] == site.rows("SELECT id, state, same_as FROM runs")
    assert [(1,), (1,)] == site.rows("SELECT run FROM operations")


@pytest.mark.parametrize("leavers", [AT_ONCE, {"reads": 2, "after": "24h"}], ids=["at once", "after a grace"])
@pytest.mark.parametrize("detain", ["always", "never"])
def test_a_plan_that_nobody_has_agreed_to_is_judged_as_often_as_it_is_made(detain, leavers):
    """What a guard has detained of it counts again, or a second look would find less to object to."""
    dn = {"map": {**PLAIN["map"], "distinguished_name": "dn"}}
    limits = {**UNLIMITED, "remove": {"count": 1}, "container": "50%"}
    site = Site(hq={"detain": detain, "limits": limits, "leavers": leavers, **dn})
    for number in range(6):
        site.hire(f"p{number}", dn=f"CN=p{number},OU=North")
    site.approve(site.plan())
    site.fire("p0", "p1", "p2", "p3")
    site.world().change("p4", sn="Waits")
    codes = ["container-emptied", *(["detain-always"] if detain == "always" else []), "too-many-removals"]

    first = site.sync()
    assert ("held", codes) == (first.state, [one.code for one in first.objections])
    for _ in range(2):
        again = site.sync()
        assert (first.id, first.objections) == (again.id, again.objections)
        assert site.told(first) == site.told(again)
    site.world().change("p5", sn="More")
    other = site.sync()
    assert first.id != other.id
    assert first.objections == other.objections
    assert 4 == len(site.operations())

    site.approve(other)
    assert {"Waits", "More"} == {site.person(anchor).attributes["last_name"] for anchor in ("p4", "p5")}
    assert [] == [one.code for one in site.sync().objections if one.scope != "run"]
    assert ["p0", "p1", "p2", "p3"] == [one.anchor for one in site.operations()]


def test_what_preview_has_shown_as_detained_is_told_again_by_sync():
    site = Site(hq={"limits": {**UNLIMITED, "remove": {"count": 1}}})
    site.hired(6)
    site.fire("p000", "p001", "p002")
    shown = site.plan()

    done = site.sync()

    assert (shown.id, ["too-many-removals"]) == (done.id, [one.code for one in done.objections])
    assert {"kept": 3, "remove": 0}.items() <= site.sync().counts.items()


def test_another_plan_supersedes_the_old_one_and_its_approval():
    site = Site(hq={"detain": "always"})
    site.hire("a")
    first = approve(site.here, site.plan().id)
    site.hire("b")

    second = site.plan()

    assert ("superseded", "held", None) == (site.run(first.id).state, second.state, second.approved)
    assert [("a", "add", "superseded")] == site.told(first)
    with pytest.raises(SyncdError, match="superseded"):
        approve(site.here, first.id)
    with pytest.raises(SyncdError, match="superseded"):
        site.apply(first)
    assert {} == site.people()
    site.approve(second)
    assert ["a", "b"] == sorted(site.linked())


def test_a_new_plan_supersedes_whatever_is_open_of_its_connection():
    """The held plan as well as the undo that somebody only looked at."""
    site = Site(hq={"detain": "always"})
    site.hire("a", "b")
    done = site.approve(site.plan())
    site.world().change("a", sn="Changed")
    held = site.plan()
    undo = plan_undo(site.here, done.id)
    assert ("held", "planned") == (site.run(held.id).state, undo.state)
    assert held.id == site.sync().id
    site.world().change("b", sn="Changed")

    new = site.sync()

    assert "superseded" == site.run(held.id).state == site.run(undo.id).state
    assert [(new.id,)] == site.rows("SELECT id FROM runs WHERE state IN ('planned','held')")
    with pytest.raises(SyncdError, match=f"the open run is {new.id}"):
        site.approve(undo)


def test_an_approval_names_the_plan_and_what_it_overrides():
    site = Site(hq={"detain": "always"})
    site.hire("a")
    run = site.plan()

    with pytest.raises(SyncdError, match="does not begin with"):
        approve(site.here, run.id, plan_hash="0000")
    ended = site.approve(run)

    assert "ended" == ended.state
    assert (run.plan_hash, ["detain-always"]) == (ended.approved["plan_hash"], ended.approved["overrides"])
    with pytest.raises(SyncdError, match="is ended"):
        approve(site.here, run.id)
    assert [("apply", "ada")] == site.rows("SELECT verb, who FROM decisions")


def test_an_approval_does_not_override_what_detains_removals():
    """Those have to be released one by one."""
    site = Site(hq={"detain": "first-run", "limits": {**UNLIMITED, "remove": {"count": 0}}})
    site.hire("a", "b")
    site.approve(site.plan())
    site.fire("a")
    site.configure(hq={"detain": "always", "limits": {**UNLIMITED, "remove": {"count": 0}}})
    site.hire("c")
    run = site.plan()
    assert {"detain-always", "too-many-removals"} == {one.code for one in run.objections}

    ended = site.approve(run)

    assert ["detain-always"] == ended.approved["overrides"]
    assert [("a", "disable", "detained"), ("c", "add", "applied")] == site.told(run)


def test_a_changed_mapping_reads_everybody_anew_and_the_same_values_make_no_operation():
    site = Site()
    site.hired(5)

    site.configure(hq={"map": {**PLAIN["map"], "last_name": {"from": ["sn", "name"]}}})
    run = site.sync()

    assert (0, []) == (run.unchanged, site.operations(run))
    assert 5 == site.sync().unchanged


def test_a_changed_mapping_plans_what_it_changes():
    site = Site()
    site.hired(3)

    site.configure(hq={"map": {**PLAIN["map"], "last_name": {"from": "sn", "via": ["lower"]}}})
    run = site.sync()

    assert [(anchor, "update", "applied") for anchor in ("p000", "p001", "p002")] == site.told(run)
    assert "p000" == site.person("p000").attributes["last_name"]


# --- what is no proof removes nobody ---


@pytest.mark.parametrize(
    ("items", "error"),
    [
        ([Unavailable("the connection broke")], Unavailable),
        ([], Unavailable),
        ([END, END], PluginError),
        ([END, Present("p000")], PluginError),
        ([END, Problem(None, "late", "too late")], PluginError),
        ([END, Removed("p000")], PluginError),
        ([END, "unchanged"], PluginError),
        ([END, Entry("late", {"uid": ("late",)})], PluginError),
        ([ZeroDivisionError("a bug of the plugin")], PluginError),
        ([SystemExit("a bug of the plugin")], PluginError),
        (["no item"], PluginError),
    ],
    ids=str,
)
def test_a_torn_read_fails_its_run_and_leaves_nothing(monkeypatch, items, error):
    """A raise, a silent end, two Checkpoints, anything behind the Checkpoint."""
    monkeypatch.setattr("syncd.store.staging.FLUSH", 2)
    site = Site()
    site.hired(6)
    site.world().change("p001", sn="Changed")
    site.hire("new1", "new2", "new3")
    links, accounts, size = site.rows(LINKS), site.rows(BOOKS), site.rows("SELECT * FROM connections")
    entries = [site.world().entry(anchor) for anchor in ("p000", "p001", "new1", "new2", "new3")]
    late = [site.world().entry("p002") if item == "unchanged" else item for item in items]
    site.spoiled["hq"] = reads(*entries, Removed("p004"), *late)

    with pytest.raises(error):
        site.sync()

    assert (links, accounts) == (site.rows(LINKS), site.rows(BOOKS))
    assert size == site.rows("SELECT * FROM connections")
    assert "failed" == site.run(2).state
    assert [] == site.operations(2)
    del site.spoiled["hq"]
    assert [("new1", "add"), ("new2", "add"), ("new3", "add"), ("p001", "update")] == [
        (anchor, kind) for anchor, kind, _ in site.told(site.sync())
    ]
    assert all(one.active for one in site.people().values())


def test_a_problem_without_an_anchor_makes_absence_mean_nothing():
    site = Site()
    site.hired(6)
    site.spoiled["hq"] = lambda source: HostileSource(source, bad_entries=3, anchorless=True)
    site.fire("p000")

    run = site.sync()

    assert [] == site.operations(run)
    assert [(None, "unreadable")] == site.problems(run)
    assert 0 == site.value("SELECT COUNT(*) FROM links WHERE missing_since IS NOT NULL")


def test_a_person_with_a_problem_is_not_missing_and_others_may_be():
    site = Site()
    site.hired(6)
    site.spoiled["hq"] = lambda source: HostileSource(source, bad_entries=3)
    site.fire("p000")

    run = site.sync()

    assert [("p000", "disable", "applied")] == site.told(run)
    assert [("p003", "unreadable")] == site.problems(run)
    assert 5 == run.entries


@pytest.mark.parametrize("ends", [0, 30, 79])
def test_a_source_that_ends_early_and_says_that_it_is_whole_is_caught(ends):
    site = Site(hq={"limits": {}, "leavers": AT_ONCE})
    site.hired(100)
    site.spoiled["hq"] = lambda source: HostileSource(source, liar_after=ends)

    run = site.sync()

    assert "held" == run.state
    assert ("source-shrunk" if ends else "source-empty") in [one.code for one in run.objections]
    assert all(one.active for one in site.people().values())
    assert 0 == site.value("SELECT COUNT(*) FROM links WHERE missing_since IS NOT NULL")


def test_the_size_of_a_read_with_problems_is_not_taken_for_the_usual_size():
    """Three reads that could decode little do not make a liar look usual."""
    site = Site(hq={"limits": {"remove": "off"}, "leavers": AT_ONCE})
    site.hired(40)
    anchors = list(site.world().people)
    half = [site.world().entry(anchor) for anchor in anchors[:20]]
    site.spoiled["hq"] = reads(*half, Problem(None, "unreadable", "cannot be decoded"), END)
    for _ in range(5):
        site.sync()
    site.spoiled["hq"] = reads(*half, END)

    run = site.sync()

    assert ["source-shrunk"] == [one.code for one in run.objections]
    assert all(one.active for one in site.people().values())


def test_who_waits_in_the_queue_counts_as_read():
    """New people who were detained, or failed, are still in the source when it is read again."""
    site = Site(hq={"limits": {}, "detain": "first-run", "rules": {"phone": {"required": True}}})
    site.hire("a", "b", "c")
    site.hire("d", "e", tel="1")
    first = site.approve(site.plan())
    again = site.sync()

    assert (5, 5) == (first.entries, again.entries)
    assert ("ended", []) == (again.state, [one.code for one in again.objections])
    assert "[5,5]" == site.value("SELECT json(sizes) FROM connections")
    assert ["a", "b", "c"] == [anchor for anchor, _, state in site.told() if state == "failed"]


def test_a_size_that_a_person_has_approved_is_the_usual_one():
    site = Site(hq={"limits": {"remove": "off", "container": "off"}})
    site.hired(40)
    for _ in range(5):
        site.sync()
    site.fire(*list(site.world().people)[20:])
    run = site.sync()
    assert ["source-shrunk"] == [one.code for one in run.objections]

    site.approve(run)

    assert "ended" == site.sync().state


def doubled(site):
    """Return entries of the world among which three anchors stand twice, in four ways."""
    entries = {anchor: site.world().entry(anchor) for anchor in site.world().people}
    other = Entry("p001", {"uid": ("other",), "sn": ("Other",)})
    return [*entries.values(), entries["p000"], other, entries["p002"], entries["new"]]


@pytest.mark.parametrize("batch", [1, 3, 500])
@pytest.mark.parametrize("seed", range(3))
def test_an_anchor_that_comes_twice_is_a_problem_and_nothing_else(monkeypatch, batch, seed):
    """Unchanged twice, unchanged and changed, changed twice, new twice: no operation, nobody is missing."""
    monkeypatch.setattr("syncd.correlation.BATCH", batch)
    site = Site()
    site.hired(4)
    site.world().change("p002", sn="Changed")
    site.hire("new", "fine")
    entries = doubled(site)
    random.Random(seed).shuffle(entries)
    site.spoiled["hq"] = reads(*entries, END)

    run = site.sync()

    assert [("fine", "add", "applied")] == site.told(run)
    assert [(anchor, "duplicate_anchor") for anchor in ("new", "p000", "p001", "p002")] == site.problems(run)
    assert all(one.active for one in site.people().values())
    assert 6 == run.entries


def test_what_an_incremental_read_tells_twice_is_told_again_by_the_next():
    """One of two entries with the same anchor goes: the other does not change, and is read all the same."""
    site = Site(hq={"type": "memory-delta"})
    site.hired(2)
    site.world().change("p000", sn="Changed")
    other = Entry("p000", {"uid": ("other",), "sn": ("Other",)})

    class Doubled(HostileSource):
        def read(self, cursor):
            yield other
            yield from self.wrapped.read(cursor)

    site.spoiled["hq"] = Doubled
    twice = [site.sync(), site.sync()]
    del site.spoiled["hq"]
    mended = site.sync()
    after = site.sync()

    for run in twice:
        assert ("incremental", [("p000", "duplicate_anchor")]) == (run.mode, site.problems(run))
        assert [] == site.operations(run)
    assert ("incremental", [("p000", "update", "applied")]) == (mended.mode, site.told(mended))
    assert "Changed" == site.person("p000").attributes["last_name"]
    assert ("incremental", 0) == (after.mode, after.entries)


def test_a_full_read_moves_the_cursor_on_whatever_came_twice():
    """Or a double that stays would make each read longer, for ever."""
    site = Site(hq={"type": "memory-delta"})
    site.hired(2)
    site.world().change("p000", sn="Changed")
    double = site.world().entry("p000")

    class Doubled(HostileSource):
        def read(self, cursor):
            yield double
            yield from self.wrapped.read(cursor)

    site.spoiled["hq"] = Doubled
    kept = site.sync()
    site.sync(full=True)

    assert kept.cursor != site.value("SELECT cursor FROM connections")
    assert "3" == site.value("SELECT cursor FROM connections").partition(" ")[2]


def test_a_source_whose_scope_changed_misses_nobody_in_that_read():
    site = Site()
    site.hired(4)
    site.fire("p000")
    site.configure(hq={"world": "another"})

    run = site.sync()

    assert [] == site.operations(run)
    assert 0 == site.value("SELECT COUNT(*) FROM links WHERE missing_since IS NOT NULL")
    assert [("p000", "disable", "applied")] == site.told(site.sync())


def test_a_removal_is_proven_by_the_source_even_in_an_incremental_read():
    site = Site(hq={"type": "memory-delta", "leavers": {"reads": 9, "after": "30d"}})
    site.hired(3)
    site.fire("p001")

    run = site.sync()

    assert "incremental" == run.mode
    assert [("p001", "disable", "applied")] == site.told(run)


def test_an_entry_that_is_removed_and_there_in_one_read_is_there():
    site = Site()
    site.hired(2)
    here, there = (site.world().entry(anchor) for anchor in ("p000", "p001"))

    for items in itertools.permutations([here, there, Removed("p000")]):
        site.spoiled["hq"] = reads(*items, END)
        assert [] == site.operations(site.sync())


def test_the_cursor_is_stored_when_nothing_is_planned_any_more():
    site = Site(hq={"type": "memory-delta", "detain": "always"})
    site.hire("a")

    held = site.plan()
    assert (None, "1") == (site.value("SELECT cursor FROM connections"), held.cursor.partition(" ")[2])
    site.hire("b")
    second = site.sync()
    assert ("full", "held", 2) == (second.mode, second.state, second.entries)
    site.approve(second)

    assert "2" == site.value("SELECT cursor FROM connections").partition(" ")[2]
    assert "incremental" == site.sync().mode


def test_an_incremental_source_is_read_in_full_where_its_word_is_not_enough_and_the_run_says_why():
    site = Site(hq={"type": "memory-delta"})
    site.hired(2)
    told = []

    def read():
        run = site.sync()
        told.append((run.mode, run.why))

    read()
    site.configure(hq={"type": "memory-delta", "map": {**PLAIN["map"], "phone": "mobile"}})
    read()
    read()
    site.wait(days=6, hours=21)
    for _ in range(3):
        read()

    mapping = "the mapping is another one than at the last read, or what else makes a record"
    week = "the last full read was on 2026-01-05T10:00:00Z"
    assert [
        ("incremental", None),
        ("full", mapping),
        ("incremental", None),
        ("incremental", None),
        ("full", week),
        ("incremental", None),
    ] == told


def test_a_mapping_that_is_changed_reaches_everybody_of_an_incremental_source():
    site = Site(hq={"type": "memory-delta"})
    site.hire("a", mobile="+49 170 1")
    site.sync()
    site.configure(hq={"type": "memory-delta", "map": {**PLAIN["map"], "phone": "mobile"}})

    site.sync()

    assert "+49 170 1" == site.person("a").attributes["phone"]


def test_a_line_that_is_used_again_reads_from_the_cursor_that_is_stored():
    from syncd.pipeline.line import sync

    site = Site(hq={"type": "memory-delta"})
    site.hire("a")
    line = site.line()

    modes = [sync(site.here, line).mode for _ in range(3)]

    assert ["full", "incremental", "incremental"] == modes


def test_an_expired_cursor_leads_to_a_full_read_that_starts_from_nothing(monkeypatch):
    monkeypatch.setattr("syncd.correlation.BATCH", 1)
    monkeypatch.setattr("syncd.store.staging.FLUSH", 1)
    site = Site(hq={"type": "memory-delta"})
    site.hired(3)
    site.hire("new")

    class Expiring(HostileSource):
        def read(self, cursor):
            if cursor is not None:
                yield self.wrapped.world.entry("new")
                yield Problem("p000", "unreadable", "from the first attempt")
                raise CursorExpired("the token is too old")
            yield from self.wrapped.read(None)

    site.spoiled["hq"] = Expiring

    run = site.sync()

    assert [("new", "add", "applied")] == site.told(run)
    assert [] == site.problems(run)
    assert "full" == run.mode


def test_a_source_whose_full_read_says_that_a_cursor_expired_fails():
    site = Site()
    site.spoiled["hq"] = reads(CursorExpired("always"))

    with pytest.raises(ConnectorError):
        site.sync()

    assert "failed" == site.run(1).state


# --- time: reads, grace, coming back ---


def test_who_is_missing_for_one_read_and_back_loses_nothing():
    site = Site(hq={"leavers": DAY})
    site.hired(3)
    person = site.world().people["p001"]
    before = site.people(), site.rows(LINKS)
    site.fire("p001")

    missed = site.sync()
    assert [("p001", "disable", "waiting")] == site.told(missed)
    assert 1 == site.value("SELECT reads_missed FROM links WHERE anchor = 'p001'")
    site.wait(days=3)
    site.world().people["p001"] = person
    back = site.sync()

    assert [] == site.operations(back)
    assert [("p001", "disable", "superseded")] == site.told(missed)
    assert before == (site.people(), site.rows(LINKS))


@pytest.mark.parametrize("restarts", [False, True], ids=["in one process", "in many"])
@pytest.mark.parametrize(
    ("reads", "after", "gaps", "active"),
    [
        (2, "24h", ["23h59m"], True),
        (2, "24h", ["24h"], False),
        (2, "24h", ["24h1m"], False),
        (2, "24h", ["1h"] * 20, True),
        (3, "24h", ["24h1m"], True),
        (3, "24h", ["1m", "24h"], False),
        (1, "24h", [], True),
        (1, "24h", ["23h"], True),
        (1, "24h", ["24h"], False),
        (1, "0s", [], False),
        (2, "0s", [], True),
        (2, "0s", ["1m"], False),
    ],
)
def test_who_is_missing_for_long_enough_and_often_enough_is_disabled(
    tmp_path, reads, after, gaps, active, restarts
):
    site = Site(tmp_path, hq={"leavers": {"reads": reads, "after": after}})
    site.hired(2)
    site.fire("p001")
    site.sync()
    for gap in gaps:
        hours, _, minutes = gap.replace("m", "").rpartition("h")
        site.wait(hours=int(hours or 0) - 1, minutes=int(minutes or 0))
        if restarts:
            site.restart()
        site.sync()

    assert active == site.person("p001").active


def test_a_held_read_does_not_count_as_missed():
    site = Site(hq={"leavers": {"reads": 2, "after": "0s"}, "limits": {**UNLIMITED, "shrink": "10%"}})
    site.hired(30)
    site.fire(*list(site.world().people)[:10])

    for _ in range(3):
        assert "held" == site.sync().state
        assert 0 == site.value("SELECT COUNT(*) FROM links WHERE missing_since IS NOT NULL")
    site.approve(site.plan())

    assert 10 == site.value("SELECT COUNT(*) FROM links WHERE missing_since IS NOT NULL")
    assert 30 == sum(one.active for one in site.people().values())
    site.wait(minutes=1)
    site.sync()
    assert 20 == sum(one.active for one in site.people().values())


def test_an_incremental_read_does_not_count_as_missed_and_does_what_is_due():
    site = Site(hq={"type": "memory-delta", "leavers": DAY})
    site.hired(3)
    anchors = ["p000", "p002"]
    site.spoiled["hq"] = reads(*map(site.world().entry, anchors), Checkpoint("3", full=True))
    site.sync(full=True)
    del site.spoiled["hq"]
    for _ in range(3):
        assert [] == site.operations(site.sync())
    site.spoiled["hq"] = reads(*map(site.world().entry, anchors), Checkpoint("3", full=True))
    site.sync(full=True)
    del site.spoiled["hq"]
    assert 2 == site.value("SELECT reads_missed FROM links WHERE anchor = 'p001'")
    site.wait(hours=24)

    assert [("p001", "disable", "applied")] == site.told(site.sync())


def test_who_comes_back_after_being_disabled_is_enabled_with_the_same_account():
    site = Site()
    site.hired(2)
    account = site.person("p001").id
    person = site.world().people["p001"]
    site.fire("p001")
    site.sync()
    assert "missing" == site.person("p001").disabled_by

    site.world().people["p001"] = person
    back = site.sync()

    assert [("p001", "enable", "applied")] == site.told(back)
    assert Person(
        account, {"login": "p001", "email": "p001@acme.example", "last_name": "P001"}, None, False
    ) == (site.person("p001"))
    assert [] == site.operations(site.sync())


def test_a_leaver_is_deleted_when_the_time_has_come_and_comes_back_as_the_same_account():
    site = Site(hq={"leavers": {**AT_ONCE, "delete_after": "30d"}})
    site.hired(2)
    account, person = site.person("p001").id, site.world().people["p001"]
    site.fire("p001")
    site.sync()
    site.wait(days=29, hours=22, minutes=59)

    assert [] == site.operations(site.sync())
    assert [("p001", "delete", "applied")] == site.told(site.sync())
    assert (account, True) == (site.person("p001").id, site.person("p001").deleted)
    assert site.claimed() == site.taken()
    assert [] == site.operations(site.sync())

    site.world().people["p001"] = person
    assert [("p001", "enable", "applied")] == site.told(site.sync())
    assert (account, True) == (site.person("p001").id, site.person("p001").active)
    assert site.claimed() == site.taken()


@pytest.mark.parametrize("changes", [{"enterprise": {"protected": ["login:p001"]}}, {"operations": ["add"]}])
def test_a_leaver_who_may_not_be_removed_any_more_is_not_deleted(changes):
    """Protected since they were disabled, or removals are switched off since."""
    keys = {"leavers": {**AT_ONCE, "delete_after": "30d"}}
    site = Site(hq=keys)
    site.hired(2)
    site.fire("p001")
    site.sync()
    site.configure(
        enterprise=changes.get("enterprise"),
        hq={**keys, **{k: v for k, v in changes.items() if k == "operations"}},
    )
    site.wait(days=60)

    assert [] == site.operations(site.sync())


@pytest.mark.parametrize(
    ("leavers", "expected"),
    [
        ({"disabled": "disable"}, ("disable", "source", False)),
        ({"disabled": "delete"}, ("delete", "source", True)),
        ({"disabled": "keep"}, None),
    ],
)
def test_whom_the_source_disables_becomes_what_the_configuration_says(leavers, expected):
    site = Site(hq={"leavers": {**AT_ONCE, **leavers}})
    site.hired(2)
    before = site.person("p001")
    site.world().disable("p001")

    run = site.sync()

    if expected is None:
        assert before == site.person("p001")
    else:
        kind, word, deleted = expected
        assert [("p001", kind, "applied")] == site.told(run)
        assert before._replace(disabled_by=word, deleted=deleted) == site.person("p001")
    assert site.claimed() == site.taken()
    assert [] == site.operations(site.sync())
    site.world().enable("p001")
    site.sync()
    assert before == site.person("p001")
    assert site.claimed() == site.taken()


@pytest.mark.parametrize(
    ("way", "fate", "expected"),
    [
        ("removed", "disable", ("missing", False)),
        ("removed", "delete", ("missing", True)),
        ("removed", "keep", (None, False)),
        ("missing", "disable", ("missing", False)),
        ("missing", "delete", ("missing", True)),
        ("missing", "keep", (None, False)),
    ],
)
def test_who_is_gone_becomes_what_the_configuration_says(way, fate, expected):
    site = Site(hq={"type": "memory-delta", "leavers": {**AT_ONCE, way: fate}})
    site.hired(2)
    site.fire("p001")

    site.sync(full=way == "missing")

    assert expected == (site.person("p001").disabled_by, site.person("p001").deleted)
    assert [] == site.operations(site.sync(full=True))
    assert site.claimed() == site.taken()


def test_a_new_person_who_is_disabled_in_the_source_begins_disabled():
    site = Site()
    site.hire("a")
    site.world().disable("a")

    site.sync()

    assert "source" == site.person("a").disabled_by
    site.world().enable("a")
    site.sync()
    assert site.person("a").active


def test_each_word_of_who_disabled_an_account_is_taken_back_only_by_its_own_actor():
    site = Site()
    site.hired(2)
    account = site.person("p001").id
    site.world().disable("p001")
    site.sync()
    people.set_enabled(site.here, account, enabled=False)
    assert "local,source" == site.person("p001").disabled_by
    person = site.world().people["p001"]
    site.fire("p001")
    site.sync()
    assert "local,missing,source" == site.person("p001").disabled_by

    site.world().people["p001"] = person
    site.sync()
    assert "local" == site.person("p001").disabled_by
    site.world().disable("p001")
    site.sync()
    people.set_enabled(site.here, account, enabled=True)
    assert "source" == site.person("p001").disabled_by
    site.world().enable("p001")
    site.sync()
    assert site.person("p001").active


# --- keys: swaps, chains, collisions ---


@pytest.mark.parametrize("chunk", [1, 2, 5000])
@pytest.mark.parametrize("size", [2, 3, 7])
def test_keys_are_swapped_around_in_one_run_across_the_border_of_a_chunk(monkeypatch, chunk, size):
    monkeypatch.setattr(applying, "CHUNK", chunk)
    site = Site()
    anchors = site.hired(size)
    for number, anchor in enumerate(anchors):
        site.world().change(anchor, ext=str(number))
    site.sync()
    site.hire("between")
    for number, anchor in enumerate(anchors):
        following = anchors[(number + 1) % size]
        site.world().change(anchor, mail=f"{following}@acme.example", ext=str((number + 1) % size))

    run = site.sync()

    assert {"applied"} == {state for _, _, state in site.told(run)}
    assert size + 1 == len(site.operations(run))
    assert [
        (f"p{(number + 1) % size:03}@acme.example", str((number + 1) % size)) for number in range(size)
    ] == [
        (one.attributes["email"], one.attributes["extension"])
        for anchor, one in sorted(site.linked().items())
        if anchor != "between"
    ]
    assert site.claimed() == site.taken()


@pytest.mark.parametrize("chunk", [1, 5000])
def test_a_chain_of_keys_moves_up_in_one_run(monkeypatch, chunk):
    monkeypatch.setattr(applying, "CHUNK", chunk)
    site = Site()
    anchors = site.hired(5)
    for number, anchor in enumerate(anchors):
        site.world().change(anchor, mail=f"p{number + 1:03}@acme.example")

    run = site.sync()

    assert {"applied"} == {state for _, _, state in site.told(run)}
    assert "p005@acme.example" == site.person("p004").attributes["email"]
    assert site.claimed() == site.taken()


def test_a_chain_with_one_broken_link_stops_where_it_is_broken():
    """Who wants a key that is not let go is detained, and whoever waits for theirs; the rest is done."""
    site = Site(hq={"rules": {"last_name": {"required": True}}})
    anchors = site.hired(6)
    for number, anchor in enumerate(anchors[:5]):
        site.world().change(anchor, mail=f"p{number + 1:03}@acme.example")
    site.world().change("p003", sn="")
    site.world().change("p005", mail="free@acme.example")

    run = site.sync()

    assert [
        ("p000", "update", "detained"),
        ("p001", "update", "detained"),
        ("p002", "update", "detained"),
        ("p003", "update", "failed"),
        ("p004", "update", "applied"),
        ("p005", "update", "applied"),
    ] == site.told(run)
    message = (
        f"email 'p003@acme.example' belongs to account {site.person('p003').id} of hq, P003 (p003), "
        "and is wanted by entry p002 of hq, P002 (p002)"
    )
    assert [("key_taken", "email", message, "detained")] == site.open_one("p002").faults
    assert site.claimed() == site.taken()
    site.world().change("p003", sn="Mended")
    assert {"applied"} == {state for _, _, state in site.told(site.sync())}
    assert [] == site.operations()
    assert "p005@acme.example" == site.person("p004").attributes["email"]


def test_a_key_that_one_lets_go_is_taken_by_a_new_person_in_the_same_run():
    site = Site()
    site.hired(2)
    site.world().change("p000", mail="other@acme.example")
    site.hire("new", mail="p000@acme.example")

    run = site.sync()

    assert [("new", "add", "applied"), ("p000", "update", "applied")] == site.told(run)
    assert site.claimed() == site.taken()


def test_a_login_that_one_lets_go_belongs_to_a_new_person_after_the_next_read():
    """By its login the new person looks like the old one come back under a new anchor: never merged."""
    site = Site()
    site.hired(2)
    site.world().change("p000", uid="renamed")
    site.hire("new", uid="p000")

    first = site.sync()
    assert [("new", "update", "detained"), ("p000", "update", "applied")] == site.told(first)
    site.sync()

    assert {"p000": "renamed", "p001": "p001", "new": "p000"} == {
        anchor: one.attributes["login"] for anchor, one in site.linked().items()
    }
    assert [] == site.operations()


@pytest.mark.parametrize(
    ("one", "other"), [("Straße", "STRASSE"), ("ﬁnn", "Finn"), ("ＡＢＣ", "abc"), ("Å", "å")]
)
def test_keys_that_fold_to_the_same_detain_both_and_name_both(one, other):
    site = Site(hq={"match": []})
    site.hire("a", uid=one)
    site.hire("b", uid=other)

    run = site.sync()

    assert [("a", "add", "detained"), ("b", "add", "detained")] == site.told(run)
    for anchor in ("a", "b"):
        ((code, attribute, message, _),) = site.open_one(anchor).faults
        both = f"is wanted by entry a of hq, A ({one}), and by entry b of hq, B ({other})"
        assert ("key_taken", "login", True) == (code, attribute, message.endswith(both))
    assert [] == site.taken()


def test_a_key_that_folds_to_that_of_an_account_detains_the_newcomer():
    site = Site(hq={"match": []})
    site.hire("a", uid="Straße")
    site.sync()
    site.hire("b", uid="STRASSE")

    run = site.sync()

    assert [("b", "add", "detained")] == site.told(run)
    assert f"belongs to account {site.person('a').id}" in site.open_one("b").faults[0][2]


def test_a_login_whose_case_alone_changes_is_an_update():
    site = Site()
    site.hired(2)
    account = site.person("p001").id
    site.world().change("p001", uid="P001")

    run = site.sync()

    assert [("p001", "update", "applied")] == site.told(run)
    assert (account, "P001") == (site.person("p001").id, site.person("p001").attributes["login"])
    assert site.claimed() == site.taken()


def test_two_enterprises_may_share_a_login():
    site = Site(enterprises={"acme": {"sources": ["hq"]}, "umbrella": {"sources": ["lab"]}}, hq={}, lab={})
    site.hire("a")
    site.hire("b", source="lab", uid="a", mail="a@acme.example")

    site.sync("hq")
    site.sync("lab")

    assert [] == site.operations()
    assert ["acme", "umbrella"] == [
        row[0] for row in site.rows("SELECT enterprise FROM accounts ORDER BY id")
    ]
    assert site.claimed() == site.taken()
    assert [] == site.operations(site.sync("hq"))


# --- which account an entry belongs to ---


def test_an_entry_that_matches_two_accounts_is_detained_and_names_both():
    site = Site(hq={"match": ["login", "email"]}, lab={"match": ["login", "email"]})
    site.hired(2)
    site.hire("x", source="lab", uid="p000", mail="p001@acme.example")

    site.sync("lab")

    ((code, _, message, _),) = site.open_one("x").faults[:1]
    first, second = site.person("p000").id, site.person("p001").id
    assert "ambiguous" == code
    assert f"login is that of account {first}; email is that of account {second}" == message


def test_two_entries_that_match_one_account_are_detained_and_name_each_other():
    site = Site(hq={}, lab={"match": ["login", "email"]})
    site.hired(2)
    site.hire("x", source="lab", uid="p000", mail="x@acme.example")
    site.hire("y", source="lab", uid="y", mail="p000@acme.example")

    run = site.sync("lab")

    assert [("x", "update", "detained"), ("y", "update", "detained")] == site.told(run)
    for anchor in ("x", "y"):
        assert "ambiguous" == site.open_one(anchor).faults[0][0]
        assert f"x and y all match account {site.person('p000').id}" == site.open_one(anchor).faults[0][2]
    assert {} == site.linked("lab")


@pytest.mark.parametrize("adopt", [True, False])
def test_an_account_that_is_found_by_its_key_is_adopted_or_merely_enriched(adopt):
    site = Site(hq={"adopt": adopt})
    people.add(site.here, "acme", {"login": "P000", "phone": "1"})
    (account,) = site.people()
    site.hire("p000", "other")

    run = site.sync()

    assert [("other", "add", "applied"), ("p000", "update", "applied")] == site.told(run)
    linked = site.person("p000")
    assert (account, "p000", "1") == (linked.id, linked.attributes["login"], linked.attributes["phone"])
    site.fire("p000")
    site.sync()
    assert (account, not adopt) == (linked.id, site.people()[account].active)
    if not adopt:
        assert {"login": "P000", "phone": "1"} == site.people()[account].attributes
    assert site.claimed() == site.taken()


def test_a_manual_account_is_never_removed():
    site = Site(hq={"leavers": {**AT_ONCE, "delete_after": "1d"}})
    people.add(site.here, "acme", {"login": "manual"})
    people.add(site.here, "acme", {"login": "p001"})
    site.hired(3)
    site.fire("p000", "p001")

    for _ in range(3):
        site.sync()
        site.wait(days=2)

    assert ["manual", "p001", "p002"] == sorted(
        one.attributes["login"] for one in site.people().values() if one.active
    )


def test_a_protected_account_is_never_removed_and_never_linked_by_a_key():
    site = Site(enterprise={"protected": ["login:SVC-*"]})
    site.hire("a", uid="svc-backup")
    people.add(site.here, "acme", {"login": "svc-manual"})
    site.sync()
    site.hire("b", uid="svc-manual")
    site.world().disable("a")
    site.sync()
    assert site.person("a").active
    site.fire("a")

    site.sync()

    assert all(one.active for one in site.people().values())
    assert [("b", "update", "detained")] == site.told()
    assert "protected" == site.open_one("b").faults[0][0]


def test_a_re_created_entry_keeps_the_account():
    site = Site(hq={"leavers": DAY})
    site.hired(3)
    account = site.person("p001").id
    site.fire("p001")
    site.hire("p001-new", uid="P001", mail="new@acme.example", sn="New")

    run = site.sync()

    assert [("p001-new", "update", "applied")] == site.told(run)
    assert account == site.person("p001-new").id
    assert "new@acme.example" == site.person("p001-new").attributes["email"]
    assert 3 == len(site.people())
    assert [] == site.operations(site.sync())
    assert site.claimed() == site.taken()


@pytest.mark.parametrize("misses", [1, 5])
@pytest.mark.parametrize("delete_after", ["never", "1d"])
def test_an_entry_that_is_re_created_after_it_was_missing_keeps_the_account(misses, delete_after):
    """While its grace runs, when it is over in that very read, when it is disabled, when deletion is due."""
    site = Site(hq={"leavers": {**DAY, "delete_after": delete_after}})
    site.hired(3)
    account = site.person("p001").id
    site.fire("p001")
    for _ in range(misses):
        site.sync()
        site.wait(hours=5)
    site.wait(hours=20)
    site.hire("p001-new", uid="p001")

    run = site.sync()

    assert ["p001-new"] == [one.anchor for one in site.operations(run)]
    assert account == site.person("p001-new").id
    assert site.person("p001-new").active
    assert [] == site.operations()
    site.wait(days=2)
    for _ in range(3):
        assert [] == site.operations(site.sync())
    assert site.claimed() == site.taken()


def test_a_re_created_entry_is_detained_while_the_old_one_is_there():
    site = Site()
    site.hired(2)
    site.hire("p001-new", uid="p001")

    site.sync()

    account = site.person("p001").id
    message = f"p001-new matches account {account}, which is linked to p001, and that entry is still there"
    assert [("ambiguous", None, message, "detained")] == site.open_one("p001-new").faults
    site.fire("p001")
    site.sync()
    assert account == site.person("p001-new").id
    assert [] == site.operations()


def test_a_re_created_entry_is_detained_where_the_read_cannot_tell_if_the_old_one_is_there():
    site = Site(hq={"type": "memory-delta"})
    site.hired(2)
    site.hire("p001-new", uid="p001")

    site.sync()

    assert "this read cannot tell" in site.open_one("p001-new").faults[0][2]
    site.fire("p001")
    site.world().change("p001-new", sn="Touched")
    site.sync()
    assert "p001-new" in site.linked()
    assert [] == site.operations()


def test_when_most_anchors_are_new_the_run_is_held():
    site = Site(hq={"limits": {}, "leavers": AT_ONCE})
    anchors = site.hired(30)
    site.fire(*anchors[:20])
    for anchor in anchors[:20]:
        site.hire(f"{anchor}-new", uid=anchor)

    run = site.sync()

    assert "held" == run.state
    assert "anchors-new" in [one.code for one in run.objections]


# --- layers: sources by precedence, a person above them ---

LAB = {"adopt": True, "map": {"login": "uid", "last_name": "sn", "phone": "tel", "title": "title"}}


def shared(hq=None, lab=None):
    """Return a site with one person whom both sources own; hq comes before lab."""
    site = Site(hq=hq or {}, lab={**LAB, **(lab or {})})
    site.hired(2)
    site.hire("x", source="lab", uid="p000", sn="Lab", tel="1", title="Dr")
    site.hire("other", source="lab")
    site.sync("lab")
    assert site.person("p000").id == site.person("x", "lab").id
    return site


def test_the_first_source_of_the_enterprise_beats_the_others():
    site = shared()

    assert {
        "login": "p000", "email": "p000@acme.example", "last_name": "P000", "phone": "1", "title": "Dr"
    } == site.person("p000").attributes  # fmt: skip
    site.world().change("p000", tel="2")
    site.sync()
    assert "2" == site.person("p000").attributes["phone"]
    site.world("lab").change("x", tel="3", title="Prof")
    site.sync("lab")
    assert ("2", "Prof") == (site.person("p000").attributes["phone"], site.person("p000").attributes["title"])
    site.world().change("p000", tel="")
    site.sync()
    assert "3" == site.person("p000").attributes["phone"]


def test_an_account_that_two_sources_own_stays_when_one_leaves_and_goes_when_both_have_left():
    site = shared()
    site.fire("p000")
    site.sync()

    left = site.person("x", "lab")
    assert left.active
    assert {"login": "p000", "last_name": "Lab", "phone": "1", "title": "Dr"} == left.attributes
    site.fire("x", source="lab")
    site.sync("lab")
    gone = site.person("x", "lab")
    assert (left.id, left.attributes, "missing") == (gone.id, gone.attributes, gone.disabled_by)
    assert site.claimed() == site.taken()


def test_a_leaver_keeps_what_their_last_owner_said_when_an_enriching_source_forgets_them():
    site = shared(lab={"adopt": False, "owns": False})
    site.fire("p000")
    site.sync()
    name = site.person("x", "lab").attributes
    site.fire("x", source="lab")

    site.sync("lab")

    assert name == site.person("p000").attributes


def test_a_source_that_only_enriches_makes_and_removes_nobody():
    site = shared(lab={"adopt": False, "owns": False})

    assert ["p000", "p001"] == sorted(site.linked())
    assert {"x"} == set(site.linked("lab"))
    site.world("lab").disable("x")
    site.sync("lab")
    assert site.person("p000").active
    site.world("lab").enable("x")
    site.fire("x", source="lab")
    run = site.sync("lab")
    assert [("x", "update", "applied")] == site.told(run)
    assert {"login": "p000", "email": "p000@acme.example", "last_name": "P000"} == site.person(
        "p000"
    ).attributes
    assert site.person("p000").active


def test_an_account_is_disabled_by_its_sources_when_all_its_owners_have_disabled_it():
    site = shared()
    site.world().disable("p000")
    site.sync()
    assert site.person("p000").active
    site.world("lab").disable("x")
    site.sync("lab")
    assert "source" == site.person("p000").disabled_by
    site.world().enable("p000")
    site.sync()
    assert site.person("p000").active
    site.world().disable("p000")
    site.sync()
    site.world("lab").enable("x")
    site.sync("lab")
    assert site.person("p000").active


def test_what_a_person_sets_beats_every_source_until_it_is_reset():
    site = shared()
    account = site.person("p000").id

    people.edit(site.here, account, {"last_name": "By hand", "phone": None})
    site.world().change("p000", sn="Renamed")
    site.world("lab").change("x", sn="Renamed too", tel="5")
    site.sync()
    site.sync("lab")

    assert "By hand" == site.person("p000").attributes["last_name"]
    assert "phone" not in site.person("p000").attributes
    people.reset(site.here, account, ("last_name",))
    assert "Renamed" == site.person("p000").attributes["last_name"]
    assert "phone" not in site.person("p000").attributes
    people.reset(site.here, account, ())
    assert "5" == site.person("p000").attributes["phone"]
    assert site.claimed() == site.taken()
    assert [] == [*site.operations(site.sync()), *site.operations(site.sync("lab"))]


def test_a_key_that_a_person_takes_is_missed_by_nobody_who_has_it():
    site = Site()
    site.hired(2)

    run = people.edit(site.here, site.person("p000").id, {"email": "P001@acme.example"})

    assert [("", "update", "detained")] == site.told(run)
    assert "p000@acme.example" == site.person("p000").attributes["email"]
    assert site.claimed() == site.taken()


def test_editing_a_deleted_account_takes_no_key():
    site = Site()
    site.hired(2)
    account = site.person("p000").id
    people.delete(site.here, account)

    people.edit(site.here, account, {"email": "p001@acme.example"})

    assert site.claimed() == site.taken()


def test_an_account_that_was_deleted_by_hand_stays_so_until_its_entry_changes():
    site = Site()
    site.hired(2)
    people.delete(site.here, site.person("p000").id)
    site.sync()
    site.configure(hq={"map": {**PLAIN["map"], "phone": {"from": ["tel", "phone"]}}})

    assert [] == site.operations(site.sync())
    assert site.person("p000").deleted
    site.world().change("p000", sn="Changed")
    site.sync()
    assert site.person("p000").active


def test_an_enriching_source_takes_no_key_for_a_deleted_account():
    site = Site(hq={}, lab={"owns": False, "map": {"login": "uid", "extension": "ext"}})
    site.hired(2)
    site.hire("x", source="lab", uid="p000", ext="1")
    site.sync("lab")
    people.delete(site.here, site.person("p000").id)
    site.world("lab").change("x", ext="2")

    site.sync("lab")

    assert site.claimed() == site.taken()


def test_a_link_that_a_person_takes_away_takes_its_values_along():
    site = shared()
    site.configure(hq={}, lab={**LAB, "match": []})
    unlink(site.here, site.person("p000").id, "lab")

    assert {"login": "p000", "email": "p000@acme.example", "last_name": "P000"} == site.person(
        "p000"
    ).attributes
    people.link(site.here, site.person("p000").id, "lab", "x", owns=True)
    site.sync("lab")
    assert ("1", "Dr") == (site.person("p000").attributes["phone"], site.person("p000").attributes["title"])


def test_layers_keep_their_precedence_when_a_link_is_taken_away():
    site = Site(hq={}, lab=LAB, more={**LAB, "map": {"login": "uid", "phone": "tel"}})
    site.hired(1)
    site.hire("z", source="more", uid="p000", tel="more")
    site.sync("more")
    site.hire("x", source="lab", uid="p000", sn="Lab", tel="lab")
    site.sync("lab")
    assert "lab" == site.person("p000").attributes["phone"]

    unlink(site.here, site.person("p000").id, "hq")

    assert "lab" == site.person("x", "lab").attributes["phone"]


# --- what shapes a record: policies, unknown attributes, roles, numbers, places ---


def test_a_create_only_attribute_is_set_once():
    site = Site(hq={"map": {**PLAIN["map"], "last_name": {"from": "sn", "policy": "create-only"}}})
    site.hired(2)
    site.world().change("p000", sn="Another", tel="1")

    site.sync()

    assert ("P000", "1") == tuple(site.person("p000").attributes[name] for name in ("last_name", "phone"))


def test_an_attribute_whose_policy_is_to_ask_detains_the_change_until_it_is_released():
    site = Site(hq={"map": {**PLAIN["map"], "last_name": {"from": "sn", "policy": "detain"}}})
    site.hired(2)
    site.world().change("p000", sn="Another")

    site.sync()
    first = site.open_one("p000")
    site.sync()

    assert (first.id, "detained") == (site.open_one("p000").id, first.state)
    queue.release(site.here, [first.id])
    assert "Another" == site.person("p000").attributes["last_name"]
    assert [] == site.operations(site.sync())
    assert [] == site.operations()


def test_what_the_source_does_not_tell_stays_as_it_is_stored():
    site = Site()
    site.hire("a", sn="Known", tel="1")
    site.sync()
    site.spoiled["hq"] = reads(
        Entry("a", {"uid": ("a",), "mail": ("new@acme.example",)}, unknown=frozenset({"sn"})), END
    )

    site.sync()

    assert {"login": "a", "email": "new@acme.example", "last_name": "Known"} == site.person("a").attributes


def test_what_a_transform_refuses_fails_the_record_and_loses_nothing():
    site = Site(hq={"map": {**PLAIN["map"], "extension": {"from": "ext", "via": ["extension-of:+49401234"]}}})
    site.hire("a", ext="+4940123456")
    site.sync()
    assert "56" == site.person("a").attributes["extension"]
    site.world().change("a", ext="+43 1 2345", sn="Changed")

    run = site.sync()

    assert [("a", "update", "failed")] == site.told(run)
    assert "56" == site.person("a").attributes["extension"]


@pytest.mark.parametrize("known", [True, False])
def test_who_is_in_a_place_that_is_not_configured_is_detained(known):
    site = Site(
        top={"location": {"north": ["Hamburg"]}, "departments": ["Sales"]},
        hq={"map": {**PLAIN["map"], "location": "l", "department": "d"}},
    )
    site.hire("a", l="Hamburg", d="Sales" if known else "Alchemy")
    site.hire("b", l="north" if known else "Atlantis", d="Sales")

    run = site.sync()

    state = "applied" if known else "detained"
    assert [("a", "add", state), ("b", "add", state)] == site.told(run)
    if not known:
        assert "department_unknown" == site.open_one("a").faults[0][0]
        assert "location_unknown" == site.open_one("b").faults[0][0]


def test_a_source_of_contacts_makes_contacts():
    site = Site(hq={"kind": "contact"})
    site.hire("a")

    site.sync()

    assert "contact" == site.value("SELECT kind FROM accounts")


@pytest.mark.parametrize(
    ("switches", "expected"),
    [
        (["add"], [("new", "add")]),
        (["update"], [("p000", "update")]),
        (["remove"], [("p001", "disable"), ("p002", "disable")]),
        (["add", "update"], [("new", "add"), ("p000", "update")]),
        (["add", "update", "remove"], [("new", "add"), ("p000", "update"), ("p001", "disable"), ("p002", "disable")]),
    ],
)  # fmt: skip
def test_only_the_operations_that_are_switched_on_are_done(switches, expected):
    site = Site()
    site.hired(4)
    site.configure(hq={"operations": switches})
    site.hire("new")
    site.world().change("p000", sn="Changed")
    site.world().disable("p001")
    site.fire("p002")

    run = site.sync()

    assert [(anchor, kind, "applied") for anchor, kind in expected] == site.told(run)


DESK = {
    "template": {
        "desk": {"defaults": {"title": "Agent", "phone": "0"}, "allocate": {"extension": "100-104"}}
    },
    "role": {"sales": {"template": "desk"}},
}


def test_new_people_get_free_numbers_in_the_order_of_their_anchors():
    site = Site(top=DESK, hq={"role": "sales"})
    people.add(site.here, "acme", {"login": "manual", "extension": "101"})
    site.hire("c", "a", "b", "d")
    site.world().change("d", ext="100")

    site.sync()

    numbers = {anchor: one.attributes["extension"] for anchor, one in site.linked().items()}
    assert {"a": "102", "b": "103", "c": "104", "d": "100"} == numbers
    assert {"Agent"} == {one.attributes["title"] for one in site.linked().values()}
    assert site.claimed() == site.taken()
    assert [] == site.operations(site.sync())


def test_two_plans_that_are_open_together_give_no_number_twice():
    """Both are previewed before either is applied; planned once more, each keeps what it has shown."""
    top = {**DESK, "template": {"desk": {"allocate": {"extension": "100-199"}}}}
    held = {"role": "sales", "detain": "first-run"}
    site = Site(top=top, hq=held, lab=held)
    site.hire("a", "b")
    site.hire("c", "d", source="lab")
    first, second = site.plan(), site.plan("lab")

    assert [first.id, second.id] == [site.plan().id, site.plan("lab").id]
    site.approve(second)
    site.approve(first)
    people.add(site.here, "acme", {"login": "guest"}, role="sales")
    assert [] == site.operations()
    assert ["100", "101", "102", "103", "104"] == sorted(
        one.attributes["extension"] for one in site.people().values()
    )
    assert site.claimed() == site.taken()


def test_a_number_of_somebody_who_waits_is_given_to_nobody_else():
    """What was shown of a detained person holds until somebody has decided."""
    site = Site(top=DESK, hq={"role": "sales", "detain": "always"})
    site.hire("d")
    plan = site.plan()
    people.add(site.here, "acme", {"email": "d@acme.example"})
    site.approve(plan)
    assert "100" == json.loads(site.open_one("d").after)["extension"]

    people.add(site.here, "acme", {"login": "guest"}, role="sales")

    assert {None, "101"} == {one.attributes.get("extension") for one in site.people().values()}


def test_when_the_numbers_are_used_up_the_rest_fails():
    site = Site(top=DESK, hq={"role": "sales"})
    site.hired(7)

    assert ["p005", "p006"] == [anchor for anchor, _, state in site.told() if state == "failed"]
    assert "numbers_used_up" == site.open_one("p005").faults[0][0]


def test_a_number_that_a_platform_has_not_let_go_is_not_given_again():
    site = Site(
        top={**DESK, "platform": {"phones": {"type": "memory"}}},
        hq={"role": "sales", "leavers": {**AT_ONCE, "missing": "delete"}},
    )
    site.hired(2)
    site.fire("p000")
    site.sync()
    assert [("extension", "100")] == site.rows(
        "SELECT attribute, folded FROM keys WHERE releasing <> 0 AND attribute = 'extension'"
    )

    site.hire("new")
    site.sync()

    assert "102" == site.person("new").attributes["extension"]
    site.rows("DELETE FROM keys WHERE releasing <> 0")
    site.hire("newer")
    site.sync()
    assert "100" == site.person("newer").attributes["extension"]


def test_a_template_is_never_applied_to_an_account_that_exists():
    site = Site()
    site.hired(1)
    site.configure(top=DESK, hq={"role": "sales"})
    site.world().change("p000", sn="Changed")

    site.sync()

    assert {"login", "email", "last_name"} == set(site.person("p000").attributes)


def test_a_new_person_who_was_detained_gets_a_number_when_released():
    site = Site(
        top={**DESK, "departments": ["Sales"]},
        hq={"role": "sales", "map": {**PLAIN["map"], "department": "d"}},
    )
    site.hire("a", d="Alchemy")
    site.hire("b", d="Sales")
    site.sync()

    queue.release(site.here, [site.open_one("a").id])

    assert ("100", "101") == tuple(site.person(anchor).attributes["extension"] for anchor in "ba")
    assert site.claimed() == site.taken()


def test_a_held_plan_whose_number_was_taken_meanwhile_does_not_share_it():
    site = Site(top=DESK, hq={"role": "sales", "detain": "always"})
    site.hire("a", "b")
    run = site.plan()
    people.add(site.here, "acme", {"login": "manual", "extension": "100"})

    site.approve(run)

    assert [("a", "add", "detained"), ("b", "add", "applied")] == site.told(run)
    queue.release(site.here, [site.open_one("a").id])
    assert "102" == site.person("a").attributes["extension"]
    assert site.claimed() == site.taken()


def test_two_numbers_may_be_allocated_to_one_person():
    desk = {"defaults": {}, "allocate": {"extension": "100-199", "did": "0500-0599"}}
    site = Site(
        top={"template": {"desk": desk}, "role": {"sales": {"template": "desk"}}}, hq={"role": "sales"}
    )
    site.hire("a", "b")

    site.sync()

    assert [("100", "0500"), ("101", "0501")] == [
        (one.attributes["extension"], one.attributes["did"]) for one in site.people().values()
    ]
    assert site.claimed() == site.taken()


# --- what people decide ---

ASKS = {"map": {**PLAIN["map"], "last_name": {"from": "sn", "policy": "detain"}}}


def asked(sn="Asked", **more):
    """Return a site where the change of one person's name is detained."""
    site = Site(hq={**ASKS, **more})
    site.hired(2)
    site.world().change("p000", sn=sn)
    site.sync()
    return site


def test_a_discarded_proposal_is_not_made_again_until_the_value_changes():
    site = asked()
    queue.discard(site.here, [site.open_one("p000").id])

    for _ in range(2):
        run = site.sync()
        assert ([], 0, 1) == (site.operations(run), run.counts["ignored"], run.counts["kept_away"])
    site.world().change("p000", sn="Something else")
    site.sync()
    assert "Something else" in site.open_one("p000").after
    site.world().change("p000", sn="P000")
    site.sync()
    assert [] == site.operations()
    site.world().change("p000", sn="Asked")
    site.sync()

    assert "Asked" in site.open_one("p000").after


def test_what_is_kept_away_is_counted_apart_from_what_is_ignored():
    """Also by a read that tells only what has changed; until the value changes, or a person ends it."""
    site = Site(hq={"type": "memory-delta"})
    site.hired(4)
    site.world().change("p000", sn="Undone")
    site.world().change("p001", sn="Undone too")
    site.apply(plan_undo(site.here, site.sync().id))
    queue.ignore(site.here, "hq", "p002")

    def counted(**full):
        counts = site.sync(**full).counts
        return counts["kept_away"], counts["ignored"]

    site.world().change("p002", sn="Ignored")
    assert (2, 1) == counted()
    assert (2, 0) == counted()
    assert (2, 1) == counted(full=True)
    site.world().change("p000", sn="Another")
    assert (1, 0) == counted()
    queue.unignore(site.here, "hq", "p001")
    assert (0, 0) == counted()


def test_what_was_undone_of_what_a_person_did_keeps_no_proposal_away():
    site = Site()
    site.hired(2)
    site.apply(plan_undo(site.here, unlink(site.here, site.person("p000").id, "hq").run.id))

    assert [] == site.rows("SELECT verb FROM decisions")
    assert 0 == site.sync().counts["kept_away"]


def test_a_discarded_proposal_is_not_made_again_though_the_entry_was_not_read():
    """A read that tells nothing of the entry is no change of its value."""
    site = asked()
    queue.discard(site.here, [site.open_one("p000").id])
    other = site.world().entry("p001")
    for items in (
        [other, Problem("p000", "unreadable", "?"), END],
        [other, Present("p000"), END],
        [other, END],
    ):
        site.spoiled["hq"] = reads(*items)
        site.configure(hq={**ASKS, "leavers": DAY})
        site.sync()
    del site.spoiled["hq"]

    run = site.sync()

    assert [] == site.operations(run)
    assert [] == site.operations()


@pytest.mark.parametrize("top", [{}, DESK], ids=["plain", "with a number"])
def test_a_discarded_addition_is_not_asked_again(top):
    site = Site(top=top, hq={"detain": "always", **({"role": "sales"} if top else {})})
    site.hire("a", "b")
    run = site.plan()
    queue.discard(site.here, [one.id for one in site.operations(run) if one.anchor == "a"])

    run = site.sync()

    assert [("b", "add", "planned")] == site.told(run)
    assert 2 == run.entries
    site.approve(run)
    assert [] == site.operations(site.sync())
    site.world().change("a", sn="Changed")
    assert [("a", "add", "planned")] == site.told(site.sync())


def test_a_discarded_removal_is_not_asked_again_until_the_person_was_back():
    site = Site(hq={"limits": {**UNLIMITED, "remove": {"count": 0}}})
    site.hired(3)
    person = site.world().people["p001"]
    site.fire("p001")
    site.sync()
    queue.discard(site.here, [site.open_one("p001").id])

    for _ in range(3):
        assert [] == site.operations(site.sync())
    assert site.person("p001").active
    site.world().people["p001"] = person
    site.sync()
    site.fire("p001")
    assert [("p001", "disable", "detained")] == site.told(site.sync())


def test_an_ignored_entry_is_left_alone_until_it_is_no_more():
    site = asked()
    queue.ignore(site.here, "hq", "p000")
    assert [] == site.operations()
    site.world().change("p000", sn="More", tel="1")
    site.sync()
    site.fire("p000")
    site.sync()
    queue.ignore(site.here, "hq", "stranger")
    site.hire("stranger", "other")

    run = site.sync()

    assert [("other", "add", "applied")] == site.told(run)
    assert 3 == run.entries
    assert site.person("p000").active
    assert 1 == queue.unignore(site.here, "hq", "stranger")
    assert [("stranger", "add", "applied")] == site.told(site.sync())
    queue.unignore(site.here, "hq", "p000")
    assert [("p000", "disable", "applied")] == site.told(site.sync())


def test_a_released_proposal_is_done_and_is_not_asked_again():
    site = asked()
    number = site.open_one("p000").id

    (run,) = queue.release(site.here, [number], why="it is right")

    assert ("release", "ended") == (run.kind, run.state)
    assert [("p000", "update", "applied")] == site.told(run)
    assert "superseded" == site.value("SELECT state FROM operations WHERE id = ?", number)
    assert [("release", "ada", "it is right")] == site.rows("SELECT verb, who, why FROM decisions")
    assert [] == site.operations(site.sync())


def test_an_edited_proposal_outlives_the_reads_until_the_value_changes():
    site = asked(rules={"last_name": {"length": [1, 6]}}, sn="Too long a name")
    failed = site.open_one("p000")
    assert "failed" == failed.state
    with pytest.raises(SyncdError, match="failed and cannot be done as it is"):
        queue.release(site.here, [failed.id])

    run = queue.edit(site.here, failed.id, {"last_name": "Short"})

    edited = site.open_one("p000")
    assert ("detained", "ended") == (edited.state, site.run(run.id).state)
    for _ in range(2):
        site.sync()
    assert edited.id == site.open_one("p000").id
    queue.release(site.here, [edited.id])
    assert "Short" == site.person("p000").attributes["last_name"]
    assert [] == site.operations(site.sync())
    site.world().change("p000", sn="Again")
    site.sync()
    assert "Again" in site.open_one("p000").after


def test_an_edit_of_what_a_weaker_source_says_does_not_beat_the_stronger():
    site = shared(lab={"map": {**LAB["map"], "title": {"from": "title", "policy": "detain"}}})
    site.world("lab").change("x", title="Prof")
    site.sync("lab")

    queue.edit(site.here, site.open_one("x").id, {"last_name": "Weak", "title": "Prof"})
    queue.release(site.here, [site.open_one("x").id])

    attributes = site.person("p000").attributes
    assert ("P000", "Prof") == (attributes["last_name"], attributes["title"])
    assert [] == site.operations(site.sync("lab"))


def test_what_failed_is_judged_again_by_the_rules_as_they_are_now():
    site = Site(hq={"rules": {"last_name": {"required": True}}})
    site.hire("a", sn="")
    site.hire("b")
    site.sync()
    assert [("a", "add", "failed")] == site.told()
    site.configure(hq={})

    queue.retry(site.here, [site.open_one("a").id])

    assert [("a", "add", "detained")] == site.told()
    queue.release(site.here, [site.open_one("a").id])
    assert "a" in site.linked()


def test_releasing_two_operations_of_one_account_at_once_is_refused():
    """One after the other: each has to see what the other did."""
    site = Site(
        hq={}, lab={"match": ["login", "email"], "map": {"login": "uid", "email": "mail", "phone": "tel"}}
    )
    site.hired(2)
    site.hire("x", source="lab", uid="p000", mail="x@acme.example", tel="1")
    site.hire("y", source="lab", uid="y", mail="p000@acme.example", tel="2")
    site.sync("lab")
    numbers = [one.id for one in site.operations()]

    with pytest.raises(SyncdError, match="one after the other"):
        queue.release(site.here, numbers)
    queue.release(site.here, numbers[:1])
    queue.release(site.here, numbers[1:])

    assert ["x"] == list(site.linked("lab"))
    assert [("y", "update", "detained")] == site.told()
    assert site.claimed() == site.taken()


@pytest.mark.parametrize("switched", ["first-run", "always", "never"])
def test_plans_are_detained_as_the_configuration_says(switched):
    site = Site(hq={"detain": switched})
    assert "ended" == site.sync().state
    site.hire("a", "b")

    first = site.sync()
    if switched != "never":
        assert "held" == first.state
        assert "held" == site.sync().state
        site.approve(first)
    assert ["a", "b"] == sorted(site.linked())
    assert "ended" == site.sync().state
    site.hire("c")
    assert ("held" if switched == "always" else "ended") == site.sync().state


def test_a_first_plan_of_which_nothing_can_be_done_is_not_the_first_plan():
    site = Site(hq={"detain": "first-run", "rules": {"last_name": {"required": True}}})
    site.hire("a", sn="")
    site.sync()
    queue.discard(site.here, [site.open_one("a").id])
    site.hire("b", "c")

    assert ["first-run"] == [one.code for one in site.sync().objections]


@pytest.mark.parametrize("verb", [queue.release, queue.discard])
def test_a_first_plan_is_agreed_to_when_all_of_it_was_released_or_discarded(verb):
    site = Site(hq={"detain": "first-run"})
    site.hire("a", "b")
    numbers = [one.id for one in site.operations(site.sync())]

    verb(site.here, numbers[:1])
    site.world().change("b", sn="Changed")
    run = site.sync()
    assert "held" == run.state
    verb(site.here, [one.id for one in site.operations(run)])
    site.hire("c")

    assert [("c", "add", "applied")] == site.told(site.sync())


def test_what_is_stale_when_it_is_applied_is_detained():
    site = Site(hq={"detain": "always"})
    site.hire("a", "b")
    site.approve(site.plan())
    site.world().change("a", sn="Changed", mail="new@acme.example")
    site.world().change("b", sn="Changed")
    run = site.plan()
    people.edit(site.here, site.person("a").id, {"last_name": "By hand"})
    people.edit(site.here, site.person("b").id, {"phone": "1"})

    site.approve(run)

    assert [("a", "update", "detained"), ("b", "update", "applied")] == site.told(run)
    assert "stale" == site.open_one("a").faults[-1][0]
    assert ("By hand", "a@acme.example") == tuple(
        site.person("a").attributes[name] for name in ("last_name", "email")
    )
    assert {"last_name": "Changed", "phone": "1"}.items() <= site.person("b").attributes.items()
    assert site.claimed() == site.taken()


@pytest.mark.parametrize("chunk", [1, 2, 5000])
def test_a_key_is_not_taken_from_one_whose_own_change_is_stale(monkeypatch, chunk):
    """The chain a -> b -> c: where b cannot let go, a is detained as well."""
    monkeypatch.setattr(applying, "CHUNK", chunk)
    site = Site(hq={"detain": "always"})
    site.hire("a", "b", "c")
    site.approve(site.plan())
    site.world().change("a", mail="b@acme.example")
    site.world().change("b", mail="c@acme.example", sn="Changed")
    site.world().change("c", mail="free@acme.example")
    run = site.plan()
    people.edit(site.here, site.person("b").id, {"last_name": "By hand"})

    site.approve(run)

    assert [
        ("a", "update", "detained"),
        ("b", "update", "detained"),
        ("c", "update", "applied"),
    ] == site.told(run)
    assert "key_taken" == site.open_one("a").faults[-1][0]
    assert site.claimed() == site.taken()


def test_a_collision_that_was_discarded_is_not_asked_again_until_it_is_another():
    site = Site(hq={"match": []})
    site.hire("a", "b", uid="Same")
    site.hire("c")
    site.sync()
    queue.discard(site.here, [one.id for one in site.operations()])

    for _ in range(2):
        assert [] == site.operations(site.sync())
    site.hire("d", uid="SAME")

    assert [("a", "add", "detained"), ("b", "add", "detained"), ("d", "add", "detained")] == (
        site.told(site.sync())
    )


# --- undo ---


def state(site):
    """Return everything that an undo has to bring back: accounts but for their revisions, and keys."""
    accounts = site.rows(
        "SELECT id, attributes, template, local, disabled_by, deleted_at IS NULL FROM accounts"
    )
    return [(row[0], json.loads(row[1]), *row[2:]) for row in accounts], site.taken()


def test_undo_brings_back_exactly_what_was_and_undoing_that_does_it_again():
    site = Site(hq={"leavers": {**AT_ONCE, "delete_after": "1d"}, "adopt": True})
    site.hired(9)
    site.fire("p008")
    site.sync()
    people.add(site.here, "acme", {"login": "manual", "phone": "1"})
    site.wait(days=2)
    before = state(site)
    world = site.world()
    world.change("p000", sn="Renamed", tel="5")
    world.change("p001", mail="p002@acme.example")
    world.change("p002", mail="p001@acme.example")
    world.disable("p003")
    site.fire("p004")
    site.hire("new1")
    site.hire("adopts", uid="manual")
    site.fire("p005")
    site.hire("p005-new", uid="p005", sn="Re-created")
    run = site.sync()
    assert {"applied"} == {state for _, _, state in site.told(run)}
    assert {"add", "update", "disable", "delete"} == {kind for _, kind, _ in site.told(run)}
    after = state(site)

    undo = plan_undo(site.here, run.id)
    assert ("undo", "planned", run.id) == (undo.kind, undo.state, undo.undoes)
    assert after == state(site)
    site.apply(undo)

    added = site.value("SELECT MAX(id) FROM accounts")
    assert before == ([row for row in state(site)[0] if row[0] != added], state(site)[1])
    assert site.people()[added].deleted
    assert {(True,)} == set(site.rows("SELECT undone_by IS NOT NULL FROM operations WHERE run = ?", run.id))
    assert site.claimed() == site.taken()
    redo = site.apply(plan_undo(site.here, undo.id))
    assert after == state(site)
    assert {"applied"} == {state for _, _, state in site.told(redo)}


def test_what_was_undone_is_not_done_again_until_the_value_changes():
    site = Site(hq={"leavers": {**AT_ONCE, "delete_after": "1d"}})
    site.hired(6)
    site.world().change("p000", sn="Renamed")
    site.world().disable("p001")
    site.fire("p002")
    site.hire("new")
    run = site.sync()
    before = state(site)
    site.apply(plan_undo(site.here, run.id))
    undone = state(site)

    for _ in range(2):
        assert [] == site.operations(site.sync())
    site.configure(hq={"leavers": AT_ONCE, "map": {**PLAIN["map"], "phone": {"from": ["tel", "phone"]}}})
    for _ in range(2):
        assert [] == site.operations(site.sync())
    assert undone == state(site)
    assert before != undone
    site.world().change("p000", sn="Renamed again")
    site.world().change("new", sn="Changed")
    assert [("new", "enable", "applied"), ("p000", "update", "applied")] == site.told(site.sync())


def test_undone_once_more_after_it_was_done_again_it_is_kept_away_again():
    """However often it goes to and fro, the last word is what the next read goes by."""
    site = Site()
    site.hired(6)
    site.world().change("p000", sn="Renamed")
    site.fire("p002")
    run = site.sync()
    for undone in (True, False, True, False, True):
        site.wait(seconds=1)
        run = site.apply(plan_undo(site.here, run.id))
        before = state(site)
        standing = "SELECT COUNT(*) FROM decisions WHERE verb = 'undo' AND ended_at IS NULL"

        assert undone == bool(site.value(standing))
        assert [] == site.operations(site.sync())
        assert before == state(site)
    site.world().change("p000", sn="Renamed again")
    assert [("p000", "update", "applied")] == site.told(site.sync())


def test_what_later_runs_touched_is_detained_when_an_earlier_run_is_undone():
    site = Site()
    site.hired(3)
    site.world().change("p000", sn="First", tel="1")
    site.world().change("p001", sn="First")
    site.hire("added", "kept")
    first = site.sync()
    site.world().change("p000", sn="Second")
    site.world().change("p001", tel="2")
    site.world().change("added", tel="3")
    site.sync()

    undo = site.apply(plan_undo(site.here, first.id))

    assert [
        ("added", "delete", "detained"),
        ("kept", "delete", "applied"),
        ("p000", "update", "detained"),
        ("p001", "update", "applied"),
    ] == site.told(undo)
    assert {"stale"} == {one.faults[-1][0] for one in site.operations()}
    assert ("P001", "2") == tuple(site.person("p001").attributes[name] for name in ("last_name", "phone"))
    assert site.claimed() == site.taken()


def test_an_undo_that_would_remove_too_many_is_detained():
    site = Site(hq={"limits": {"remove": {"percent": 5}, "add": "off"}})
    site.hired(30)

    undo = site.apply(plan_undo(site.here, 1))

    assert {"detained"} == {state for _, _, state in site.told(undo)}
    assert all(one.active for one in site.people().values())


def test_undoing_what_people_did_by_hand():
    site = Site()
    site.hired(2)
    account = site.person("p000").id
    before = state(site)
    done = [
        people.edit(site.here, account, {"last_name": "By hand", "phone": "1"}),
        people.set_enabled(site.here, account, enabled=False),
        people.edit(site.here, account, {"phone": "2"}),
        unlink(site.here, account, "hq").run,
        people.delete(site.here, account),
    ]

    for run in reversed(done):
        site.apply(plan_undo(site.here, run.id))

    assert before == state(site)
    assert "p000" in site.linked()


def test_a_decision_of_an_undo_that_was_not_applied_changes_nothing():
    site = Site()
    site.hired(2)
    site.world().change("p000", sn="Renamed")
    run = site.sync()
    plan_undo(site.here, run.id)
    site.world().change("p000", sn="P000")
    site.sync()
    site.world().change("p000", sn="Renamed")

    assert [("p000", "update", "applied")] == site.told(site.sync())


# --- guards ---

TIGHT = {"remove": {"percent": 5, "count": 50, "per_day": 100}}


@pytest.mark.parametrize("managed", [1, 19, 20, 100])
@pytest.mark.parametrize("beyond", [-1, 0, 1])
def test_removals_go_up_to_the_limit_and_are_detained_beyond_it(managed, beyond):
    """Below 20 accounts 5 percent are two of them, from 20 on it is the share rounded down."""
    site = Site(hq={"limits": {**UNLIMITED, **TIGHT}})
    anchors = site.hired(managed)
    most = 2 if managed < 20 else managed // 20
    leaving = min(most + beyond, managed - 1)
    site.fire(*anchors[: max(leaving, 0)])
    site.world().change(anchors[-1], sn="Goes on")

    run = site.sync()

    state = "applied" if leaving <= most else "detained"
    assert [(anchor, "disable", state) for anchor in anchors[: max(leaving, 0)]] == [
        one for one in site.told(run) if one[1] == "disable"
    ]
    assert "Goes on" == site.person(anchors[-1]).attributes["last_name"]
    assert ("ended", leaving > most) == (
        run.state,
        "too-many-removals" in [one.code for one in run.objections],
    )


def test_with_nobody_managed_nothing_can_be_removed():
    site = Site(hq={"limits": TIGHT})
    site.hire("a")
    site.world().disable("a")

    assert [("a", "add", "applied")] == site.told(site.sync())


@pytest.mark.parametrize(("kind", "code"), [("add", "too-many-adds"), ("update", "too-many-updates")])
@pytest.mark.parametrize("beyond", [-1, 0, 1])
@pytest.mark.parametrize("limit", [{"percent": 10}, {"count": 3}, {"count": 1}, {"per_day": 3}])
def test_too_many_additions_or_updates_hold_the_run_unless_it_is_the_first(kind, code, beyond, limit):
    site = Site(hq={"limits": {**UNLIMITED, kind: {"percent": "off", **limit}}})
    anchors = site.hired(30)
    (word, value), = limit.items()  # fmt: skip
    most = {"percent": 3}.get(word, value)
    site.wait(days=2)
    for number in range(most + beyond):
        if kind == "add":
            site.hire(f"new{number}")
        else:
            site.world().change(anchors[number], sn="Changed")

    run = site.sync()

    expected = [code + ("-today" if word == "per_day" else "")] if beyond > 0 else []
    assert expected == [one.code for one in run.objections]
    assert ("held" if expected else "ended") == run.state


def test_a_limit_of_a_day_counts_what_was_done_in_the_last_24_hours():
    site = Site(hq={"limits": {**UNLIMITED, "add": {"percent": "off", "per_day": 5}}})
    site.hired(30)
    site.wait(days=2)
    site.hire("a", "b", "c")
    assert "ended" == site.sync().state
    site.hire("d", "e", "f")
    assert ["too-many-adds-today"] == [one.code for one in site.sync().objections]
    site.wait(hours=21)
    assert "held" == site.sync().state
    site.wait(hours=1)
    assert "ended" == site.sync().state


@pytest.mark.parametrize("leavers", [AT_ONCE, {"reads": 2, "after": "2h"}], ids=["at once", "with grace"])
def test_a_slow_bleed_stops_at_the_sum_of_the_day(leavers):
    """Four percent in every read, and no read alone is suspicious."""
    site = Site(hq={"limits": {"remove": {"percent": 10, "per_day": 10}}, "leavers": leavers})
    anchors = site.hired(100)
    for number in range(20):
        site.fire(*anchors[number * 4 : number * 4 + 4])
        site.wait(minutes=-30)
        site.sync()

    assert 10 >= 100 - sum(one.active for one in site.people().values()) > 0


def test_removals_are_judged_when_people_are_first_missing_and_not_days_later():
    site = Site(hq={"limits": {**UNLIMITED, **TIGHT}, "leavers": DAY})
    anchors = site.hired(100)
    site.fire(*anchors[:6])

    first = site.sync()

    assert ["too-many-removals"] == [one.code for one in first.objections]
    assert {"detained"} == {state for _, _, state in site.told(first)}
    for _ in range(3):
        site.wait(days=1)
        site.sync()
    assert 100 == sum(one.active for one in site.people().values())
    assert [one.id for one in site.operations(first)] == [one.id for one in site.operations()]
    queue.release(site.here, [one.id for one in site.operations()])
    assert 94 == sum(one.active for one in site.people().values())
    assert [] == site.operations(site.sync())


CONTAINERS = {
    "map": {**PLAIN["map"], "distinguished_name": "dn"},
    "limits": {**UNLIMITED, "container": "50%"},
}


@pytest.mark.parametrize("leavers", [AT_ONCE, DAY], ids=["at once", "with grace"])
def test_a_container_that_is_emptied_holds_the_run_and_the_next_ones_too(leavers):
    """Also when the next plan differs, and though people wait out their grace in the held one."""
    site = Site(hq={**CONTAINERS, "leavers": leavers})
    for number in range(20):
        unit = "North" if number < 6 else "South"
        site.hire(f"p{number:03}", dn=f"CN=Last\\, First {number},OU={unit},DC=acme")
    site.sync()
    site.fire("p000", "p001", "p002", "p003")

    for number in range(4):
        run = site.sync()
        assert ("held", ["container-emptied"]) == (run.state, [one.code for one in run.objections])
        assert "4 of 6 people of OU=North,DC=acme" in run.objections[0].message
        site.world().change("p010", sn=f"Changed {number}")
        site.wait(days=1)

    assert 20 == sum(one.active for one in site.people().values())
    assert 0 == site.value("SELECT COUNT(*) FROM links WHERE missing_since IS NOT NULL")


def test_removals_that_are_detained_keep_the_keys_that_others_would_take():
    """What the preview shows as planned is what is applied, and it goes on by itself when they are released."""
    site = Site(
        hq={"limits": {**UNLIMITED, "remove": {"count": 0}}, "leavers": {**AT_ONCE, "missing": "delete"}}
    )
    site.hired(3)
    site.fire("p000")
    site.world().change("p001", mail="p000@acme.example")

    for _ in range(3):
        run = site.plan()
        assert [] == [one for one in site.operations(run) if one.state == "planned"]
        site.apply(run)
        assert [("p000", "delete", "detained"), ("p001", "update", "detained")] == site.told()
    queue.release(site.here, [site.open_one("p000").id])
    site.sync()

    assert "p000@acme.example" == site.person("p001").attributes["email"]
    assert [] == site.operations()
    assert site.claimed() == site.taken()


def test_people_who_wait_out_their_grace_keep_nobody_from_a_key():
    """A key that would come back when a link ends is free until then."""
    site = Site(
        hq={"leavers": DAY}, lab={"adopt": True, "leavers": DAY, "map": {"login": "uid", "email": "mail"}}
    )
    site.hire("a", "b", mail="")
    site.sync()
    site.hire("x", source="lab", uid="a", mail="shared@acme.example")
    site.hire("other", source="lab", mail="")
    site.sync("lab")
    site.world().change("a", mail="a@acme.example")
    site.sync()
    site.fire("a")
    site.world().change("b", mail="shared@acme.example")

    run = site.sync()

    assert [("a", "update", "waiting"), ("b", "update", "applied")] == site.told(run)


class Plugins:
    """Stands before the plugins of a site; ``failures`` and objections are those of the test."""

    def __init__(self, real, failures=(), review=None):
        self.real = real
        self.failures = tuple(failures)
        self.hooks = self
        self.review_plan = review or (lambda plan, limits: [])

    def __getattr__(self, name):
        return getattr(self.real.hooks if hasattr(self.real.hooks, name) else self.real, name)


def test_a_plugin_that_is_missing_holds_every_run_and_nobody_can_set_that_aside(monkeypatch):
    site = Site()
    with_failure = Plugins(site.here.plugins, [PluginError("acme_hr", "cannot be imported")])
    monkeypatch.setattr("line_world.plugins", lambda: with_failure)
    site.hire("a")

    run = site.sync()

    assert ("held", ["plugin-missing"]) == (run.state, [one.code for one in run.objections])
    with pytest.raises(SyncdError, match="mend the plugin first"):
        site.approve(run)
    assert "held" == people.add(site.here, "acme", {"login": "manual"}).state
    assert {} == site.people()


def test_a_reviewer_detains_single_operations(monkeypatch):
    site = Site()

    def review(plan, limits):
        return [
            Objection("not-this-one", f"operation:{one.id}", "please ask", by="acme_hr")
            for one in plan
            if one.anchor == "b"
        ]

    monkeypatch.setattr("line_world.plugins", lambda: reviewing)
    reviewing = Plugins(real_plugins(), review=review)
    site.hire("a", "b", "c")

    run = site.sync()

    assert [("a", "add", "applied"), ("b", "add", "detained"), ("c", "add", "applied")] == site.told(run)
    assert "not-this-one" == site.open_one("b").faults[0][0]


def test_random_plans_never_pass_a_limit():
    """Ten thousand summaries: what is not objected to is within every limit, by a count of our own."""
    chance = random.Random(4711)
    passed = 0
    for _ in range(10_000):
        limits = Limits(remove=some_limit(chance), add=some_limit(chance), update=some_limit(chance))
        plan = Summary(
            adds=chance.randrange(40),
            updates=chance.randrange(40),
            removals=chance.choice([0, 1, 2, 3, 5, 20, 60]),
            managed=chance.choice([0, 1, 5, 19, 20, 21, 100, 1000]),
            linked=chance.choice([0, 1, 5, 19, 20, 21, 100, 1000]),
            removed_today=chance.choice([0, 0, 1, 90]),
            added_today=chance.choice([0, 0, 7]),
            updated_today=chance.choice([0, 0, 7]),
            first=chance.random() < 0.2,
        )

        objections = review(plan, limits)

        codes = {one.code for one in objections}
        fine = within(plan.removals, limits.remove, plan.managed, plan.removed_today)
        assert fine == (not any("removals" in code for code in codes)), (plan, limits)
        if not plan.first:
            assert within(plan.adds, limits.add, plan.linked, plan.added_today) == (
                not any("adds" in code for code in codes)
            ), (plan, limits)
            assert within(plan.updates, limits.update, plan.linked, plan.updated_today) == (
                not any("updates" in code for code in codes)
            ), (plan, limits)
        passed += not objections
    assert 500 < passed < 9_500


def some_limit(chance):
    return Limit(
        percent=chance.choice([None, 0, 5.0, 30.0, 100.0]),
        count=chance.choice([None, 0, 1, 2, 50]),
        per_day=chance.choice([None, None, 0, 5, 100]),
    )


def within(count, limit, total, today):
    if count == 0:
        return True
    share = None if limit.percent is None else limit.percent / 100 * total
    if share is not None and total < 20 and limit.percent:
        share = max(share, 2)
    bounds = [bound for bound in (share, limit.count) if bound is not None]
    return all(count <= bound for bound in bounds) and (
        limit.per_day is None or today + count <= limit.per_day
    )


def test_an_undo_that_is_detained_waits_for_a_person_while_the_source_is_read_on():
    site = Site(hq={"limits": {**UNLIMITED, "remove": {"count": 1}}})
    site.hired(3)
    undo = site.apply(plan_undo(site.here, 1))
    for _ in range(2):
        site.sync()
    assert [
        ("p000", "delete", "detained"),
        ("p001", "delete", "detained"),
        ("p002", "delete", "detained"),
    ] == (site.told(undo))

    queue.release(site.here, [site.open_one("p001").id])

    assert site.person("p001").deleted
    assert [(True,)] == site.rows(
        "SELECT undone_by IS NOT NULL FROM operations WHERE run = 1 AND anchor = 'p001'"
    )
    for _ in range(2):
        assert [] == site.operations(site.sync())
    site.world().change("p000", sn="Changed")
    assert [("p000", "update", "applied")] == site.told(site.sync())
    assert ["p002"] == [one.anchor for one in site.operations()]


def test_attributes_with_many_values_are_compared_changed_and_brought_back():
    site = Site(hq={"detain": "always", "map": {**PLAIN["map"], "secondary_phones": "phones"}})
    site.hire("a", "b", phones=("1", "ä2", '"3"'))
    site.approve(site.plan())
    site.world().change("a", phones=("ä2", "4"))
    site.world().change("b", phones=())
    run = site.plan()
    people.edit(site.here, site.person("a").id, {"title": "Dr"})
    before = site.person("a").attributes

    site.approve(run)

    assert ["ä2", "4"] == site.person("a").attributes["secondary_phones"]
    assert "secondary_phones" not in site.person("b").attributes
    site.apply(plan_undo(site.here, run.id))
    assert before == site.person("a").attributes
    assert ["1", "ä2", '"3"'] == site.person("b").attributes["secondary_phones"]
    site.approve(plan_undo(site.here, site.value("SELECT MAX(id) FROM runs")))
    assert ["ä2", "4"] == site.person("a").attributes["secondary_phones"]


def test_two_held_plans_that_want_one_key_do_not_share_it():
    site = Site(hq={"detain": "always"}, lab={"detain": "always", "match": []})
    site.hire("a")
    site.hire("x", source="lab", uid="A")
    first, second = site.plan("hq"), site.plan("lab")

    site.approve(first)
    site.approve(second)

    assert [("a", "add", "applied")] == site.told(first)
    assert [("x", "add", "detained")] == site.told(second)
    assert "key_taken" == site.open_one("x").faults[-1][0]
    assert site.claimed() == site.taken()


def test_a_held_addition_whose_entry_was_linked_by_a_person_meanwhile_is_detained():
    site = Site(hq={"detain": "always"})
    people.add(site.here, "acme", {"login": "manual"})
    (account,) = site.people()
    site.hire("a", "b")
    run = site.plan()
    people.link(site.here, account, "hq", "a")

    site.approve(run)

    assert [("a", "add", "detained"), ("b", "add", "applied")] == site.told(run)
    assert f"a is linked to account {account} by now" == site.open_one("a").faults[-1][2]
    assert 2 == len(site.people())
    site.approve(site.plan())
    assert "a" == site.people()[account].attributes["login"]
    assert [] == site.operations()


def test_a_single_operation_of_a_held_plan_is_released_and_the_rest_can_still_be_approved():
    site = Site(hq={"detain": "always"})
    site.hire("a", "b", "c")
    run = site.plan()

    queue.release(site.here, [one.id for one in site.operations(run) if one.anchor == "b"])
    assert ["b"] == list(site.linked())
    again = site.sync()
    assert [("a", "add", "planned"), ("c", "add", "planned")] == site.told(again)
    site.approve(again)

    assert ["a", "b", "c"] == sorted(site.linked())


def test_platforms_are_told_to_look_at_what_was_touched_and_at_nothing_else():
    site = Site(top={"platform": {"phones": {"type": "memory"}}})
    site.hired(3)
    wanted = dict(site.rows("SELECT account, wanted FROM remotes"))
    people.edit(site.here, site.person("p001").id, {"last_name": "By hand"})
    site.world().change("p001", sn="Unheard")
    site.world().change("p002", sn="Heard")

    run = site.sync()

    assert [("p001", "update", "applied"), ("p002", "update", "applied")] == site.told(run)
    first, second, third = sorted(wanted)
    by_hand = site.value("SELECT MAX(id) FROM operations WHERE kind = 'update' AND anchor IS NULL")
    heard = site.value("SELECT MAX(id) FROM operations WHERE anchor = 'p002'")
    assert {first: wanted[first], second: by_hand, third: heard} == dict(
        site.rows("SELECT account, wanted FROM remotes")
    )


def test_an_account_tells_who_says_what_of_it_and_who_won():
    site = shared()
    account = site.person("p000").id
    people.edit(site.here, account, {"last_name": "By hand"})

    told = {one.attribute: one for one in explain(site.here, account)}

    assert [("lab", "Lab", False), ("hq", "P000", False), ("a person", "By hand", True)] == [
        (voice.layer, voice.value, voice.won) for voice in told["last_name"].voices
    ]
    assert "By hand" == told["last_name"].value
    assert [("lab", "1", True)] == [(voice.layer, voice.value, voice.won) for voice in told["phone"].voices]
    assert ["tel"] == [voice.mapping for voice in told["phone"].voices]
    site.fire("p000")
    site.sync()
    told = {one.attribute: one for one in explain(site.here, account)}
    assert ["lab", "a person"] == [voice.layer for voice in told["last_name"].voices]
    assert {one.attribute: one.value for one in told.values() if one.value} == site.people()[
        account
    ].attributes


def test_who_adopts_a_leaver_says_what_the_account_says():
    """What the source that has lost them said of them counts no more."""
    site = Site(hq={"adopt": True}, lab=LAB)
    site.hire("a", "other", sn="Then")
    site.sync()
    site.fire("a")
    site.sync()
    site.hire("x", source="lab", uid="a", sn="Now")

    site.sync("lab")

    assert site.person("x", "lab").active
    assert {"login": "a", "last_name": "Now"} == site.person("a").attributes


def test_a_second_entry_of_a_source_is_not_linked_to_an_account_that_has_one():
    """Though both of them were released, and neither would change anything."""
    site = Site(hq={}, lab={"match": ["login", "email"]})
    site.hired(2)
    site.hire("x", source="lab", uid="p000", mail="", sn="")
    site.hire("y", source="lab", uid="", mail="p000@acme.example", sn="")
    site.sync("lab")
    first, second = (site.open_one(anchor).id for anchor in "xy")
    queue.release(site.here, [first])

    queue.release(site.here, [second])

    assert ["x"] == list(site.linked("lab"))
    message = f"account {site.person('p000').id} is linked to x by now"
    assert message == site.open_one("y").faults[-1][2]


def test_a_login_that_a_platform_has_not_let_go_belongs_to_nobody_who_could_be_found_by_it():
    site = Site(
        top={"platform": {"phones": {"type": "memory"}}}, hq={"leavers": {**AT_ONCE, "missing": "delete"}}
    )
    site.hired(2)
    deleted = site.person("p000").id
    site.fire("p000")
    site.sync()
    assert 2 == site.value("SELECT COUNT(*) FROM keys WHERE releasing = ?", deleted)
    site.hire("new", uid="p000", mail="p000@acme.example")

    run = site.sync()

    assert [("new", "add", "applied")] == site.told(run)
    assert deleted != site.person("new").id
