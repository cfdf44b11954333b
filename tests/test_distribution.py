"""Bringing platforms to what is wanted of them."""

import base64
import json
import threading
import time
from datetime import datetime, timedelta
from urllib.parse import quote

import pytest
from distribution_world import START, Clock, Company, Desk, Log, deliver, lane

from syncd.distribution import (
    Breaker,
    Difference,
    calling,
    pending,
    retry,
    seed,
    verify,
    want_again,
)
from syncd.errors import Blocked, Denied, Gone, PluginError, Rejected, StoreError, Unavailable
from syncd.model import Outcome
from syncd.services import Service


@pytest.fixture
def company(tmp_path):
    company = Company(tmp_path / "syncd.db", "desk")
    yield company
    company.database.close()


@pytest.fixture
def desk():
    return Desk()


@pytest.fixture
def clock():
    return Clock()


def raising(error, *, method=None, subject=None, times=1000):
    """Return a ``before`` (or ``after``) that raises at the first ``times`` calls that fit."""
    left = [times]

    def hook(called, of):
        if called != "open" and method in (None, called) and subject in (None, of) and left[0]:
            left[0] -= 1
            raise error

    return hook


class TestStates:
    def test_everybody_is_added_in_the_order_of_revisions(self, company, desk):
        numbers = [company.add(display_name=f"Person {number}") for number in range(5)]
        company.change(numbers[0], display_name="Person 0, later")

        reports = deliver(company, lane(desk))

        assert [*numbers[1:], numbers[0]] == [int(key) for _, key in desk.calls]
        assert company.wanted(tuple(desk.fields)) == desk.there()
        assert {"done": 5} == company.states()
        assert (5, 0, "") == (reports["desk"].confirmed, reports["desk"].failed, reports["desk"].stopped)

    def test_each_delivery_has_its_intent_and_its_outcome(self, company, desk):
        account = company.add(display_name="Ann")

        deliver(company, lane(desk))

        assert [("add", None), ("add", "confirmed")] == company.deliveries(account)
        assert ("r1", account, account) == tuple(
            company.remote(account)[name] for name in ("remote_id", "wanted", "done")
        )

    def test_what_is_done_is_not_done_again(self, company, desk):
        company.add(display_name="Ann")
        road = lane(desk)
        deliver(company, road)
        before = company.deliveries()

        report = deliver(company, road)["desk"]

        assert [("add", "1")] == desk.calls
        assert before == company.deliveries()
        assert (0, 0) == (report.confirmed, report.unchanged)

    def test_repeats_coalesce_into_one_update_of_the_changed_fields(self, company, desk):
        account = company.add(display_name="Ann", location="north")
        deliver(company, lane(desk))
        company.change(account, display_name="Anna")
        company.change(account, display_name="Anne")
        company.change(account, extension="4001")
        seen = []
        desk.update = lambda remote_id, account, changed: seen.append(changed)

        deliver(company, lane(desk))

        assert [frozenset({"display_name", "extension"})] == seen

    def test_a_change_that_was_taken_back_needs_no_call_and_no_delivery(self, company, desk):
        account = company.add(display_name="Ann")
        deliver(company, lane(desk))
        company.change(account, display_name="Anna")
        revision = company.change(account, display_name="Ann")
        before = company.deliveries()

        report = deliver(company, lane(desk))["desk"]

        assert ([("add", "1")], before, 1) == (desk.calls, company.deliveries(), report.unchanged)
        assert ("done", revision) == (company.remote(account)["state"], company.remote(account)["done"])

    def test_a_cleared_attribute_is_cleared_there(self, company, desk):
        account = company.add(display_name="Ann", extension="4001")
        deliver(company, lane(desk))
        company.change(account, extension=None)

        deliver(company, lane(desk))

        assert {str(account): (True, {"display_name": "Ann"})} == desk.there()

    def test_a_disabled_account_is_added_and_disabled_at_once(self, company, desk):
        disabled = company.add(display_name="Ann", disabled_by="source")
        other = company.add(display_name="Bob")

        deliver(company, lane(desk, batch=1))

        assert [("add", "1"), ("disable", "1"), ("add", "2")] == desk.calls
        assert (False, True) == (desk.there()[str(disabled)][0], desk.there()[str(other)][0])

    def test_disabling_comes_before_what_else_has_changed(self, company, desk):
        account = company.add(display_name="Ann")
        deliver(company, lane(desk))
        company.disable(account)
        company.change(account, display_name="Anna")
        deliver(company, lane(desk))

        assert [("disable", "1"), ("update", "1")] == desk.calls[1:]
        assert {str(account): (False, {"display_name": "Anna"})} == desk.there()

        company.disable(account, None)
        deliver(company, lane(desk))

        assert [("enable", "1")] == desk.calls[3:]

    def test_a_leaver_is_disabled_even_where_the_rest_is_refused(self, company, desk):
        """Nobody knows how the account looks there since an update of it was refused, and so both come together."""
        account = company.add(display_name="Ann")
        deliver(company, lane(desk))
        desk.before = raising(Rejected("no such name"), method="update", times=2)
        company.change(account, display_name="")
        deliver(company, lane(desk))
        company.disable(account)
        desk.calls.clear()

        deliver(company, lane(desk))

        assert [("disable", "1"), ("update", "1")] == desk.calls
        assert {str(account): (False, {"display_name": "Ann"})} == desk.there()
        row = company.remote(account)
        assert ("failed", None, "rejected: no such name") == (
            row["state"],
            row["delivered"],
            row["message"],
        )

    def test_a_deleted_account_is_deleted_and_its_row_is_empty(self, company, desk):
        account = company.add(display_name="Ann", email="ann@acme.example")
        deliver(company, lane(desk))
        company.delete(account)

        deliver(company, lane(desk))

        remote = company.remote(account)
        assert {} == desk.accounts
        assert (None, None, "done") == (remote["remote_id"], remote["delivered"], remote["state"])
        assert [] == company.conn.execute("SELECT * FROM keys").fetchall()

    def test_who_is_not_served_is_done_without_a_call(self, company, desk):
        contact = company.add(kind="contact", display_name="Ann")
        south = company.add(display_name="Bob", location="south")
        service = Service(name="desk", kinds=frozenset({"user"}), accept={"location": frozenset({"north"})})

        report = deliver(company, lane(desk, service=service))["desk"]

        assert ([], [], 2) == (desk.calls, company.deliveries(), report.unchanged)
        assert "done" == company.remote(contact)["state"] == company.remote(south)["state"]
        assert 0 == desk.opened

    def test_who_leaves_the_served_set_is_deleted_there(self, company, desk):
        account = company.add(display_name="Ann", location="north")
        service = Service(name="desk", accept={"location": frozenset({"north"})})
        deliver(company, lane(desk, service=service))
        company.change(account, location="south")

        deliver(company, lane(desk, service=service))

        assert {} == desk.accounts

    def test_a_secret_field_is_delivered_and_only_its_digest_is_kept(self, company, desk):
        account = company.add(display_name="Ann", pin="739154")
        deliver(company, lane(desk))

        assert {str(account): (True, {"display_name": "Ann", "pin": "739154"})} == desk.there()
        assert "739154" not in company.remote(account)["delivered"]

        company.change(account, pin="739155")
        deliver(company, lane(desk))

        assert "739155" == desk.there()[str(account)][1]["pin"]

    def test_a_field_that_cannot_be_mapped_fails_one_account(self, company, desk):
        bad, good = company.add(display_name="bad"), company.add(display_name="good")
        road = lane(desk)
        made = road.fields_of

        def fields_of(values):
            if values["display_name"] == "bad":
                raise ValueError("no such thing")
            return made(values)

        object.__setattr__(road, "fields_of", fields_of)
        deliver(company, road)

        assert ("failed", "done") == (company.remote(bad)["state"], company.remote(good)["state"])


class TestMoves:
    """A move from one platform to another adds before it removes."""

    def test_the_old_place_is_left_after_the_new_one_is_reached(self, tmp_path):
        company = Company(tmp_path / "syncd.db", "north", "south")
        desks, roads, order = {}, [], []
        for name in ("north", "south"):
            desks[name] = Desk()
            desks[name].after = lambda method, subject, name=name: order.append((name, method))
            service = Service(name=name, accept={"location": frozenset({name})})
            roads.append(lane(desks[name], name, service=service))
        moving = [company.add(display_name="Ann", location="north") for _ in range(3)]
        back = company.add(display_name="Bob", location="south")
        deliver(company, *roads)
        order.clear()
        company.change_all({**{one: {"location": "south"} for one in moving}, back: {"location": "north"}})

        deliver(company, *roads)

        assert ["add"] * 4 == [method for _, method in order[:4]]
        assert ["delete"] * 4 == [method for _, method in order[4:]]
        assert ({str(back)}, {str(one) for one in moving}) == (
            set(desks["north"].there()),
            set(desks["south"].there()),
        )

    def test_those_who_move_to_each_others_places_and_numbers_arrive(self, tmp_path):
        names = ("north", "south", "west")
        company = Company(tmp_path / "syncd.db", *names)
        desks = {name: Desk() for name in names}
        roads = [
            lane(desk, name, service=Service(name=name, accept={"location": frozenset({name})}))
            for name, desk in desks.items()
        ]
        people = [
            company.add(extension=f"400{number}", location=name)
            for number, name in enumerate((*names, "north"))
        ]
        deliver(company, *roads)
        moves = ((1, "south"), (2, "west"), (0, "north"), (3, "south"))
        wanted = {
            account: {"extension": f"400{number}", "location": name}
            for account, (number, name) in zip(people, moves, strict=True)
        }
        company.change_all(wanted)
        deliver(company, *roads)

        for name, desk in desks.items():
            expected = {str(one) for one, (_, place) in zip(people, moves, strict=True) if place == name}
            assert expected == set(desk.there())
        assert {"done": 4} == company.states("north")

    def test_nobody_is_removed_while_the_new_place_refuses(self, tmp_path):
        company = Company(tmp_path / "syncd.db", "north", "south")
        north, south = Desk(), Desk()
        roads = [
            lane(desk, name, service=Service(name=name, accept={"location": frozenset({name})}))
            for name, desk in (("north", north), ("south", south))
        ]
        account = company.add(display_name="Ann", location="north")
        deliver(company, *roads)
        company.change(account, location="south")
        south.before = raising(Rejected("no licence is left"), times=1)

        reports = deliver(company, *roads)

        assert {str(account)} == set(north.there())
        assert (1, 1) == (reports["north"].held, reports["south"].failed)

        retry(company.database)
        deliver(company, *roads)

        assert (set(), {str(account)}) == (set(north.there()), set(south.there()))


class TestKeys:
    """An account takes a key only after the platform confirmed that another one gave it up."""

    def test_who_takes_a_key_waits_for_who_gives_it_up(self, company, desk):
        """The taker's revision is the lower one, and still it comes second."""
        giver, taker = company.add(extension="4001"), company.add(extension="4002")
        deliver(company, lane(desk))
        company.change_all({taker: {"extension": "4001"}, giver: {"extension": "4003"}})
        desk.calls.clear()

        deliver(company, lane(desk))

        assert [("update", str(giver)), ("update", str(taker))] == desk.calls
        assert company.wanted(tuple(desk.fields)) == desk.there()
        assert [] == company.conn.execute("SELECT * FROM keys WHERE releasing <> 0").fetchall()

    def test_who_gives_up_a_key_that_was_never_there_holds_nobody_up(self, company, desk):
        giver, taker = company.add(kind="contact", extension="4001"), company.add(extension="4002")
        service = Service(name="desk", kinds=frozenset({"user"}))
        deliver(company, lane(desk, service=service))
        company.change_all({taker: {"extension": "4001"}, giver: {"extension": "4003"}})

        report = deliver(company, lane(desk, service=service))["desk"]

        assert ({"done": 2}, 0) == (company.states(), report.held)
        assert {str(taker): (True, {"extension": "4001"})} == desk.there()

    def test_a_long_chain_is_delivered_from_its_free_end(self, company, desk):
        """Everybody gets the next number: 60 accounts, one after the other, in one call."""
        numbers = [company.add(extension=str(4000 + number)) for number in range(60)]
        deliver(company, lane(desk))
        company.change_all(
            {account: {"extension": str(4001 + number)} for number, account in enumerate(numbers)}
        )
        desk.calls.clear()

        deliver(company, lane(desk))

        assert [("update", str(number)) for number in reversed(numbers)] == desk.calls
        assert {"done": 60} == company.states()

    def test_a_stuck_row_delays_only_its_own_account_and_keys(self, company, desk):
        stuck, taker = company.add(extension="4001"), company.add(extension="4002")
        third, others = company.add(extension="4003"), [company.add() for _ in range(3)]
        deliver(company, lane(desk))
        company.change_all(
            {
                stuck: {"extension": "4009"},
                taker: {"extension": "4001"},
                third: {"extension": "4002"},
                **{one: {"display_name": "new"} for one in others},
            }
        )
        desk.before = raising(Rejected("not this one"), method="update", subject=str(stuck), times=1)

        report = deliver(company, lane(desk))["desk"]

        assert ("failed", "pending", "pending") == tuple(
            company.remote(one)["state"] for one in (stuck, taker, third)
        )
        assert (3, 2) == (report.confirmed, report.held)

        retry(company.database, "desk", stuck)
        deliver(company, lane(desk))

        assert company.wanted(tuple(desk.fields)) == desk.there()

    def test_a_swap_is_delivered_although_keys_are_unique_there(self, company, desk):
        """The account with the lower revision gives its address up first."""
        ann, bob = company.add(email="ann@acme.example"), company.add(email="bob@acme.example")
        deliver(company, lane(desk))
        company.change_all({bob: {"email": "ann@acme.example"}, ann: {"email": "bob@acme.example"}})
        desk.calls.clear()

        deliver(company, lane(desk))

        assert [("update", str(bob)), ("update", str(ann)), ("update", str(bob))] == desk.calls
        assert company.wanted(tuple(desk.fields)) == desk.there()
        assert [] == company.conn.execute("SELECT * FROM keys WHERE releasing <> 0").fetchall()

    def test_many_circles_are_broken_at_once(self, company, desk):
        """Twenty swaps and a circle of seven, with a tail that waits for the circle."""
        numbers = [company.add(extension=str(4000 + number)) for number in range(48)]
        deliver(company, lane(desk))
        new = {numbers[one]: str(4000 + (one ^ 1)) for one in range(40)}
        new |= {numbers[one]: str(4000 + (40 + (one - 39) % 7)) for one in range(40, 47)}
        company.change_all({account: {"extension": extension} for account, extension in new.items()})

        deliver(company, lane(desk, batch=7))

        assert company.wanted(tuple(desk.fields)) == desk.there()
        assert {"done": 48} == company.states()

    def test_a_swap_of_a_required_field_is_left_to_the_platform(self, company):
        """It cannot be emptied in between: the lowest revision goes first, as a whole."""
        desk = Desk(required=("email",), unique=False)
        ann, bob = company.add(email="ann@acme.example"), company.add(email="bob@acme.example")
        deliver(company, lane(desk))
        company.change_all({bob: {"email": "ann@acme.example"}, ann: {"email": "bob@acme.example"}})
        desk.calls.clear()

        deliver(company, lane(desk))

        assert [("update", str(bob)), ("update", str(ann))] == desk.calls
        assert company.wanted(tuple(desk.fields)) == desk.there()

    @pytest.mark.parametrize("size", [1, 2, 100])
    def test_those_who_exchange_required_keys_come_together(self, company, size):
        """Two swaps and a circle of three, whatever the size of a batch."""
        desk = Desk(required=("extension",), unique=False)
        numbers = [company.add(extension=str(4000 + number)) for number in range(7)]
        deliver(company, lane(desk))
        new = (1, 0, 3, 2, 5, 6, 4)
        company.change_all({
            account: {"extension": str(4000 + other)} for account, other in zip(numbers, new, strict=True)
        })  # fmt: skip
        batches: list[set[int]] = []
        one_by_one = desk.deliver

        def watched(deliveries):
            batch = [*deliveries]
            batches.append({int(one.account.key) for one in batch})
            return one_by_one(iter(batch))

        desk.deliver = watched

        deliver(company, lane(desk, batch=size))

        assert company.wanted(tuple(desk.fields)) == desk.there()
        for circle in ((0, 1), (2, 3), (4, 5, 6)):
            members = {numbers[one] for one in circle}
            assert [members] == [batch & members for batch in batches if batch & members]

    def test_a_swap_that_fails_half_way_is_taken_up_again(self, company, desk):
        ann, bob = company.add(email="ann@acme.example"), company.add(email="bob@acme.example")
        deliver(company, lane(desk))
        company.change_all({ann: {"email": "bob@acme.example"}, bob: {"email": "ann@acme.example"}})
        desk.before = raising(Rejected("not now"), method="update", subject=str(bob), times=1)
        deliver(company, lane(desk))
        retry(company.database)

        deliver(company, lane(desk))

        assert company.wanted(tuple(desk.fields)) == desk.there()

    def test_a_key_stays_releasing_until_every_platform_confirmed(self, tmp_path):
        company = Company(tmp_path / "syncd.db", "desk", "door")
        desk, door = Desk(), Desk()
        account = company.add(email="ann@acme.example")
        roads = [lane(desk), lane(door, "door")]
        deliver(company, *roads)
        company.delete(account)
        deliver(company, roads[0])

        assert [(account,)] == company.conn.execute("SELECT releasing FROM keys").fetchall()

        deliver(company, *roads)

        assert [] == company.conn.execute("SELECT releasing FROM keys").fetchall()


class TestErrors:
    def test_a_rejected_account_fails_until_it_changes(self, company, desk):
        bad, good = company.add(display_name="bad"), company.add(display_name="good")
        desk.before = raising(Rejected("the name is not allowed"), subject=str(bad), times=1)

        deliver(company, lane(desk))
        deliver(company, lane(desk))

        remote = company.remote(bad)
        assert ("failed", "rejected: the name is not allowed") == (remote["state"], remote["message"])
        assert "done" == company.remote(good)["state"]
        assert 2 == len(desk.calls)

        company.change(bad, display_name="better")
        deliver(company, lane(desk))

        assert company.wanted(tuple(desk.fields)) == desk.there()

    @pytest.mark.parametrize(
        ("told", "seconds"), [(7, 7), (2.128, 3), (3600, 3600), (86400, 86400), (0.2, 1)]
    )
    @pytest.mark.parametrize("restarted", [False, True])
    def test_a_platform_is_never_asked_earlier_than_it_said(
        self, company, desk, clock, told, seconds, restarted
    ):
        """Not by the same process, nor by a new one that knows only the database."""
        for _ in range(3):
            company.add()
        desk.before = raising(Unavailable("too many requests", retry_after=told), times=1)
        road = lane(desk)
        report = deliver(company, road, clock=clock)["desk"]

        assert ("unavailable", 1) == (report.stopped, len(desk.calls))
        assert START + timedelta(seconds=told) == report.until

        road = lane(desk) if restarted else road
        clock.advance(told - 0.1)
        deliver(company, road, clock=clock)

        assert 1 == len(desk.calls)

        clock.now = START + timedelta(seconds=seconds)
        deliver(company, road, clock=clock)

        assert {"done": 3} == company.states()

    @pytest.mark.parametrize("told", [None, -5, 0, float("nan"), float("inf")])
    def test_without_a_sensible_word_the_back_off_doubles_up_to_an_hour(self, company, desk, clock, told):
        account = company.add()
        desk.before = raising(Unavailable("away", retry_after=told))
        road = lane(desk, pause=2.0)
        waits = []
        for _ in range(16):
            deliver(company, road, clock=clock)
            until = datetime.fromisoformat(company.remote(account)["next_try"])
            waits.append((until - clock.now).total_seconds())
            clock.now = max(until, road.health.until(clock.now) or until)

        for attempt, seconds in enumerate(waits):
            whole = min(3600, 2 * 2**attempt)
            assert whole / 2 <= seconds <= whole + 1
        assert 16 == len(desk.calls)

    @pytest.mark.parametrize(("ahead", "told", "done"), [
        (timedelta(days=400), None, True), (timedelta(minutes=30), None, False), (timedelta(0), 7200, False),
    ])  # fmt: skip
    def test_a_clock_that_was_ahead_keeps_nobody_waiting_longer_than_an_hour(
        self, company, desk, clock, ahead, told, done
    ):
        company.add()
        clock.now = START + ahead
        desk.before = raising(Unavailable("away", retry_after=told), times=1)
        deliver(company, lane(desk, pause=600), clock=clock)
        clock.now = START
        deliver(company, lane(desk), clock=clock)

        assert done == (company.states() == {"done": 1})

    def test_an_unavailable_platform_is_asked_once_and_the_rest_is_untouched(self, company, desk, clock):
        """Nothing after the first refusal was begun, and the log says so once, and once that it is over."""
        for _ in range(50):
            company.add()
        log, road = Log(), lane(desk)
        desk.before = raising(Unavailable("the connection was refused"))
        for _ in range(4):
            deliver(company, road, clock=clock, log=log)
            clock.advance(3600)

        assert 4 == len(desk.calls)
        assert {} == desk.accounts
        assert len(company.deliveries()) <= 2 * (50 + 3), "after the first time, one is tried alone"
        assert ["platform_unavailable"] == log.events("platform_unavailable", "platform_recovered")

        desk.before = lambda method, subject: None
        deliver(company, road, clock=clock, log=log)

        assert {"done": 50} == company.states()
        assert ["platform_unavailable", "platform_recovered"] == log.events(
            "platform_unavailable", "platform_recovered"
        )

    def test_a_platform_that_cannot_be_opened_is_left_alone(self, company, desk, clock):
        for _ in range(3):
            company.add()

        def refuse(method, subject):
            raise Unavailable("no route to host", retry_after=60)

        desk.before, road = refuse, lane(desk)
        report = deliver(company, road, clock=clock)["desk"]

        assert ("unavailable", "no route to host") == (report.stopped, report.message)
        assert ([], []) == (desk.calls, company.deliveries())

        desk.before = lambda method, subject: None
        clock.advance(60)
        deliver(company, road, clock=clock)

        assert {"done": 3} == company.states()

    def test_one_account_that_the_platform_always_chokes_on_does_not_hold_up_the_others(
        self, company, desk, clock
    ):
        """It says Unavailable for it, time and again: after three tries it comes last."""
        poison = company.add()
        others = [company.add() for _ in range(30)]
        desk.before = raising(Unavailable("internal error"), subject=str(poison))
        road = lane(desk)
        for _ in range(5):
            deliver(company, road, clock=clock)
            clock.advance(3600)

        assert {str(one) for one in others} == set(desk.there())

    def test_what_is_blocked_waits_and_names_what_blocks_it(self, company, desk, clock):
        account, other = company.add(), company.add()
        deliver(company, lane(desk))
        company.delete(account)
        company.delete(other)
        blocked = Blocked("the number is in use", references=("status 17", "status 18"))
        desk.before = raising(blocked, method="delete", subject="r1", times=1)
        road = lane(desk)
        report = deliver(company, road, clock=clock)["desk"]

        remote = company.remote(account)
        assert ("waiting", 1, 1) == (remote["state"], report.waiting, report.confirmed)
        assert "blocked by status 17, status 18: the number is in use" == remote["message"]

        clock.advance(60)
        deliver(company, road, clock=clock)

        assert {} == desk.accounts

    def test_a_platform_that_denies_is_stopped_and_reported_once(self, company, desk, clock):
        for _ in range(5):
            company.add()
        desk.before = raising(Denied("the password has expired"))
        log, road = Log(), lane(desk)
        first = deliver(company, road, clock=clock, log=log)["desk"]
        deliver(company, road, clock=clock, log=log)

        assert ("denied", "the password has expired") == (first.stopped, first.message)
        assert ({"pending": 5}, 1) == (company.states(), len(desk.calls))

        clock.advance(10)
        deliver(company, road, clock=clock, log=log)

        assert (["platform_denied"], 2) == (log.events("platform_denied"), len(desk.calls))

        desk.before = lambda method, subject: None
        road.health.forgive()
        deliver(company, road, clock=clock, log=log)

        assert {"done": 5} == company.states()

    def test_any_other_error_fails_one_account_and_blames_the_plugin(self, company, desk):
        """The message names the plugin and the platform, and holds no secret of the account."""
        bad, others = company.add(pin="739154"), [company.add() for _ in range(3)]
        desk.before = raising(KeyError("no column for 739154"), subject=str(bad))

        deliver(company, lane(desk))

        remote = company.remote(bad)
        assert "failed" == remote["state"]
        assert (
            "plugin acme_desk: platform desk: add() raised KeyError: 'no column for ***'" == remote["message"]
        )
        assert {str(one) for one in others} == set(desk.there())

    @pytest.mark.parametrize("kind", [Unavailable, Denied, Rejected, ValueError, KeyError])
    @pytest.mark.parametrize("whole", [False, True], ids=["of one", "of all"])
    @pytest.mark.parametrize("pin", ["739154", "it's  seven\\\"8", "h\u00fcnter Gr\u00f6\u00dfe"])
    def test_no_error_tells_a_secret_however_it_is_written(self, company, desk, kind, whole, pin):
        first, *_ = accounts = [company.add(pin=pin), company.add()]
        texts = [pin, repr(pin), repr((pin, f"{pin}'")), json.dumps({"code": pin}), quote(pin)]
        texts += [base64.b64encode(pin.encode()).decode(), f"{pin!r} or '{pin}'"]
        for text in texts:
            error, log, road = kind(text), Log(), lane(desk)

            def deliver_none(deliveries, error=error):
                list(deliveries)
                raise error

            if whole:
                desk.deliver = deliver_none
            else:
                desk.before = raising(error, method="add", subject=str(first))
            want_again(company.database, "desk", accounts)
            report = deliver(company, road, log=log)

            said = [company.remote(one)["message"] for one in accounts]
            told = " ".join(map(str, [*said, log.lines, report, road.health.message]))
            assert "***" in told
            assert [] == [one for one in (text, pin, repr(pin)[1:-1], pin.split()[-1]) if one in told]

    def test_even_a_plugin_that_wants_to_exit_fails_one_account(self, company, desk):
        bad, good = company.add(), company.add()
        desk.before = raising(SystemExit(3), subject=str(bad))

        deliver(company, lane(desk))

        assert ("failed", "done") == (company.remote(bad)["state"], company.remote(good)["state"])

    @pytest.mark.parametrize("found", [True, False])
    def test_what_is_gone_is_found_or_else_added_again(self, company, desk, found):
        account = company.add(display_name="Ann")
        deliver(company, lane(desk))
        stored = desk.accounts.pop("r1")
        if found:
            desk.accounts["elsewhere"] = stored
        company.change(account, display_name="Anna")

        deliver(company, lane(desk))

        remote_id = company.remote(account)["remote_id"]
        assert remote_id == "elsewhere" if found else remote_id != "r1"
        assert company.wanted(tuple(desk.fields)) == desk.there()
        assert [("update", None), ("update", "found" if found else "nothing")] == company.deliveries()[2:4]

    def test_what_is_found_and_gone_for_ever_waits(self, company, desk, clock):
        account = company.add(display_name="Ann")
        deliver(company, lane(desk))
        company.change(account, display_name="Anna")
        desk.before = raising(Gone("no such account"), method="update")

        deliver(company, lane(desk), clock=clock)

        assert ("waiting", 2) == tuple(company.remote(account)[name] for name in ("state", "attempts"))

    def test_what_is_gone_already_is_deleted(self, company, desk):
        account = company.add()
        deliver(company, lane(desk))
        company.delete(account)
        desk.before = raising(Gone("no such account"), method="delete")

        deliver(company, lane(desk))

        assert ("done", None) == tuple(company.remote(account)[name] for name in ("state", "remote_id"))


class TestBreaker:
    def test_it_opens_after_five_failures_in_a_row_and_closes_after_a_success(self, company, desk, clock):
        numbers = [company.add() for _ in range(12)]
        log, road = Log(), lane(desk, breaker=Breaker(pause=30))
        desk.before = raising(Rejected("no"), times=6)

        report = deliver(company, road, clock=clock, log=log)["desk"]

        assert ("breaker", 5, 5) == (report.stopped, report.failed, len(desk.calls))

        deliver(company, road, clock=clock, log=log)

        assert 5 == len(desk.calls)

        clock.advance(30)
        deliver(company, road, clock=clock, log=log)

        assert 6 == len(desk.calls), "a single account is tried"
        assert 2 * (12 + 1) == len(company.deliveries())

        clock.advance(30)
        deliver(company, road, clock=clock, log=log)
        opened = road.health.until(clock.now)
        clock.now = opened or clock.now
        deliver(company, road, clock=clock, log=log)

        assert {"failed": 6, "done": 6} == company.states()
        assert {str(one) for one in numbers[6:]} == set(desk.there())
        assert ["platform_breaker_opened", "platform_breaker_closed"] == log.events(
            "platform_breaker_opened", "platform_breaker_closed"
        )

    @pytest.mark.parametrize(("failing", "stopped"), [(3, ""), (4, "breaker")])
    def test_it_opens_when_a_fifth_of_a_batch_of_twenty_failed(self, company, desk, clock, failing, stopped):
        numbers = [company.add() for _ in range(25)]
        bad = {str(one) for one in numbers[: 2 * failing : 2]}

        def refuse(method, subject):
            if subject in bad:
                raise Rejected("no")

        desk.before = refuse

        report = deliver(company, lane(desk, batch=20, breaker=Breaker()), clock=clock)["desk"]

        assert (stopped, 20 if stopped else 25) == (report.stopped, len(desk.calls))

    def test_an_open_breaker_is_not_opened_again_by_what_is_no_failure(self, company, desk, clock):
        numbers = [company.add() for _ in range(8)]
        road = lane(desk, breaker=Breaker(pause=30))
        desk.before = raising(Rejected("no"), times=5)
        deliver(company, road, clock=clock)
        desk.before = raising(Blocked("wait"), subject=str(numbers[5]))
        clock.advance(30)

        report = deliver(company, road, clock=clock)["desk"]

        assert ("", 2, 1) == (report.stopped, report.confirmed, report.waiting)

    def test_blocked_and_gone_do_not_count(self, company, desk, clock):
        for _ in range(25):
            company.add()
        desk.before = raising(Blocked("wait", references=("x",)))

        report = deliver(company, lane(desk, breaker=Breaker()), clock=clock)["desk"]

        assert ("", 25) == (report.stopped, report.waiting)


class TestLanes:
    def test_a_slow_platform_delays_only_itself(self, tmp_path):
        """The slow one waits until the fast one has everything: if it came first, it would wait in vain."""
        company = Company(tmp_path / "syncd.db", "fast", "slow")
        fast, slow, ready, waited = Desk(), Desk(), threading.Event(), []
        for _ in range(250):
            company.add()
        fast.after = lambda method, subject: len(fast.accounts) == 250 and ready.set()
        slow.before = lambda method, subject: waited.append(ready.wait(30))

        reports = deliver(company, lane(slow, "slow"), lane(fast, "fast"))

        assert waited[0]
        assert (250, 250) == (reports["fast"].confirmed, reports["slow"].confirmed)

    def test_a_dead_platform_delays_only_itself(self, tmp_path):
        company = Company(tmp_path / "syncd.db", "well", "dead")
        well, dead = Desk(), Desk()
        for _ in range(20):
            company.add()
        dead.before = raising(Unavailable("no route to host"))

        reports = deliver(company, lane(dead, "dead"), lane(well, "well"))

        assert (20, 0) == (reports["well"].confirmed, reports["dead"].confirmed)

    def test_a_platform_that_never_comes_back_is_given_up_and_not_called_meanwhile(
        self, tmp_path, monkeypatch
    ):
        monkeypatch.setattr(calling, "DRAIN", 0.3)
        company = Company(tmp_path / "syncd.db", "well", "stuck")
        well, stuck, release = Desk(), Desk(), threading.Event()
        accounts = [company.add() for _ in range(3)]
        stuck.before = lambda method, subject: method == "open" or release.wait(30)
        roads, beats = [lane(stuck, "stuck"), lane(well, "well")], []

        def clock():
            return START + timedelta(seconds=time.monotonic() - begun)

        begun = time.monotonic()
        reports = deliver(
            company, *roads, clock=clock, deadline=START + timedelta(seconds=0.5), beat=beats.append
        )

        assert time.monotonic() - begun < 10
        assert ("deadline", 3) == (reports["stuck"].stopped, reports["well"].confirmed)
        assert beats

        company.change(accounts[0], display_name="Ann")
        reports = deliver(company, *roads)

        assert ("busy", 1) == (reports["stuck"].stopped, reports["well"].confirmed)

        release.set()
        while roads[0].health.working():
            time.sleep(0.01)
        deliver(company, *roads)

        assert company.wanted(tuple(stuck.fields)) == stuck.there()

    def test_a_stop_lets_the_account_at_hand_be_finished_and_begins_no_other(self, company, desk):
        stopping = threading.Event()
        for _ in range(10):
            company.add()
        desk.after = lambda method, subject: len(desk.accounts) == 4 and stopping.set()

        report = deliver(company, lane(desk), stopping=stopping)["desk"]

        assert ("stopping", 4, 4) == (report.stopped, report.confirmed, len(desk.accounts))
        assert {"done": 4, "pending": 6} == company.states()

        desk.calls.clear()
        deliver(company, lane(desk))

        assert ["add"] * 6 == [method for method, _ in desk.calls]

    def test_an_account_that_changes_while_it_is_delivered_is_delivered_again(self, company, desk):
        account, changed = company.add(display_name="Ann"), threading.Event()
        desk.before = lambda method, subject: method == "open" or changed.wait(10)

        def beat(count):
            if desk.calls and not changed.is_set():
                company.change(account, display_name="Anna")
                changed.set()

        deliver(company, lane(desk), beat=beat)

        assert {"pending": 1} == company.states()
        assert account == company.remote(account)["done"]

        deliver(company, lane(desk))

        assert company.wanted(tuple(desk.fields)) == desk.there()

    def test_waiting_sits_out_what_ends_before_the_deadline(self, company, desk):
        """The platform is opened anew after its pause."""
        for _ in range(5):
            company.add()
        desk.before = raising(Unavailable("restarting"), times=1)

        report = deliver(
            company, lane(desk, pause=0.01), clock=lambda: datetime.now(START.tzinfo), wait=True
        )["desk"]

        assert ("", {"done": 5}) == (report.stopped, company.states())
        assert desk.opened == desk.closed > 1

    def test_waiting_does_not_sit_out_what_ends_later(self, company, desk):
        company.add()
        desk.before = raising(Unavailable("maintenance", retry_after=3600))

        report = deliver(company, lane(desk), clock=lambda: datetime.now(START.tzinfo), wait=True)["desk"]

        assert ("unavailable", 1) == (report.stopped, report.waiting)

    def test_nothing_is_asked_that_could_not_be_written_down(self, company, desk, monkeypatch):
        """Without a journal there is no change."""
        company.add()

        def refuse(*args):
            raise StoreError("the disk is full")

        monkeypatch.setattr("syncd.store.remotes.intend", refuse)
        with pytest.raises(StoreError):
            deliver(company, lane(desk))

        assert ([], 1, 1) == (desk.calls, desk.opened, desk.closed)

    def test_info_is_one_line_per_platform_and_call_and_single_deliveries_are_debug(self, company, desk):
        account = company.add(display_name="Ann")
        log, road = Log(), lane(desk)
        deliver(company, road, log=log)
        deliver(company, road, log=log)

        about = {"platform": "desk", "account": account, "operation": account, "action": "add"}
        counts = {"confirmed": 1, "unchanged": 0, "failed": 0, "waiting": 0, "held": 0}
        assert [
            ("debug", "delivery_started", about),
            ("debug", "delivery_confirmed", about),
            ("info", "platform_distributed", {"platform": "desk", **counts, "stopped": ""}),
        ] == log.lines


class Batching(Desk):
    """Takes all deliveries at once, and does with its outcomes what a test wants."""

    def __init__(self, spoil):
        super().__init__()
        self.spoil = spoil
        self.batches = []

    def deliver(self, deliveries):
        taken = list(deliveries)
        self.batches.append(len(taken))
        outcomes = [
            Outcome(one.id, self.add(one.account) if one.action == "add" else one.remote_id) for one in taken
        ]
        return self.spoil(outcomes)


class TestContract:
    """A ``deliver`` that breaks the contract loses nothing and doubles nothing."""

    @pytest.mark.parametrize(
        "spoil",
        [
            pytest.param(lambda outcomes: outcomes[:-1], id="too few"),
            pytest.param(lambda outcomes: [], id="none"),
            pytest.param(lambda outcomes: [*outcomes, outcomes[0]], id="too many"),
            pytest.param(lambda outcomes: [Outcome(10**6), *outcomes], id="a wrong id"),
            pytest.param(lambda outcomes: [None, *outcomes], id="no outcome"),
            pytest.param(lambda outcomes: None, id="no iterator"),
            pytest.param(lambda outcomes: [Outcome(one.id) for one in outcomes], id="no remote id"),
            pytest.param(lambda outcomes: [Outcome(one.id, 17) for one in outcomes], id="a number"),
            pytest.param(
                lambda outcomes: [Outcome(one.id, error="oh") for one in outcomes], id="no exception"
            ),
        ],
    )
    def test_what_has_no_outcome_is_looked_up_before_the_next_try(self, company, clock, spoil):
        desk = Batching(spoil)
        numbers = [company.add(display_name=f"Person {number}") for number in range(3)]
        road, log = lane(desk), Log()
        deliver(company, road, clock=clock, log=log)

        told = [company.remote(number)["message"] or "" for number in numbers]
        told += [str(fields.get("error")) for _, _, fields in log.lines]
        assert any("plugin acme_desk: platform desk: " in text for text in told)

        desk.spoil = iter
        clock.advance(3600)
        deliver(company, road, clock=clock)

        assert company.wanted(tuple(desk.fields)) == desk.there()
        assert {"done": 3} == company.states()
        assert 3 == sum(method == "add" for method, _ in desk.calls)

    def test_a_deliver_that_takes_nothing_does_not_spin(self, company, desk, clock):
        company.add()
        desk.deliver = lambda deliveries: iter(())

        deliver(company, lane(desk), clock=clock)

        assert "waiting" == company.remote(1)["state"]
        assert [("add", None), ("add", "nothing")] == company.deliveries()

    def test_a_record_that_fells_the_whole_batch_is_found_out(self, company, clock):
        """Nobody knows which one it was, so after three tries they come one by one."""
        poison, others = company.add(), [company.add() for _ in range(9)]

        class Fragile(Desk):
            def deliver(self, deliveries):
                taken = list(deliveries)
                if str(poison) in {one.account.key for one in taken}:
                    raise ValueError("cannot be encoded")
                return super().deliver(iter(taken))

        desk = Fragile()
        road = lane(desk)
        for _ in range(5):
            deliver(company, road, clock=clock)
            clock.advance(3600)

        assert {str(one) for one in others} == set(desk.there())
        assert "failed" == company.remote(poison)["state"]

    def test_an_unavailable_batch_is_looked_up(self, company, clock):
        """It was applied, and the answer was lost on the way."""
        desk, lost = Batching(iter), [True]

        def lose(outcomes):
            if lost.pop() if lost else False:
                raise Unavailable("the connection was lost")
            return iter(outcomes)

        desk.spoil = lose
        for number in range(4):
            company.add(display_name=f"Person {number}")
        road = lane(desk)
        deliver(company, road, clock=clock)
        clock.advance(60)
        deliver(company, road, clock=clock)

        assert company.wanted(tuple(desk.fields)) == desk.there()

    def test_a_changed_remote_id_is_kept(self, company, desk):
        """Some systems name an account anew when it is renamed."""
        account = company.add(display_name="Ann")
        deliver(company, lane(desk))
        company.change(account, display_name="Anna")
        desk.deliver = lambda deliveries: (Outcome(one.id, "cn=Anna") for one in deliveries)

        deliver(company, lane(desk))

        assert "cn=Anna" == company.remote(account)["remote_id"]


class TestSeeding:
    def test_a_new_platform_gets_everybody_who_has_no_row(self, tmp_path):
        company = Company(tmp_path / "syncd.db")
        numbers = [company.add(display_name=f"Person {number}") for number in range(3)]
        latest = company.change(numbers[0], display_name="changed")
        company.delete(numbers[2])
        road = lane(Desk())

        assert 0 == seed(company.database, road, ["other"])
        assert 2 == seed(company.database, road, ["acme"])
        assert 0 == seed(company.database, road, ["acme"])
        assert [latest, numbers[1]] == [company.remote(number)["wanted"] for number in numbers[:2]]

        deliver(company, road)

        assert company.wanted(tuple(road.platform.fields)) == road.platform.there()


class TestVerifying:
    def test_a_platform_that_is_as_it_should_be_has_no_difference(self, company, desk):
        for number in range(3):
            company.add(display_name=f"Person {number}", pin="1234", disabled_by="source" if number else None)
        deliver(company, lane(desk))

        assert [] == list(verify(company.database, lane(desk)))

    def test_every_difference_is_told_and_can_be_wanted_again(self, company, desk):
        missing, different, disabled, fine, later = (
            company.add(display_name=f"Person {number}") for number in range(5)
        )
        road = lane(desk)
        deliver(company, road)
        names = {number: company.remote(number)["remote_id"] for number in (missing, different, disabled)}
        del desk.accounts[names[missing]]
        desk.update(names[different], desk.accounts["r4"], frozenset({"display_name"}))
        desk.disable(names[disabled], desk.accounts["r4"])
        desk.accounts["by-hand"] = desk.accounts["r4"].__class__("x", "user", True, {})
        company.change(later, display_name="still to come")

        found = list(verify(company.database, road))

        assert [
            Difference("missing", missing, names[missing], "it is not there any more"),
            Difference("different", different, names[different], "it differs from what was delivered"),
            Difference("different", disabled, names[disabled], "it differs from what was delivered"),
            Difference("unknown", None, "by-hand", "nothing is known of this account"),
        ] == found

        accounts = [one.account for one in found if one.account is not None]

        assert 3 == want_again(company.database, "desk", accounts)

        deliver(company, road)
        del desk.accounts["by-hand"]

        assert company.wanted(tuple(desk.fields)) == desk.there()
        assert [] == list(verify(company.database, road))
        assert "done" == company.remote(fine)["state"]

    def test_who_does_not_belong_there_is_told(self, company, desk):
        account = company.add(location="north")
        deliver(company, lane(desk))
        service = Service(name="desk", accept={"location": frozenset({"south"})})

        found = list(verify(company.database, lane(desk, service=service)))

        assert [("unwanted", account)] == [(one.kind, one.account) for one in found]

    def test_a_platform_without_a_list_cannot_be_verified(self, company, desk):
        company.add()

        def refuse():
            raise NotImplementedError

        desk.list = refuse

        assert ["unverifiable"] == [one.kind for one in verify(company.database, lane(desk))]

    def test_a_list_that_breaks_the_contract_is_blamed_on_its_plugin(self, company, desk):
        desk.list = lambda: iter([("r1", 17, "too much")])
        with pytest.raises(PluginError, match="plugin acme_desk: platform desk: list\\(\\) raised"):
            list(verify(company.database, lane(desk)))

        assert 1 == desk.closed

    def test_an_unavailable_platform_says_so(self, company, desk):
        desk.before = lambda method, subject: (_ for _ in ()).throw(Unavailable("away"))
        with pytest.raises(Unavailable):
            list(verify(company.database, lane(desk)))


class TestPending:
    def test_what_is_not_done_is_listed_with_its_age(self, company, desk, clock):
        failed, waiting = company.add(), company.add()
        errors = {str(failed): Rejected("no"), str(waiting): Blocked("later")}

        def refuse(method, subject):
            if subject:
                raise errors[subject]

        desk.before = refuse
        deliver(company, lane(desk), clock=clock)

        rows = list(pending(company.database, clock.now))

        assert [("desk", failed, "failed", 60.0), ("desk", waiting, "waiting", 60.0)] == [
            (row.platform, row.account, row.state, row.age) for row in rows
        ]

    def test_who_is_held_is_told_for_whom(self, company, desk, clock):
        giver = company.add(extension="4001", email="ann@acme.example", display_name="Ann")
        other, taker = company.add(extension="4002", login="bob"), company.add(login="cem")
        deliver(company, lane(desk))
        company.change_all({
            giver: {"extension": "4003", "email": None},
            other: {"extension": "4001", "email": "ann@acme.example"},
            taker: {"extension": "4002"},
        })  # fmt: skip
        desk.before = raising(Rejected("no"), method="update", subject=str(giver))
        deliver(company, lane(desk))

        assert {
            giver: "rejected: no",
            other: f"waits for the email and extension that the platform still has under account {giver}, Ann",
            taker: f"waits for the extension that the platform still has under account {other}, bob",
        } == {row.account: row.message for row in pending(company.database, clock.now)}

    def test_who_was_not_come_to_yet_is_held_by_nobody(self, company, clock):
        company.add(extension="4001")

        assert [None] == [row.message for row in pending(company.database, clock.now)]

    def test_a_person_can_let_one_or_all_be_tried_again(self, company, desk, clock):
        numbers = [company.add() for _ in range(3)]
        desk.before = raising(Rejected("no"), times=3)
        deliver(company, lane(desk), clock=clock)

        assert 0 == retry(company.database, "other")
        assert 1 == retry(company.database, "desk", numbers[0])
        assert 2 == retry(company.database)

        deliver(company, lane(desk), clock=clock)

        assert {"done": 3} == company.states()

    def test_delivered_says_what_the_platform_confirmed(self, company, desk):
        account = company.add(display_name="Ann", email="ann@acme.example", disabled_by="local")
        deliver(company, lane(desk))

        fields = {"display_name": "Ann", "email": "ann@acme.example"}
        assert {"enabled": False, "fields": fields} == json.loads(company.remote(account)["delivered"])
