"""Distribution that is interrupted at every possible point, and distribution of many."""

import gc
import json
import shutil
import subprocess
import sys
import time
import tracemalloc
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from chances import chance_seed
from distribution_world import Clock, Company, Desk, deliver, lane
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.distribution import retry, seed
from syncd.errors import Denied, Gone, Rejected, StoreError, Unavailable
from syncd.model import Account
from syncd.store.database import Database
from syncd.store.remotes import Intent, intend

FIELDS = tuple(Desk().fields)


@pytest.fixture
def company(tmp_path):
    company = Company(tmp_path / "syncd.db", "desk")
    yield company
    company.database.close()


@pytest.fixture
def desk():
    return Desk()


def intended(company, account, action, remote_id=None, sent=None):
    """Write down an intent as a process does that is killed before it can write the outcome."""
    revision = company.remote(account)["wanted"]
    intent = Intent(account, revision, action, remote_id, sent)
    intend(company.database, "desk", "2026-03-02T07:59:59Z", [intent])


def _raising(error, method, subject):
    raise error


def _torn(desk, deliveries):
    """Do everything, and say nothing."""
    for delivery in deliveries:
        desk.add(delivery.account)
    yield from ()


def settle(company, desk, clock, tries=8, **more):
    """Deliver as a daemon does that is started anew each time, until nothing is left."""
    for _ in range(tries):
        deliver(company, lane(desk, **more), clock=clock)
        clock.advance(7200)
        retry(company.database)
        if set(company.states()) == {"done"}:
            return


class Numbered(Desk):
    """Knows accounts by their number, as nodes do; ``lost`` is raised once what was asked for is done."""

    lost = None

    def add(self, account):
        self.accounts[account.fields["extension"]] = account
        return account.fields["extension"]

    def find(self, account):
        number = account.fields["extension"]
        return number if number in self.accounts else None

    def _one(self, delivery):
        remote_id = super()._one(delivery)
        if "extension" in delivery.changed:
            stored = self.accounts.pop(remote_id)
            remote_id = stored.fields["extension"]
            self.accounts[remote_id] = stored
        if self.lost is not None:
            raise self.lost
        return remote_id


class TestLeftOverIntents:
    @pytest.mark.parametrize("applied", [True, False])
    def test_an_add_is_looked_up_and_never_done_twice(self, company, desk, applied):
        account = company.add(display_name="Ann")
        intended(company, account, "add")
        if applied:
            desk.accounts["r0"] = Account(str(account), "user", True, {"display_name": "Ann"})

        deliver(company, lane(desk))

        assert [("find", "1"), ("enable" if applied else "add", "1")] == desk.calls[:2]
        assert company.wanted(FIELDS) == desk.there()
        assert ("add", "found" if applied else "nothing") == company.deliveries(account)[1]
        assert {"done": 1} == company.states()

    @pytest.mark.parametrize("applied", [True, False])
    def test_an_update_that_was_taken_back_meanwhile_is_not_forgotten(self, company, desk, applied):
        """What the platform confirmed last is no longer what it has."""
        account = company.add(display_name="Ann")
        deliver(company, lane(desk))
        company.change(account, display_name="Anna")
        intended(company, account, "update", "r1")
        if applied:
            desk.accounts["r1"] = Account(str(account), "user", True, {"display_name": "Anna"})
        company.change(account, display_name="Ann")

        deliver(company, lane(desk))

        assert company.wanted(FIELDS) == desk.there()

    def test_an_update_whose_answer_was_lost_and_that_was_taken_back_is_not_forgotten(self, company, desk):
        account, clock = company.add(display_name="Ann"), Clock()
        deliver(company, lane(desk))
        company.change(account, display_name="Anna")
        desk.after = lambda method, subject: (_ for _ in ()).throw(Unavailable("cut"))
        deliver(company, lane(desk), clock=clock)
        desk.after = lambda method, subject: None
        company.change(account, display_name="Ann")
        clock.advance(60)

        deliver(company, lane(desk), clock=clock)

        assert company.wanted(FIELDS) == desk.there()

    @pytest.mark.parametrize("error", [Unavailable("cut"), ValueError("cannot read the answer")])
    def test_a_new_number_whose_answer_was_lost_goes_with_its_owner(self, company, error):
        """Who had the telephone of that number could go on using it."""
        node, clock = Numbered(), Clock()
        account = company.add(extension="100", display_name="Ann")
        deliver(company, lane(node), clock=clock)
        company.change(account, extension="600")
        node.lost = error
        deliver(company, lane(node), clock=clock)
        assert ["600"] == [*node.accounts]
        node.lost = None
        company.delete(account)
        clock.advance(60)

        deliver(company, lane(node), clock=clock)

        assert ({}, {"done": 1}) == (node.accounts, company.states())

    @pytest.mark.parametrize("answered", [True, False])
    def test_a_new_number_goes_with_its_owner_whatever_else_went_wrong_before(self, company, answered):
        """An update was refused, or cut off before it was done; then it was done, and its answer lost."""
        node, clock = Numbered(), Clock()
        account = company.add(extension="100", display_name="Ann")
        deliver(company, lane(node), clock=clock)
        company.change(account, display_name="Anna")
        error = Rejected("no") if answered else Unavailable("cut")
        node.before = lambda method, subject: _raising(error, method, subject) if method == "update" else None
        deliver(company, lane(node), clock=clock)
        node.before = lambda method, subject: None
        clock.advance(60)
        company.change(account, extension="600")
        node.lost = Unavailable("cut")
        deliver(company, lane(node), clock=clock)
        assert ["600"] == [*node.accounts]
        node.lost = None
        company.delete(account)
        clock.advance(60)

        deliver(company, lane(node), clock=clock)

        assert ({}, {"done": 1}) == (node.accounts, company.states())

    def test_a_delete_that_was_cut_off_twice_is_looked_up_by_the_number_that_is_there(self, company):
        """The account had got another one since, which was never delivered."""
        node = Numbered()
        account = company.add(extension="100")
        deliver(company, lane(node))
        company.change(account, extension="600")
        company.delete(account)
        intended(company, account, "delete", "100")
        company.conn.execute("UPDATE remotes SET delivered = NULL")

        deliver(company, lane(node))

        assert ({}, {"done": 1}) == (node.accounts, company.states())

    def test_a_number_of_somebody_else_is_not_taken_for_the_new_one(self, company):
        """It was made there by hand; the update that was to take it was cut off before it was done."""
        node, clock = Numbered(), Clock()
        account = company.add(extension="100", display_name="Ann")
        deliver(company, lane(node), clock=clock)
        company.conn.execute("UPDATE remotes SET delivered = NULL, state = 'pending'")
        node.accounts["600"] = Account("?", "user", True, {"extension": "600"})
        company.change(account, extension="600")
        intended(company, account, "update", "100")
        company.delete(account)

        deliver(company, lane(node), clock=clock)

        assert ["600"] == [*node.accounts]

    def test_a_delete_whose_answer_was_lost_is_asked_for_again_whatever_is_found(self, company, desk):
        """Somebody has changed by hand what it would be looked up by."""
        account, clock = company.add(display_name="Ann"), Clock()
        deliver(company, lane(desk))
        company.delete(account)
        desk.before = partial(_raising, Unavailable("cut"))
        deliver(company, lane(desk), clock=clock)
        desk.before = lambda method, subject: None
        desk.find = lambda account: None
        clock.advance(60)

        deliver(company, lane(desk), clock=clock)

        assert {} == desk.accounts

    @pytest.mark.parametrize("applied", [True, False])
    def test_a_delete_is_looked_up(self, company, desk, applied):
        account = company.add(display_name="Ann")
        deliver(company, lane(desk))
        company.delete(account)
        intended(company, account, "delete", "r1")
        if applied:
            desk.accounts.clear()
        desk.calls.clear()

        deliver(company, lane(desk))

        assert [("find", "1")] + ([] if applied else [("delete", "r1")]) == desk.calls
        assert ({}, {"done": 1}) == (desk.accounts, company.states())

    def test_a_delete_is_looked_up_by_what_the_platform_has(self, company, desk):
        """This one knows accounts only by their address, and that has changed since."""
        account = company.add(email="ann@acme.example")
        deliver(company, lane(desk))
        company.change(account, email="anna@acme.example")
        company.delete(account)
        intended(company, account, "delete", "r1")
        emails = {one.fields["email"]: remote_id for remote_id, one in desk.accounts.items()}
        desk.find = lambda account: emails.get(account.fields["email"])

        deliver(company, lane(desk))

        assert {} == desk.accounts

    @pytest.mark.parametrize("cut", ["killed", "unavailable", "broken", "failed"])
    def test_an_add_is_looked_up_by_what_it_sent(self, company, desk, cut):
        """This one knows accounts only by their address, and that has changed since."""
        account, clock = company.add(email="ann@acme.example"), Clock()
        there = Account(str(account), "user", True, {"email": "ann@acme.example"})
        if cut == "killed":
            intended(
                company, account, "add", sent='{"enabled": true, "fields": {"email": "ann@acme.example"}}'
            )
            desk.accounts["r0"] = there
        else:
            errors = {
                "unavailable": Unavailable("cut"),
                "broken": ValueError("cut"),
                "failed": ValueError("cut"),
            }
            if cut == "broken":
                company.add(email="bob@acme.example")
                desk.deliver = partial(_torn, desk)
            else:
                desk.after = partial(_raising, errors[cut])
            deliver(company, lane(desk), clock=clock)
            desk.after = lambda method, subject: None
            desk.__dict__.pop("deliver", None)
        company.change(account, email="anna@acme.example")
        desk.find = lambda one: next(
            (key for key, stored in desk.accounts.items() if stored.fields["email"] == one.fields["email"]),
            None,
        )

        settle(company, desk, clock)

        assert company.wanted(FIELDS) == desk.there()

    def test_an_add_that_was_refused_is_looked_up_by_what_the_account_is_now(self, company, desk):
        """It was refused because of the very address that a person has corrected since."""
        account, clock = company.add(email="ann@acme.example"), Clock()
        desk.before = lambda method, subject: (
            _raising(Rejected("no"), method, subject) if method == "add" else None
        )
        deliver(company, lane(desk), clock=clock)
        desk.before = lambda method, subject: None
        asked = []
        desk.find = lambda one: asked.append(one.fields["email"])
        company.change(account, email="anna@acme.example")

        settle(company, desk, clock)

        assert ["anna@acme.example"] == asked

    def test_look_ups_end_with_the_first_that_finds_nobody_at_home(self, company, desk):
        for _ in range(5):
            intended(company, company.add(), "add")
        asked = []

        def find(account):
            asked.append(account.key)
            raise Unavailable("away")

        desk.find = find
        report = deliver(company, lane(desk))["desk"]

        assert (["1"], [], "unavailable") == (asked, desk.calls, report.stopped)

    def test_who_was_added_and_is_not_wanted_any_more_is_deleted(self, company, desk):
        account = company.add(display_name="Ann")
        intended(company, account, "add")
        desk.accounts["r0"] = Account(str(account), "user", True, {"display_name": "Ann"})
        company.delete(account)

        deliver(company, lane(desk))

        assert ([("find", "1"), ("delete", "r0")], {}) == (desk.calls, desk.accounts)

    def test_an_add_that_failed_may_have_been_done_all_the_same(self, company, desk):
        """Its answer was lost; the person who lets it be retried does not get a second account."""
        company.add(display_name="Ann")
        desk.after = lambda method, subject: (_ for _ in ()).throw(ValueError("cannot read the answer"))
        deliver(company, lane(desk))
        desk.after = lambda method, subject: None
        retry(company.database)

        deliver(company, lane(desk))

        assert [("add", "1"), ("find", "1"), ("enable", "1")] == [
            call for call in desk.calls if call[0] != "update"
        ]
        assert company.wanted(FIELDS) == desk.there()

    def test_a_look_up_that_cannot_be_made_is_made_later(self, company, desk):
        account = company.add(display_name="Ann")
        intended(company, account, "add")
        desk.accounts["r0"] = Account(str(account), "user", True, {"display_name": "Ann"})
        for error in (Unavailable("away"), Denied("no right to read"), ValueError("odd"), Gone("?")):
            desk.find = lambda account, error=error: (_ for _ in ()).throw(error)
            deliver(company, lane(desk))
            retry(company.database)

        assert [] == desk.calls

        del desk.find
        deliver(company, lane(desk))

        assert company.wanted(FIELDS) == desk.there()

    @pytest.mark.parametrize("answer", ["", 17, True])
    def test_a_look_up_that_returns_no_remote_id_is_the_plugins_fault(self, company, desk, answer):
        account = company.add()
        intended(company, account, "add")
        desk.find = lambda account: answer

        deliver(company, lane(desk))

        assert "plugin acme_desk: platform desk: find() returned" in company.remote(account)["message"]


def test_nothing_is_lost_or_doubled_by_a_process_that_is_killed_again_and_again(tmp_path):
    """25 times ``kill -9`` at any moment, while accounts come, go, change and swap their addresses."""
    script = Path(__file__).with_name("distribution_kills.py")
    number = chance_seed()
    done = subprocess.run(
        [sys.executable, script, tmp_path, "25", str(number)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    result = json.loads(done.stdout)

    assert result["killed"] > 5, f"seed {number}"
    nothing = {"lost": [], "surplus": [], "doubled": [], "wrong": [], "without_outcome": 0}
    assert nothing == {name: result[name] for name in nothing}, f"seed {number}"
    assert {"done"} == set(result["states"])


@pytest.fixture(scope="module")
def small_world(tmp_path_factory):
    """A small world in which everything has to be done: the database, and what the platform has so far."""
    folder = tmp_path_factory.mktemp("world")
    company, desk = Company(folder / "syncd.db", "desk"), Desk()
    stays, changes, leaves, disabled, enabled, ann, bob, first, second = (
        company.add(
            display_name=f"Person {number}", email=f"{number}@acme.example", extension=str(4000 + number)
        )
        for number in range(9)
    )
    company.disable(enabled)
    deliver(company, lane(desk))
    company.change(changes, display_name="Changed", location="north")
    company.delete(leaves)
    company.disable(disabled)
    company.disable(enabled, None)
    company.change_all({ann: {"email": "6@acme.example"}, bob: {"email": "5@acme.example"}})
    company.change_all({first: {"extension": "4008"}, second: {"extension": "4009"}})
    company.add(display_name="New", email="new@acme.example")
    company.add(display_name="New, disabled", disabled_by="source")
    company.add(kind="contact", extension=str(4000 + 2))
    wanted = company.wanted(FIELDS)
    company.database.close()
    assert stays
    return folder / "syncd.db", dict(desk.accounts), wanted


def world_of(small_world, folder):
    """Return a copy of the small world."""
    path, accounts, wanted = small_world
    shutil.copy(path, folder / "syncd.db")
    desk = Desk()
    desk.accounts = dict(accounts)
    desk.calls = [("", "")] * 100  # so that remote ids are new ones
    return Company(folder / "syncd.db", "desk"), desk, wanted


def test_a_clean_run_does_everything_in_the_small_world(small_world, tmp_path):
    company, desk, wanted = world_of(small_world, tmp_path)
    deliver(company, lane(desk))

    assert wanted == desk.there()
    assert {"add": 3, "update": 6, "disable": 2, "enable": 1, "delete": 1} == Counter(
        method for method, _ in desk.calls[100:]
    )


@pytest.mark.parametrize(
    "error", [Unavailable("cut"), TimeoutError("no answer"), Denied("not now")], ids=repr
)
@pytest.mark.parametrize("applied", [False, True], ids=["not applied", "applied, answer lost"])
def test_whichever_call_fails_the_end_is_the_same(small_world, tmp_path, error, applied):
    """The n-th call of the platform fails, for every n; afterwards the daemon goes on."""
    for nth in range(1, 14):
        folder = tmp_path / str(nth)
        folder.mkdir()
        company, desk, wanted = world_of(small_world, folder)
        left = [nth]

        def hook(method, subject, left=left):
            if method != "open":
                left[0] -= 1
                if left[0] == 0:
                    raise error

        if applied:
            desk.after = hook
        else:
            desk.before = hook
        settle(company, desk, Clock(), batch=4)

        assert left[0] <= 0
        assert wanted == desk.there(), f"call {nth}"
        assert {"done"} == set(company.states())
        assert [] == company.conn.execute("SELECT * FROM keys WHERE releasing <> 0").fetchall()
        company.database.close()


@pytest.mark.parametrize("kept", [False, True], ids=["rolled back", "committed, then killed"])
def test_whichever_transaction_fails_the_end_is_the_same(small_world, tmp_path, monkeypatch, kept):
    """The n-th write fails, for every n: the process ends, and a new one goes on."""
    real, nth = Database.transaction, 0
    while True:
        nth += 1
        folder = tmp_path / str(nth)
        folder.mkdir()
        company, desk, wanted = world_of(small_world, folder)
        left = [nth]

        def transaction(database, left=left):
            left[0] -= 1
            if left[0]:
                return real(database)
            if kept:
                return _killed_after(real(database))
            raise StoreError("the disk is full")

        with monkeypatch.context() as patched:
            patched.setattr(Database, "transaction", transaction)
            with suppress(StoreError):
                deliver(company, lane(desk, batch=4))
        settle(company, desk, Clock(), batch=4)

        assert wanted == desk.there(), f"transaction {nth}"
        assert {"done"} == set(company.states())
        company.database.close()
        if left[0] > 0:
            assert nth > 10
            return


class _killed_after:  # noqa: N801 - stands for a context manager
    """A transaction that is committed, and whose process then ends."""

    def __init__(self, transaction):
        self.transaction = transaction

    def __enter__(self):
        return self.transaction.__enter__()

    def __exit__(self, *error):
        self.transaction.__exit__(*error)
        raise StoreError("killed")


NAMES = st.sampled_from(["Ann", "Bob", "Eve", None])
EXTENSIONS = st.sampled_from(["4001", "4002", "4003", "4004", None])
STEPS = st.one_of(
    st.tuples(st.just("add"), NAMES, EXTENSIONS),
    st.tuples(st.just("change"), st.integers(0, 5), NAMES, EXTENSIONS),
    st.tuples(st.just("swap"), st.integers(0, 5), st.integers(0, 5)),
    st.tuples(st.just("disable"), st.integers(0, 5), st.sampled_from(["source", None])),
    st.tuples(st.just("delete"), st.integers(0, 5)),
    st.tuples(st.just("vanish"), st.integers(0, 5)),
    st.tuples(st.just("deliver"), st.integers(0, 9), st.booleans(), st.integers(0, 3)),
)


@settings(max_examples=60)
@given(steps=st.lists(STEPS, min_size=5, max_size=25))
def test_whatever_happens_the_platform_ends_as_it_is_wanted(tmp_path_factory, steps):
    """Any history of changes and faults: in the end everybody is there once, as they should be."""
    company = Company(tmp_path_factory.mktemp("any") / "syncd.db", "desk")
    desk, clock, people, taken = Desk(), Clock(), [], {}
    try:
        for step in steps:
            _do(company, desk, clock, people, taken, step)
        desk.before = desk.after = lambda method, subject: None
        settle(company, desk, clock)

        assert company.wanted(FIELDS) == desk.there()
        assert {"done"} >= set(company.states())
        assert [] == company.conn.execute("SELECT * FROM keys WHERE releasing <> 0").fetchall()
    finally:
        company.database.close()


def _do(company, desk, clock, people, taken, step):
    """Do one step of a history; ``taken`` says which extension each person has, since no two may share one."""
    verb, *more = step
    if verb == "add":
        name, extension = more
        extension = None if extension in taken.values() else extension
        values = {"display_name": name, "extension": extension}
        people.append(company.add(**{key: value for key, value in values.items() if value}))
        taken[people[-1]] = extension
    elif verb == "deliver":
        _deliver(company, desk, clock, *more)
    elif people:
        account = people[more[0] % len(people)]
        if verb == "change":
            extension = None if more[2] in taken.values() else more[2]
            company.change(account, display_name=more[1], extension=extension)
            taken[account] = extension
        elif verb == "swap":
            other = people[more[1] % len(people)]
            taken[account], taken[other] = taken[other], taken[account]
            company.change_all({one: {"extension": taken[one]} for one in {account, other}})
        elif verb == "disable":
            company.disable(account, more[1])
        elif verb == "delete":
            people.remove(account)
            del taken[account]
            company.delete(account)
        else:
            for remote_id in [name for name, one in desk.accounts.items() if one.key == str(account)]:
                del desk.accounts[remote_id]
            company.change(account, location=f"place {len(desk.calls)}")


def _deliver(company, desk, clock, nth, applied, kind):
    left = [nth]

    def hook(method, subject):
        left[0] -= 1
        if left[0] == 0:
            raise (Unavailable("cut"), TimeoutError("?"), Denied("no"), Unavailable("later", 9.5))[kind]

    desk.before = desk.after = lambda method, subject: None
    if applied:
        desk.after = hook
    else:
        desk.before = hook
    deliver(company, lane(desk, batch=3), clock=clock)
    clock.advance(20)


class Quick(Desk):
    """Adds in no time, and forgets at once."""

    def add(self, account):
        return account.key


def _many(folder, count):
    company = Company(folder / f"{count}.db")
    values = '{"display_name":"Person ' + "x" * 200 + '","email":"%d@acme.example"}'
    with company.database.transaction() as conn:
        conn.executemany(
            "INSERT INTO accounts (id, enterprise, kind, attributes, created_at, changed_at, revision)"
            " VALUES (?, 'acme', 'user', ?, 'now', 'now', ?)",
            ((number, values % number, number) for number in range(1, count + 1)),
        )
    road = lane(Quick())
    assert count == seed(company.database, road, ["acme"])
    return company, road


_SILENT = SimpleNamespace(debug=lambda *_, **__: None, info=lambda *_, **__: None)


def test_twenty_thousand_accounts_take_about_four_times_as_long_as_five_thousand(tmp_path):
    taken = {}
    for count in (5000, 20000):
        company, road = _many(tmp_path, count)
        begun = time.perf_counter()
        report = deliver(company, road, log=_SILENT)["desk"]
        taken[count] = time.perf_counter() - begun

        assert count == report.confirmed
        company.database.close()

    assert taken[20000] < 10 * taken[5000]


def test_memory_does_not_grow_with_the_number_of_accounts(tmp_path):
    peaks = []
    for count in (1000, 5000):
        company, road = _many(tmp_path, count)
        gc.collect()
        tracemalloc.start()
        deliver(company, road, log=_SILENT)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        company.database.close()

    assert max(peaks) < 3_000_000
    assert peaks[1] < peaks[0] + 500_000
