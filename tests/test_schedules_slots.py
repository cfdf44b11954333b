"""Slots over days and years of a clock that is turned by hand: each is run once, whatever happens meanwhile."""

import random
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from line_world import START, Site, quiet
from test_schedules_due import DAY, MINUTE, ZONES, moves

from syncd.pipeline import scheduling
from syncd.pipeline.scheduling import claim, due, finished, next_due, unfinished
from syncd.schedules import latest, parse, slots

__all__ = ["quiet"]

OFTEN = {"incremental": "every 15m", "full": "daily at 02:30"}


def site_of(zone="Europe/Berlin", folder=None, at=START, **schedules):
    """Return an installation; each keyword is a source's schedule."""
    sources = {name: {"schedule": schedule} for name, schedule in schedules.items()}
    site = Site(folder, top={}, **sources)
    site.settings = site.settings._replace(timezone=ZoneInfo(zone))
    site.now = at
    return site


def tick(site, run=True):
    """Do what is due, as the service does once a minute; return (source, mode, text) of what was begun."""
    begun = []
    for one in due(site.here):
        assert claim(site.here, one)
        begun.append((one.source, one.mode, one.slot.text))
        if one.swallowed is not None:
            begun.append((one.source, "swallowed", one.swallowed.text))
        if run:
            finished(site.here, one, None)
    return begun


def known(site, at=None):
    """Let the schedules of a site be met for the first time, by a first read at once."""
    site.now = at or site.now
    tick(site)
    return site


def of_year(text, zone, year=2027):
    """Return every slot of a year."""
    tz = ZoneInfo(zone)
    start, end = (datetime(number, 1, 1, tzinfo=tz).astimezone(UTC) for number in (year, year + 1))
    return [
        slot.text
        for slot in takewhile(lambda one: one.at < end, slots(parse(text), tz, start - timedelta(seconds=1)))
    ]


def minutes_of(zone, *texts):
    """Return the minutes of 2027 in which something may happen, and all around the days when clocks are moved."""
    tz, found = ZoneInfo(zone), set()
    for text in texts:
        for slot in of_year(text, zone):
            at = datetime.fromisoformat(slot).astimezone(UTC)
            found |= {at - MINUTE, at, at + MINUTE}
    for day in moves(zone):
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=tz).astimezone(UTC)
        found |= {noon + number * MINUTE for number in range(-720, 120)}
    return sorted(found)


@pytest.mark.parametrize("zone", ZONES)
def test_each_slot_of_a_year_runs_once_over_restarts_and_kills(zone):
    """Of three sources; each read may be cut off by the end of the process, and is then begun again."""
    chances = random.Random(zone)
    daily, weekly, monthly = "daily at 02:15", "sunday at 02:15", "monthly on 31 at 2:30 AM"
    site = known(
        site_of(
            zone,
            hq={"incremental": daily, "full": weekly},
            branch={"full": monthly},
            lab={"full": "every 36h"},
        ),
        datetime(2026, 12, 31, 5, 1, tzinfo=UTC),
    )
    done, again = Counter(), 0
    for now in minutes_of(zone, daily, monthly, "every 36h"):
        site.now = now
        kill = chances.random() < 0.05
        begun = tick(site, run=not kill)
        done.update(begun)
        if kill:
            site = site.copied()
            left = unfinished(site.here)
            again += len(left)
            assert {one[0] for one in begun} == {one.source for one in left}
            for one in left:
                finished(site.here, one, None)
    sundays = of_year(weekly, zone)
    expected = Counter(("hq", "full", text) for text in sundays)
    expected.update(("hq", "swallowed", text) for text in sundays)
    expected.update(("hq", "incremental", text) for text in of_year(daily, zone) if text not in sundays)
    expected.update(("branch", "full", text) for text in of_year(monthly, zone))
    expected.update(("lab", "full", text) for text in of_year("every 36h", zone))
    texts = {text for _, _, text in expected}

    assert expected == Counter({slot: count for slot, count in done.items() if slot[2] in texts})
    assert again > 5


JUMPS = st.one_of(
    st.just(MINUTE),
    st.integers(1, 600).map(lambda minutes: minutes * MINUTE),
    st.integers(-3000, -1).map(lambda minutes: minutes * MINUTE),
    st.integers(-40, 400).map(lambda days: days * DAY),
)


@given(st.sampled_from([*ZONES, "Pacific/Apia"]), st.lists(st.tuples(JUMPS, st.booleans()), max_size=30))
@settings(max_examples=80)
def test_whatever_the_clock_does_no_slot_runs_twice_and_none_is_left_behind(zone, jumps):
    """After each look, the newest slot has been run, or one that is later and not in the future."""
    texts = {"incremental": "every 45m", "full": "every 2 days at 02:30"}
    site = site_of(zone, hq=texts)
    done, first = [], site.now
    for jump, restart in [(timedelta(0), False), *jumps]:
        site.now += jump
        first = min(first, site.now)
        begun = tick(site)
        assert 2 >= len(begun)
        done += [
            (mode.replace("swallowed", "incremental"), datetime.fromisoformat(slot))
            for _, mode, slot in begun
        ]
        for mode, text in texts.items():
            newest = latest(parse(text), ZoneInfo(zone), site.now).at
            assert newest <= first or any(newest <= at <= site.now for which, at in done if which == mode)
        if restart:
            site = site.copied()
            assert [] == unfinished(site.here)
    assert len(set(done)) == len(done)


def test_a_new_source_is_read_in_full_at_once_and_then_by_its_schedule():
    site = site_of(hq=OFTEN)
    first = START.astimezone(ZoneInfo("Europe/Berlin")).isoformat(timespec="minutes")

    assert [("hq", "full", first), ("hq", "swallowed", first)] == tick(site)
    site.wait(minutes=1)
    assert [] == tick(site)
    site.wait(minutes=14)
    assert [("hq", "incremental", "2026-01-05T09:15+01:00")] == tick(site)


def test_a_first_read_that_nobody_could_begin_stays_due():
    site = site_of(hq=OFTEN)

    assert 1 == len(due(site.here))
    site.wait(hours=3)
    assert [("hq", "full")] == [(one.source, one.mode) for one in due(site.here)]


@pytest.mark.parametrize(
    "schedule",
    ["daily at 02:30 starting 2026-01-07", "once 2026-01-07 at 02:30", "every 1h starting 2026-01-07"],
)
def test_a_new_source_whose_schedule_begins_later_waits_for_it(schedule):
    site = site_of(hq={"full": schedule})
    begun = []
    for _ in range(24 * 4):
        begun += tick(site)
        site.wait(minutes=30)

    assert ["2026-01-07T00:00+01:00", "2026-01-07T02:30+01:00"].count(begun[0][2]) == 1


def test_a_source_that_was_read_by_hand_waits_for_its_next_slot():
    site = Site(hq={"schedule": OFTEN})
    site.hired(3)

    assert [] == tick(site)
    site.wait(minutes=15)
    assert [("hq", "incremental")] == [one[:2] for one in tick(site)]


def test_without_a_schedule_nothing_is_due_and_nothing_is_recorded():
    site = site_of(hq={}, branch={"incremental": "off"})
    for _ in range(3):
        assert [] == tick(site)
        site.wait(days=1)

    assert [] == site.rows("SELECT * FROM schedules") + site.rows("SELECT * FROM connections")
    assert [] == next_due(site.here)


def test_another_schedule_counts_from_when_it_is_seen():
    site = known(site_of("UTC", hq={"full": "daily at 02:30"}), datetime(2026, 1, 5, 8, tzinfo=UTC))
    site.wait(hours=4)
    site.configure(hq={"schedule": {"full": "daily at 10:00", "incremental": "every 2h"}})
    begun = []
    for _ in range(24):
        begun += tick(site)
        site.wait(hours=1)

    assert [("hq", "incremental", f"2026-01-05T{hour}:00+00:00") for hour in range(14, 24, 2)] == begun[:5]
    assert ("hq", "full", "2026-01-06T10:00+00:00") in begun


def test_a_schedule_that_was_off_counts_from_when_it_is_on_again():
    site = known(site_of("UTC", hq={"full": "daily at 02:30"}))
    for schedule in ({"full": "off"}, {"full": "daily at 02:30"}):
        site.wait(days=10)
        site.configure(hq={"schedule": schedule})
        assert [] == tick(site)
    site.wait(days=1)
    assert 1 == len(tick(site))


def test_a_full_read_takes_the_place_of_an_incremental_one():
    site = known(site_of("UTC", hq=OFTEN), datetime(2026, 1, 6, 2, 16, tzinfo=UTC))
    site.wait(minutes=14)
    slot = "2026-01-06T02:30+00:00"

    assert [("hq", "full", slot), ("hq", "swallowed", slot)] == tick(site)
    site.wait(minutes=1)
    assert [] == tick(site)


def test_a_source_has_nothing_due_while_it_is_read_and_then_the_newest_slot_once():
    site = known(site_of("UTC", hq=OFTEN), datetime(2026, 1, 5, 8, 1, tzinfo=UTC))
    site.wait(minutes=14)
    (one,) = due(site.here)
    assert claim(site.here, one)
    for _ in range(3):
        site.wait(minutes=15)
        assert [] == due(site.here)
    finished(site.here, one, None)

    assert [("hq", "incremental", "2026-01-05T09:00+00:00")] == tick(site)
    assert [] == tick(site)


def test_a_slot_can_be_claimed_once():
    site = known(site_of("UTC", hq=OFTEN))
    site.wait(minutes=15)
    (one,) = due(site.here)

    assert [True, False] == [claim(site.here, one), claim(site.here, one)]
    finished(site.here, one, None)
    assert not claim(site.here, one)


def test_due_comes_by_enterprise_and_precedence():
    site = site_of(zeta=OFTEN, alpha=OFTEN, mid={})
    site.configure(
        enterprises={"west": {"sources": ["zeta"]}, "east": {"sources": ["mid", "alpha"]}},
        **{name: {"schedule": OFTEN} for name in ("alpha", "mid", "zeta")},
    )

    assert ["zeta", "mid", "alpha"] == [one.source for one in due(site.here)]


def test_a_clock_that_is_set_forward_by_a_year_brings_one_read_per_source():
    site = known(site_of("UTC", hq=OFTEN, branch={"full": "daily at 02:30"}))
    site.wait(days=365)

    assert [("hq", "full"), ("hq", "swallowed"), ("branch", "full")] == [one[:2] for one in tick(site)]
    site.wait(minutes=1)
    assert [] == tick(site)


def test_a_clock_that_was_set_back_brings_no_slot_again_and_is_not_waited_for():
    """It was in the year 2100 for a moment: what comes in this one is due all the same."""
    site = known(site_of("UTC", hq=OFTEN), datetime(2026, 1, 5, 8, 1, tzinfo=UTC))
    site.wait(hours=1)
    assert 1 == len(tick(site))
    site.now = site.now.replace(year=2100)
    assert 2 == len(tick(site))
    site.now = datetime(2026, 1, 5, 8, 50, tzinfo=UTC)
    begun = []
    for _ in range(20):
        begun += tick(site)
        site.wait(minutes=1)

    assert [("hq", "incremental", "2026-01-05T08:45+00:00")] == begun  # the one of 09:00 was run an hour ago


def test_a_machine_that_slept_makes_up_for_the_newest_slot():
    site = known(site_of("UTC", hq={"full": "daily at 02:30"}))
    site.wait(days=4)

    assert [("hq", "full", "2026-01-09T02:30+00:00")] == tick(site)
    assert [] == tick(site)


def test_with_skip_a_missed_slot_is_passed_over_and_recorded():
    site = known(site_of("UTC", hq={"full": "daily at 02:30", "catch_up": "skip"}))
    site.wait(days=4)

    assert [] == tick(site)
    assert [("2026-01-09T02:30:00Z", "skipped", None)] == site.rows(
        "SELECT slot, state, run FROM schedules WHERE state <> 'seen' AND slot > '2026-01-06'"
    )
    site.now = datetime(2026, 1, 10, 2, 34, tzinfo=UTC)
    assert [("hq", "full", "2026-01-10T02:30+00:00")] == tick(site)


def test_with_skip_a_slot_that_waited_for_the_read_before_is_not_missed():
    site = known(site_of("UTC", hq={**OFTEN, "catch_up": "skip"}), datetime(2026, 1, 6, 2, 14, tzinfo=UTC))
    site.wait(minutes=1)
    (one,) = due(site.here)
    assert claim(site.here, one)
    site.wait(minutes=40)
    finished(site.here, one, None)
    site.wait(minutes=1)

    assert [("hq", "full", "2026-01-06T02:30+00:00"), ("hq", "swallowed", "2026-01-06T02:45+00:00")] == tick(
        site
    )


def test_jitter_moves_when_a_slot_begins_and_not_what_it_is():
    site = known(site_of("UTC", hq={"full": "daily at 02:30", "jitter": "4h"}, lab=OFTEN))
    site.now = datetime(2026, 1, 6, 2, 30, tzinfo=UTC)
    (outlook,) = [one for one in next_due(site.here) if one.source == "hq"]
    assert site.now < outlook.begins <= site.now + timedelta(hours=4)
    site.now = outlook.begins - timedelta(seconds=1)
    assert [] == [one for one in tick(site) if one[0] == "hq"]
    site.now = outlook.begins

    assert [("hq", "full", "2026-01-06T02:30+00:00")] == [one for one in tick(site) if one[0] == "hq"]


def test_a_slot_that_was_missed_is_made_up_for_although_the_next_one_is_about_to_begin():
    site = known(site_of("UTC", hq={"full": "daily at 02:30", "jitter": "4h"}))
    site.now = datetime(2026, 1, 8, 2, 30, tzinfo=UTC)

    assert [("hq", "full", "2026-01-07T02:30+00:00")] == tick(site)
    site.wait(hours=4)
    assert [("hq", "full", "2026-01-08T02:30+00:00")] == tick(site)


def test_jitter_with_skip_counts_from_when_the_slot_begins():
    site = known(site_of("UTC", hq={"full": "daily at 02:30", "jitter": "4h", "catch_up": "skip"}))
    site.now = datetime(2026, 1, 6, 2, 30, tzinfo=UTC)
    (outlook,) = next_due(site.here)
    site.now = outlook.begins + scheduling.GRACE

    assert 1 == len(tick(site))


def test_a_killed_read_is_begun_again_and_one_that_came_to_its_end_is_not():
    site = Site(hq={"schedule": OFTEN}, branch={"schedule": OFTEN})
    site.hire("ada")
    for one in due(site.here):
        assert claim(site.here, one)
    run = site.sync("hq")
    site = site.copied()

    assert [("branch", "full")] == [(one.source, one.mode) for one in unfinished(site.here)]
    assert [("ended", run.id), ("ended", run.id)] == site.rows(
        "SELECT s.state, s.run FROM schedules s JOIN connections c ON c.id = s.connection WHERE c.name = 'hq'"
    )
    (one,) = unfinished(site.here)
    finished(site.here, one, None)
    assert [] == unfinished(site.here)


def test_an_incremental_read_does_not_stand_for_a_full_one_that_was_killed():
    site = Site(hq={"schedule": OFTEN})
    site.hire("ada")
    site.sync()
    tick(site)
    site.now = datetime(2026, 1, 6, 2, 31, tzinfo=UTC)
    (one,) = due(site.here)
    assert claim(site.here, one)
    run = site.sync()
    site.database.conn.execute("UPDATE runs SET mode = 'incremental' WHERE id = ?", (run.id,))

    assert [("hq", "full")] == [(left.source, left.mode) for left in unfinished(site.here)]


def test_a_source_that_was_retired_and_comes_back_is_read_at_once():
    site = known(site_of("UTC", hq=OFTEN))
    site.database.conn.execute("UPDATE connections SET retired_at = ?", (site.here.now(),))
    site.wait(minutes=1)

    assert [("hq", "full"), ("hq", "swallowed")] == [one[:2] for one in tick(site)]
    site.wait(minutes=1)
    assert [] == tick(site)


def test_a_source_keeps_its_slots_under_a_new_name():
    site = known(site_of("UTC", hq=OFTEN), datetime(2026, 1, 5, 8, 1, tzinfo=UTC))
    site.configure(head={"schedule": OFTEN, "formerly": "hq"})

    assert [] == tick(site)
    site.wait(minutes=15)
    assert [("head", "incremental", "2026-01-05T08:15+00:00")] == tick(site)


def test_the_outlook_says_what_comes_next_and_what_the_last_slot_became():
    site = known(site_of("UTC", hq=OFTEN), datetime(2026, 1, 5, 8, 1, tzinfo=UTC))
    site.wait(minutes=15)
    run = site.sync()
    site.wait(hours=-1)
    (one,) = due(site.here)
    assert claim(site.here, one)
    finished(site.here, one, run.id)
    full, incremental = next_due(site.here)

    assert ("hq", "full", "daily at 02:30", "2026-01-06T02:30+00:00") == (*full[:3], full.next.text)
    assert ("incremental", "every 15m", "2026-01-05T08:30+00:00") == (
        *incremental[1:3],
        incremental.next.text,
    )
    assert ("2026-01-05T08:15:00Z", "ended", run.id) == (
        incremental.last.slot,
        incremental.last.state,
        incremental.last.run,
    )
    site.wait(minutes=-10)
    assert "2026-01-05T08:30+00:00" == next_due(site.here)[1].next.text  # that of 08:15 has been
    site.wait(hours=2)
    assert "2026-01-05T10:00+00:00" == next_due(site.here)[1].next.text  # due at this moment


RACER = """
import sqlite3, sys
from pathlib import Path
from syncd.store import slots
from syncd.store.database import Database
database = Database(sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30), Path(sys.argv[1]))
print("ready", flush=True)
for line in sys.stdin:
    won = slots.claim(database, [slots.Row(1, "full", line.strip(), "every 1m UTC", "claimed", None, line, None)])
    if won:
        slots.finish(database, 1, None, line.strip())
    print(won, flush=True)
"""


def test_of_two_processes_one_begins_a_slot(tmp_path):
    site = site_of(folder=tmp_path, hq=OFTEN)
    tick(site)
    site.database.close()
    program = [sys.executable, "-c", RACER, str(site.path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    with subprocess.Popen(program, **pipes) as one, subprocess.Popen(program, **pipes) as other:
        assert ["ready\n", "ready\n"] == [one.stdout.readline(), other.stdout.readline()]
        for number in range(50):
            for racer in (one, other):
                racer.stdin.write(f"2026-02-05T08:{number:02}:00Z\n")
            assert ["False\n", "True\n"] == sorted([one.stdout.readline(), other.stdout.readline()])
        one.stdin.close()
        other.stdin.close()
