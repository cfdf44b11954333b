"""``syncd schedule``, what ``syncd check`` says of schedules, and what the configuration refuses."""

from datetime import datetime, timedelta

import cli_world
import pytest

from syncd.pipeline.scheduling import claim, due, finished
from syncd.schedules import Timetable, parse
from syncd.store.database import open_database

office = cli_world.office

HR = 'schedule = { full = "sunday at 02:30", incremental = "every 15m" }'
ANCHOR = 'anchor = "number"'


def scheduled(office, schedule=HR):
    office.set(ANCHOR, f"{ANCHOR}\n{schedule}")


def test_before_there_is_a_database_the_first_read_is_due_at_once(office):
    scheduled(office)
    result = office.run("schedule")

    assert 0 == result.exit_code
    assert "hr      full         sunday at 02:30  now   2026-01-05T08:00:00Z  -" in result.stdout
    assert "read only when a person asks: directory" in result.stderr
    assert not (office.folder / "state").exists()


def test_what_comes_next_and_what_the_last_slot_became(office):
    scheduled(office)
    office.begin()
    with_daemon(office)
    office.later(minutes=16)
    run = with_daemon(office, run=1)
    full, incremental = office.json("schedule")["schedules"]

    assert {
        "source": "hr",
        "mode": "full",
        "schedule": "sunday at 02:30",
        "next": "2026-01-11T01:30:00Z",
        "begins": "2026-01-11T01:30:00Z",
        "last": None,
    } == full
    assert ("2026-01-05T08:30:00Z", run) == (incremental["next"], incremental["last"]["run"])
    assert ("2026-01-05T08:15:00Z", "ended") == (incremental["last"]["slot"], incremental["last"]["state"])
    assert (
        "hr      incremental  every 15m        2026-01-05 09:30+01:00  2026-01-05T08:30:00Z  2026-01-05 09:15+01:00  1"
        in office.out("schedule", "hr")
    )


def with_daemon(office, run=None):
    """Do what is due, as the service would, with a run that is there already."""
    database = open_database(office.database)
    try:
        here = installation(office, database)
        for one in due(here):
            assert claim(here, one)
            finished(here, one, run)
    finally:
        database.close()
    return run


def installation(office, database):
    from syncd.cli.session import Session
    from syncd.pipeline.installation import Installation

    session = Session((office.config,))
    return Installation(session.settings, session.plugins, database, "kim", str, lambda: office.now)


def test_a_year_has_a_line_for_each_slot_and_one_for_each_interval(office):
    scheduled(office)
    *rows, interval = office.out("schedule", "--simulate", "2027").splitlines()

    assert 1 + 52 == len(rows)
    assert "SLOT                    MODE  SOURCE" == rows[0]
    assert "2027-01-03 02:30+01:00  full  hr" == rows[1]
    assert "2027-03-28 03:00+02:00  full  hr" in rows
    assert "every 15m, incremental, hr: 35040 slots" == interval
    assert not (office.folder / "state").exists()


def test_a_year_with_jitter_says_when_each_slot_begins(office):
    scheduled(office, 'schedule = { full = "sunday at 02:30", jitter = "4h" }')
    head, *rows = office.out("schedule", "--simulate", "2027").splitlines()
    late = [datetime.fromisoformat(row[-22:]) - datetime.fromisoformat(row[:22]) for row in rows]

    assert head.endswith("BEGINS")
    assert timedelta(0) <= min(late) < max(late) <= timedelta(hours=4)
    assert 40 < len(set(late))


def test_a_year_slot_by_slot_says_where_a_full_read_takes_the_place(office):
    scheduled(office)
    document = office.json("schedule", "hr", "--simulate", "2027", "--all")
    swallowed = [one for one in document["slots"] if one["swallowed"]]

    assert (2027, []) == (document["year"], document["intervals"])
    assert 35040 + 52 == len(document["slots"])
    assert 52 == len(swallowed)
    assert {
        "slot": "2027-01-03T01:30:00Z",
        "local": "2027-01-03T02:30+01:00",
        "begins": "2027-01-03T01:30:00Z",
        "mode": "incremental",
        "source": "hr",
        "swallowed": True,
    } == swallowed[0]
    assert sorted(one["slot"] for one in document["slots"]) == [one["slot"] for one in document["slots"]]


def test_a_year_with_intervals_alone_says_so_and_has_their_numbers(office):
    scheduled(office, 'schedule = { full = "every 12h", jitter = "1h" }')
    result = office.run("schedule", "--simulate", "2028")
    document = office.json("schedule", "--simulate", "2028")

    assert "2028 has intervals only; --all shows each\n" == result.stderr
    assert [{"source": "hr", "mode": "full", "schedule": "every 12h", "slots": 732}] == document["intervals"]


def test_without_a_schedule_it_says_where_to_write_one(office):
    assert "nothing is read by itself; [source.NAME] schedule says when\n" == office.run("schedule").stderr


def test_an_unknown_source_is_named(office):
    result = office.run("schedule", "hq")

    assert 64 == result.exit_code
    assert "there is no source hq in the configuration; configured are: hr, directory" in result.stderr


@pytest.mark.parametrize(
    ("schedule", "told"),
    [
        ('{ incremental = "every 15m" }', '"off"'),
        ('{ incremental = "every 15m", full = "monthly on 1 at 02:30" }', '"monthly on 1 at 02:30"'),
        ('{ incremental = "every 15m", full = "sunday at 02:30" }', None),
        ('{ full = "monthly on 1 at 02:30" }', None),
        ("{}", None),
    ],
)
def test_check_asks_for_full_reads_behind_incremental_ones(office, schedule, told):
    office.set("[platform.phonebook]", DELTA.format(schedule) + "[platform.phonebook]")
    office.set('sources = ["hr", "directory"]', 'sources = ["hr", "directory", "ad"]')
    result = office.run("check")

    assert 0 == result.exit_code
    assert (told is not None) == ("a full read at least every 7 days" in result.stderr)
    assert told is None or f"note: source ad: schedule.full is {told}" in result.stderr


def test_check_asks_nothing_of_a_source_that_is_read_in_full_anyway(office):
    scheduled(office, 'schedule = { incremental = "every 15m" }')

    assert "full read" not in office.run("check").stderr


def test_the_defaults_of_a_schedule(office):
    scheduled(office)
    shown = office.json("config", "show", "source.hr.schedule")

    assert "0s" in str(shown)
    assert "once" in str(shown)
    assert Timetable(full=parse("off"), incremental=parse("off")) == Timetable()


@pytest.mark.parametrize(
    ("schedule", "problem"),
    [
        ('{ incremental = "every 15m", jitter = "15m" }', 'shorter than the time between two slots of incremental = "every 15m"'),
        ('{ full = "daily at 02:30", jitter = "1d" }', 'shorter than the time between two slots of full = "daily at 02:30"'),
        ('{ full = "daily at 02:30", catch_up = "all" }', "source.hr.schedule.catch_up: "),
        ('{ full = "daily at 02:30", jitter = "5" }', "source.hr.schedule.jitter: must be a duration"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_a_problem_of_the_configuration(office, schedule, problem):
    scheduled(office, f"schedule = {schedule}")
    result = office.run("schedule")

    assert 78 == result.exit_code
    assert problem in result.stderr


DELTA = """
[source.ad]
type = "ldap"
url = ["ldaps://127.0.0.1:1"]
bind = {{ dn = "cn=syncd", password = "credential:ad" }}
base = ["dc=acme"]
preset = "ad-user"
schedule = {}
"""
