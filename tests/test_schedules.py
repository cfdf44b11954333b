"""The grammar of schedules: every form that people configure, and a cure for every other one."""

from datetime import date, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.schedules import WEEKDAYS, Schedule, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("off", Schedule(kind="off")),
        ("every 15m", Schedule(kind="every", every=timedelta(minutes=15))),
        ("every 2h", Schedule(kind="every", every=timedelta(hours=2))),
        ("every 90 minutes", Schedule(kind="every", every=timedelta(minutes=90))),
        ("every 1 hour", Schedule(kind="every", every=timedelta(hours=1))),
        ("every 168h", Schedule(kind="every", every=timedelta(days=7))),
        ("daily at 02:30", Schedule(kind="daily", at=time(2, 30))),
        ("daily at 2:30", Schedule(kind="daily", at=time(2, 30))),
        ("every 1 day at 02:30", Schedule(kind="daily", at=time(2, 30))),
        ("every 2 days at 2:30 PM", Schedule(kind="every-n-days", days=2, at=time(14, 30))),
        ("monday at 02:30", Schedule(kind="weekly", weekday=0, at=time(2, 30))),
        ("Sunday at 23:59", Schedule(kind="weekly", weekday=6, at=time(23, 59))),
        ("monthly on 31 at 02:30", Schedule(kind="monthly", day=31, at=time(2, 30))),
        ("once 2026-12-01 at 02:30", Schedule(kind="once", on=date(2026, 12, 1), at=time(2, 30))),
        (
            "daily at 02:30 starting 2026-12-01",
            Schedule(kind="daily", at=time(2, 30), starting=date(2026, 12, 1)),
        ),
        (
            "every 15m starting 2026-12-01",
            Schedule(kind="every", every=timedelta(minutes=15), starting=date(2026, 12, 1)),
        ),
        (
            "  MONTHLY  on 1   at 12:00AM  starting 2024-02-29 ",
            Schedule(kind="monthly", day=1, at=time(0), starting=date(2024, 2, 29)),
        ),
    ],
)
def test_every_form_is_read(text, expected):
    assert expected == parse(text)


@pytest.mark.parametrize(
    ("clock", "expected"),
    [
        ("12:00 AM", time(0, 0)),
        ("12:59 am", time(0, 59)),
        ("1:00 AM", time(1, 0)),
        ("11:59 AM", time(11, 59)),
        ("12:00 PM", time(12, 0)),
        ("12:30pm", time(12, 30)),
        ("1:00 PM", time(13, 0)),
        ("11:59 PM", time(23, 59)),
        ("00:00", time(0, 0)),
        ("23:59", time(23, 59)),
    ],
)
def test_times_of_day_are_on_24_hours_or_with_am_and_pm(clock, expected):
    assert expected == parse(f"daily at {clock}").at


FORMS = (
    '; write "every 15m", "daily at 02:30", "every 2 days at 02:30", "monday at 02:30", '
    '"monthly on 31 at 02:30", "once 2026-12-01 at 02:30" or "off"'
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "'' is no schedule" + FORMS),
        ("hourly", "'hourly' is no schedule" + FORMS),
        ("moonday at 02:30", "'moonday at 02:30' is no schedule" + FORMS),
        ("weekly at 02:30", "'weekly at 02:30' is no schedule" + FORMS),
        ("every 15", "'every 15' is no schedule" + FORMS),
        ("every ٣m", "'every ٣m' is no schedule" + FORMS),
        ("every 15s", "'every 15s' is no schedule" + FORMS),
        ("*/15 * * * *", "'*/15 * * * *' is no schedule" + FORMS),
        ("off at 02:30", "'off at 02:30' is no schedule" + FORMS),
        ("daily", "'daily' has no time of day; write \"daily at 02:30\""),
        ("Monday starting 2026-12-01", "'Monday starting 2026-12-01' has no time of day; write \"monday at 02:30\""),
        ("every 0m", 'an interval is from 1m to 168h long; for days write "every 8 days at 02:30"'),
        ("every 169h", 'an interval is from 1m to 168h long; for days write "every 8 days at 02:30"'),
        ("every 0 days at 02:30", '"every 0 days" is never; write "off", or a number from 1 to 999'),
        ("monthly on 0 at 02:30", "there is no day 0 in a month; write a number from 1 to 31"),
        ("monthly on 32 at 02:30", "there is no day 32 in a month; write a number from 1 to 31"),
        ("once 2026-02-29 at 02:30", "there is no day 2026-02-29 in the calendar"),
        ("once 01.12.2026 at 02:30", "'01.12.2026' is no date; write it as \"2026-12-01\""),
        ("once 20261201 at 02:30", "'20261201' is no date; write it as \"2026-12-01\""),
        ("daily at 02:30 starting tomorrow", "'tomorrow' is no date; write it as \"2026-12-01\""),
        ("off starting 2026-12-01", '"starting" cannot follow "off"'),
        ("once 2026-12-01 at 02:30 starting 2026-12-01", '"starting" cannot follow "once"'),
        *[
            (f"daily at {clock}", f'{clock.lower()!r} is no time of day; write it as "02:30", "14:30" or "2:30 PM"')
            for clock in ("24:00", "12:60", "0:30 AM", "13:00 PM", "2 PM", "noon", "02:30 starting", "2:3", "")
            if clock
        ],
    ],
)  # fmt: skip
def test_everything_else_is_refused_with_a_cure(text, expected):
    with pytest.raises(ValueError) as error:
        parse(text)

    assert expected == str(error.value)


TIMES = st.times().map(lambda clock: clock.replace(second=0, microsecond=0))
DATES = st.dates(min_value=date(1000, 1, 1))


def _made(**said):
    """Return a schedule; what is not said is not made up, as it would be for the schedule's own types."""
    return Schedule(**said)


SCHEDULES = st.one_of(
    st.just(Schedule(kind="off")),
    st.builds(_made, kind=st.just("once"), on=DATES, at=TIMES),
    st.builds(
        _made,
        kind=st.just("every"),
        every=st.integers(1, 168 * 60).map(lambda minutes: timedelta(minutes=minutes)),
        starting=st.none() | DATES,
    ),
    st.builds(_made, kind=st.just("daily"), at=TIMES, starting=st.none() | DATES),
    st.builds(
        _made,
        kind=st.just("every-n-days"),
        days=st.integers(2, 999),
        at=TIMES,
        starting=st.none() | DATES,
    ),
    st.builds(
        _made,
        kind=st.just("weekly"),
        weekday=st.integers(0, 6),
        at=TIMES,
        starting=st.none() | DATES,
    ),
    st.builds(_made, kind=st.just("monthly"), day=st.integers(1, 31), at=TIMES, starting=st.none() | DATES),
)


@given(SCHEDULES)
def test_the_text_of_a_schedule_means_that_schedule(schedule):
    assert schedule == parse(str(schedule))
    assert schedule == parse(str(schedule).upper())


@given(
    st.text(st.sampled_from("every daiymonthlc once at starting offdsu0123456789:-apmAPM \n"), max_size=40)
)
def test_any_text_is_a_schedule_or_a_value_error(text):
    try:
        schedule = parse(text)
    except ValueError:
        return

    assert schedule == parse(str(schedule))


def test_two_spellings_of_one_meaning_have_one_text():
    assert "every 2h" == str(parse("every 120 min"))
    assert "daily at 14:30" == str(parse("every 1 days at 2:30 pm"))
    assert "monday at 14:30 starting 2026-12-01" == str(parse("MONDAY at 2:30PM starting 2026-12-01"))


def test_weekdays_are_numbered_as_dates_number_them():
    monday = date(2026, 11, 23)

    assert [day.weekday() for day in (monday + timedelta(days=n) for n in range(7))] == [
        parse(f"{name} at 02:30").weekday for name in WEEKDAYS
    ]


def test_a_schedule_cannot_be_changed():
    with pytest.raises(AttributeError):
        parse("off").kind = "daily"
