"""Notices: on the transition, then daily, and when it is over; a restart changes nothing of that."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta

import line_world
import pytest
from hypothesis import given
from hypothesis import strategies as st
from line_world import START, Site

from syncd.errors import Unavailable
from syncd.pipeline.noticing import look, news
from syncd.pipeline.publishing import Watch
from syncd.pipeline.troubles import ENDS, OVER, Trouble
from syncd.pipeline.watching import standing
from syncd.store import notices as store

quiet = line_world.quiet


def due(site):
    return look(site.database, standing(site.here))


def told(site):
    return [(one.name, one.fields["subject"], one.fields["again"]) for one in due(site)]


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path, hq={"detain": "first-run"})
    made.hire("a", "b")
    made.sync()
    yield made
    made.database.close()


class TestWhen:
    def test_it_is_told_when_it_begins_and_not_again_at_the_next_look(self, site):
        assert [("plan_held", "source hq", False)] == told(site)

        site.wait(hours=23)

        assert [] == told(site)

    def test_it_is_told_again_each_day_while_it_lasts_with_the_time_when_it_began(self, site):
        begun = f"{site.now:%FT%TZ}"
        told(site)
        for _ in range(3):
            site.wait(days=1)
            (event,) = due(site)

            assert (True, begun, f"{site.now:%FT%TZ}") == (
                event.fields["again"],
                event.fields["since"],
                event.at,
            )
            assert [] == told(site)

    def test_when_it_is_over_that_is_told_once(self, site):
        begun = f"{site.now:%FT%TZ}"
        told(site)
        site.approve(site.run(1))
        (event,) = due(site)

        assert ("plan_settled", "ok", begun, "hq") == (
            event.name, event.fields["severity"], event.fields["since"], event.fields["connection"],
        )  # fmt: skip
        assert [] == told(site)

    def test_a_plan_that_is_held_anew_is_the_same_trouble(self, site):
        told(site)
        site.hire("c")
        site.sync()

        assert [] == told(site)

    def test_a_clock_that_was_far_ahead_when_it_was_told_silences_nothing(self, site):
        site.now += timedelta(days=400)
        told(site)
        site.now -= timedelta(days=400)

        assert [("plan_held", "source hq", True)] == told(site)


class TestRestart:
    def test_nothing_is_told_twice(self, site):
        told(site)
        site.restart()

        assert [] == told(site)

    def test_what_is_over_meanwhile_is_told(self, site):
        told(site)
        site.approve(site.run(1))
        site.restart()

        assert [("plan_settled", "source hq", False)] == told(site)

    def test_what_an_earlier_version_told_and_this_one_does_not_know_is_forgotten(self, site):
        with site.database.transaction() as conn:
            conn.execute(
                "INSERT INTO notices VALUES ('old_kind', 'source hq', '2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z', '{}')"
            )

        assert [("plan_held", "source hq", False)] == told(site)
        assert [("plan_held", "source hq")] == [*store.load(site.database)]


class TestWhat:
    def test_a_failed_source_and_its_recovery(self):
        site = Site()
        site.hired(2)
        site.spoiled["hq"] = unavailable
        fail(site)
        (event,) = due(site)

        assert ("connection_failed", "critical", 2) == (
            event.name,
            event.fields["severity"],
            event.fields["run"],
        )
        assert "syncd runs 2" == event.fields["next"]

        del site.spoiled["hq"]
        site.sync()

        assert [("connection_recovered", "source hq", False)] == told(site)

    def test_a_source_that_is_failed_and_late_recovers_once(self):
        site = Site(hq={"schedule": {"full": "every 1h"}})
        site.hired(2)
        site.spoiled["hq"] = unavailable
        site.wait(hours=3)
        fail(site)

        assert ["connection_failed", "connection_late"] == [one.name for one in due(site)]

        del site.spoiled["hq"]
        site.sync()

        assert ["connection_recovered"] == [one.name for one in due(site)]

    def test_a_source_that_is_read_again_and_still_late_is_not_called_recovered(self):
        failed, late = trouble("connection_failed"), trouble("connection_late")
        known = news({}, [failed, late], START).told

        assert [] == news(known, [late], START).events
        assert ["connection_recovered"] == [one.name for one in news({**known}, [], START).events]

    def test_no_name_and_no_error_of_a_source_is_in_it(self):
        """Errors may quote a row of a file; they stand in the journal, and the notice says where."""
        site = Site(hq={"detain": "first-run"})
        site.hire("ada", mail="ada.lovelace@acme.example")
        site.sync()
        site.spoiled["hq"] = unavailable
        fail(site)
        text = json.dumps([[one.name, *one.fields.items()] for one in due(site)])

        assert "connection_failed" in text
        assert "ada" not in text
        assert "nobody answers" not in text

    def test_every_kind_has_an_end_and_every_end_a_text(self):
        assert {*ENDS.values()} == {*OVER}


class Observing:
    """The plugins' hooks, for what they are told."""

    def __init__(self, hooks):
        self.seen = []
        self._hooks = hooks

    def observe(self, event):
        self.seen.append(event.name)

    def __getattr__(self, name):
        return getattr(self._hooks, name)


def test_the_watch_tells_the_observers(site):
    hooks = Observing(site.here.plugins.hooks)
    here = replace(site.here, plugins=site.here.plugins._replace(hooks=hooks))
    watch = Watch(START)
    watch.look(here)
    watch.look(here)

    assert ["plan_held"] == hooks.seen


def test_within_a_transaction_the_watch_looks_and_tells_nothing_yet(site):
    """As a long run does, to let the heartbeat go on."""
    hooks = Observing(site.here.plugins.hooks)
    here = replace(site.here, plugins=site.here.plugins._replace(hooks=hooks))
    watch = Watch(START)
    with site.database.transaction():
        assert 1 == len(watch.look(here).held)
    assert [] == hooks.seen

    watch.look(here)

    assert ["plan_held"] == hooks.seen


class TestAnyHistory:
    @given(st.lists(st.tuples(st.sets(st.sampled_from(sorted(ENDS))), st.integers(1, 3000)), max_size=30))
    def test_what_was_told_is_what_is_there_and_nothing_is_silent_for_more_than_a_day(self, history):
        """Whatever begins and ends: told at once, told daily, told when it is over."""
        known, now, last = {}, START, {}
        for kinds, minutes in history:
            now += timedelta(minutes=minutes)
            found = news(known, map(trouble, kinds), now)
            over = {event.name for event in found.events if event.fields["severity"] == "ok"}
            begun = {event.name for event in found.events} - over
            ended = {ENDS[kind] for kind, _ in known} - {ENDS[kind] for kind in kinds}

            assert ended == over
            assert {kind for kind in kinds if (kind, "it") not in known} <= begun <= kinds
            for kind in begun:
                last[kind] = now
            for kind in kinds:
                assert now - last[kind] < timedelta(days=1)
            known = {key: one for key, one in {**known, **found.told}.items() if key not in found.over}
            assert kinds == {kind for kind, _ in known}
            assert all(datetime.fromisoformat(one.since) <= now for one in known.values())


def trouble(kind):
    return Trouble(kind=kind, subject="it", severity=1, text="it is so", next="syncd status")


def fail(site):
    with pytest.raises(Unavailable):
        site.sync()


def unavailable(source):
    """Return a source that cannot be read."""

    def read(_cursor):
        raise Unavailable("nobody answers")
        yield

    source.read = read
    return source
