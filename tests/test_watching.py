"""One look at everything: who was read when, what waits, how platforms are, and what it costs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import line_world
import pytest
from line_world import START, Site
from test_journal_scans import LARGE, scans

from syncd.distribution import distribute
from syncd.errors import Denied, Unavailable
from syncd.pipeline.delivering import lanes_of
from syncd.pipeline.policy import settle_policy
from syncd.pipeline.troubles import troubles
from syncd.pipeline.watching import ConnectionStanding, overdue, standing
from syncd.schedules import parse
from syncd.store.watching import counted

quiet = line_world.quiet
PLATFORM = {"platform": {"pbx": {"type": "memory"}}}


def look(site, **given):
    return standing(site.here, **given)


def source(site, name="hq", **given):
    (found,) = [one for one in look(site, **given).connections if one.name == name]
    return found


def kinds(site, **given):
    return [one.kind for one in troubles(look(site, **given))]


class TestSources:
    def test_one_that_was_never_read_is_there_and_neither_late_nor_failed(self):
        site = Site(hq={"schedule": {"full": "daily at 02:30"}})
        hq = source(site)

        assert ({}, {}, None, (), False) == (hq.read, hq.success, hq.latest, hq.late, hq.failed)
        assert [] == kinds(site)

    def test_a_read_that_was_applied_is_a_success_by_its_mode(self):
        site = Site(hq={"type": "memory-delta"})
        site.hired(3)
        first = site.now - timedelta(hours=1)
        site.hire("new")
        site.sync()
        hq = source(site)

        assert {
            "full": f"{first:%FT%TZ}",
            "incremental": f"{first + timedelta(hours=1):%FT%TZ}",
        } == hq.success
        assert (3, "ended", 2) == (hq.entries, hq.latest.state, hq.latest.run)

    def test_a_held_read_came_to_its_end_and_is_no_success(self):
        site = Site(hq={"detain": "first-run"})
        site.hired(3)
        stands = look(site)
        (hq,) = stands.connections

        assert ({"full": f"{START:%FT%TZ}"}, {}) == (hq.read, hq.success)
        assert [(1, "hq", ("first-run",), 3)] == [
            (run.run, run.connection, run.objections, run.changes) for run in stands.held
        ]
        assert ["plan_held"] == kinds(site)

    def test_reading_a_held_plan_again_is_still_no_success(self):
        site = Site(hq={"detain": "first-run"})
        site.hired(3)
        site.sync()

        assert {} == source(site).success
        assert "planned" != source(site).latest.state

    def test_a_failed_read_is_told_until_one_comes_to_its_end(self):
        site = Site()
        site.hired(2)
        site.spoiled["hq"] = unavailable
        with pytest.raises(Unavailable):
            site.sync()

        assert source(site).failed
        (trouble,) = troubles(look(site))
        assert ("connection_failed", "source hq", "syncd runs 2") == (
            trouble.kind,
            trouble.subject,
            trouble.next,
        )
        assert "nobody answers" in trouble.detail
        assert "nobody answers" not in trouble.text

        del site.spoiled["hq"]
        site.sync()

        assert not source(site).failed
        assert [] == kinds(site)

    def test_a_read_that_is_under_way_does_not_hide_that_the_last_one_failed(self):
        site = Site()
        site.spoiled["hq"] = unavailable
        with pytest.raises(Unavailable):
            site.sync()
        with site.database.transaction() as conn:
            conn.execute(
                "INSERT INTO runs (connection, enterprise, kind, mode, state, actor, started_at)"
                " VALUES (1, 'acme', 'sync', 'full', 'reading', 'ada', '2026-01-05T09:00:00Z')"
            )

        assert source(site).failed

    def test_what_is_tried_again_by_itself_is_no_trouble(self):
        stands = look(Site())
        waiting = ConnectionStanding(name="hq", enterprise="acme", operations={"waiting": 5})
        failed = replace(waiting, operations={"waiting": 5, "failed": 1})

        assert [] == troubles(replace(stands, connections=(waiting,)))
        assert ["1 failed operation waits for a person"] == [
            one.text for one in troubles(replace(stands, connections=(failed,)))
        ]

    def test_detained_removals_wait_for_a_person(self):
        site = Site(hq={"limits": {"remove": {"count": 1, "percent": "off", "per_day": "off"}}})
        site.hired(5)
        site.fire("p000", "p001")
        site.sync()
        (trouble,) = troubles(look(site))

        assert {"detained": 2} == source(site).operations
        assert "2 detained operations wait for a person" == trouble.text
        assert {"connection": "hq", "detained": 2} == trouble.fields

    def test_who_is_missing_within_the_grace_is_counted(self):
        site = Site(hq={"leavers": {"reads": 2, "after": "24h"}})
        site.hired(3)
        site.fire("p000")
        site.sync()

        assert 1 == source(site).missing
        assert [] == kinds(site)

    def test_one_that_is_not_configured_any_more_is_frozen(self):
        site = Site(hq={}, old={})
        site.hired(2, "old")
        site.configure(hq={})
        old = source(site, "old")

        assert (False, 2) == (old.configured, old.entries)
        assert [] == kinds(site)

    def test_one_that_was_renamed_is_the_one_that_it_was(self):
        site = Site(old={})
        site.hired(2, "old")
        site.configure(new={"formerly": "old"})
        stands = look(site)

        assert [("new", 2, True)] == [(one.name, one.entries, one.configured) for one in stands.connections]

    def test_when_it_is_due_next_is_what_the_caller_says(self):
        site = Site()
        when = START + timedelta(hours=2)

        assert {"full": when} == source(site, due={("hq", "full"): when, ("other", "full"): START}).due


class TestLateness:
    @pytest.mark.parametrize(
        ("schedule", "in_time", "late"),
        [
            ("every 15m", timedelta(minutes=40), timedelta(minutes=41)),
            ("every 2h", timedelta(hours=4, minutes=10), timedelta(hours=4, minutes=11)),
            ("daily at 02:30", timedelta(hours=48, minutes=10), timedelta(hours=48, minutes=11)),
            ("every 3 days at 02:30", timedelta(days=6), timedelta(days=6, minutes=11)),
            ("monday at 02:30", timedelta(days=14), timedelta(days=14, minutes=11)),
            ("monthly on 31 at 02:30", timedelta(days=62), timedelta(days=62, minutes=11)),
        ],
    )
    def test_two_slots_and_ten_minutes_may_go_by(self, schedule, in_time, late):
        assert (False, True) == (
            overdue(parse(schedule), START, START + in_time),
            overdue(parse(schedule), START, START + late),
        )

    @pytest.mark.parametrize("schedule", ["off", "once 2026-01-01 at 02:30"])
    def test_what_has_no_next_slot_is_never_late(self, schedule):
        assert not overdue(parse(schedule), START, START + timedelta(days=1000))

    def test_what_the_service_could_not_read_before_it_began_does_not_count(self):
        now = START + timedelta(days=3)

        assert overdue(parse("every 15m"), START, now)
        assert not overdue(parse("every 15m"), START, now, since=now - timedelta(minutes=5))

    def test_a_clock_that_was_put_back_makes_nobody_late(self):
        assert not overdue(parse("every 15m"), START, START - timedelta(days=9))

    def test_a_full_read_counts_for_what_has_changed_and_not_the_other_way(self):
        schedule = {"incremental": "every 1h", "full": "daily at 02:30"}
        site = Site(hq={"type": "memory-delta", "schedule": schedule})
        site.hired(2)
        site.wait(minutes=30)

        assert () == source(site).late

        site.wait(days=2)
        site.hire("new")
        site.sync()

        assert ("full",) == source(site).late
        assert ["connection_late"] == kinds(site)

    def test_a_source_that_fails_becomes_late_as_well(self):
        site = Site(hq={"schedule": {"full": "every 1h"}})
        site.hired(2)
        site.spoiled["hq"] = unavailable
        for _ in range(2):
            site.wait(hours=1)
            with pytest.raises(Unavailable):
                site.sync()

        assert ["connection_failed", "connection_late"] == kinds(site)


class TestPlatforms:
    @pytest.fixture
    def site(self):
        made = Site(top=PLATFORM)
        made.hired(3)
        settle_policy(made.here)
        made.hire("new")
        made.sync()
        return made

    def deliver(self, site, error=None):
        (lane,) = lanes_of(site.here)
        if error is not None:
            spoil(lane.platform, error)
        distribute(
            site.database, [lane], clock=site.here.clock, log=Silent(), stopping=site.here.stopping.is_set
        )
        return lane

    def platform(self, site, *lanes):
        (found,) = look(site, lanes=lanes).platforms
        return found

    def test_what_it_has_not_got_is_counted_with_the_age_of_the_oldest(self, site):
        pbx = self.platform(site)

        assert ({"pending": 4}, "well") == (pbx.deliveries, pbx.state)
        assert site.value("SELECT MIN(changed_at) FROM operations WHERE kind = 'add'") == pbx.oldest

    def test_what_it_has_is_not_counted(self, site):
        lane = self.deliver(site)

        pbx = self.platform(site, lane)

        assert ({}, None, "well") == (pbx.deliveries, pbx.oldest, pbx.state)

    @pytest.mark.parametrize(
        ("error", "state"), [(Unavailable("nobody answers"), "unavailable"), (Denied("no right"), "denied")]
    )
    def test_one_that_cannot_be_used_is_told_from_what_the_lane_knows_and_from_the_database(
        self, site, error, state
    ):
        lane = self.deliver(site, error)
        known, heard = self.platform(site, lane), self.platform(site)

        assert (state, state) == (known.state, heard.state)
        assert str(error) in known.message
        assert ["platform_failed"] == kinds(site, lanes=[lane])

    def test_a_lane_that_was_not_used_yet_knows_less_than_the_database(self, site):
        self.deliver(site, Unavailable("nobody answers"))

        assert "unavailable" == self.platform(site, *lanes_of(site.here)).state

    def test_what_failed_waits_for_a_person_and_does_not_grow_old(self, site):
        with site.database.transaction() as conn:
            conn.execute("UPDATE remotes SET state = 'failed'")
        pbx = self.platform(site)

        assert ({"failed": 4}, None, "well") == (pbx.deliveries, pbx.oldest, pbx.state)
        assert ["deliveries_failed"] == kinds(site)

    def test_the_breaker_counts_as_left_alone(self, site):
        (lane,) = lanes_of(site.here)
        lane.health.known = lane.health.open = True
        lane.health.message = "5 of 5 deliveries failed"

        assert "breaker" == self.platform(site, lane).state


class TestTheRest:
    def test_a_plugin_that_is_broken_is_the_first_trouble(self):
        from syncd.errors import PluginError

        site = Site(hq={"detain": "first-run"})
        site.hired(2)
        plugins = site.here.plugins._replace(failures=(PluginError("acme_hr", "no such library"),))
        found = troubles(standing(replace(site.here, plugins=plugins)))

        assert ["plugin_failed", "plan_held"] == [one.kind for one in found]
        assert [2, 1] == [one.severity for one in found]

    def test_a_disk_without_room_for_a_backup_is_trouble(self, tmp_path):
        site = Site(tmp_path)
        stands = look(site)

        assert stands.database_bytes >= (tmp_path / "syncd.db").stat().st_size
        assert stands.free_bytes > 0
        assert ["disk_low"] == [one.kind for one in troubles(replace(stands, free_bytes=255 << 20))]
        big = replace(stands, free_bytes=2 << 30, database_bytes=3 << 30)
        assert ["disk_low"] == [one.kind for one in troubles(big)]


@pytest.mark.parametrize("kind", ["memory", "memory-delta"])
def test_a_look_reads_no_large_table_from_end_to_end(kind):
    """Nor the runs, of which there are a hundred a day."""
    site = Site(hq={"type": kind}, top=PLATFORM)
    site.hired(10)
    statements: set[str] = set()
    site.database.conn.set_trace_callback(statements.add)
    look(site)
    list(counted(site.database, 5, [3]))
    site.database.conn.set_trace_callback(None)

    assert len(statements) > 8
    assert set() == scans(site, statements, (*LARGE, "runs"))


def test_a_look_costs_milliseconds_with_many_accounts_and_runs():
    """With 20 000 people who wait on a platform, a thousand detained, and a year of runs."""
    import time

    site = Site(top=PLATFORM)
    site.hired(2)
    with site.database.transaction() as conn:
        conn.execute(
            "WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 20099)"
            " INSERT INTO accounts (id, enterprise, kind, attributes, created_at, changed_at, revision)"
            " SELECT i, 'acme', 'user', '{}', '2026-01-05T08:00:00Z', '2026-01-05T08:00:00Z', 1 FROM n"
        )
        conn.execute(
            "INSERT INTO remotes (platform, account, wanted) SELECT 'pbx', id, 1 FROM accounts WHERE id >= 100"
        )
        conn.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 35000)"
            " INSERT INTO runs (connection, enterprise, kind, mode, state, actor, started_at, planned_at, ended_at)"
            " SELECT 1, 'acme', 'sync', 'full', 'ended', 'ada', '2026-01-05T08:00:00Z', '2026-01-05T08:00:00Z',"
            " '2026-01-05T08:00:00Z' FROM n"
        )
    taken = []
    for _ in range(5):
        begin = time.perf_counter()
        stands = look(site)
        taken.append(time.perf_counter() - begin)

    assert {"pending": 20_002} == stands.platforms[0].deliveries
    assert min(taken) < 0.1, taken  # some 5 ms; reading the tables whole takes more than 100


def unavailable(source):
    """Return a source that cannot be read."""

    def read(_cursor):
        raise Unavailable("nobody answers")
        yield

    source.read = read
    return source


def spoil(platform, error):
    def add(_account):
        raise error

    platform.add = add


class Silent:
    def __getattr__(self, _level):
        return lambda *_texts, **_fields: None
