"""The slots of a schedule, held against clocks that are read minute by minute."""

from bisect import bisect_left
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.schedules import begins, begun, latest, longest, parse, shortest, slots

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Casablanca")
YEAR = 2027
YEARS = {
    "daily at 02:30": lambda day: True,
    "daily at 12:00 AM": lambda day: True,
    "monday at 2:15 PM": lambda day: day.weekday() == 0,
    "sunday at 01:45": lambda day: day.weekday() == 6,
    "every 3 days at 02:00 starting 2026-12-31": lambda day: (day - date(2026, 12, 31)).days % 3 == 0,
    "every 2 days at 02:00": lambda day: (day - date(1970, 1, 1)).days % 2 == 0,
    "monthly on 31 at 02:30": lambda day: (day + DAY).day == 1,
    "monthly on 30 at 02:30": lambda day: day.day == 30 or (day.month == 2 and day.day == 28),
    "monthly on 1 at 23:59 starting 2027-03-02": lambda day: day.day == 1 and day.month > 3,
    "once 2027-03-28 at 02:30": lambda day: day == date(2027, 3, 28),
    "off": lambda day: False,
}
"""Schedule -> whether a day has a slot."""

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
FIRST = datetime(YEAR - 1, 12, 30, tzinfo=UTC)


def within(schedule, zone, start, end):
    """Return the instants from ``start`` until before ``end``."""
    found = []
    for slot in slots(schedule, ZoneInfo(zone), start - MINUTE):
        if slot.at >= end:
            break
        if slot.at >= start:
            found.append(slot.at)
    return found


@cache
def clock(zone):
    """Return what a clock in the zone has shown at most, for each minute of a little more than a year."""
    tz, shown, most = ZoneInfo(zone), [], datetime.min  # noqa: DTZ901
    for hour in range(370 * 24):
        start = FIRST + hour * HOUR
        first, last = (at.astimezone(tz).replace(tzinfo=None) for at in (start, start + HOUR))
        for minute in range(60):
            if last - first == HOUR:
                read = first + minute * MINUTE
            else:  # the clocks are moved within this hour
                read = (start + minute * MINUTE).astimezone(tz).replace(tzinfo=None)
            most = max(most, read)
            shown.append(most)
    return shown


def moment(zone, day, at):
    """Return the first minute at which the clock shows that time, or is past it."""
    return FIRST + bisect_left(clock(zone), datetime.combine(day, at)) * MINUTE


def days_of(year, keep=lambda day: True):
    return [
        day for number in range(366) if (day := date(year, 1, 1) + number * DAY).year == year and keep(day)
    ]


def moves(zone):
    """Return the days on which the clocks are moved."""
    noons = [datetime.combine(day, time(12), ZoneInfo(zone)) for day in days_of(YEAR)]
    return [later.date() for earlier, later in pairwise(noons) if earlier.utcoffset() != later.utcoffset()]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("text", YEARS)
def test_a_year_has_the_slots_that_the_clocks_show(zone, text):
    schedule = parse(text)
    start, end = moment(zone, date(YEAR, 1, 1), time(0)), moment(zone, date(YEAR + 1, 1, 1), time(0))
    expected = [moment(zone, day, schedule.at) for day in days_of(YEAR, YEARS[text])]

    assert expected == within(schedule, zone, start, end)


@pytest.mark.parametrize("zone", [zone for zone in ZONES if zone != "Asia/Kolkata"])
def test_every_time_of_a_day_on_which_the_clocks_are_moved_has_one_slot(zone):
    """Both ways; in Lord Howe by half an hour."""
    assert 2 == len(moves(zone))
    for day in moves(zone):
        for minute in range(1440):
            at = time(minute // 60, minute % 60)
            start = datetime.combine(day - DAY, time(12), ZoneInfo(zone)).astimezone(UTC)
            expected = [moment(zone, day, at), moment(zone, day + DAY, at)]
            found = within(parse(f"daily at {at:%H:%M}"), zone, start, start + 3 * DAY)

            assert (
                expected
                == [one for one in found if one.astimezone(ZoneInfo(zone)).date() in (day, day + DAY)][:2]
            )


def texts(schedule, zone, after, count):
    return [slot.text for slot in islice(slots(parse(schedule), ZoneInfo(zone), after), count)]


def test_a_time_that_is_left_out_is_due_right_after_the_gap_and_a_repeated_one_at_first():
    spring, autumn = datetime(2027, 3, 27, 12, tzinfo=UTC), datetime(2027, 10, 30, 12, tzinfo=UTC)

    assert ["2027-03-28T03:00+02:00", "2027-03-29T02:30+02:00"] == texts(
        "daily at 2:30", "Europe/Berlin", spring, 2
    )
    assert ["2027-10-31T02:30+02:00", "2027-11-01T02:30+01:00"] == texts(
        "daily at 2:30", "Europe/Berlin", autumn, 2
    )
    assert ["2027-10-03T02:30+11:00"] == texts(
        "daily at 02:15", "Australia/Lord_Howe", datetime(2027, 10, 2, tzinfo=UTC), 1
    )


def test_a_day_that_a_zone_left_out_has_one_slot_with_the_next_at_most():
    """Samoa changed the side of the date line: there was no 2011-12-30."""
    before = datetime(2011, 12, 29, tzinfo=UTC)

    assert ["2011-12-29T02:30-10:00", "2011-12-31T00:00+14:00", "2011-12-31T02:30+14:00"] == texts(
        "daily at 02:30", "Pacific/Apia", before, 3
    )
    assert ["2011-12-29T00:00-10:00", "2011-12-31T00:00+14:00", "2012-01-01T00:00+14:00"] == texts(
        "daily at 00:00", "Pacific/Apia", before, 3
    )


def test_an_interval_stays_where_it_is_and_has_no_gap_when_clocks_are_moved():
    day = datetime(2027, 3, 28, tzinfo=UTC)
    found = within(parse("every 2h"), "Europe/Berlin", day, day + DAY)

    assert [day + timedelta(hours=2 * number) for number in range(12)] == found
    assert ["2027-03-28T03:00+02:00"] == texts("every 15m", "Europe/Berlin", day + 59 * MINUTE, 1)


def test_an_interval_with_a_start_is_counted_from_its_midnight():
    schedule = "every 7h starting 2027-01-10"

    assert ["2027-01-10T00:00+05:30", "2027-01-10T07:00+05:30"] == texts(
        schedule, "Asia/Kolkata", datetime(2027, 1, 1, tzinfo=UTC), 2
    )
    assert latest(parse(schedule), ZoneInfo("Asia/Kolkata"), datetime(2027, 1, 9, 18, tzinfo=UTC)) is None


def test_the_last_day_of_february_stands_for_all_that_it_has_not():
    after = datetime(2028, 1, 31, 12, tzinfo=UTC)

    assert ["2028-02-29T00:00+00:00", "2028-03-30T00:00+00:00"] == texts(
        "monthly on 30 at 0:00", "UTC", after, 2
    )


TIMES = st.times().map(lambda at: f"{at:%H:%M}")
STARTS = st.just("") | st.dates(date(2026, 6, 1), date(2028, 6, 1)).map(lambda day: f" starting {day}")
TEXTS = st.one_of(
    st.builds("every {}m{}".format, st.integers(1, 10080), STARTS),
    st.builds("daily at {}{}".format, TIMES, STARTS),
    st.builds("every {} days at {}{}".format, st.integers(2, 40), TIMES, STARTS),
    st.builds("{} at {}{}".format, st.sampled_from(["monday", "thursday", "sunday"]), TIMES, STARTS),
    st.builds("monthly on {} at {}{}".format, st.integers(1, 31), TIMES, STARTS),
    st.builds("once {} at {}".format, st.dates(date(2026, 6, 1), date(2028, 6, 1)), TIMES),
)
NOWS = st.datetimes(datetime(2026, 1, 1), datetime(2029, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
ANY_ZONE = st.sampled_from([*ZONES, "Pacific/Apia", "America/Sao_Paulo", "UTC"])


@given(TEXTS, ANY_ZONE, NOWS)
@settings(max_examples=400)
def test_the_latest_slot_is_the_last_one_before_the_next(text, zone, now):
    schedule, tz = parse(text), ZoneInfo(zone)
    newest, following = latest(schedule, tz, now), list(islice(slots(schedule, tz, now), 3))

    assert all(now < slot.at for slot in following)
    assert all(one.at < other.at for one, other in pairwise(following))
    if newest is not None:
        assert newest.at <= now
        assert [newest, *following][: 1 + len(following)] == list(
            islice(slots(schedule, tz, newest.at - timedelta(microseconds=1)), 1 + len(following))
        )
    for slot in following:
        assert slot == latest(schedule, tz, slot.at)
        assert slot.at == datetime.fromisoformat(slot.text).astimezone(UTC)


@given(TEXTS, ANY_ZONE, NOWS, st.integers(1, 86_399), st.text(max_size=5))
def test_a_slot_begins_late_by_its_own_delay_and_never_after_the_next(text, zone, now, seconds, name):
    schedule, tz = parse(text), ZoneInfo(zone)
    jitter = min(timedelta(seconds=seconds), (shortest(schedule) or 2 * DAY) / 2)
    newest = begun(schedule, tz, now, jitter, name)

    last = latest(schedule, tz, now)
    before = None if last is None else latest(schedule, tz, last.at - timedelta(seconds=1))
    assert newest == next((one for one in (last, before) if one and begins(one, jitter, name) <= now), None)
    if newest is not None:
        assert newest.at <= begins(newest, jitter, name) <= newest.at + jitter
    for slot in islice(slots(schedule, tz, now if newest is None else newest.at), 1):
        assert begins(slot, jitter, name) > now
        assert slot == begun(schedule, tz, begins(slot, jitter, name), jitter, name)


def test_sources_do_not_begin_in_the_same_second():
    (slot,) = islice(slots(parse("daily at 02:30"), ZoneInfo("UTC"), FIRST), 1)
    delays = {begins(slot, timedelta(minutes=5), f"source-{number}") - slot.at for number in range(300)}

    assert len(delays) > 150
    assert timedelta(0) <= min(delays) < max(delays) <= timedelta(minutes=5)


def test_the_calendar_has_an_end():
    zone = ZoneInfo("America/New_York")
    late = datetime(9999, 12, 30, tzinfo=UTC)

    assert 2 == len(list(slots(parse("daily at 02:30"), zone, late)))
    assert [] == list(slots(parse("monthly on 1 at 0:00"), zone, late))
    assert [] == list(slots(parse("every 168h"), zone, late))
    assert latest(parse("once 0001-01-01 at 00:00"), ZoneInfo("Asia/Kolkata"), FIRST) is not None


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("every 168h", 7), ("daily at 02:30", 1), ("every 7 days at 02:30", 7), ("sunday at 02:30", 7),
        ("every 8 days at 02:30", 8), ("monthly on 1 at 02:30", 31), ("once 2027-01-01 at 02:30", None), ("off", None),
    ],
)  # fmt: skip
def test_how_long_it_is_from_one_slot_to_the_next_at_most(text, days):
    assert (None if days is None else timedelta(days=days)) == longest(parse(text))
